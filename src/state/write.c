/*
 * write.c
 *	  Writing a state table.
 *
 * The changes of a round are collected, sorted by place, and made page after
 * page.  So each page is locked, compared and logged once.
 *
 * Only one transaction at a time changes existing rows.  So what a changer
 * finds on a page changes while the page is not locked only by VACUUM, which
 * removes versions.
 */
#include "postgres.h"

#include "access/generic_xlog.h"
#include "access/genam.h"
#include "access/htup_details.h"
#include "access/xact.h"
#include "access/xlog.h"
#include "catalog/index.h"
#include "catalog/indexing.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "nodes/execnodes.h"
#include "pgstat.h"
#include "storage/bufmgr.h"
#include "storage/freespace.h"
#include "storage/lmgr.h"
#include "storage/proc.h"
#include "utils/memutils.h"
#include "utils/rel.h"

#include "compat.h"
#include "log/conflict.h"
#include "state/change.h"
#include "state/keep.h"
#include "state/place.h"
#include "state/state_scan.h"
#include "state/spill.h"
#include "state/state.h"
#include "state/write.h"

/* collected changes are made when they use more memory than this */
#define MAX_COLLECTED	((Size) 8 * 1024 * 1024)

/* a change of an existing row */
typedef struct StateChange
{
	ItemPointerData home;
	ItemPointerData at;			/* where the row is */
	HeapTuple	tuple;			/* NULL: delete */
} StateChange;

/* a new row */
typedef struct StateNew
{
	HeapTuple	tuple;
	ItemPointer tid;			/* of the caller */
} StateNew;

struct StateWriter
{
	Relation	rel;
	StateChanger changer;
	TransactionId conflict;		/* logged up to this transaction */
	CatalogIndexState indexes;
	TupleTableSlot *slot;		/* for index entries */
	MemoryContext mcxt;			/* of the writer */
	MemoryContext collected;	/* of the changes */
	StateChange *changes;
	int			nchanges;
	int			max_changes;
	StateNew   *news;
	int			nnews;
	int			max_news;
};

/*
 * What the transaction knows about snapshots.  It looks once for each table,
 * with the first id that it writes there: snapshots that are taken later see
 * all that was committed before, and nothing of this transaction.
 */
typedef struct StateLook
{
	struct StateLook *next;
	Oid			relid;
	StateKeep  *keep;
} StateLook;

static StateLook *looks = NULL;
static LocalTransactionId looks_lxid = InvalidLocalTransactionId;

static StateKeep *
look_at_snapshots(Relation rel)
{
	StateLook  *look;
	MemoryContext old;

	if (looks_lxid != COMPAT_MY_LXID)
	{
		looks = NULL;
		looks_lxid = COMPAT_MY_LXID;
	}
	for (look = looks; look; look = look->next)
	{
		if (look->relid == RelationGetRelid(rel))
			return look->keep;
	}
	old = MemoryContextSwitchTo(TopTransactionContext);
	look = palloc(sizeof(StateLook));
	look->relid = RelationGetRelid(rel);
	look->keep = state_keep_create(rel, GetCurrentTransactionId());
	look->next = looks;
	looks = look;
	MemoryContextSwitchTo(old);
	return look->keep;
}

StateWriter *
state_begin_write(Relation rel)
{
	StateWriter *writer = palloc0(sizeof(StateWriter));

	writer->rel = rel;
	writer->mcxt = CurrentMemoryContext;
	writer->collected = AllocSetContextCreate(CurrentMemoryContext, "streamq state changes",
											  ALLOCSET_DEFAULT_SIZES);
	writer->changer.xid = GetCurrentTransactionId();
	writer->changer.keep = look_at_snapshots(rel);
	return writer;
}

/* ---- values ---- */

/* the row as it is on its page, if it may have values out of line */
static HeapTuple
fetch_toasted(Relation rel, ItemPointer tid)
{
	SnapshotData self;
	StateEye	eye;
	Buffer		buffer = InvalidBuffer;
	HeapTuple	tuple;

	if (!OidIsValid(rel->rd_rel->reltoastrelid))
		return NULL;
	memset(&self, 0, sizeof(self));
	self.snapshot_type = SNAPSHOT_SELF;
	state_eye_init(&eye, &self);
	tuple = state_copy_row(rel, tid, &eye, &buffer, false);
	if (BufferIsValid(buffer))
		ReleaseBuffer(buffer);
	return tuple;
}

/* ---- WAL ---- */

void
state_log_conflict(Relation rel, TransactionId xid)
{
	if (RelationNeedsWAL(rel) && XLogStandbyInfoActive())
		log_conflict(rel, xid);
}

