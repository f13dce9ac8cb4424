/*
 * options.h
 *	  A stream's options: the catalog table streamq.stream_options.
 *
 * A stream without a row has the defaults.  Rows are written with the
 * transaction that changes them and read once per relcache entry.
 */
#ifndef STREAMQ_LOG_OPTIONS_H
#define STREAMQ_LOG_OPTIONS_H

#include "postgres.h"

#include "access/attnum.h"
#include "datatype/timestamp.h"
#include "utils/rel.h"

#include "log/log.h"

#define LOG_OPTIONS_MAX_KEYS	8

/* what happens when the slowest group is backlog_messages behind */
typedef enum LogBacklogPolicy
{
	LOG_BACKLOG_NONE,
	LOG_BACKLOG_REJECT,			/* appending fails */
	LOG_BACKLOG_BLOCK,			/* appending waits */
	LOG_BACKLOG_EVICT			/* the group loses its oldest messages */
} LogBacklogPolicy;

/* flow control; 0: no limit */
typedef struct LogFlowOptions
{
	Interval	message_ttl;	/* older messages are delivered to no group */
	int64		backlog_messages;
	LogBacklogPolicy backlog_policy;
	double		max_rate;		/* messages appended per second */
} LogFlowOptions;

typedef struct StreamOptions
{
	int			npartitions;	/* 1 .. LOG_MAX_PARTITIONS */

	/*
	 * The partition counts that the stream has had, oldest first, ending with
	 * npartitions.  The routing map is a function of this list.
	 */
	int			nhistory;
	int16		history[LOG_MAX_PARTITIONS];
	int			nkeys;			/* partition_by columns; 0: messages are
								 * spread */
	AttrNumber	keys[LOG_OPTIONS_MAX_KEYS];

	/* limits of what the stream keeps, 0: no limit */
	Interval	retention;
	int64		max_bytes;
	int64		max_messages;
	bool		keep_unacked;	/* keep also what a group has not acknowledged
								 * or a job has not processed */

	/* how long ids of messages are remembered; never zero */
	Interval	dedup_window;

	LogFlowOptions flow;

	/* the transaction that stored them; not set by the caller */
	TransactionId stored_by;
} StreamOptions;

/*
 * Get the options of a stream.  If partition_by was not set, its default (a
 * column named "key") is filled in.
 */
extern void log_options_get(Relation rel, StreamOptions *options);

/* Options of flow control, from the relcache entry: cheap. */
extern LogFlowOptions log_options_flow(Relation rel);

/* The policy with this name; false if there is none. */
extern bool log_options_find_policy(const char *name, LogBacklogPolicy *policy);

/*
 * Messages that were appended before this time are too old to be delivered, by
 * the stream's message_ttl; DT_NOBEGIN if none are.  *changed tells whether a
 * rollback of the current transaction may bring back another message_ttl.
 */
extern TimestampTz log_options_horizon(Relation rel, bool *changed);

/* The time so long ago; MIN_TIMESTAMP if that is out of range. */
extern TimestampTz log_options_time_before(const Interval *age);

/*
 * Names of the partition_by columns as a list of quoted identifiers, palloc'd;
 * NULL if there are none.
 */
extern char *log_options_partition_by(Relation rel, const StreamOptions *options);

/*
 * Store the options with the current transaction and make all backends read
 * them again.  With set_keys the keys are stored too; no keys mean that
 * messages are spread, whatever columns there are.  Without it, the stored
 * choice or the default stays.  The caller has locked out writers and checked
 * the values.
 */
extern void log_options_set(Relation rel, const StreamOptions *options, bool set_keys);

extern bool log_options_has_retention(const StreamOptions *options);
extern bool log_options_has_ttl(const StreamOptions *options);
extern bool log_options_has_limit(const StreamOptions *options);

/* OIDs of the streams of this database that have a limit. */
extern List *log_options_list_limited(void);

/* Delete the row of a stream that is being dropped. */
extern void log_options_delete(Oid relid);

/*
 * The running command adds or changes a column of the stream, or drops it.
 * Other code of the transaction does not see that change yet.  Returns true if
 * rows are routed differently from now on; see log_column_changed().
 */
extern bool log_options_column_changed(Relation rel, AttrNumber attnum, bool dropped);

#endif
