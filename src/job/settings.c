/*
 * settings.c
 *	  The settings of the session that made a job, for its batches.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/guc.h"

#include "job/job.h"

void
job_apply_settings(ArrayType *settings)
{
	Datum	   *elems;
	int			n;

	deconstruct_array(settings, TEXTOID, -1, false, TYPALIGN_INT, &elems, NULL, &n);
	for (int i = 0; i + 1 < n; i += 2)
		(void) set_config_option(TextDatumGetCString(elems[i]),
								 TextDatumGetCString(elems[i + 1]),
								 PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE,
								 true, 0, false);
}
