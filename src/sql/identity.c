/*
 * identity.c
 *	  SQL functions for message ids, and for the message of a row in a
 *	  query.
 */
#include "postgres.h"

#include "access/table.h"
#include "access/xact.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "storage/proc.h"
#include "storage/itemptr.h"
#include "utils/acl.h"
#include "utils/fmgrprotos.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/rls.h"
#include "utils/timestamp.h"

#include "compat.h"
#include "log/log.h"
#include "log/reader.h"
#include "sql/sql.h"
#include "stream/privilege.h"

static int64
get_msg_id(int64 msg_id)
{
	if (msg_id < 0 || LOG_MSG_PARTITION(msg_id) >= LOG_MAX_PARTITIONS)
		ereport(ERROR,
				(errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
				 errmsg("msg_id " INT64_FORMAT " is out of range", msg_id)));
	return msg_id;
}

/* msg_partition(msg_id int8) returns int4: 22003 if msg_id is out of range */
PG_FUNCTION_INFO_V1(streamq_msg_partition);
Datum
streamq_msg_partition(PG_FUNCTION_ARGS)
{
	PG_RETURN_INT32(LOG_MSG_PARTITION(get_msg_id(PG_GETARG_INT64(0))));
}

/* msg_offset(msg_id int8) returns int8: 22003 if msg_id is out of range */
PG_FUNCTION_INFO_V1(streamq_msg_offset);
Datum
streamq_msg_offset(PG_FUNCTION_ARGS)
{
	PG_RETURN_INT64(LOG_MSG_OFFSET(get_msg_id(PG_GETARG_INT64(0))));
}

/*
 * make_msg_id(partition int4, msg_offset int8) returns int8
 *
 * 22003 if an argument is out of range.
 */
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
 * Cached by each call site from the last row.  It is valid in the
 * (sub)transaction that locked the stream: appended messages do not get
 * another offset or time while the lock is held.  The relation is not kept
 * open, so no pointer can dangle.
 */
typedef struct LastRow
{
	Oid			relid;
	Oid			user;			/* whose privileges were checked */
	LocalTransactionId lxid;
	SubTransactionId subxid;
	int			partition;
	int64		next_offset;	/* approximate next offset of the partition */
	/* the messages in [from, to) were appended at `time` */
	int64		from;
	int64		to;
	TimestampTz time;
} LastRow;

static LastRow *
last_row(FunctionCallInfo fcinfo)
{
	LastRow    *last = fcinfo->flinfo->fn_extra;

	if (last == NULL)
	{
		last = MemoryContextAllocZero(fcinfo->flinfo->fn_mcxt, sizeof(LastRow));
		fcinfo->flinfo->fn_extra = last;
	}
	return last;
}

/*
 * Without STREAM_OWN_ROW, the row may not be one that the query has read.
 * Then the caller must have the right to read every row of the stream.  Check
 * this before locking the stream, because locking needs a privilege, too.
 */
static void
check_any_row(Oid relid)
{
	bool		gone = false;
	AclResult	result = pg_class_aclcheck_ext(relid, GetUserId(), ACL_SELECT, &gone);

	if (gone)
		return;
	if (result != ACLCHECK_OK)
		aclcheck_error(result, OBJECT_TABLE, get_rel_name(relid));
	if (check_enable_rls(relid, InvalidOid, true) == RLS_ENABLED)
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("cannot look at any row of stream \"%s\" under row-level security",
						get_rel_name(relid)),
				 errhint("Pass the columns tableoid and ctid of a row that the query reads.")));
}

static bool
is_valid_tid(ItemPointer tid)
{
	return ItemPointerGetOffsetNumberNoCheck(tid) != InvalidOffsetNumber &&
		ItemPointerGetOffsetNumberNoCheck(tid) <= LOG_TID_NUMBERS;
}

/*
 * Find partition and offset of a row by the cache; false if the cache does not
 * tell.
 */
static inline bool
find_row(FunctionCallInfo fcinfo, LastRow *last, Oid relid, ItemPointer tid, int *partition,
		 int64 *off)
{
	if (PG_GET_COLLATION() != STREAM_OWN_ROW && last->user != GetUserId())
		return false;
	if (last->relid != relid || last->partition != log_tid_partition(tid) ||
		last->lxid != COMPAT_MY_LXID || last->subxid != GetCurrentSubTransactionId() ||
		!is_valid_tid(tid))
		return false;
	*partition = last->partition;
	*off = log_tid_offset_near(tid, last->next_offset);
	return true;
}

/*
 * Find partition and offset of a row by the stream, and fill the cache.  The
 * stream stays locked; usually the query has locked it already.
 */
static Relation
look_up_row(FunctionCallInfo fcinfo, LastRow *last, Oid relid, ItemPointer tid, int *partition,
			int64 *off)
{
	Relation	rel;

	if (PG_GET_COLLATION() != STREAM_OWN_ROW)
		check_any_row(relid);
	rel = log_open_stream(relid, AccessShareLock);
	*partition = log_tid_partition(tid);
	if (!is_valid_tid(tid) ||
		(*partition > 0 && *partition >= log_partition_count(rel)))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("tid (%u,%u) is not that of a row of stream \"%s\"",
						ItemPointerGetBlockNumberNoCheck(tid),
						ItemPointerGetOffsetNumberNoCheck(tid),
						RelationGetRelationName(rel))));
	last->relid = relid;
	last->user = GetUserId();
	last->lxid = COMPAT_MY_LXID;
	last->subxid = GetCurrentSubTransactionId();
	last->partition = *partition;
	last->next_offset = log_next_offset(rel, *partition);
	last->from = last->to = 0;
	*off = log_tid_offset_near(tid, last->next_offset);
	return rel;
}

/*
 * msg_id(tableoid oid, ctid tid) returns int8
 *
 * 22023 if the stream cannot have such a TID, 42501 if the caller may not read
 * the row.
 */
PG_FUNCTION_INFO_V1(streamq_msg_id);
Datum
streamq_msg_id(PG_FUNCTION_ARGS)
{
	Oid			relid = PG_GETARG_OID(0);
	ItemPointer tid = (ItemPointer) PG_GETARG_POINTER(1);
	LastRow    *last = last_row(fcinfo);
	int			partition;
	int64		off;

	if (!find_row(fcinfo, last, relid, tid, &partition, &off))
		table_close(look_up_row(fcinfo, last, relid, tid, &partition, &off), NoLock);
	PG_RETURN_INT64(LOG_MSG_ID(partition, off));
}

/*
 * produced_at(tableoid oid, ctid tid) returns timestamptz
 *
 * NULL if there is no such message any more; errors as msg_id().
 */
PG_FUNCTION_INFO_V1(streamq_produced_at);
Datum
streamq_produced_at(PG_FUNCTION_ARGS)
{
	Oid			relid = PG_GETARG_OID(0);
	ItemPointer tid = (ItemPointer) PG_GETARG_POINTER(1);
	LastRow    *last = last_row(fcinfo);
	int			partition;
	int64		off;

	if (!find_row(fcinfo, last, relid, tid, &partition, &off) ||
		off < last->from || off >= last->to)
	{
		Relation	rel = look_up_row(fcinfo, last, relid, tid, &partition, &off);

		last->time = log_produced_at_range(rel, partition, off, &last->from, &last->to);
		table_close(rel, NoLock);
	}
	/* the TID was never written, or its message was dropped */
	if (TIMESTAMP_IS_NOBEGIN(last->time))
		PG_RETURN_NULL();
	PG_RETURN_TIMESTAMPTZ(last->time);
}
