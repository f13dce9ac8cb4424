/*
 * fault.c
 *	  Deciding whether an error was caused by the row that a job was
 *	  processing, or by the system.
 *
 * If the row caused it, the row is recorded and skipped.  Otherwise the batch
 * fails and is tried again.
 *
 * The errors that rows cause cannot be listed: functions raise their own
 * SQLSTATEs, and a cast to regclass raises the errors of missing objects.  So
 * this file lists the errors that the system causes; all others are caused by
 * the row.
 *
 * A third case is a statement in a function that cannot be analyzed.  Usually
 * a table that the function reads was dropped or renamed, and every row will
 * fail.  But the text of the statement may also come from the row.
 */
#include "postgres.h"

#include "job/fault.h"

#define CLASS(a, b)	MAKE_SQLSTATE(a, b, '0', '0', '0')

JobFault
job_fault_of_row(const ErrorData *edata)
{
	switch (edata->sqlerrcode)
	{
			/*
			 * the privilege may be granted again, and then no row must be
			 * missing
			 */
		case ERRCODE_INSUFFICIENT_PRIVILEGE:
			/* another session has the object now */
		case ERRCODE_OBJECT_IN_USE:
		case ERRCODE_LOCK_NOT_AVAILABLE:
			return FAULT_SYSTEM;
		default:
			break;
	}

	switch (ERRCODE_TO_CATEGORY(edata->sqlerrcode))
	{
		case CLASS('0', '8'):	/* connection, of dblink and the like */
		case CLASS('2', '5'):	/* state of the transaction */
		case CLASS('2', '8'):	/* authorization */
		case CLASS('4', '0'):	/* serialization failure, deadlock */
		case CLASS('5', '3'):	/* lack of memory, disk, connections */
		case CLASS('5', '7'):	/* cancel, shutdown */
		case CLASS('5', '8'):	/* I/O and other system errors */
		case CLASS('7', '2'):	/* snapshot too old */
		case CLASS('F', '0'):	/* configuration file */
		case CLASS('H', 'V'):	/* foreign data wrappers */
		case CLASS('X', 'X'):	/* internal errors, damaged data */
			return FAULT_SYSTEM;
		case CLASS('4', '2'):

			/*
			 * Analyzing a statement reports a position in it; looking up a
			 * name in a cast does not.
			 */
			return edata->internalpos > 0 ? FAULT_DOUBTFUL : FAULT_ROW;
		default:
			return FAULT_ROW;
	}
}

bool
job_fault_is_same(const ErrorData *a, const ErrorData *b)
{
	return a->sqlerrcode == b->sqlerrcode && strcmp(a->message, b->message) == 0;
}
