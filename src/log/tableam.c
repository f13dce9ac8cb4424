/*
 * tableam.c
 *	  The table access method "streamq".
 */
#include "postgres.h"

#include "access/tableam.h"
#include "access/relation.h"
#include "catalog/index.h"
#include "commands/vacuum.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "optimizer/plancat.h"
#include "storage/bufmgr.h"
#include "utils/lsyscache.h"

#include "log/log_internal.h"
#include "streamq.h"

static void
refuse(Relation rel, const char *what)
{
	ereport(ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg("cannot %s stream \"%s\"", what, RelationGetRelationName(rel)),
			 errdetail("Streams are append-only.")));
}

static void
refuse_index(Relation rel)
{
	ereport(ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg("cannot create index on stream \"%s\"", RelationGetRelationName(rel)),
			 errdetail("Streams have no indexes, and so no primary keys, unique or exclusion constraints."),
			 errhint("Index a table that the stream is processed into.")));
}

static const TupleTableSlotOps *
slot_callbacks(Relation rel)
{
	return &LogSlotOps;
}

/* ---- by TID; index access cannot occur ---- */

static struct IndexFetchTableData *
index_fetch_begin(Relation rel)
{
	refuse_index(rel);
	return NULL;
}

static void
index_fetch_reset(struct IndexFetchTableData *data)
{
	refuse_index(data->rel);
}

static bool
index_fetch_tuple(struct IndexFetchTableData *data, ItemPointer tid, Snapshot snapshot,
				  TupleTableSlot *slot, bool *call_again, bool *all_dead)
{
	refuse_index(data->rel);
	return false;
}

static TransactionId
index_delete_tuples(Relation rel, TM_IndexDeleteOp *delstate)
{
	refuse_index(rel);
	return InvalidTransactionId;
}

static double
index_build_range_scan(Relation rel, Relation index, struct IndexInfo *info,
					   bool allow_sync, bool anyvisible, bool progress,
					   BlockNumber start, BlockNumber nblocks,
					   IndexBuildCallback callback, void *state, TableScanDesc scan)
{
	refuse_index(rel);
	return 0;
}

static void
index_validate_scan(Relation rel, Relation index, struct IndexInfo *info,
					Snapshot snapshot, struct ValidateIndexState *state)
{
	refuse_index(rel);
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
	/* rows have one version */
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
	refuse(rel, "use ON CONFLICT with");
}

static void
tuple_complete_speculative(Relation rel, TupleTableSlot *slot, uint32 token, bool succeeded)
{
	refuse(rel, "use ON CONFLICT with");
}

static TM_Result
tuple_delete(Relation rel, ItemPointer tid, CommandId cid, Snapshot snapshot,
			 Snapshot crosscheck, bool wait, TM_FailureData *tmfd, bool changing_part)
{
	refuse(rel, "delete from");
	return TM_Invisible;
}

static TM_Result
tuple_update(Relation rel, ItemPointer tid, TupleTableSlot *slot, CommandId cid,
			 Snapshot snapshot, Snapshot crosscheck, bool wait, TM_FailureData *tmfd,
			 LockTupleMode *lockmode, COMPAT_UPDATE_INDEXES *update_indexes)
{
	refuse(rel, "update");
	return TM_Invisible;
}

static TM_Result
tuple_lock(Relation rel, ItemPointer tid, Snapshot snapshot, TupleTableSlot *slot,
		   CommandId cid, LockTupleMode mode, LockWaitPolicy wait_policy, uint8 flags,
		   TM_FailureData *tmfd)
{
	/*
	 * Foreign keys of a stream ask for this when a referenced row goes.  The
	 * key of a message never changes: there is nothing to lock.
	 */
	if (mode == LockTupleKeyShare && log_fetch_row(rel, tid, SnapshotAny, slot))
		return TM_Ok;
	refuse(rel, "lock rows in");
	return TM_Invisible;
}

/* ---- DDL and maintenance ---- */

static void
copy_for_cluster(Relation rel, Relation newrel, Relation index, bool use_sort,
				 TransactionId oldest_xmin, TransactionId *xid_cutoff,
				 MultiXactId *multi_cutoff, double *num_tuples, double *tups_vacuumed,
				 double *tups_recently_dead)
{
	refuse(rel, "rewrite");
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
	/* large rows span pages */
	return false;
}

static void
estimate_size(Relation rel, int32 *attr_widths, BlockNumber *pages, double *tuples,
			  double *allvisfrac)
{
	int			npartitions = log_partition_count(rel);

	streamq_require_loaded();
	*pages = RelationGetNumberOfBlocks(rel);
	*tuples = 0;
	*allvisfrac = 0;
	/* the true number, but for aborted ones */
	for (int p = 0; p < npartitions; p++)
		*tuples += log_next_offset(rel, p) - log_first_offset(rel, p);
}

const TableAmRoutine LogTableAm = {
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
 * Without shared_preload_libraries the handler fails, and so does everything
 * that touches a stream: no write path exists without redo.
 */
Datum
streamq_handler(PG_FUNCTION_ARGS)
{
	streamq_require_loaded();
	PG_RETURN_POINTER(&LogTableAm);
}

bool
log_is_stream(Relation rel)
{
	return rel->rd_rel->relkind == RELKIND_RELATION && rel->rd_tableam == &LogTableAm;
}

Relation
log_open_stream(Oid relid, LOCKMODE lockmode)
{
	Relation	rel;

	streamq_require_loaded();
	rel = try_relation_open(relid, lockmode);
	if (rel == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("stream with OID %u does not exist", relid)));
	if (!log_is_stream(rel))
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("\"%s\" is not a stream", RelationGetRelationName(rel)),
				 errhint("Streams are made by streamq.create_stream() or CREATE TABLE ... USING streamq.")));
	return rel;
}
