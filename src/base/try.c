/*
 * try.c
 *	  Calling what may fail.
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
	 * Before an error is raised again, too: whoever catches it next would
	 * abort this subtransaction in place of its own.
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
base_try_is_damage(const ErrorData *error)
{
	return error->sqlerrcode == ERRCODE_DATA_CORRUPTED ||
		error->sqlerrcode == ERRCODE_IO_ERROR ||
		error->sqlerrcode == ERRCODE_UNDEFINED_FILE;
}
