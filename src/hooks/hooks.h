/*
 * hooks.h
 *	  Start-up of the hooks.
 */
#ifndef STREAMQ_HOOKS_H
#define STREAMQ_HOOKS_H

#include "postgres.h"

/* from _PG_init */
extern void hooks_init(void);

#endif
