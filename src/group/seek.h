/*
 * seek.h
 *	  Where a group stands in its stream.
 */
#ifndef STREAMQ_GROUP_SEEK_H
#define STREAMQ_GROUP_SEEK_H

#include "postgres.h"

#include "utils/rel.h"

typedef enum GroupStart
{
	START_EARLIEST,
	START_LATEST
} GroupStart;

/* 22023 naming the argument if the text is neither */
extern GroupStart seek_parse_start(const char *text, const char *argname);

/* the offset of the partition's first or next message */
extern int64 seek_find_start(Relation rel, int partition, GroupStart start);

#endif
