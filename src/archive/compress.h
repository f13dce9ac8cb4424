/*
 * compress.h
 *	  Compressed files.
 */
#ifndef STREAMQ_ARCHIVE_COMPRESS_H
#define STREAMQ_ARCHIVE_COMPRESS_H

#include "postgres.h"

#include "archive/archive_catalog.h"

/* 0A000 if this server cannot compress in this way */
extern void archive_check_compression(ArchiveCompression compression);

/* Write a compressed copy of a file. */
extern void archive_compress_file(const char *from, const char *to,
								  ArchiveCompression compression);

/*
 * Read a compressed file.  archive_input_read() returns less than `len` bytes
 * only at the end of the file; XX001 if the file is damaged.  After an error
 * nothing needs to be closed.
 */
typedef struct ArchiveInput ArchiveInput;

extern ArchiveInput *archive_input_open(const char *path, ArchiveCompression compression);
extern int	archive_input_read(ArchiveInput *input, char *buf, int len);
extern void archive_input_close(ArchiveInput *input);

#endif
