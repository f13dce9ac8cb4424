/*
 * capture_count.c
 *	  How many messages captures have written.
 *
 * A capture has several rows in streamq.capture_count, whose sum is the number
 * of messages.  If it had a single row, writers of the table would wait for
 * each other.  Each process uses the row with its own number, and updates it
 * once, before its transaction commits or is prepared.
 *
 * A prepared transaction keeps its row locked although the process goes on.
 * The process then uses another row.
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/transam.h"
#include "access/xact.h"
#include "storage/proc.h"
#include "storage/procarray.h"
#include "utils/fmgroids.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#include "base/catalog.h"
#include "capture/capture_count.h"
#include "compat.h"

#define COUNT_RELNAME	"capture_count"

enum
{
	Anum_count_source = 1,
	Anum_count_capture_id,
	Anum_count_slot,
	Anum_count_messages,
	Natts_count = Anum_count_messages
};

/* messages of one subtransaction, not yet counted in the table */
typedef struct CaptureCount
{
	Oid			source;
	int32		number;
	SubTransactionId subid;
	int64		messages;
} CaptureCount;

static List *counts = NIL;

void
capture_count_add(Oid source, int32 number, int64 messages)
{
	SubTransactionId subid = GetCurrentSubTransactionId();
	MemoryContext old;
	CaptureCount *count;
	ListCell   *lc;

	if (messages == 0)
		return;
	foreach(lc, counts)
	{
		count = lfirst(lc);
		if (count->source == source && count->number == number && count->subid == subid)
		{
			count->messages += messages;
			return;
		}
	}
	old = MemoryContextSwitchTo(TopTransactionContext);
	count = palloc(sizeof(CaptureCount));
	count->source = source;
	count->number = number;
	count->subid = subid;
	count->messages = messages;
	counts = lappend(counts, count);
	MemoryContextSwitchTo(old);
}

/* ---- the table ---- */

/*
 * Update a row, unless a prepared transaction of a process with the same number
 * has updated it.  Nobody else does.
 */
static bool
update_row(Relation catalog, HeapTuple tuple, int64 messages)
{
	Datum		values[Natts_count] = {0};
	bool		nulls[Natts_count] = {false};
	bool		replaces[Natts_count] = {false};
	TransactionId xmax = HeapTupleHeaderGetUpdateXid(tuple->t_data);
	bool		isnull;

	if (!(tuple->t_data->t_infomask & HEAP_XMAX_INVALID) && TransactionIdIsValid(xmax) &&
		(TransactionIdIsInProgress(xmax) || TransactionIdDidCommit(xmax)))
		return false;
	values[Anum_count_messages - 1] =
		Int64GetDatum(messages +
					  DatumGetInt64(heap_getattr(tuple, Anum_count_messages,
												 RelationGetDescr(catalog), &isnull)));
	replaces[Anum_count_messages - 1] = true;
	base_catalog_update(catalog, tuple, values, nulls, replaces);
	return true;
}

static SysScanDesc
begin_scan(Relation catalog, Oid source, int32 number, int nkeys)
{
	ScanKeyData keys[3];

	ScanKeyInit(&keys[0], Anum_count_source, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(source));
	ScanKeyInit(&keys[1], Anum_count_capture_id, BTEqualStrategyNumber, F_INT4EQ,
				Int32GetDatum(number));
	ScanKeyInit(&keys[2], Anum_count_slot, BTEqualStrategyNumber, F_INT4EQ,
				Int32GetDatum(COMPAT_MY_PROC_NUMBER));
	return systable_beginscan(catalog, base_catalog_index(catalog, "capture_count_slot"), true,
							  NULL, nkeys, keys);
}

static void
add_to_table(Relation catalog, const CaptureCount *count)
{
	SysScanDesc scan = begin_scan(catalog, count->source, count->number, 3);
	HeapTuple	tuple;
	bool		done = false;

	while (!done && HeapTupleIsValid(tuple = systable_getnext(scan)))
		done = update_row(catalog, tuple, count->messages);
	systable_endscan(scan);
	if (!done)
	{
		Datum		values[Natts_count];
		bool		nulls[Natts_count] = {false};

		values[Anum_count_source - 1] = ObjectIdGetDatum(count->source);
		values[Anum_count_capture_id - 1] = Int32GetDatum(count->number);
		values[Anum_count_slot - 1] = Int32GetDatum(COMPAT_MY_PROC_NUMBER);
		values[Anum_count_messages - 1] = Int64GetDatum(count->messages);
		base_catalog_insert(catalog, values, nulls);
	}
}

void
capture_count_delete(Oid source, int32 number)
{
	Relation	catalog = base_catalog_open(COUNT_RELNAME, Natts_count, RowExclusiveLock, true);
	SysScanDesc scan;
	HeapTuple	tuple;
	ListCell   *lc;

	foreach(lc, counts)
	{
		CaptureCount *count = lfirst(lc);

		if (count->source == source && count->number == number)
			count->messages = 0;
	}
	if (catalog == NULL)
		return;
	scan = begin_scan(catalog, source, number, 2);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
		base_catalog_delete(catalog, tuple);
	systable_endscan(scan);
	table_close(catalog, NoLock);
}

/* ---- the end of a transaction ---- */

/* merge the counts of subtransactions, and add them to the table */
static void
store_counts(void)
{
	Relation	catalog;
	ListCell   *lc;
	ListCell   *other;

	if (counts == NIL)
		return;
	catalog = base_catalog_open(COUNT_RELNAME, Natts_count, RowExclusiveLock, true);
	if (catalog == NULL)
		return;
	foreach(lc, counts)
	{
		CaptureCount *count = lfirst(lc);

		for_each_cell(other, counts, lnext(counts, lc))
		{
			CaptureCount *more = lfirst(other);

			if (more->source == count->source && more->number == count->number)
			{
				count->messages += more->messages;
				more->messages = 0;
			}
		}
		if (count->messages > 0)
			add_to_table(catalog, count);
	}
	table_close(catalog, NoLock);
}

static void
xact_callback(XactEvent event, void *arg)
{
	switch (event)
	{
		case XACT_EVENT_PRE_COMMIT:
		case XACT_EVENT_PRE_PREPARE:
			store_counts();
			counts = NIL;
			break;
		case XACT_EVENT_COMMIT:
		case XACT_EVENT_ABORT:
		case XACT_EVENT_PREPARE:
			counts = NIL;
			break;
		default:
			break;
	}
}

static void
subxact_callback(SubXactEvent event, SubTransactionId subid, SubTransactionId parent, void *arg)
{
	ListCell   *lc;

	if (event != SUBXACT_EVENT_COMMIT_SUB && event != SUBXACT_EVENT_ABORT_SUB)
		return;
	foreach(lc, counts)
	{
		CaptureCount *count = lfirst(lc);

		if (count->subid != subid)
			continue;
		if (event == SUBXACT_EVENT_COMMIT_SUB)
			count->subid = parent;
		else
			count->messages = 0;
	}
}

void
capture_count_init(void)
{
	RegisterXactCallback(xact_callback, NULL);
	RegisterSubXactCallback(subxact_callback, NULL);
}
