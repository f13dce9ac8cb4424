/*
 * dump.h
 *	  For triggers of the tables that pg_dump reads in place of others.
 */
#ifndef STREAMQ_BASE_DUMP_H
#define STREAMQ_BASE_DUMP_H

#include "postgres.h"

#include "fmgr.h"

/*
 * Make of a row that is being inserted what it stands for: `command` is a SELECT
 * with the row as $1, and its single value, which must be passed by value, is returned.
 * `name` is the trigger function's.  Error 39P01 if it is called otherwise than as a
 * trigger BEFORE INSERT FOR EACH ROW.
 */
extern Datum base_restore_row(FunctionCallInfo fcinfo, const char *name,
							  const char *command, bool *isnull);

/* arrays of int8: making one, the number of elements, and up to max of them */
extern Datum base_make_numbers(const int64 *numbers, int n);
extern int	base_count_numbers(Datum array);
extern int	base_read_numbers(Datum array, int max, int64 *numbers);

#endif
