/*
 * try.c
 *	  Calling a function that may fail.
 */
#include "postgres.h"

#include "access/xact.h"
#include "utils/memutils.h"
#include "utils/resowner.h"

#include "base/try.h"

ErrorData *
base_try(void (*function) (void *arg), void *arg, BaseTryMode mode, BaseTryFilter filter)
{
	MemoryContext context = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;
	ErrorData  *volatile error = NULL;
	volatile bool accepted = false;

	BeginInternalSubTransaction(NULL);
	MemoryContextSwitchTo(context);
	PG_TRY();
	{
		function(arg);
		if (mode == BASE_TRY_KEEP)
			ReleaseCurrentSubTransaction();
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(context);
		error = CopyErrorData();
		accepted = filter(error);
		FlushErrorState();
	}
	PG_END_TRY();

	/*
	 * Roll back also before the error is raised again.  Otherwise the next
	 * handler of the error would abort this subtransaction instead of its
	 * own.
	 */
	if (error != NULL || mode == BASE_TRY_UNDO)
		RollbackAndReleaseCurrentSubTransaction();
	MemoryContextSwitchTo(context);
	CurrentResourceOwner = owner;
	if (error != NULL && !accepted)
		ReThrowError(error);
	return error;
}

bool
base_try_is_any(const ErrorData *error)
{
	return true;
}

bool
base_try_is_damage(const ErrorData *error)
{
	return error->sqlerrcode == ERRCODE_DATA_CORRUPTED ||
		error->sqlerrcode == ERRCODE_IO_ERROR ||
		error->sqlerrcode == ERRCODE_UNDEFINED_FILE;
}