/*
 * Log before the first change that removes versions which a standby may
 * still need.
 */
static void
log_removed(StateWriter *writer)
{
	TransactionId removed = writer->changer.removed;

	if (!TransactionIdIsValid(removed) ||
		(TransactionIdIsValid(writer->conflict) &&
		 TransactionIdPrecedesOrEquals(removed, writer->conflict)))
		return;
	state_log_conflict(writer->rel, removed);
	writer->conflict = removed;
}

static Page
register_page(GenericXLogState *xlog, Buffer buffer)
{
	bool		new = PageIsNew(BufferGetPage(buffer));
	Page		page = GenericXLogRegisterBuffer(xlog, buffer, new ? GENERIC_XLOG_FULL_IMAGE : 0);

	if (new)
		state_init_page(page);
	return page;
}

/* ---- new rows ---- */

void
state_put_rows(Relation rel, HeapTuple *tuples, int n)
{
	TransactionId xid = GetCurrentTransactionId();
	Size		spare = state_spare_room(rel);
	StateRowBuffer row;
	int			i = 0;

	while (i < n)
	{
		Size		size = state_form_row(xid, tuples[i], &row);
		Buffer		buffer = state_find_page(rel, size, spare);
		GenericXLogState *xlog = GenericXLogStart(rel);
		Page		page = register_page(xlog, buffer);

		do
		{
			OffsetNumber off = PageAddItemExtended(page, (Item) row.data, size,
												   InvalidOffsetNumber, PAI_IS_HEAP);

			if (off == InvalidOffsetNumber)
				elog(ERROR, "could not add a row to a state table");
			ItemPointerSet(&tuples[i]->t_self, BufferGetBlockNumber(buffer), off);
			if (++i == n)
				break;
			size = state_form_row(xid, tuples[i], &row);
		} while (PageGetHeapFreeSpace(page) >= MAXALIGN(size) + spare);
		GenericXLogFinish(xlog);
		UnlockReleaseBuffer(buffer);
	}
	pgstat_count_heap_insert(rel, n);
}

static void
insert_index_entries(StateWriter *writer, HeapTuple tuple)
{
	ResultRelInfo *indexes = writer->indexes;
	TupleTableSlot *slot = writer->slot;
	ItemPointerData tid = tuple->t_self;

	if (STATE_TUPLE_IS_SPILLED(tuple))
		tuple = state_unspill(tuple);
	ExecStoreHeapTuple(tuple, slot, false);
	for (int i = 0; i < indexes->ri_NumIndices; i++)
	{
		IndexInfo  *info = indexes->ri_IndexRelationInfo[i];
		Datum		values[INDEX_MAX_KEYS];
		bool		isnull[INDEX_MAX_KEYS];

		if (!info->ii_ReadyForInserts)
			continue;
		FormIndexDatum(info, slot, NULL, values, isnull);
		index_insert(indexes->ri_IndexRelationDescs[i], values, isnull, &tid,
					 writer->rel,
					 indexes->ri_IndexRelationDescs[i]->rd_index->indisunique ?
					 UNIQUE_CHECK_YES : UNIQUE_CHECK_NO,
					 false, info);
	}
	ExecClearTuple(slot);
}

/* Insert the new rows, and their index entries. */
static void
make_news(StateWriter *writer)
{
	HeapTuple  *tuples;
	MemoryContext old;

	if (writer->nnews == 0)
		return;
	if (writer->indexes == NULL)
	{
		/* the caller's context may end before the writer does */
		old = MemoryContextSwitchTo(writer->mcxt);
		writer->indexes = CatalogOpenIndexes(writer->rel);
		writer->slot = MakeSingleTupleTableSlot(RelationGetDescr(writer->rel),
												&TTSOpsHeapTuple);
		MemoryContextSwitchTo(old);
	}
	old = MemoryContextSwitchTo(writer->collected);
	tuples = palloc(sizeof(HeapTuple) * writer->nnews);
	for (int i = 0; i < writer->nnews; i++)
		tuples[i] = writer->news[i].tuple;
	state_put_rows(writer->rel, tuples, writer->nnews);
	for (int i = 0; i < writer->nnews; i++)
	{
		CHECK_FOR_INTERRUPTS();
		insert_index_entries(writer, tuples[i]);
		if (writer->news[i].tid)
			*writer->news[i].tid = tuples[i]->t_self;
	}
	MemoryContextSwitchTo(old);
	writer->nnews = 0;
}

/* ---- changes ---- */

