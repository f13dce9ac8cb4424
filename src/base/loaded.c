/*
 * loaded.c
 *	  Whether the library was loaded at server start.
 *
 * Shared memory, background processes and hooks exist only then.  Functions
 * that need them call base_require_loaded() first.
 */
#include "postgres.h"

#include "base/loaded.h"

bool		base_loaded = false;

void
base_require_loaded(void)
{
	if (!base_loaded)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("streamq must be loaded through \"shared_preload_libraries\""),
				 errhint("Add the line shared_preload_libraries = 'streamq' to postgresql.conf and restart the server.")));
}
