/*
 * group_catalog.h
 *	  The groups of streams: rows of streamq.consumer_group.
 */
#ifndef STREAMQ_GROUP_CATALOG_H
#define STREAMQ_GROUP_CATALOG_H

#include "postgres.h"

#include "datatype/timestamp.h"
#include "nodes/pg_list.h"
#include "utils/rel.h"
#include "utils/snapshot.h"

#define GROUP_NAME_MAX		63	/* bytes */
#define GROUP_DEFAULT_IN_FLIGHT 1000

/* longest time until a retry, in microseconds: 100 years */
#define GROUP_MAX_BACKOFF	(INT64CONST(36525) * USECS_PER_DAY)

struct GroupMode;

/* a group: a row of streamq.consumer_group, and its use by the current user */
typedef struct ConsumerGroup
{
	int32		group_id;
	char		name[GROUP_NAME_MAX + 1];
	const struct GroupMode *mode;
	Oid			owner;
	bool		usable;			/* the current user may use the group */
	Interval	lease;
	int32		max_in_flight;
	int32		max_deliveries; /* 0: no limit */
	bool		has_dead_letter;
	Oid			dead_letter;	/* invalid also if the stream was not restored */
	const char *filter;			/* NULL: none; in the memory context that was
								 * current when the group was found */
	bool		is_changed;		/* this transaction has changed its options */
	bool		paused;
	int64		retry_backoff;	/* microseconds; 0: none */
	int64		retry_backoff_max;	/* microseconds; 0: no limit */
	double		max_rate;		/* messages per second; 0: no limit */
	int32		max_per_key;	/* 0: no limit */
	uint64		mark;			/* of the stream, before group_find() */
} ConsumerGroup;

/* options of a new group; NULL and 0 mean that an option is not set */
typedef struct GroupOptions
{
	const struct GroupMode *mode;
	const char *start_at;
	Interval	lease;
	int32		max_in_flight;
	int32		max_deliveries;
	Oid			dead_letter;
	const char *filter;
	bool		lost_dead_letter;	/* it had one that was not restored */
	const Interval *retry_backoff;
	const Interval *retry_backoff_max;
	double		max_rate;
	int32		max_per_key;
} GroupOptions;

/* options of an existing group */
extern void group_get_options(Relation rel, const char *name, GroupOptions *options);

/* options of a group that the first consume() creates */
extern void group_default_options(GroupOptions *options);

/* return the name as a C string; fail with 42602 if it is empty or too long */
extern char *group_check_name(const text *name);

/*
 * Find a group by its name, with an up-to-date snapshot.  If there is none,
 * return false if missing_ok, and fail with 42704 otherwise.
 */
extern bool group_find(Relation rel, const char *name, bool missing_ok,
					   ConsumerGroup *group);

/* find a group; fail with 42501 if the current user may not use it */
extern void group_get(Relation rel, const char *name, ConsumerGroup *group);
extern void group_check_usable(Relation rel, const ConsumerGroup *group);

/* fail with 42501 unless the current user has the rights of the owner */
extern void group_check_owner(Relation rel, const ConsumerGroup *group);

/* find a group of the stream as a snapshot sees it; false if there is none */
extern bool group_find_by_id(Relation rel, int32 group_id, Snapshot snapshot,
							 ConsumerGroup *group);

/* all groups of the stream, a list of ConsumerGroup */
extern List *group_list(Relation rel);

/*
 * Called after waiting for a lock: fail with 42704 if the group has been
 * dropped meanwhile, even if a new one has the same name.
 */
extern void group_check_exists(Relation rel, const ConsumerGroup *group);

/*
 * Called with a partition of the group locked: does the group still exist in
 * the mode in which group_find() found it?  The lock keeps it so.  This reads
 * the table only if the mark of the stream has changed (stream/flow.h).
 */
extern bool group_is_current(Relation rel, const ConsumerGroup *group);

/* fail with 42704 or 40001 if not */
extern void group_check_current(Relation rel, const ConsumerGroup *group);

/*
 * Retention holder (see stream_register_retention_holder): keeps the messages
 * that a group has not acknowledged yet.
 */
extern void group_hold_retention(Relation rel, int npartitions, int64 *least);

/* result of creating a group */
typedef enum GroupCreated
{
	GROUP_CREATED,
	GROUP_EXISTS,				/* a group with this name exists */
	GROUP_BUSY					/* another transaction is creating or dropping
								 * it, and the caller did not want to wait */
} GroupCreated;

/*
 * Create a group owned by the current user.  *group is set unless the result
 * is GROUP_BUSY.  Like group_drop(), locks the name of the group until the end
 * of the transaction.
 */
extern GroupCreated group_create(Relation rel, const char *name, const GroupOptions *options,
								 bool wait, ConsumerGroup *group);

/* change the options of a group; the caller has locked its name */
extern void group_set_options(Relation rel, const char *name, const GroupOptions *options);
extern void group_set_paused(Relation rel, const char *name, bool paused);

/*
 * Drop a group.  Fails with 42704 if it does not exist, and with 42501 unless
 * the current user may use the group or owns the stream.
 */
extern void group_drop(Relation rel, const char *name);

#endif
