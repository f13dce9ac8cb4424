/*
 * vacuum.c
 *	  VACUUM: removes rows that were deleted or never committed, and freezes
 *	  old transaction ids.
 *
 * Pages are locked one at a time, so batches go on.  VACUUM knows only the
 * oldest snapshot, not the places of all: versions between two snapshots are
 * removed by the writer.
 */
#include "postgres.h"

#include "access/generic_xlog.h"
#include "access/genam.h"
#include "access/multixact.h"
#include "access/transam.h"
#include "access/xact.h"
#include "commands/progress.h"
#include "commands/vacuum.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "postmaster/autovacuum.h"
#include "storage/bufmgr.h"
#include "storage/freespace.h"
#include "storage/procarray.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "base/loaded.h"
#include "compat.h"
#include "state/state_am.h"
#include "state/place.h"
#include "state/write.h"

typedef struct StateVacuum
{
	Relation	rel;
	BufferAccessStrategy strategy;
	StateChanger changer;
	TransactionId cutoff;		/* freeze what is older */
	TransactionId oldest;		/* oldest transaction id that is left */
	TransactionId conflict;		/* logged up to this transaction */
	int			nindexes;
	Relation   *indexes;
	IndexBulkDeleteResult **stats;
	ItemPointerData *dead;		/* homes of dead rows, in order */
	Size		ndead;
	Size		max_dead;
	double		live;
	double		removed;
} StateVacuum;

/* ---- rows ---- */

/* can no snapshot see any version of a row without garbage? */
static bool
row_is_dead(StateChanger *changer, StateRow *row)
{
	StateVersion *v = STATE_FIRST_VERSION(row);

	for (int i = 0; i < row->nversions; i++, v = STATE_NEXT_VERSION(v))
	{
		if (STATE_VERSION_IS_DELETED(v) && state_fate(changer, v->xmax) == STATE_XID_COMMITTED &&
			TransactionIdPrecedes(v->xmax, changer->oldest_xmin))
		{
			if (TransactionIdIsNormal(v->xmax) &&
				(!TransactionIdIsValid(changer->removed) ||
				 TransactionIdPrecedes(changer->removed, v->xmax)))
				changer->removed = v->xmax;
			return true;
		}
	}
	return row->nversions == 0;
}

static bool
freeze_xid(StateChanger *changer, TransactionId *xid, TransactionId cutoff,
		   TransactionId frozen, TransactionId *oldest)
{
	if (!TransactionIdIsNormal(*xid))
		return false;
	if (!TransactionIdPrecedes(*xid, cutoff))
	{
		if (!TransactionIdIsValid(*oldest) || TransactionIdPrecedes(*xid, *oldest))
			*oldest = *xid;
		return false;
	}
	if (TransactionIdIsValid(frozen) &&
		(!TransactionIdIsValid(changer->removed) ||
		 TransactionIdPrecedes(changer->removed, *xid)))
		changer->removed = *xid;
	*xid = frozen;
	return true;
}

/*
 * Replace transaction ids before the cutoff, in a row without garbage.  False
 * if there were none.  *oldest is lowered to the oldest that is left.
 */
static bool
freeze_row(StateChanger *changer, StateRow *row, TransactionId cutoff,
		   TransactionId *oldest)
{
	StateVersion *v = STATE_FIRST_VERSION(row);
	bool		changed;

	changed = freeze_xid(changer, &row->born, cutoff, FrozenTransactionId, oldest);
	for (int i = 0; i < row->nversions; i++, v = STATE_NEXT_VERSION(v))
	{
		changed |= freeze_xid(changer, &v->xmin, cutoff, FrozenTransactionId, oldest);

		/* a change this old was rolled back, or the version would be garbage */
		if (freeze_xid(changer, &v->xmax, cutoff, InvalidTransactionId, oldest))
		{
			v->len_flags &= ~STATE_VERSION_DELETED;
			changed = true;
		}
	}
	return changed;
}

/* ---- pages ---- */

