/*
 * capture_dump.c
 *	  Captures in a logical dump.
 *
 * A dump has the triggers, which are created when all data are restored.  So
 * restored rows are not captured again.  What the triggers need to know comes
 * with the rows of streamq.capture_dump.
 */
#include "postgres.h"

#include "fmgr.h"

#include "base/dump.h"

/*
 * BEFORE INSERT trigger on streamq.capture_dump: creates the capture, and keeps
 * the row out of the table.
 */
PG_FUNCTION_INFO_V1(streamq_capture_dump_restored);
Datum
streamq_capture_dump_restored(PG_FUNCTION_ARGS)
{
	bool		isnull;

	(void) base_restore_row(fcinfo, "capture_dump_restored",
							"SELECT streamq.restore_capture($1)", &isnull);
	PG_RETURN_POINTER(NULL);
}
