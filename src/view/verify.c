/*
 * verify.c
 *	  Comparing a continuous view with its query over the stream.
 *
 * View, positions of the job and stream are read with one snapshot, so the
 * comparison is exact while the job runs.  A job's state and positions change
 * in one transaction, and messages below a position were committed before
 * it.
 *
 * The comparison is one SQL query that runs as the caller.  Rows of the view
 * count 1, rows of the query count -1, and equal rows are added up.
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/sysattr.h"
#include "access/table.h"
#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "optimizer/optimizer.h"
#include "parser/parse_func.h"
#include "rewrite/rewriteHandler.h"
#include "storage/lmgr.h"
#include "utils/acl.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/ruleutils.h"
#include "utils/snapmgr.h"
#include "utils/typcache.h"

#include "base/argument.h"
#include "base/loaded.h"
#include "compat.h"
#include "job/job.h"
#include "job/job_catalog.h"
#include "log/log.h"
#include "view/analyze.h"
#include "view/view.h"
#include "view/view_define.h"
#include "view/view_job.h"

/* ---- messages that a job has processed ---- */

static Datum
make_numbers(const int64 *numbers, int n)
{
	Datum	   *elems = palloc(sizeof(Datum) * Max(n, 1));

	for (int i = 0; i < n; i++)
		elems[i] = Int64GetDatum(numbers[i]);
	return PointerGetDatum(construct_array(elems, n, INT8OID, sizeof(int64), FLOAT8PASSBYVAL,
										   TYPALIGN_DOUBLE));
}

static int
compare_numbers(const void *a, const void *b)
{
	int64		x = *(const int64 *) a;
	int64		y = *(const int64 *) b;

	return x < y ? -1 : x > y;
}

static Datum
failed_messages(const JobRow *job, Snapshot snapshot)
{
	List	   *list = job_failed_messages(job->job_id, job->source, snapshot);
	int64	   *numbers = palloc(sizeof(int64) * Max(list_length(list), 1));
	ListCell   *lc;

	foreach(lc, list)
		numbers[foreach_current_index(lc)] = *(int64 *) lfirst(lc);
	qsort(numbers, list_length(list), sizeof(int64), compare_numbers);
	return make_numbers(numbers, list_length(list));
}

static Const *
make_array(Datum numbers)
{
	return makeConst(INT8ARRAYOID, -1, InvalidOid, -1, numbers, false, false);
}

/* the condition that the job has processed a message, as of the snapshot */
static Node *
processed_condition(const JobRow *job, Index rti, Snapshot snapshot)
{
	Oid			argtypes[] = {TIDOID, INT8ARRAYOID, INT8ARRAYOID, INT8ARRAYOID};
	List	   *name = list_make2(makeString(STREAMQ_SCHEMA), makeString("job_has_processed"));
	Var		   *ctid = makeVar(rti, SelfItemPointerAttributeNumber, TIDOID, -1, InvalidOid, 0);
	Relation	source = table_open(job->source, AccessShareLock);
	int			n = log_partition_count(source);
	JobProgress *progress = job_read_progress_as_of(job->job_id, n, 0, snapshot);
	int64	   *starts = palloc(sizeof(int64) * n);
	int64	   *positions = palloc(sizeof(int64) * n);

	table_close(source, NoLock);
	for (int i = 0; i < n; i++)
	{
		starts[i] = progress[i].start_offset;
		positions[i] = progress[i].next_offset;
	}

	return (Node *) makeFuncExpr(LookupFuncName(name, lengthof(argtypes), argtypes, false),
								 BOOLOID, list_make4(ctid, make_array(make_numbers(starts, n)),
													 make_array(make_numbers(positions, n)),
													 make_array(failed_messages(job, snapshot))),
								 InvalidOid, InvalidOid, COERCE_EXPLICIT_CALL);
}

/*
 * job_has_processed(ctid tid, starts bigint[], positions bigint[],
 *					 failed bigint[]) returns boolean
 */
PG_FUNCTION_INFO_V1(streamq_job_has_processed);
Datum
streamq_job_has_processed(PG_FUNCTION_ARGS)
{
	ItemPointer tid = (ItemPointer) PG_GETARG_POINTER(0);
	ArrayType  *starts = PG_GETARG_ARRAYTYPE_P(1);
	ArrayType  *positions = PG_GETARG_ARRAYTYPE_P(2);
	ArrayType  *failed = PG_GETARG_ARRAYTYPE_P(3);
	int			partition = log_tid_partition(tid);
	int64		start = 0;
	int64		next;
	int64		msg_id;

	if (ARR_NDIM(starts) > 1 || ARR_HASNULL(starts) ||
		ARR_NDIM(positions) > 1 || ARR_HASNULL(positions) ||
		ARR_NDIM(failed) > 1 || ARR_HASNULL(failed))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("arguments must be one-dimensional arrays without nulls")));
	if (ARR_NDIM(positions) == 0 || partition >= ARR_DIMS(positions)[0])
		PG_RETURN_BOOL(false);
	if (ARR_NDIM(starts) == 1 && partition < ARR_DIMS(starts)[0])
		start = ((int64 *) ARR_DATA_PTR(starts))[partition];
	next = ((int64 *) ARR_DATA_PTR(positions))[partition];
	msg_id = LOG_MSG_ID(partition, log_tid_offset_near(tid, next));
	PG_RETURN_BOOL(msg_id >= LOG_MSG_ID(partition, start) &&
				   msg_id < LOG_MSG_ID(partition, next) &&
				   (ARR_NDIM(failed) == 0 ||
					bsearch(&msg_id, ARR_DATA_PTR(failed), ARR_DIMS(failed)[0],
							sizeof(int64), compare_numbers) == NULL));
}