static void
log_removed(StateVacuum *vac)
{
	TransactionId removed = vac->changer.removed;

	if (!TransactionIdIsValid(removed) ||
		(TransactionIdIsValid(vac->conflict) &&
		 TransactionIdPrecedesOrEquals(removed, vac->conflict)))
		return;
	state_log_conflict(vac->rel, removed);
	vac->conflict = removed;
}

static void
remember_dead(StateVacuum *vac, BlockNumber block, OffsetNumber off)
{
	if (vac->ndead == vac->max_dead)
	{
		vac->max_dead = Max(1024, vac->max_dead * 2);
		vac->dead = vac->dead ?
			repalloc_huge(vac->dead, sizeof(ItemPointerData) * vac->max_dead) :
			palloc(sizeof(ItemPointerData) * vac->max_dead);
	}
	/* a macro in older versions, which evaluates its arguments twice */
	ItemPointerSet(&vac->dead[vac->ndead], block, off);
	vac->ndead++;
}

/*
 * Remove a dead row from its home.  Its index entries come later, so the item
 * stays.
 */
static void
bury(StateVacuum *vac, Page page, BlockNumber block, OffsetNumber off)
{
	if (vac->nindexes > 0)
	{
		ItemIdSetDead(PageGetItemId(page, off));
		remember_dead(vac, block, off);
	}
	else
	{
		ItemIdSetUnused(PageGetItemId(page, off));
		PageSetHasFreeLinePointers(page);
	}
	vac->removed += 1;
}

/* clean a copy of a page; homes of moved rows are listed for later */
static bool
clean_page(StateVacuum *vac, Page page, BlockNumber block, OffsetNumber *forwards,
		   int *nforwards)
{
	OffsetNumber max = PageGetMaxOffsetNumber(page);
	bool		changed = state_prune_page(&vac->changer, page);
	bool		removed = false;

	for (OffsetNumber off = FirstOffsetNumber; off <= max; off++)
	{
		StateRow   *row = state_get_row(page, off);

		if (ItemIdIsDead(PageGetItemId(page, off)))
			remember_dead(vac, block, off);
		if (row == NULL)
			continue;
		if (row->flags & STATE_ROW_FORWARD)
		{
			forwards[(*nforwards)++] = off;
			continue;
		}
		if (!(row->flags & STATE_ROW_MOVED) && row_is_dead(&vac->changer, row))
		{
			bury(vac, page, block, off);
			removed = true;
			continue;
		}
		changed |= freeze_row(&vac->changer, row, vac->cutoff, &vac->oldest);
		vac->live += 1;
	}
	if (removed)
		PageRepairFragmentation(page);
	return changed || removed;
}

/*
 * Remove a row that has moved, if it is dead.  Its page is not waited for: a
 * batch may be waiting for the page of its home.
 */
static void
clean_moved(StateVacuum *vac, BlockNumber block, OffsetNumber off)
{
	Buffer		home = ReadBufferExtended(vac->rel, MAIN_FORKNUM, block, RBM_NORMAL,
										  vac->strategy);
	Buffer		other;
	StateForward forward;
	StateRow   *row;

	LockBuffer(home, BUFFER_LOCK_EXCLUSIVE);
	row = state_get_row(BufferGetPage(home), off);
	if (row == NULL || !(row->flags & STATE_ROW_FORWARD) ||
		((StateForward *) row)->block == block)
	{
		UnlockReleaseBuffer(home);
		return;
	}
	forward = *(StateForward *) row;
	other = ReadBufferExtended(vac->rel, MAIN_FORKNUM, forward.block, RBM_NORMAL,
							   vac->strategy);
	if (ConditionalLockBuffer(other))
	{
		StateRowBuffer pruned;

		row = state_get_row(BufferGetPage(other), forward.off);
		if (row && state_prune_row(&vac->changer, row, &pruned) > 0)
			row = &pruned.row;
		if (row && row_is_dead(&vac->changer, row))
		{
			GenericXLogState *xlog = GenericXLogStart(vac->rel);
			Page		home_page = GenericXLogRegisterBuffer(xlog, home, 0);
			Page		page = GenericXLogRegisterBuffer(xlog, other, 0);

			bury(vac, home_page, block, off);
			PageRepairFragmentation(home_page);
			ItemIdSetUnused(PageGetItemId(page, forward.off));
			PageSetHasFreeLinePointers(page);
			PageRepairFragmentation(page);
			log_removed(vac);
			GenericXLogFinish(xlog);
			vac->live -= 1;
		}
		LockBuffer(other, BUFFER_LOCK_UNLOCK);
	}
	ReleaseBuffer(other);
	UnlockReleaseBuffer(home);
}