typedef enum StateOutcome
{
	STATE_CHANGED,
	STATE_ELSEWHERE,			/* `at` was corrected */
	STATE_NO_ROOM,
	STATE_WAIT					/* for changer.wait_for */
} StateOutcome;

/* find the row of a change on its page */
static StateRow *
locate(Page page, StateChange *change)
{
	StateRow   *row = state_get_row(page, ItemPointerGetOffsetNumber(&change->at));
	bool		at_home = ItemPointerEquals(&change->at, &change->home);

	if (row && at_home && !(row->flags & STATE_ROW_MOVED))
	{
		if (!(row->flags & STATE_ROW_FORWARD))
			return row;
		ItemPointerSet(&change->at, ((StateForward *) row)->block, ((StateForward *) row)->off);
		return NULL;
	}
	if (row && !at_home && (row->flags & STATE_ROW_MOVED) &&
		ItemPointerEquals(STATE_ROW_HOME(row), &change->home))
		return row;
	elog(ERROR, "row (%u,%u) of a state table is missing",
		 ItemPointerGetBlockNumber(&change->home), ItemPointerGetOffsetNumber(&change->home));
}

/* fail if another transaction has deleted the row */
static bool
must_wait(StateChanger *changer, StateRow *row)
{
	if (state_newest_version(changer, row) != NULL)
		return false;
	if (TransactionIdIsValid(changer->wait_for))
		return true;
	elog(ERROR, "row of a state table is deleted");
}

/* make a change on a copy of the row's page */
static StateOutcome
change_row(StateChanger *changer, Page page, StateChange *change)
{
	OffsetNumber off;
	StateRow   *row = locate(page, change);
	StateRowBuffer to;
	Size		size;

	if (row == NULL)
		return STATE_ELSEWHERE;
	off = ItemPointerGetOffsetNumber(&change->at);
	if (must_wait(changer, row))
		return STATE_WAIT;
	if (change->tuple == NULL)
	{
		state_mark_deleted(changer, row);
		return STATE_CHANGED;
	}
	size = state_add_version(changer, row, change->tuple, &to);
	if (size == 0 || PageIndexTupleOverwrite(page, off, (Item) to.data, size))
		return STATE_CHANGED;
	if (state_prune_page(changer, page) &&
		PageIndexTupleOverwrite(page, off, (Item) to.data, size))
		return STATE_CHANGED;
	return STATE_NO_ROOM;
}

/* add an item to a page, or put it in place of what is there */
static OffsetNumber
put_item(Page page, OffsetNumber off, void *item, Size size)
{
	if (off == InvalidOffsetNumber)
		off = PageAddItemExtended(page, (Item) item, size, InvalidOffsetNumber, PAI_IS_HEAP);
	else if (!PageIndexTupleOverwrite(page, off, (Item) item, size))
		off = InvalidOffsetNumber;
	if (off == InvalidOffsetNumber)
		elog(ERROR, "could not move a row of a state table");
	return off;
}

static void
remove_item(Page page, OffsetNumber off)
{
	ItemIdSetUnused(PageGetItemId(page, off));
	PageSetHasFreeLinePointers(page);
	PageRepairFragmentation(page);
}

/*
 * Lock up to three different pages in the order of their blocks.  The first
 * are pinned.
 */
static void
lock_pages(Buffer *buffers, int n)
{
	for (int i = 1; i < n; i++)
	{
		for (int j = i; j > 0 && BufferGetBlockNumber(buffers[j]) <
			 BufferGetBlockNumber(buffers[j - 1]); j--)
		{
			Buffer		other = buffers[j];

			buffers[j] = buffers[j - 1];
			buffers[j - 1] = other;
		}
	}
	for (int i = 0; i < n; i++)
		LockBuffer(buffers[i], BUFFER_LOCK_EXCLUSIVE);
}

/* the copy of the page of a block */
static Page
copy_of(BlockNumber block, Buffer *buffers, Page *pages, int n)
{
	for (int i = 0; i < n; i++)
	{
		if (BufferGetBlockNumber(buffers[i]) == block)
			return pages[i];
	}
	elog(ERROR, "page is not locked");
}

/*
 * Try to make a change and move the row to `target`, which is pinned.  False
 * if there is no room any more.
 */
