/*
 * tableam.c
 *	  The table access method "streamq".
 */
#include "postgres.h"

#include "access/tableam.h"
#include "access/relation.h"
#include "catalog/index.h"
#include "catalog/pg_am.h"
#include "catalog/pg_inherits.h"
#include "commands/vacuum.h"
#include "fmgr.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "optimizer/plancat.h"
#include "storage/bufmgr.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"

#include "log/am/am.h"
#include "log/log.h"
#include "log/reader.h"
#include "log/write/freeze.h"
#include "base/loaded.h"

/* most names in a hint */
#define MAX_LISTED	5

#define APPEND_ONLY	"Streams are append-only."

static const struct
{
	const char *message;
	const char *detail;
	const char *hint;
}			refusals[] =

{
	[LOG_REFUSE_UPDATE] = {
		gettext_noop("cannot update stream \"%s\""), gettext_noop(APPEND_ONLY),
		gettext_noop("Append a message with the new values.")
	},
	[LOG_REFUSE_DELETE] = {
		gettext_noop("cannot delete from stream \"%s\""), gettext_noop(APPEND_ONLY),
		gettext_noop("Use TRUNCATE, or limit what the stream keeps with streamq.alter_stream().")
	},
	[LOG_REFUSE_MERGE] = {
		gettext_noop("cannot merge into stream \"%s\""), gettext_noop(APPEND_ONLY),
		gettext_noop("Use INSERT ... SELECT.")
	},
	[LOG_REFUSE_LOCK] = {
		gettext_noop("cannot lock rows in stream \"%s\""), gettext_noop(APPEND_ONLY),
		gettext_noop("Leave the locking clause out: messages do not change. Consumer groups share out work.")
	},
	[LOG_REFUSE_ON_CONFLICT] = {
		gettext_noop("cannot use ON CONFLICT with stream \"%s\""), gettext_noop(APPEND_ONLY),
		gettext_noop("Leave ON CONFLICT out: streams have no unique or exclusion constraints.")
	},
	/* only a subscription finds the rows to change by itself */
	[LOG_REFUSE_CHANGE] = {
		gettext_noop("cannot update or delete from stream \"%s\""), gettext_noop(APPEND_ONLY),
		gettext_noop("Set the publication's parameter \"publish\" to 'insert'.")
	},
	[LOG_REFUSE_INDEX] = {
		gettext_noop("cannot create index on stream \"%s\""),
		gettext_noop("Streams have no indexes, and so no primary keys, unique or exclusion constraints."),
		gettext_noop("Index a table that the stream is processed into.")
	},
	[LOG_REFUSE_PUBLICATION] = {
		gettext_noop("cannot add stream \"%s\" to a publication"),
		gettext_noop("Logical replication does not carry streams."),
		gettext_noop("Publish a table that the stream is processed into.")
	},
	[LOG_REFUSE_REWRITE] = {
		gettext_noop("cannot rewrite stream \"%s\""),
		gettext_noop("Its messages would get other offsets."),
		gettext_noop("Create a new stream and copy the messages into it.")
	},
	[LOG_REFUSE_ACCESS_METHOD] = {
		gettext_noop("cannot change the access method of stream \"%s\""),
		gettext_noop("Its offsets and consumer groups would be lost."),
		gettext_noop("Copy the messages with CREATE TABLE AS.")
	},
};

void
log_refuse(const char *stream, LogRefusal what)
{
	ereport(ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg(refusals[what].message, stream),
			 errdetail("%s", _(refusals[what].detail)),
			 errhint("%s", _(refusals[what].hint))));
}

static void
refuse_relation(Relation rel, LogRefusal what)
{
	log_refuse(RelationGetRelationName(rel), what);
}

static const TupleTableSlotOps *
slot_callbacks(Relation rel)
{
	return &log_slot_ops;
}

/* ---- by TID; index access cannot occur ---- */

static struct IndexFetchTableData *
index_fetch_begin(Relation rel)
{
	refuse_relation(rel, LOG_REFUSE_INDEX);
	return NULL;
}

static void
index_fetch_reset(struct IndexFetchTableData *data)
{
	refuse_relation(data->rel, LOG_REFUSE_INDEX);
}

