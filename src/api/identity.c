/*
 * identity.c
 *	  Message ids, and what a row of a plain query tells about its message.
 */
#include "postgres.h"

#include "access/xact.h"
#include "fmgr.h"
#include "storage/proc.h"
#include "storage/itemptr.h"
#include "utils/fmgrprotos.h"
#include "utils/rel.h"
#include "utils/relcache.h"
#include "utils/timestamp.h"

#include "api/api.h"
#include "compat.h"
#include "log/log.h"

static int64
get_msg_id(int64 msg_id)
{
	if (msg_id < 0 || LOG_MSG_PARTITION(msg_id) >= LOG_MAX_PARTITIONS)
		ereport(ERROR,
				(errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
				 errmsg("msg_id " INT64_FORMAT " is out of range", msg_id)));
	return msg_id;
}

PG_FUNCTION_INFO_V1(streamq_msg_partition);
Datum
streamq_msg_partition(PG_FUNCTION_ARGS)
{
	PG_RETURN_INT32(LOG_MSG_PARTITION(get_msg_id(PG_GETARG_INT64(0))));
}

PG_FUNCTION_INFO_V1(streamq_msg_offset);
Datum
streamq_msg_offset(PG_FUNCTION_ARGS)
{
	PG_RETURN_INT64(LOG_MSG_OFFSET(get_msg_id(PG_GETARG_INT64(0))));
}

PG_FUNCTION_INFO_V1(streamq_make_msg_id);
Datum
streamq_make_msg_id(PG_FUNCTION_ARGS)
{
	int32		partition = PG_GETARG_INT32(0);
	int64		off = PG_GETARG_INT64(1);

	if (partition < 0 || partition >= LOG_MAX_PARTITIONS)
		ereport(ERROR,
				(errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
				 errmsg("partition %d is out of range", partition),
				 errhint("Partitions are numbered from 0 to %d.", LOG_MAX_PARTITIONS - 1)));
	if (off < 0 || off > LOG_OFFSET_MASK)
		ereport(ERROR,
				(errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
				 errmsg("msg_offset " INT64_FORMAT " is out of range", off),
				 errhint("Offsets are numbered from 0 to " INT64_FORMAT ".",
						 LOG_OFFSET_MASK)));
	PG_RETURN_INT64(LOG_MSG_ID(partition, off));
}

/*
 * The relation the last row of this call site came from.  Only the fact that it
 * is a stream and locked is kept, and only for the (sub)transaction that took the
 * lock; the relation itself is looked up anew, which costs a hash probe, so
 * nothing can dangle.
 */
typedef struct LastRelation
{
	Oid			relid;
	LocalTransactionId lxid;
	SubTransactionId subxid;
} LastRelation;

static Relation
relation_of_row(FunctionCallInfo fcinfo)
{
	Oid			relid = PG_GETARG_OID(0);
	LastRelation *last = fcinfo->flinfo->fn_extra;
	Relation	rel;

	if (last != NULL && last->relid == relid && last->lxid == COMPAT_MY_LXID &&
		last->subxid == GetCurrentSubTransactionId())
	{
		rel = RelationIdGetRelation(relid);
		if (RelationIsValid(rel))
		{
			if (likely(log_is_stream(rel)))
				return rel;
			RelationClose(rel);
		}
	}

	/* keep the lock, which the query has anyway */
	rel = log_open_stream(relid, AccessShareLock);
	if (last == NULL)
	{
		last = MemoryContextAlloc(fcinfo->flinfo->fn_mcxt, sizeof(LastRelation));
		fcinfo->flinfo->fn_extra = last;
	}
	last->relid = relid;
	last->lxid = COMPAT_MY_LXID;
	last->subxid = GetCurrentSubTransactionId();
	return rel;
}

/* partition and offset that the TID means in this stream */
static int
message_of_row(Relation rel, ItemPointer tid, int64 *off)
{
	int			partition = log_tid_partition(tid);

	if (ItemPointerGetOffsetNumberNoCheck(tid) == InvalidOffsetNumber ||
		ItemPointerGetOffsetNumberNoCheck(tid) > 0x8000 ||
		(partition > 0 && partition >= log_partition_count(rel)))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("tid (%u,%u) is not of a row of stream \"%s\"",
						ItemPointerGetBlockNumberNoCheck(tid),
						ItemPointerGetOffsetNumberNoCheck(tid),
						RelationGetRelationName(rel))));
	*off = log_tid_offset(rel, tid);
	return partition;
}

PG_FUNCTION_INFO_V1(streamq_msg_id);
Datum
streamq_msg_id(PG_FUNCTION_ARGS)
{
	Relation	rel = relation_of_row(fcinfo);
	int64		off;
	int			partition = message_of_row(rel, (ItemPointer) PG_GETARG_POINTER(1), &off);

	RelationClose(rel);
	PG_RETURN_INT64(LOG_MSG_ID(partition, off));
}

PG_FUNCTION_INFO_V1(streamq_produced_at);
Datum
streamq_produced_at(PG_FUNCTION_ARGS)
{
	Relation	rel = relation_of_row(fcinfo);
	int64		off;
	int			partition = message_of_row(rel, (ItemPointer) PG_GETARG_POINTER(1), &off);
	TimestampTz result = log_produced_at(rel, partition, off);

	RelationClose(rel);
	/* a TID nobody has written to, or whose message is gone */
	if (TIMESTAMP_IS_NOBEGIN(result))
		PG_RETURN_NULL();
	PG_RETURN_TIMESTAMPTZ(result);
}
