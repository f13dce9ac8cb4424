/*
 * decode.h
 *	  Reading the messages in a file of an archive.
 */
#ifndef STREAMQ_ARCHIVE_DECODE_H
#define STREAMQ_ARCHIVE_DECODE_H

#include "postgres.h"

#include "access/tupdesc.h"
#include "utils/tuplestore.h"

#include "archive/manifest.h"

/*
 * Put the messages of a file into a tuplestore as rows of a type, whose
 * columns are found by name.  Columns that the file does not have are null.
 * Returns how many there were.
 */
extern int64 archive_decode_file(const char *path, const ArchiveLine *line, TupleDesc desc,
								 Tuplestorestate *store);

#endif