static bool
try_move(StateWriter *writer, StateChange *change, Buffer target)
{
	StateChanger *changer = &writer->changer;
	BlockNumber home = ItemPointerGetBlockNumber(&change->home);
	BlockNumber at = ItemPointerGetBlockNumber(&change->at);
	BlockNumber to = BufferGetBlockNumber(target);
	Buffer		buffers[3];
	Page		pages[3];
	int			n = 0;
	GenericXLogState *xlog;
	StateRowBuffer row;
	StateRowBuffer moved;
	StateForward forward;
	Size		size;
	StateOutcome outcome;
	bool		done;

	buffers[n++] = ReadBuffer(writer->rel, home);
	if (at != home)
		buffers[n++] = ReadBuffer(writer->rel, at);
	if (to != home && to != at)
	{
		IncrBufferRefCount(target);
		buffers[n++] = target;
	}
	lock_pages(buffers, n);
	xlog = GenericXLogStart(writer->rel);
	for (int i = 0; i < n; i++)
		pages[i] = register_page(xlog, buffers[i]);

	/* VACUUM may have made room */
	outcome = change_row(changer, copy_of(at, buffers, pages, n), change);
	done = outcome == STATE_CHANGED;
	if (outcome == STATE_NO_ROOM && to != home && to != at)
	{
		Page		page = copy_of(at, buffers, pages, n);
		Page		target_page = copy_of(to, buffers, pages, n);

		size = state_add_version(changer, locate(page, change), change->tuple, &row);
		size = state_form_moved(&row.row, size, &change->home, &moved);
		if (size <= PageGetHeapFreeSpace(target_page))
		{
			if (at != home)
				remove_item(page, ItemPointerGetOffsetNumber(&change->at));
			memset(&forward, 0, sizeof(forward));
			forward.flags = STATE_ROW_FORWARD;
			forward.block = to;
			forward.off = put_item(target_page, InvalidOffsetNumber, moved.data, size);
			(void) put_item(copy_of(home, buffers, pages, n),
							ItemPointerGetOffsetNumber(&change->home), &forward,
							sizeof(forward));
			ItemPointerSet(&change->at, forward.block, forward.off);
			done = true;
		}
	}
	if (done)
	{
		log_removed(writer);
		GenericXLogFinish(xlog);
	}
	else
		GenericXLogAbort(xlog);
	for (int i = 0; i < n; i++)
		UnlockReleaseBuffer(buffers[i]);
	return done;
}

/* make a change that needs more room than there is on the page */
static void
move_row(StateWriter *writer, StateChange *change)
{
	Size		size = MAXALIGN(STATE_LEN_OF_TUPLE(change->tuple->t_len));
	Size		wanted = size * 3 + sizeof(StateRow) * 2;

	for (;;)
	{
		Buffer		target = state_find_page(writer->rel, wanted, 0);
		BlockNumber block = BufferGetBlockNumber(target);
		bool		done;

		CHECK_FOR_INTERRUPTS();
		LockBuffer(target, BUFFER_LOCK_UNLOCK);
		done = try_move(writer, change, target);
		ReleaseBuffer(target);
		if (done)
			return;

		/* this page will not do: look for one with more room */
		wanted = Min(wanted + size, STATE_MAX_ROW_SIZE);
		if (RelationGetTargetBlock(writer->rel) == block)
			RelationSetTargetBlock(writer->rel, InvalidBlockNumber);
	}
}

static int
compare_places(const void *a, const void *b)
{
	return ItemPointerCompare(&((StateChange *) a)->at, &((StateChange *) b)->at);
}

/*
 * Make the changes of one page, which are the first ones of an array.  Changes
 * that could not be made are kept: those in *elsewhere are to be tried again,
 * those in *large are of rows that must move.  Returns the number of changes
 * looked at.
 */
static int
change_page(StateWriter *writer, StateChange *changes, int n, StateChange *elsewhere,
			int *nelsewhere, StateChange *large, int *nlarge)
{
	StateChanger *changer = &writer->changer;
	BlockNumber block = ItemPointerGetBlockNumber(&changes[0].at);
	Buffer		buffer = ReadBuffer(writer->rel, block);
	GenericXLogState *xlog;
	Page		page;
	bool		changed = false;
	TransactionId wait_for = InvalidTransactionId;
	int			i;

	LockBuffer(buffer, BUFFER_LOCK_EXCLUSIVE);
	state_check_page(writer->rel, block, BufferGetPage(buffer));
	xlog = GenericXLogStart(writer->rel);
	page = GenericXLogRegisterBuffer(xlog, buffer, 0);
	for (i = 0; i < n && ItemPointerGetBlockNumber(&changes[i].at) == block; i++)
	{
		StateOutcome outcome = change_row(changer, page, &changes[i]);

		if (outcome == STATE_ELSEWHERE)
			elsewhere[(*nelsewhere)++] = changes[i];
		else if (outcome == STATE_NO_ROOM)
			large[(*nlarge)++] = changes[i];
		else if (outcome == STATE_WAIT)
		{
			wait_for = changer->wait_for;
			elsewhere[(*nelsewhere)++] = changes[i];
		}
		else
			changed = true;
	}
	if (changed)
	{
		log_removed(writer);
		GenericXLogFinish(xlog);
	}
	else
		GenericXLogAbort(xlog);
	UnlockReleaseBuffer(buffer);
	if (TransactionIdIsValid(wait_for))
		XactLockTableWait(wait_for, writer->rel, NULL, XLTW_None);
	return i;
}

