/*
 * channel_name.c
 *	  streamq.channel(): the notification channel of a stream or view.
 */
#include "postgres.h"

#include "access/relation.h"
#include "catalog/pg_class.h"
#include "fmgr.h"
#include "utils/builtins.h"
#include "utils/rel.h"

#include "base/argument.h"
#include "base/loaded.h"
#include "job/job.h"
#include "log/log.h"
#include "signal/channel.h"

/*
 * channel(relation regclass) returns text
 *
 * 42P01 if the relation is gone, 42809 if it is neither a stream nor a
 * continuous view.
 */
PG_FUNCTION_INFO_V1(streamq_channel);
Datum
streamq_channel(PG_FUNCTION_ARGS)
{
	Oid			relid;
	Relation	rel;
	bool		ok;

	base_require_loaded();
	if (PG_ARGISNULL(0))
		base_null_argument("relation");
	relid = PG_GETARG_OID(0);

	rel = try_relation_open(relid, AccessShareLock);
	if (rel == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("relation with OID %u does not exist", relid)));
	ok = log_is_stream(rel) ||
		(rel->rd_rel->relkind == RELKIND_VIEW && job_is_view(relid));
	if (!ok)
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("\"%s\" is not a stream or continuous view",
						RelationGetRelationName(rel)),
				 errdetail("Only streams and continuous views have a notification channel."),
				 rel->rd_rel->relhassubclass ? errhint("%s", log_not_a_stream_hint(rel)) :
				 errhint("Create a stream with CREATE TABLE ... USING streamq, or a continuous view with streamq.create_continuous_view().")));
	relation_close(rel, AccessShareLock);

	PG_RETURN_TEXT_P(cstring_to_text(signal_channel_name(relid)));
}
