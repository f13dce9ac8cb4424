/*
 * try.h
 *	  Calling a function that may fail.
 */
#ifndef STREAMQ_BASE_TRY_H
#define STREAMQ_BASE_TRY_H

#include "postgres.h"

#include "utils/elog.h"

/* what happens to the work of a function that succeeded */
typedef enum BaseTryMode
{
	BASE_TRY_KEEP,
	BASE_TRY_UNDO				/* roll it back: it was only a trial */
} BaseTryMode;

/*
 * Returns true if the caller handles this error.  Called before the work is
 * rolled back, so it may call EmitErrorReport().
 */
typedef bool (*BaseTryFilter) (const ErrorData *error);

/*
 * Call a function in a subtransaction.  Returns NULL if it succeeded.  If it
 * raised an error that the filter accepts, its work is rolled back and the
 * error is returned, in the current memory context.  Any other error is raised
 * again after the rollback.  The caller's memory context and resource owner
 * are restored in every case.
 *
 * A subtransaction that writes needs a transaction id, so this is not for
 * calls on each row.
 */
extern ErrorData *base_try(void (*function) (void *arg), void *arg, BaseTryMode mode,
						   BaseTryFilter filter);

/* a filter: accepts every error, for a caller that looks at it afterwards */
extern bool base_try_is_any(const ErrorData *error);

/* a filter: accepts the error that a file is damaged or cannot be read */
extern bool base_try_is_damage(const ErrorData *error);

#endif