/*
 * Make the collected changes, page by page.  Rows that do not fit into their
 * page are moved at the end.
 */
static void
make_changes(StateWriter *writer)
{
	int			n = writer->nchanges;
	StateChange *changes = writer->changes;
	StateChange *large;
	int			nlarge = 0;

	if (n == 0)
		return;
	large = MemoryContextAllocHuge(writer->collected, sizeof(StateChange) * n);

	/* again for rows that have moved to another page */
	while (n > 0)
	{
		int			nelsewhere = 0;
		int			i = 0;

		qsort(changes, n, sizeof(StateChange), compare_places);
		while (i < n)
		{
			CHECK_FOR_INTERRUPTS();
			i += change_page(writer, &changes[i], n - i, changes, &nelsewhere, large, &nlarge);
		}
		n = nelsewhere;
	}
	for (int i = 0; i < nlarge; i++)
		move_row(writer, &large[i]);
	writer->nchanges = 0;
}

/* ---- collecting ---- */

/* an update leaves no dead row for VACUUM */
static void
count_update(Relation rel)
{
	COMPAT_COUNT_UPDATE(rel);
	pgstat_update_heap_dead_tuples(rel, 1);
}

static void
collect(StateWriter *writer, ItemPointer tid, HeapTuple tuple)
{
	StateChange *change;

	if (writer->nchanges == writer->max_changes)
	{
		writer->max_changes = Max(256, writer->max_changes * 2);
		writer->changes = writer->changes ?
			repalloc_huge(writer->changes, sizeof(StateChange) * writer->max_changes) :
			MemoryContextAlloc(writer->mcxt, sizeof(StateChange) * writer->max_changes);
	}
	change = &writer->changes[writer->nchanges++];
	change->home = change->at = *tid;
	change->tuple = tuple;
}

static void
flush_if_large(StateWriter *writer)
{
	if (MemoryContextMemAllocated(writer->collected, false) > MAX_COLLECTED)
		state_flush_writes(writer);
}

void
state_insert(StateWriter *writer, HeapTuple tuple, ItemPointer tid)
{
	MemoryContext old;
	HeapTuple	toasted = state_spill(writer->rel, tuple, NULL);

	if (writer->nnews == writer->max_news)
	{
		writer->max_news = Max(256, writer->max_news * 2);
		writer->news = writer->news ?
			repalloc_huge(writer->news, sizeof(StateNew) * writer->max_news) :
			MemoryContextAlloc(writer->mcxt, sizeof(StateNew) * writer->max_news);
	}
	old = MemoryContextSwitchTo(writer->collected);
	writer->news[writer->nnews].tuple = heap_copytuple(toasted);
	writer->news[writer->nnews++].tid = tid;
	MemoryContextSwitchTo(old);
	flush_if_large(writer);
}

void
state_update(StateWriter *writer, ItemPointer tid, HeapTuple tuple)
{
	HeapTuple	before = fetch_toasted(writer->rel, tid);
	HeapTuple	toasted = state_spill(writer->rel, tuple, before);
	MemoryContext old = MemoryContextSwitchTo(writer->collected);

	collect(writer, tid, heap_copytuple(toasted));
	MemoryContextSwitchTo(old);
	count_update(writer->rel);
	flush_if_large(writer);
}

void
state_delete(StateWriter *writer, ItemPointer tid)
{
	HeapTuple	before = fetch_toasted(writer->rel, tid);

	if (before && HeapTupleHasExternal(before))
		state_spill_delete(writer->rel, before);
	collect(writer, tid, NULL);
	pgstat_count_heap_delete(writer->rel);
}

void
state_flush_writes(StateWriter *writer)
{
	make_changes(writer);
	make_news(writer);
	MemoryContextReset(writer->collected);
}

void
state_end_write(StateWriter *writer)
{
	state_flush_writes(writer);
	if (writer->indexes)
	{
		CatalogCloseIndexes(writer->indexes);
		ExecDropSingleTupleTableSlot(writer->slot);
	}
	MemoryContextDelete(writer->collected);
	if (writer->changes)
		pfree(writer->changes);
	if (writer->news)
		pfree(writer->news);
	pfree(writer);
}