/* ---- the comparison ---- */

/*
 * The columns for which rows are compared.  GROUP BY needs equality, and all
 * columns must sort or all must hash.  Columns of other types are compared by
 * their text.
 */
static char *
compared_columns(TupleDesc desc)
{
	StringInfoData columns;
	bool		sorts = false;

	for (int i = 0; i < desc->natts; i++)
	{
		TypeCacheEntry *type = lookup_type_cache(TupleDescAttr(desc, i)->atttypid,
												 TYPECACHE_LT_OPR | TYPECACHE_HASH_PROC);

		if (OidIsValid(type->lt_opr) && !OidIsValid(type->hash_proc))
			sorts = true;
	}
	initStringInfo(&columns);
	for (int i = 0; i < desc->natts; i++)
	{
		TypeCacheEntry *type = lookup_type_cache(TupleDescAttr(desc, i)->atttypid,
												 TYPECACHE_EQ_OPR | TYPECACHE_LT_OPR);
		bool		equality = OidIsValid(type->eq_opr) && (!sorts || OidIsValid(type->lt_opr));

		appendStringInfo(&columns, equality ? ", c%d" : ", c%d::pg_catalog.text AS c%d",
						 i + 1, i + 1);
	}
	return columns.data;
}

/* the query that counts the rows that differ */
static char *
comparison_text(Relation view, const char *query)
{
	TupleDesc	desc = RelationGetDescr(view);
	char	   *columns = compared_columns(desc);
	StringInfoData names;
	StringInfoData sql;

	initStringInfo(&names);
	for (int i = 0; i < desc->natts; i++)
		appendStringInfo(&names, "%sc%d", i > 0 ? ", " : "", i + 1);
	initStringInfo(&sql);
	appendStringInfo(&sql,
					 "SELECT pg_catalog.sum(pg_catalog.abs(difference))::pg_catalog.int8 "
					 "FROM (SELECT pg_catalog.sum(side) AS difference FROM ("
					 "SELECT 1 AS side%s FROM %s AS rows (%s) UNION ALL "
					 "SELECT -1 AS side%s FROM (%s) AS rows (%s)) AS rows GROUP BY %s) AS groups",
					 columns,
					 quote_qualified_identifier(get_namespace_name(RelationGetNamespace(view)),
												RelationGetRelationName(view)),
					 names.data, columns, query, names.data, names.data);
	return sql.data;
}

static int64
run_comparison(const char *sql)
{
	bool		isnull;
	int64		result;

	SPI_connect();
	if (SPI_execute(sql, true, 0) != SPI_OK_SELECT || SPI_processed != 1)
		elog(ERROR, "could not compare the view with its query");
	result = DatumGetInt64(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1,
										 &isnull));
	if (isnull)
		result = 0;
	SPI_finish();
	return result;
}

/* find and lock the view, and check that the caller may read it */
static Relation
open_view(Oid relid, JobRow *job)
{
	char	   *name;
	Relation	view;

	LockRelationOid(relid, AccessShareLock);
	name = get_rel_name(relid);
	if (name == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("relation with OID %u does not exist", relid)));
	if (!job_find_by_target(relid, job) || strcmp(job->kind, VIEW_JOB_KIND) != 0)
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("\"%s\" is not a continuous view", name)));
	if (pg_class_aclcheck(relid, GetUserId(), ACL_SELECT) != ACLCHECK_OK)
		aclcheck_error(ACLCHECK_NO_PRIV, OBJECT_VIEW, name);
	if (!view_is_current(job))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("continuous view \"%s\" has not been computed yet", name)));
	view = table_open(relid, NoLock);
	return view;
}

/*
 * verify_continuous_view(view regclass) returns bigint
 *
 * 42809 if the relation is not a continuous view, 42501 unless the caller may
 * read it and what its query reads, 55000 if the view was restored and has not
 * been computed yet.
 */
PG_FUNCTION_INFO_V1(streamq_verify_continuous_view);
Datum
streamq_verify_continuous_view(PG_FUNCTION_ARGS)
{
	int			nestlevel;
	JobRow		job;
	Relation	view;
	Query	   *query;
	ViewQuery  *vq;
	char	   *sql;
	int64		result;

	base_require_loaded();
	if (PG_ARGISNULL(0))
		base_null_argument("view");
	view = open_view(PG_GETARG_OID(0), &job);

	query = castNode(Query, stringToNode(job.query_tree));
	AcquireRewriteLocks(query, true, false);
	vq = view_analyze(query);
	view_check_access(vq, GetUserId());
	query->jointree->quals =
		make_and_qual(processed_condition(&job, vq->source_rti, GetActiveSnapshot()),
					  query->jointree->quals);

	/* names and constants are printed and read with the same settings */
	nestlevel = NewGUCNestLevel();
	job_apply_settings(job.settings);
	query = view_make_batch_query(query);
	sql = comparison_text(view, pg_get_querydef(query, false));
	result = run_comparison(sql);
	AtEOXact_GUC(true, nestlevel);
	table_close(view, NoLock);
	PG_RETURN_INT64(result);
}
