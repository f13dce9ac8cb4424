/*
 * dump.h
 *	  For the tables that represent other objects in a dump.
 *
 * pg_dump dumps the rows of tables, but some objects are not rows of a table.
 * Such an object has a row in a dump table, which is always empty otherwise;
 * its trigger creates the object when the row is restored.
 */
#ifndef STREAMQ_BASE_DUMP_H
#define STREAMQ_BASE_DUMP_H

#include "postgres.h"

#include "datatype/timestamp.h"
#include "fmgr.h"

/*
 * Body of the BEFORE INSERT triggers on the dump tables: create the object
 * described by the row.  `command` is a SELECT with the row as $1; its single
 * value must be of a type passed by value, and is returned.  `name` is the
 * name of the trigger function.  Fails with 39P01 unless called by a trigger
 * BEFORE INSERT FOR EACH ROW.
 */
extern Datum base_restore_row(FunctionCallInfo fcinfo, const char *name,
							  const char *command, bool *isnull);

/* arrays of int8: make one, count its elements, read at most max elements */
extern Datum base_make_numbers(const int64 *numbers, int n);
extern int	base_count_numbers(Datum array);
extern int	base_read_numbers(Datum array, int max, int64 *numbers);

/* read an array of timestamptz; null is DT_NOBEGIN */
extern int	base_read_times(Datum array, int max, Timestamp *times);

#endif
