/*
 * seek.h
 *	  Places in a stream to which a group is moved, or at which it begins.
 */
#ifndef STREAMQ_GROUP_SEEK_H
#define STREAMQ_GROUP_SEEK_H

#include "postgres.h"

#include "datatype/timestamp.h"
#include "utils/rel.h"

#include "group/mode.h"

typedef enum GroupPlaceKind
{
	GROUP_EARLIEST,
	GROUP_LATEST,
	GROUP_AT_OFFSET,
	GROUP_AT_TIME
} GroupPlaceKind;

struct GroupPlace
{
	GroupPlaceKind kind;
	int64		off;
	TimestampTz time;
};

/* EARLIEST or LATEST; 22023 naming the argument if the text is neither */
extern void group_parse_start(const char *text, const char *argname, GroupPlace *place);

/* the offset of a place, as of now */
extern int64 group_find_place(Relation rel, int partition, const GroupPlace *place);

/* a group that was just created begins there in every partition */
extern void group_start(Relation rel, const ConsumerGroup *group, const GroupPlace *place);

#endif
