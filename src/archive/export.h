/*
 * export.h
 *	  Writing a range of messages into a file.
 */
#ifndef STREAMQ_ARCHIVE_EXPORT_H
#define STREAMQ_ARCHIVE_EXPORT_H

#include "postgres.h"

#include "utils/rel.h"

#include "archive/manifest.h"

/* The columns of the files of a stream. */
extern List *archive_columns(Relation rel);

/*
 * Write the messages in the range of a line to a file, with COPY, and count
 * them.  Partition, range, format and columns are given.  The caller has an
 * active snapshot that sees all messages in the range.
 */
extern void archive_copy_to_file(Relation rel, ArchiveLine *line, const char *path);

#endif