static bool
index_fetch_tuple(struct IndexFetchTableData *data, ItemPointer tid, Snapshot snapshot,
				  TupleTableSlot *slot, bool *call_again, bool *all_dead)
{
	refuse_relation(data->rel, LOG_REFUSE_INDEX);
	return false;
}

static TransactionId
index_delete_tuples(Relation rel, TM_IndexDeleteOp *delstate)
{
	refuse_relation(rel, LOG_REFUSE_INDEX);
	return InvalidTransactionId;
}

static double
index_build_range_scan(Relation rel, Relation index, struct IndexInfo *info,
					   bool allow_sync, bool anyvisible, bool progress,
					   BlockNumber start, BlockNumber nblocks,
					   IndexBuildCallback callback, void *state, TableScanDesc scan)
{
	refuse_relation(rel, LOG_REFUSE_INDEX);
	return 0;
}

static void
index_validate_scan(Relation rel, Relation index, struct IndexInfo *info,
					Snapshot snapshot, struct ValidateIndexState *state)
{
	refuse_relation(rel, LOG_REFUSE_INDEX);
}

static bool
tuple_tid_valid(TableScanDesc scan, ItemPointer tid)
{
	Relation	rel = scan->rs_rd;
	int			partition = log_tid_partition(tid);
	int64		off;

	if (!ItemPointerIsValid(tid) || ItemPointerGetOffsetNumber(tid) > LOG_TID_NUMBERS ||
		partition >= log_partition_count(rel))
		return false;
	off = log_tid_offset(rel, tid);
	return off >= log_first_offset(rel, partition) && off < log_next_offset(rel, partition);
}

static void
tuple_get_latest_tid(TableScanDesc scan, ItemPointer tid)
{
	/* a row has only one version */
}

static bool
tuple_satisfies_snapshot(Relation rel, TupleTableSlot *slot, Snapshot snapshot)
{
	TupleTableSlot *copy = log_slot_create(rel);
	bool		visible = log_fetch_row(rel, &slot->tts_tid, snapshot, copy);

	ExecDropSingleTupleTableSlot(copy);
	return visible;
}

/* ---- writing ---- */

static void
tuple_insert(Relation rel, TupleTableSlot *slot, CommandId cid, int options,
			 struct BulkInsertStateData *bistate)
{
	log_append(rel, &slot, 1, cid, -1);
}

static void
multi_insert(Relation rel, TupleTableSlot **slots, int nslots, CommandId cid,
			 int options, struct BulkInsertStateData *bistate)
{
	log_append(rel, slots, nslots, cid, -1);
}

static void
tuple_insert_speculative(Relation rel, TupleTableSlot *slot, CommandId cid, int options,
						 struct BulkInsertStateData *bistate, uint32 token)
{
	refuse_relation(rel, LOG_REFUSE_ON_CONFLICT);
}

static void
tuple_complete_speculative(Relation rel, TupleTableSlot *slot, uint32 token, bool succeeded)
{
	refuse_relation(rel, LOG_REFUSE_ON_CONFLICT);
}

static TM_Result
tuple_delete(Relation rel, ItemPointer tid, CommandId cid, Snapshot snapshot,
			 Snapshot crosscheck, bool wait, TM_FailureData *tmfd, bool changing_part)
{
	refuse_relation(rel, LOG_REFUSE_DELETE);
	return TM_Invisible;
}

static TM_Result
tuple_update(Relation rel, ItemPointer tid, TupleTableSlot *slot, CommandId cid,
			 Snapshot snapshot, Snapshot crosscheck, bool wait, TM_FailureData *tmfd,
			 LockTupleMode *lockmode, COMPAT_UPDATE_INDEXES *update_indexes)
{
	refuse_relation(rel, LOG_REFUSE_UPDATE);
	return TM_Invisible;
}

static TM_Result
tuple_lock(Relation rel, ItemPointer tid, Snapshot snapshot, TupleTableSlot *slot,
		   CommandId cid, LockTupleMode mode, LockWaitPolicy wait_policy, uint8 flags,
		   TM_FailureData *tmfd)
{
	/*
	 * A foreign key of a stream asks for this when a referenced row is
	 * deleted.  The key of a message never changes, so there is nothing to
	 * lock.
	 */
	if (mode == LockTupleKeyShare && log_fetch_row(rel, tid, SnapshotAny, slot))
		return TM_Ok;
	refuse_relation(rel, LOG_REFUSE_CHANGE);
	return TM_Invisible;
}