static void
vacuum_page(StateVacuum *vac, BlockNumber block)
{
	Buffer		buffer = ReadBufferExtended(vac->rel, MAIN_FORKNUM, block, RBM_NORMAL,
											vac->strategy);
	PGAlignedBlock copy;
	Page		page = (Page) copy.data;
	OffsetNumber forwards[MaxHeapTuplesPerPage];
	int			nforwards = 0;

	LockBuffer(buffer, BUFFER_LOCK_EXCLUSIVE);
	state_check_page(vac->rel, block, BufferGetPage(buffer));
	memcpy(copy.data, BufferGetPage(buffer), BLCKSZ);
	if (!PageIsNew(page) && clean_page(vac, page, block, forwards, &nforwards))
	{
		GenericXLogState *xlog = GenericXLogStart(vac->rel);

		memcpy(GenericXLogRegisterBuffer(xlog, buffer, 0), copy.data, BLCKSZ);
		log_removed(vac);
		GenericXLogFinish(xlog);
	}
	RecordPageWithFreeSpace(vac->rel, block, state_page_room(page));
	UnlockReleaseBuffer(buffer);
	for (int i = 0; i < nforwards; i++)
		clean_moved(vac, block, forwards[i]);
}

/* ---- indexes ---- */

static int
compare_tids(const void *a, const void *b)
{
	return ItemPointerCompare((ItemPointer) a, (ItemPointer) b);
}

static bool
is_dead(ItemPointer tid, void *arg)
{
	StateVacuum *vac = arg;

	return bsearch(tid, vac->dead, vac->ndead, sizeof(ItemPointerData), compare_tids) != NULL;
}

static void
fill_index_info(StateVacuum *vac, int i, IndexVacuumInfo *info)
{
	memset(info, 0, sizeof(*info));
	info->index = vac->indexes[i];
	COMPAT_SET_INDEX_VACUUM_TABLE(info, vac->rel);
	info->estimated_count = true;
	info->message_level = DEBUG2;
	info->num_heap_tuples = vac->live;
	info->strategy = vac->strategy;
}

/* let the items of dead rows be used again, after their index entries went */
static void
free_items(StateVacuum *vac)
{
	Size		i = 0;

	while (i < vac->ndead)
	{
		BlockNumber block = ItemPointerGetBlockNumber(&vac->dead[i]);
		Buffer		buffer = ReadBufferExtended(vac->rel, MAIN_FORKNUM, block, RBM_NORMAL,
												vac->strategy);
		GenericXLogState *xlog;
		Page		page;

		COMPAT_VACUUM_DELAY_POINT();
		LockBuffer(buffer, BUFFER_LOCK_EXCLUSIVE);
		xlog = GenericXLogStart(vac->rel);
		page = GenericXLogRegisterBuffer(xlog, buffer, 0);
		for (; i < vac->ndead && ItemPointerGetBlockNumber(&vac->dead[i]) == block; i++)
		{
			ItemId		item = PageGetItemId(page, ItemPointerGetOffsetNumber(&vac->dead[i]));

			if (ItemIdIsDead(item))
				ItemIdSetUnused(item);
		}
		PageSetHasFreeLinePointers(page);
		PageRepairFragmentation(page);
		GenericXLogFinish(xlog);
		RecordPageWithFreeSpace(vac->rel, block, state_page_room(BufferGetPage(buffer)));
		UnlockReleaseBuffer(buffer);
	}
	vac->ndead = 0;
}

