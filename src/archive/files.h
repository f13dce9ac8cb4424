/*
 * files.h
 *	  The directory of an archive, and the names of the files in it.
 */
#ifndef STREAMQ_ARCHIVE_FILES_H
#define STREAMQ_ARCHIVE_FILES_H

#include "postgres.h"

#include "utils/rel.h"

#include "archive/manifest.h"

/*
 * The canonical form of a path to a directory.  22023 if it is not absolute,
 * or if it is in the data directory and to be written to; the system's error
 * if there is no such directory.
 */
extern char *archive_check_directory(const char *path, bool writing);

/* What the names of the files of a stream begin with. */
extern char *archive_prefix(Relation rel);

/* Which stream of which server writes the files. */
extern char *archive_identity(Relation rel);

extern char *archive_manifest_path(const char *directory, const char *prefix);

/* The name of the file for a line. */
extern char *archive_file_name(const char *prefix, const ArchiveLine *line);

/*
 * The opposite: what the name of a file tells, with the prefix as stream; NULL
 * if it is not such a name.
 */
extern ArchiveLine *archive_parse_file_name(const char *name);

/* Size and SHA-256 of a file, in a line. */
extern void archive_measure_file(const char *path, ArchiveLine *line);

#endif
