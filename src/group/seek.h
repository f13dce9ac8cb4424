/*
 * seek.h
 *	  Where a group stands in its stream.
 */
#ifndef STREAMQ_GROUP_SEEK_H
#define STREAMQ_GROUP_SEEK_H

#include "postgres.h"

#include "utils/rel.h"

#include "group/group_catalog.h"

typedef enum GroupStart
{
	START_EARLIEST,
	START_LATEST
} GroupStart;

/* 22023 naming the argument if the text is neither */
extern GroupStart group_parse_start(const char *text, const char *argname);

/* a group that was just created begins there in every partition */
extern void group_init_states(Relation rel, const ConsumerGroup *group,
							  GroupStart start);

#endif
