/*
 * group_catalog.h
 *	  The groups of streams: rows of streamq.consumer_group.
 */
#ifndef STREAMQ_GROUP_CATALOG_H
#define STREAMQ_GROUP_CATALOG_H

#include "postgres.h"

#include "datatype/timestamp.h"
#include "utils/rel.h"
#include "utils/snapshot.h"

#define GROUP_NAME_MAX		63	/* bytes */
#define GROUP_DEFAULT_IN_FLIGHT 1000

struct GroupMode;

typedef struct ConsumerGroup
{
	int32		group_id;
	char		name[GROUP_NAME_MAX + 1];
	const struct GroupMode *mode;
	Oid			owner;
	bool		usable;			/* by the current user */
	Interval	lease;
	int32		max_in_flight;
} ConsumerGroup;

typedef struct GroupOptions
{
	const char *mode;
	const char *start_at;
	Interval	lease;
	int32		max_in_flight;
} GroupOptions;

/* the options of a group that is created by its first consume */
extern void group_default_options(GroupOptions *options);

/* the name as a C string; 42602 if it is empty or too long */
extern char *group_check_name(const text *name);

/*
 * Find a group by the stream and its name as it is committed now.  False if
 * there is none and missing_ok, 42704 otherwise.
 */
extern bool group_find(Relation rel, const char *name, bool missing_ok,
					   ConsumerGroup *group);

/* find it, and fail with 42501 unless the current user may use it */
extern void group_get(Relation rel, const char *name, ConsumerGroup *group);
extern void group_check_usable(Relation rel, const ConsumerGroup *group);

/* the group of a stream as a snapshot sees it; false if there is none */
extern bool group_find_by_id(Relation rel, int32 group_id, Snapshot snapshot,
							 ConsumerGroup *group);

/* after waiting: 42704 if the group was dropped, or dropped and created again */
extern void group_check_exists(Relation rel, const ConsumerGroup *group);

/*
 * Retention holder: a group needs what it has not acknowledged (see
 * stream_register_retention_holder).
 */
extern void group_hold_retention(Relation rel, int npartitions, int64 *least);

typedef enum GroupCreated
{
	GROUP_CREATED,
	GROUP_EXISTS,				/* there is one of that name */
	GROUP_BUSY					/* another transaction is creating or dropping
								 * it, and was not waited for */
} GroupCreated;

/*
 * Create a group owned by the current user.  *group is filled in unless it is busy.
 * This and group_drop() lock the group's name to the end of the transaction.
 */
extern GroupCreated group_create(Relation rel, const char *name, const GroupOptions *options,
								 bool wait, ConsumerGroup *group);

/* 42704 unless it exists, 42501 unless the current user may use the group or owns the stream */
extern void group_drop(Relation rel, const char *name);

#endif
