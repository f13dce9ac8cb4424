/*
 * archive_catalog.h
 *	  The tables streamq.archive and streamq.archive_progress.
 */
#ifndef STREAMQ_ARCHIVE_ARCHIVE_CATALOG_H
#define STREAMQ_ARCHIVE_ARCHIVE_CATALOG_H

#include "postgres.h"

#include "archive/archive.h"

typedef enum ArchiveFormat
{
	ARCHIVE_JSONL,
	ARCHIVE_CSV,
	ARCHIVE_BINARY
} ArchiveFormat;

typedef enum ArchiveCompression
{
	ARCHIVE_NONE,
	ARCHIVE_GZIP,
	ARCHIVE_LZ4,
	ARCHIVE_ZSTD
} ArchiveCompression;

/* a row of streamq.archive */
typedef struct ArchiveRow
{
	Oid			stream;
	char	   *destination;
	ArchiveFormat format;
	ArchiveCompression compression;
	char	   *command;		/* or NULL */
	Oid			owner;
	char	   *prefix;
	char	   *identity;
	TimestampTz started_at;
	bool		restored;
} ArchiveRow;

/* a row of streamq.archive_progress; -1 is null */
typedef struct ArchiveProgress
{
	int64		next_offset;
	int64		pending_from;
	int64		pending_to;
	int64		files;
	int64		bytes;
} ArchiveProgress;

/* formats and compressions by name; false if there is none */
extern bool archive_find_format(const char *name, ArchiveFormat *format);
extern bool archive_find_compression(const char *name, ArchiveCompression *compression);
extern const char *archive_format_name(ArchiveFormat format);
extern const char *archive_compression_name(ArchiveCompression compression);

/*
 * Lock the archive of a stream until the end of the transaction.  Whoever
 * changes rows of it holds this lock.  False if it is not free and not `wait`.
 */
extern bool archive_lock(Oid stream, bool wait);

/* The row of a stream, in the current memory context; false if there is none. */
extern bool archive_get(Oid stream, ArchiveRow *row);
extern void archive_add(const ArchiveRow *row);

/* Delete the rows of a stream; false if there are none. */
extern bool archive_delete(Oid stream);

extern void archive_get_progress(Oid stream, int partition, ArchiveProgress *progress);
extern void archive_set_progress(Oid stream, int partition, const ArchiveProgress *progress);

/* For each partition, the offset below which everything is archived, or 0. */
extern void archive_get_positions(Oid stream, int npartitions, int64 *positions);

/* Set last_error; NULL: none.  True if that is a change. */
extern bool archive_set_error(Oid stream, const char *error);

#endif
