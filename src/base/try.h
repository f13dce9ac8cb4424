/*
 * try.h
 *	  Calling what may fail.
 */
#ifndef STREAMQ_BASE_TRY_H
#define STREAMQ_BASE_TRY_H

#include "postgres.h"

#include "utils/elog.h"

/* what happens to the work of a function that went through */
typedef enum BaseTryMode
{
	BASE_TRY_KEEP,
	BASE_TRY_UNDO				/* it was only a trial: rolled back, too */
} BaseTryMode;

/*
 * Does the caller go on after this error?  Called with the error's data, before
 * its work is rolled back, so it may call EmitErrorReport().
 */
typedef bool (*BaseTryFilter) (const ErrorData *error);

/*
 * Call the function in a subtransaction.  Returns NULL if it went through.  If it
 * raised an error that the filter accepts, its work is rolled back and the
 * error is returned, in the current memory context.  Any other error is
 * raised again after the rollback.  In each case memory context and resource
 * owner are those of the caller afterwards.
 *
 * A subtransaction that writes takes a transaction id: not for what happens row
 * by row.
 */
extern ErrorData *base_try(void (*function) (void *arg), void *arg, BaseTryMode mode,
						   BaseTryFilter filter);

/* a filter: a file is damaged or cannot be read */
extern bool base_try_is_damage(const ErrorData *error);

#endif