/* ---- DDL and maintenance ---- */

static void
copy_for_cluster(Relation rel, Relation newrel, Relation index, bool use_sort,
				 TransactionId oldest_xmin, TransactionId *xid_cutoff,
				 MultiXactId *multi_cutoff, double *num_tuples, double *tups_vacuumed,
				 double *tups_recently_dead)
{
	refuse_relation(rel, LOG_REFUSE_REWRITE);
}

#if COMPAT_ANALYZE_STREAM
static bool
scan_analyze_next_block(TableScanDesc scan, ReadStream *stream)
{
	Buffer		buffer = read_stream_next_buffer(stream, NULL);
	BlockNumber block;

	if (!BufferIsValid(buffer))
		return false;
	block = BufferGetBlockNumber(buffer);
	ReleaseBuffer(buffer);
	return log_analyze_load_block(scan, block, NULL);
}
#else
static bool
scan_analyze_next_block(TableScanDesc scan, BlockNumber block, BufferAccessStrategy strategy)
{
	return log_analyze_load_block(scan, block, strategy);
}
#endif

static bool
scan_analyze_next_tuple(TableScanDesc scan, TransactionId oldest_xmin, double *live,
						double *dead, TupleTableSlot *slot)
{
	return log_analyze_next_row(scan, live, dead, slot);
}

static bool
needs_toast_table(Relation rel)
{
	/* large rows continue on the next page */
	return false;
}

static void
estimate_size(Relation rel, int32 *attr_widths, BlockNumber *pages, double *tuples,
			  double *allvisfrac)
{
	int			npartitions = log_partition_count(rel);

	base_require_loaded();
	*pages = RelationGetNumberOfBlocks(rel);
	*tuples = 0;
	*allvisfrac = 0;
	/* exact, except for rows of aborted transactions */
	for (int p = 0; p < npartitions; p++)
		*tuples += log_next_offset(rel, p) - log_first_offset(rel, p);
}

const TableAmRoutine log_table_am = {
	.type = T_TableAmRoutine,

	.slot_callbacks = slot_callbacks,

	.scan_begin = log_scan_begin,
	.scan_end = log_scan_end,
	.scan_rescan = log_scan_rescan,
	.scan_getnextslot = log_scan_getnextslot,
	.scan_set_tidrange = log_scan_set_tidrange,
	.scan_getnextslot_tidrange = log_scan_getnextslot_tidrange,

	.parallelscan_estimate = table_block_parallelscan_estimate,
	.parallelscan_initialize = log_parallelscan_initialize,
	.parallelscan_reinitialize = table_block_parallelscan_reinitialize,

	.index_fetch_begin = index_fetch_begin,
	.index_fetch_reset = index_fetch_reset,
	.index_fetch_end = index_fetch_reset,
	.index_fetch_tuple = index_fetch_tuple,
	.index_delete_tuples = index_delete_tuples,

	.tuple_fetch_row_version = log_fetch_row,
	.tuple_tid_valid = tuple_tid_valid,
	.tuple_get_latest_tid = tuple_get_latest_tid,
	.tuple_satisfies_snapshot = tuple_satisfies_snapshot,

	.tuple_insert = tuple_insert,
	.tuple_insert_speculative = tuple_insert_speculative,
	.tuple_complete_speculative = tuple_complete_speculative,
	.multi_insert = multi_insert,
	.tuple_delete = tuple_delete,
	.tuple_update = tuple_update,
	.tuple_lock = tuple_lock,

	COMPAT_SET_NEW_FILELOCATOR = log_set_new_filelocator,
	.relation_nontransactional_truncate = log_nontransactional_truncate,
	.relation_copy_data = log_copy_data,
	.relation_copy_for_cluster = copy_for_cluster,
	.relation_vacuum = log_vacuum,
	.scan_analyze_next_block = scan_analyze_next_block,
	.scan_analyze_next_tuple = scan_analyze_next_tuple,
	.index_build_range_scan = index_build_range_scan,
	.index_validate_scan = index_validate_scan,

	.relation_size = table_block_relation_size,
	.relation_needs_toast_table = needs_toast_table,
	.relation_estimate_size = estimate_size,

	.scan_sample_next_block = log_scan_sample_next_block,
	.scan_sample_next_tuple = log_scan_sample_next_tuple,
};

