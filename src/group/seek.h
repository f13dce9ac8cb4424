/*
 * seek.h
 *	  Places in a stream: where a group starts, or is moved to.
 */
#ifndef STREAMQ_GROUP_SEEK_H
#define STREAMQ_GROUP_SEEK_H

#include "postgres.h"

#include "datatype/timestamp.h"
#include "utils/rel.h"

#include "group/mode.h"

/* kinds of places */
typedef enum GroupPlaceKind
{
	GROUP_EARLIEST,
	GROUP_LATEST,
	GROUP_AT_OFFSET,
	GROUP_AT_TIME
} GroupPlaceKind;

/* a place; only the field of its kind is set */
struct GroupPlace
{
	GroupPlaceKind kind;
	int64		off;
	TimestampTz time;
};

/*
 * parse "earliest" or "latest"; fail with 22023, naming the argument,
 * otherwise
 */
extern void group_parse_start(const char *text, const char *argname, GroupPlace *place);

/* the current offset of a place */
extern int64 group_find_place(Relation rel, int partition, const GroupPlace *place);

/* start a newly created group at a place, in every partition */
extern void group_start(Relation rel, const ConsumerGroup *group, const GroupPlace *place);

#endif