static void
clean_indexes(StateVacuum *vac)
{
	if (vac->ndead == 0)
		return;
	qsort(vac->dead, vac->ndead, sizeof(ItemPointerData), compare_tids);
	for (int i = 0; i < vac->nindexes; i++)
	{
		IndexVacuumInfo info;

		fill_index_info(vac, i, &info);
		vac->stats[i] = index_bulk_delete(&info, vac->stats[i], is_dead, vac);
	}
	free_items(vac);
}

static void
finish_indexes(StateVacuum *vac)
{
	for (int i = 0; i < vac->nindexes; i++)
	{
		IndexVacuumInfo info;

		fill_index_info(vac, i, &info);
		info.estimated_count = false;
		vac->stats[i] = index_vacuum_cleanup(&info, vac->stats[i]);
		if (vac->stats[i] && !vac->stats[i]->estimated_count)
			COMPAT_UPDATE_RELSTATS(vac->indexes[i], vac->stats[i]->num_pages,
								   vac->stats[i]->num_index_tuples, false,
								   InvalidTransactionId, InvalidMultiXactId);
	}
}

/* ---- the table ---- */

static TransactionId
freeze_cutoff(TransactionId oldest_xmin, int min_age)
{
	TransactionId cutoff;

	if (min_age < 0)
		min_age = vacuum_freeze_min_age;
	min_age = Min(min_age, autovacuum_freeze_max_age / 2);
	cutoff = ReadNextTransactionId() - min_age;
	if (!TransactionIdIsNormal(cutoff))
		cutoff = FirstNormalTransactionId;
	return TransactionIdPrecedes(cutoff, oldest_xmin) ? cutoff : oldest_xmin;
}

void
state_vacuum(Relation rel, struct VacuumParams *params, BufferAccessStrategy strategy)
{
	StateVacuum vac;
	TransactionId oldest_xmin = GetOldestNonRemovableTransactionId(rel);
	MultiXactId minmulti = GetOldestMultiXactId();
	TimestampTz start = GetCurrentTimestamp();
	BlockNumber nblocks = RelationGetNumberOfBlocks(rel);
	bool		skip_indexes = params->index_cleanup == VACOPTVALUE_DISABLED;

	base_require_loaded();
	memset(&vac, 0, sizeof(vac));
	vac.rel = rel;
	vac.strategy = strategy;
	vac.changer.oldest_xmin = oldest_xmin;
	vac.cutoff = freeze_cutoff(oldest_xmin, params->freeze_min_age);
	vac_open_indexes(rel, RowExclusiveLock, &vac.nindexes, &vac.indexes);
	vac.stats = palloc0(sizeof(IndexBulkDeleteResult *) * Max(1, vac.nindexes));

	pgstat_progress_start_command(PROGRESS_COMMAND_VACUUM, RelationGetRelid(rel));
	for (BlockNumber block = 0; block < nblocks; block++)
	{
		COMPAT_VACUUM_DELAY_POINT();
		vacuum_page(&vac, block);
		if (vac.ndead * sizeof(ItemPointerData) > (Size) maintenance_work_mem * 1024 &&
			!skip_indexes)
			clean_indexes(&vac);
	}
	if (!skip_indexes)
	{
		clean_indexes(&vac);
		finish_indexes(&vac);
	}
	FreeSpaceMapVacuum(rel);

	if (!TransactionIdIsValid(vac.oldest) || TransactionIdPrecedes(oldest_xmin, vac.oldest))
		vac.oldest = oldest_xmin;
	COMPAT_UPDATE_RELSTATS(rel, nblocks, vac.live, vac.nindexes > 0, vac.oldest, minmulti);
	COMPAT_REPORT_VACUUM(rel, (PgStat_Counter) vac.live, start);
	pgstat_progress_end_command();
	if (params->options & VACOPT_VERBOSE)
		ereport(INFO,
				(errmsg("vacuumed state table \"%s\": %.0f rows, %.0f removed, in %u pages",
						RelationGetRelationName(rel), vac.live, vac.removed, nblocks)));
	vac_close_indexes(vac.nindexes, vac.indexes, NoLock);
}
