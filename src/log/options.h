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

typedef struct StreamOptions
{
	int			npartitions;	/* 1 .. LOG_MAX_PARTITIONS */

	/*
	 * The numbers of partitions the stream has had, oldest first, ending in
	 * npartitions: the routing map is a function of it.
	 */
	int			nhistory;
	int16		history[LOG_MAX_PARTITIONS];
	int			nkeys;			/* partition_by columns, 0: spread */
	AttrNumber	keys[LOG_OPTIONS_MAX_KEYS];

	/* what is kept; 0: no limit */
	Interval	retention;
	int64		max_bytes;
	int64		max_messages;
	bool		keep_unacked;	/* nor anything a group has not acknowledged
								 * or a job not processed */
} StreamOptions;

/*
 * Options of a stream, with the default partition_by (a column "key") already
 * put in.
 */
extern void log_options_get(Relation rel, StreamOptions *options);

/*
 * Names of the partition_by columns as a list of quoted identifiers, palloc'd;
 * NULL when there are none.
 */
extern char *log_options_partition_by(Relation rel, const StreamOptions *options);

/*
 * Write the options with this transaction and make every backend read them
 * again.  set_keys stores the keys, too (none: spread, whatever columns there
 * are); without it the stored choice, or the default, stays.  The caller keeps
 * writers away by a lock and has checked the values.
 */
extern void log_options_set(Relation rel, const StreamOptions *options, bool set_keys);

extern bool log_options_has_retention(const StreamOptions *options);
extern bool log_options_has_limit(const StreamOptions *options);

/* OIDs of the relations with a limit, in this database */
extern List *log_options_list_limited(void);

/* the stream is dropped: its row goes, if there is one */
extern void log_options_delete(Oid relid);

/*
 * A column of the stream is added, changed or (dropped) goes away with the running
 * command, which other commands of the transaction do not see yet.  Returns whether rows
 * are routed in another way from now on; see log_column_changed.
 */
extern bool log_options_column_changed(Relation rel, AttrNumber attnum, bool dropped);

#endif
