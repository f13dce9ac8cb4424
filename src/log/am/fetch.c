/*
 * fetch.c
 *	  One row by its TID.
 */
#include "postgres.h"

#include "storage/predicate.h"
#include "utils/rel.h"

#include "log/am/am.h"
#include "log/log.h"
#include "log/read/cursor.h"
#include "log/read/pagescan.h"
#include "log/space/shared.h"

/*
 * The executor fetches a row that a scan has found, to recheck it after a wait
 * for another row.  The row may have expired since.
 */
static void
check_expired(Relation rel, int partition, int64 off)
{
	if (off >= log_first_offset(rel, partition))
		return;
	ereport(ERROR,
			(errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
			 errmsg("a message of stream \"%s\" expired while it was in use",
					RelationGetRelationName(rel)),
			 errdetail("Its offset in partition %d was " INT64_FORMAT ".", partition, off),
			 errhint("The transaction might succeed if retried.")));
}

/*
 * Put the row with this TID into the slot.  False if the snapshot does not see
 * it, or if the TID is not one of the stream's live range.
 */
static bool
fetch_row(Relation rel, ItemPointer tid, Snapshot snapshot, TupleTableSlot *slot)
{
	int			partition = log_tid_partition(tid);
	int64		off;
	LogCursor	cursor;
	LogPageScan *ps;
	bool		found = false;

	ExecClearTuple(slot);
	if (IsMVCCSnapshot(snapshot))
		PredicateLockRelation(rel, snapshot);
	if (ItemPointerGetOffsetNumberNoCheck(tid) < 1 ||
		ItemPointerGetOffsetNumberNoCheck(tid) > LOG_TID_NUMBERS ||
		partition >= log_partition_count(rel))
		return false;
	off = log_tid_offset(rel, tid);
	if (off < log_first_offset(rel, partition) || off >= log_next_offset(rel, partition))
		return false;

	log_cursor_init(&cursor, rel, partition);
	if (!log_cursor_seek(&cursor, off))
	{
		log_check_missing(rel, partition, off, off + 1);
		return false;
	}
	ps = palloc(sizeof(LogPageScan));
	log_page_scan_init(ps, rel);
	if (log_page_scan_load(ps, &cursor, snapshot, LOG_STOP_NEVER) &&
		off >= ps->base && off < ps->base + ps->nrows)
	{
		log_page_scan_position(ps, off);
		found = ps->left > 0 && ps->off + 1 == off && log_page_scan_next(ps, slot);
	}
	else if (partition < LOG_MAX_PARTITIONS - 1)
		log_check_missing(rel, partition, off, off + 1);
	log_page_scan_release(ps);
	pfree(ps);
	return found;
}

bool
log_fetch_row(Relation rel, ItemPointer tid, Snapshot snapshot, TupleTableSlot *slot)
{
	bool		found = fetch_row(rel, tid, snapshot, slot);

	if (!found && snapshot->snapshot_type == SNAPSHOT_ANY)
		check_expired(rel, log_tid_partition(tid), log_tid_offset(rel, tid));
	return found;
}
