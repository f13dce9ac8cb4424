/*
 * fault.c
 *	  Whose error is it: the row's, on which the query raised it, or the system's?
 *
 * A row's error is recorded and the row is passed over; with any other error the batch
 * fails and is tried again.  Functions raise SQLSTATEs of their own making, and casts
 * to the types of names raise those of missing objects, so that there is no list of
 * what an error of a row looks like.  What is known is what the system raises for
 * its own reasons; everything else is the row's.
 *
 * In between is a statement within a function that cannot be analyzed.  Mostly a table that the
 * function reads has been dropped or renamed, and every row will fail.  But the
 * statement may also be made of the row's values.
 */
#include "postgres.h"

#include "job/fault.h"

#define CLASS(a, b)	MAKE_SQLSTATE(a, b, '0', '0', '0')

Fault
job_fault_of_row(const ErrorData *edata)
{
	switch (edata->sqlerrcode)
	{
			/* may be granted again; then nothing must be missing */
		case ERRCODE_INSUFFICIENT_PRIVILEGE:
			/* somebody else has it just now */
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
			 * Only the analysis of a statement knows a position.  Names that
			 * are looked up when a value is cast come without.
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
