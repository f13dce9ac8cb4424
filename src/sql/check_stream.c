/*
 * check_stream.c
 *	  streamq.check_stream(): problems in the file of a stream.
 */
#include "postgres.h"

#include "access/table.h"
#include "catalog/pg_authid.h"
#include "catalog/pg_class.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/rel.h"
#include "utils/tuplestore.h"

#include "base/argument.h"
#include "base/loaded.h"
#include "compat.h"
#include "log/check.h"
#include "log/log.h"

#define CHECK_NATTS	4

static void
put_problem(void *arg, int partition, BlockNumber block, int64 off, const char *text)
{
	ReturnSetInfo *rsinfo = arg;
	Datum		values[CHECK_NATTS];
	bool		nulls[CHECK_NATTS] = {false};

	values[0] = Int32GetDatum(partition);
	nulls[0] = partition < 0;
	values[1] = Int64GetDatum((int64) block);
	nulls[1] = !BlockNumberIsValid(block);
	values[2] = Int64GetDatum(off);
	nulls[2] = off < 0;
	values[3] = CStringGetTextDatum(text);
	tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
	pfree(DatumGetPointer(values[3]));
}

/*
 * check_stream(stream regclass)
 *	returns table (partition int4, block int8, msg_offset int8, problem text)
 *
 * A row for each problem.  42501 unless the caller owns the stream or is a
 * member of pg_monitor.
 */
PG_FUNCTION_INFO_V1(streamq_check_stream);
Datum
streamq_check_stream(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	Relation	rel;

	base_require_loaded();
	if (PG_ARGISNULL(0))
		base_null_argument("stream");
	rel = log_open_stream(PG_GETARG_OID(0), AccessShareLock);
	if (!object_ownercheck(RelationRelationId, RelationGetRelid(rel), GetUserId()) &&
		!has_privs_of_role(GetUserId(), ROLE_PG_MONITOR))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("must be owner of stream \"%s\"", RelationGetRelationName(rel)),
				 errhint("Members of pg_monitor may check any stream.")));
	InitMaterializedSRF(fcinfo, 0);
	log_check(rel, put_problem, rsinfo);
	table_close(rel, NoLock);
	return (Datum) 0;
}
