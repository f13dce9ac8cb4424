/*
 * command.h
 *	  Running a utility command from C.
 */
#ifndef STREAMQ_BASE_COMMAND_H
#define STREAMQ_BASE_COMMAND_H

#include "postgres.h"

#include "nodes/nodes.h"

/* run a utility statement as if the caller had sent it; sql is its text */
extern void base_run_utility(Node *stmt, const char *sql);

#endif
