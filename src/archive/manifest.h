/*
 * manifest.h
 *	  The manifest of an archive: a file with a line of JSON for each range of
 *	  offsets.
 */
#ifndef STREAMQ_ARCHIVE_MANIFEST_H
#define STREAMQ_ARCHIVE_MANIFEST_H

#include "postgres.h"

#include "nodes/pg_list.h"

#include "archive/archive_catalog.h"

#define ARCHIVE_MANIFEST_SUFFIX	".manifest"
#define ARCHIVE_SHA256_LENGTH	64

/* a column in a file; those of the message itself come first */
typedef struct ArchiveColumn
{
	char	   *name;
	char	   *type;			/* qualified name of the base type */
} ArchiveColumn;

/* a line of a manifest, or what the name of a file tells */
typedef struct ArchiveLine
{
	char	   *file;			/* NULL: there are no messages in this range */
	char	   *stream;
	int			partition;
	int64		after;			/* end of the range before; -1: there is none */
	int64		first;
	int64		end;			/* exclusive; written as the last offset */
	int64		messages;		/* -1: unknown */
	int64		bytes;			/* the same */
	char		sha256[ARCHIVE_SHA256_LENGTH + 1];	/* empty: unknown */
	ArchiveFormat format;
	ArchiveCompression compression;
	char	   *encoding;
	List	   *columns;		/* of ArchiveColumn *; NIL: unknown */
	char	   *identity;
} ArchiveLine;

/*
 * Read a manifest.  A last line without an end is ignored, because a crash may
 * leave one.  With missing_ok, NIL if the file does not exist.
 */
extern List *archive_manifest_read(const char *path, bool missing_ok);

/* Append a line, durably. */
extern void archive_manifest_append(const char *path, const ArchiveLine *line);

/*
 * The lines that count, in the order of partition and offset.  A line replaces
 * what earlier lines say about the offsets from its `after` on: the server had
 * lost them and wrote them again.  XX001 if lines are missing.
 */
extern List *archive_manifest_effective(const char *path, List *lines);

#endif
