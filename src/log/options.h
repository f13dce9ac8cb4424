/*
 * options.h
 *	  A stream's options: the catalog table streamq.stream_options.
 *
 * A stream without a row has the defaults.  Rows are written with the
 * transaction that changes them and read once per relcache entry.
 */
#ifndef STREAMQ_OPTIONS_H
#define STREAMQ_OPTIONS_H

#include "postgres.h"

#include "datatype/timestamp.h"
#include "utils/rel.h"

#include "log/log.h"

#define OPTIONS_MAX_KEYS	8

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
	AttrNumber	keys[OPTIONS_MAX_KEYS];
} StreamOptions;

/*
 * Options of a stream, with the default partition_by (a column "key") already
 * put in.
 */
extern void options_get(Relation rel, StreamOptions *options);

/* text of the partition_by columns as given, NULL when none */
extern char *options_partition_by(Relation rel, const StreamOptions *options);

#endif
