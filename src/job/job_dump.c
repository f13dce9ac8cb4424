/*
 * job_dump.c
 *	  Jobs in a dump.
 *
 * A dump contains the view of a job, its tables and, through streamq.job_dump,
 * the job.  The table job_dump is always empty: pg_dump reads computed rows
 * from it, and a restore that inserts rows creates jobs of format 0.  Such a
 * job is made current (JobKind.rebuild) before its first batch.
 */
#include "postgres.h"

#include "catalog/dependency.h"
#include "catalog/pg_class.h"
#include "nodes/parsenodes.h"
#include "utils/builtins.h"
#include "utils/ruleutils.h"

#include "base/dump.h"
#include "base/loaded.h"
#include "job/job.h"
#include "job/job_catalog.h"
#include "job/job_define.h"
#include "job/job_kind.h"

/* the tables of a job belong to its view */
static void
tie_table(Oid view, Oid table)
{
	ObjectAddress depender;
	ObjectAddress referenced;

	/* a restored view may have such a dependency already */
	if (!OidIsValid(table) || job_has_dependency(table, RelationRelationId, view))
		return;
	ObjectAddressSet(depender, RelationRelationId, table);
	ObjectAddressSet(referenced, RelationRelationId, view);
	recordDependencyOn(&depender, &referenced, DEPENDENCY_INTERNAL);
}

/*
 * Record dependencies of a restored job.  JobKind.rebuild records more, but a
 * paused job does not get there.
 */
static void
tie_restored(int32 job_id)
{
	JobRow		job;
	Oid			needed[5];

	if (!job_read(job_id, &job))
		return;
	needed[0] = job.source;
	needed[1] = job.emit_into;
	needed[2] = job.late_stream;
	needed[3] = job.dead_letter;
	needed[4] = job.other_source;
	for (int i = 0; i < lengthof(needed); i++)
		if (OidIsValid(needed[i]) &&
			!job_has_dependency(job.target, RelationRelationId, needed[i]))
			job_record_dependency(job.target, RelationRelationId, needed[i]);
	tie_table(job.target, job.state);
	tie_table(job.target, job.results);
}

/*
 * job_definition(job_id int4) returns text
 *
 * The query for a dump.  The caller has set search_path so that names are
 * written with their schema.  NULL for a job whose view has the query.
 */
PG_FUNCTION_INFO_V1(streamq_job_definition);
Datum
streamq_job_definition(PG_FUNCTION_ARGS)
{
	JobRow		job;
	char	   *text;

	base_require_loaded();
	if (!job_read(PG_GETARG_INT32(0), &job) || job.name != NULL)
		PG_RETURN_NULL();
	if (job_find_kind(job.kind)->is_current(&job))
		text = pg_get_querydef(castNode(Query, stringToNode(job.query_tree)), false);

	else
		text = job.definition;

	if (text == NULL)
		PG_RETURN_NULL();
	PG_RETURN_TEXT_P(cstring_to_text(text));
}

/*
 * BEFORE INSERT trigger on streamq.job_dump: creates the job, and keeps the
 * row out of the table.
 */
PG_FUNCTION_INFO_V1(streamq_job_dump_restored);
Datum
streamq_job_dump_restored(PG_FUNCTION_ARGS)
{
	bool		isnull;
	Datum		job_id = base_restore_row(fcinfo, "job_dump_restored",
										  "SELECT streamq.restore_job($1)", &isnull);

	if (!isnull)
	{
		job_insert_stats(DatumGetInt32(job_id));
		tie_restored(DatumGetInt32(job_id));
	}
	job_note_changed();
	PG_RETURN_POINTER(NULL);
}