PG_FUNCTION_INFO_V1(streamq_handler);

/*
 * Without shared_preload_libraries the handler fails, and with it everything
 * that touches a stream.  So nothing can be written without redo.
 */
Datum
streamq_handler(PG_FUNCTION_ARGS)
{
	base_require_loaded();
	PG_RETURN_POINTER(&log_table_am);
}

bool
log_is_stream(Relation rel)
{
	return rel->rd_rel->relkind == RELKIND_RELATION && rel->rd_tableam == &log_table_am;
}

bool
log_is_stream_class(Form_pg_class form)
{
	HeapTuple	tuple;
	Oid			handler = InvalidOid;

	if (form->relkind != RELKIND_RELATION || form->relam == HEAP_TABLE_AM_OID)
		return false;
	tuple = SearchSysCache1(AMOID, ObjectIdGetDatum(form->relam));
	if (HeapTupleIsValid(tuple))
	{
		handler = ((Form_pg_am) GETSTRUCT(tuple))->amhandler;
		ReleaseSysCache(tuple);
	}
	return OidIsValid(handler) && GetTableAmRoutine(handler) == &log_table_am;
}

bool
log_is_accessible(Relation rel)
{
	return RelationIsPermanent(rel) || !RecoveryInProgress();
}

/*
 * Names of the streams among the children of a partitioned or inherited table,
 * as "a, b"; NULL if there are none.
 */
static char *
list_streams_below(Oid relid)
{
	StringInfoData names;
	int			n = 0;
	ListCell   *lc;

	initStringInfo(&names);
	foreach(lc, find_all_inheritors(relid, NoLock, NULL))
	{
		Oid			child = lfirst_oid(lc);
		HeapTuple	tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(child));

		/* it is not locked, so it may have been dropped */
		if (!HeapTupleIsValid(tuple))
			continue;
		if (child != relid && log_is_stream_class((Form_pg_class) GETSTRUCT(tuple)))
		{
			if (n < MAX_LISTED)
				appendStringInfo(&names, "%s\"%s\"", n > 0 ? ", " : "",
								 NameStr(((Form_pg_class) GETSTRUCT(tuple))->relname));
			else if (n == MAX_LISTED)
				appendStringInfoString(&names, ", ...");
			n++;
		}
		ReleaseSysCache(tuple);
	}
	return n > 0 ? names.data : NULL;
}

char *
log_not_a_stream_hint(Relation rel)
{
	char		kind = rel->rd_rel->relkind;
	bool		partitioned = kind == RELKIND_PARTITIONED_TABLE;

	if (partitioned || (kind == RELKIND_RELATION && rel->rd_rel->relhassubclass))
	{
		char	   *names = list_streams_below(RelationGetRelid(rel));

		if (names != NULL)
			return psprintf(partitioned ?
							_("Use its partitions that are streams: %s.") :
							_("Use its child tables that are streams: %s."), names);
		if (partitioned)
			return _("Use its partitions; none of them is a stream yet. CREATE TABLE ... PARTITION OF ... USING streamq makes one.");
	}
	if (kind == RELKIND_VIEW)
		return _("Use the stream that the view reads.");
	if (kind == RELKIND_FOREIGN_TABLE)
		return _("Streams are used in the database where they are.");
	return _("Streams are made by streamq.create_stream() or CREATE TABLE ... USING streamq.");
}

Relation
log_open_stream(Oid relid, LOCKMODE lockmode)
{
	Relation	rel;

	base_require_loaded();
	rel = try_relation_open(relid, lockmode);
	if (rel == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("stream with OID %u does not exist", relid)));
	if (!log_is_stream(rel))
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("\"%s\" is not a stream", RelationGetRelationName(rel)),
				 errhint("%s", log_not_a_stream_hint(rel))));
	if (!log_is_accessible(rel))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("cannot access unlogged stream \"%s\" during recovery",
						RelationGetRelationName(rel)),
				 errdetail("Unlogged streams are not written to the WAL."),
				 errhint("Use the primary server.")));
	return rel;
}
