/*
 * load_plan.c
 *	  Restored messages get into the partitions they came from.
 *
 * A dump has a stream's messages partition after partition, each in offset
 * order.  Another table of the dump has the plan (LogPlan): how many messages
 * each partition had.  Either of the two may be restored first, and several
 * sessions may restore at the same time.
 *
 * If the plan comes first, it is kept in streamq.restored_stream.  A session
 * that restores a dump then puts the rows that it appends to the empty stream
 * where they belong.
 *
 * If the messages come first and the stream has one partition, they are in the
 * order of the dump.  If it has several, the order would be lost, so the
 * session records in streamq.restored_order which partition each row went to.
 * When the plan comes, all messages are compared with it.  If they are the
 * messages of the dump, and the stream has no others, they move to a new file,
 * as with TRUNCATE.
 *
 * A session that appends messages holds RowExclusiveLock on the stream until
 * the end of its transaction, and a session that brings the plan holds
 * ShareRowExclusiveLock.  So each waits for the other and sees what it did.
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/indexing.h"
#include "catalog/namespace.h"
#include "catalog/pg_type.h"
#include "commands/tablecmds.h"
#include "common/hashfn.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "storage/proc.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/guc.h"
#include "utils/snapmgr.h"

#include "base/catalog.h"
#include "base/dump.h"
#include "log/am/am.h"
#include "log/dump/load_plan.h"
#include "log/load.h"
#include "log/log.h"
#include "log/options.h"
#include "log/page/row_codec.h"
#include "log/page/structure.h"
#include "log/read/slot.h"
#include "log/reader.h"
#include "log/space/partition.h"
#include "log/space/relcache.h"
#include "log/write/append.h"
#include "log/write/append_batch.h"
#include "log/write/barrier.h"
#include "log/state_page.h"

/* streamq.restored_stream */
enum
{
	Anum_plan_relid = 1,
	Anum_plan_messages,
	Anum_plan_firsts,
	Anum_plan_prints,
	Anum_plan_barriers,
	Natts_plan = Anum_plan_barriers
};

/* streamq.restored_order */
enum
{
	Anum_order_relid = 1,
	Anum_order_number,
	Anum_order_partitions,
	Natts_order = Anum_order_partitions
};

typedef enum LoadKind
{
	LOAD_ORDINARY,				/* rows are routed as usual */
	LOAD_PLACE,					/* rows follow the plan */
	LOAD_NOTE					/* there is no plan yet, so record where rows
								 * go */
} LoadKind;

/*
 * What this session restores.  This is known to be valid in the transaction
 * that found it out, and in a later transaction if nothing else was appended
 * in between.
 */
static struct
{
	Oid			relid;			/* InvalidOid: nothing */
	LocalTransactionId lxid;
	LoadKind	kind;
	int64		end;			/* sum of the next offsets after our last
								 * append */
	int64		number;			/* number of rows restored so far */
	int			partition;		/* partition of the next row by the plan */
	int64		placed;			/* number of rows that it has already */
	LogPlan		plan;
}			load;

/* Is this session running a script of pg_dump or pg_restore? */
static bool
is_restoring(void)
{
	return !check_function_bodies &&
		(namespace_search_path == NULL || namespace_search_path[0] == '\0');
}

static void
load_forget(void)
{
	load.relid = InvalidOid;
}

/* ---- the tables ---- */

static Relation
open_plans(LOCKMODE lockmode, bool missing_ok)
{
	return base_catalog_open("restored_stream", Natts_plan, lockmode, missing_ok);
}

static Relation
open_order(LOCKMODE lockmode, bool missing_ok)
{
	return base_catalog_open("restored_order", Natts_order, lockmode, missing_ok);
}

static void
delete_rows(Relation catalog, AttrNumber column, Oid relid)
{
	if (catalog == NULL)
		return;
	base_catalog_delete_by_key(catalog, InvalidOid, column, ObjectIdGetDatum(relid));
	table_close(catalog, NoLock);
}

void
log_plan_forget(Oid relid)
{
	delete_rows(open_plans(RowExclusiveLock, true), Anum_plan_relid, relid);
	delete_rows(open_order(RowExclusiveLock, true), Anum_order_relid, relid);
}

static bool
read_plan(Oid relid, LogPlan *plan)
{
	Relation	catalog = open_plans(AccessShareLock, false);
	HeapTuple	tuple = base_catalog_fetch(catalog, Anum_plan_relid, ObjectIdGetDatum(relid));

	if (HeapTupleIsValid(tuple))
	{
		Datum		values[Natts_plan];
		bool		nulls[Natts_plan];
		int64	   *barriers;
		int			n;

		heap_deform_tuple(tuple, RelationGetDescr(catalog), values, nulls);
		plan->npartitions = base_read_numbers(values[Anum_plan_messages - 1],
											  LOG_MAX_PARTITIONS, plan->messages);
		(void) base_read_numbers(values[Anum_plan_firsts - 1], LOG_MAX_PARTITIONS, plan->firsts);
		(void) base_read_numbers(values[Anum_plan_prints - 1], LOG_MAX_PARTITIONS, plan->prints);
		n = base_count_numbers(values[Anum_plan_barriers - 1]);
		barriers = MemoryContextAlloc(TopMemoryContext, sizeof(int64) * Max(n, 1));
		plan->nbarriers = base_read_numbers(values[Anum_plan_barriers - 1], n, barriers) / 3;
		plan->barriers = barriers;
	}
	table_close(catalog, AccessShareLock);
	return HeapTupleIsValid(tuple);
}

static void
keep_plan(Oid relid, const LogPlan *plan)
{
	Relation	catalog = open_plans(RowExclusiveLock, false);
	Datum		values[Natts_plan];
	bool		nulls[Natts_plan] = {false};

	values[Anum_plan_relid - 1] = ObjectIdGetDatum(relid);
	values[Anum_plan_messages - 1] = base_make_numbers(plan->messages, plan->npartitions);
	values[Anum_plan_firsts - 1] = base_make_numbers(plan->firsts, plan->npartitions);
	values[Anum_plan_prints - 1] = base_make_numbers(plan->prints, plan->npartitions);
	values[Anum_plan_barriers - 1] = base_make_numbers(plan->barriers, plan->nbarriers * 3);
	base_catalog_insert(catalog, values, nulls);
	table_close(catalog, NoLock);
}

/*
 * Partitions of all rows in the order in which they were restored, *total of
 * them.  NULL if the record is incomplete.
 */
static uint8 *
read_order(Oid relid, int64 *total)
{
	Relation	catalog = open_order(AccessShareLock, false);
	Relation	index = index_open(COMPAT_PRIMARY_KEY_INDEX(catalog), AccessShareLock);
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;
	uint8	   *order = NULL;
	int64		size = 0;
	bool		complete = true;

	*total = 0;
	ScanKeyInit(&key, Anum_order_relid, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(relid));
	scan = systable_beginscan_ordered(catalog, index, NULL, 1, &key);
	while (complete && (tuple = systable_getnext_ordered(scan, ForwardScanDirection)) != NULL)
	{
		TupleDesc	desc = RelationGetDescr(catalog);
		bool		isnull;
		bytea	   *bytes = DatumGetByteaPP(heap_getattr(tuple, Anum_order_partitions,
														 desc, &isnull));
		int64		n = VARSIZE_ANY_EXHDR(bytes);

		if (DatumGetInt64(heap_getattr(tuple, Anum_order_number, desc, &isnull)) != *total)
		{
			complete = false;
			break;
		}
		if (*total + n > size)
		{
			size = Max(65536, (*total + n) * 2);
			order = order ? repalloc_huge(order, size) :
				MemoryContextAllocHuge(CurrentMemoryContext, size);
		}
		memcpy(order + *total, VARDATA_ANY(bytes), n);
		*total += n;
	}
	systable_endscan_ordered(scan);
	index_close(index, AccessShareLock);
	table_close(catalog, AccessShareLock);
	return complete ? order : NULL;
}

/* ---- what a stream holds ---- */

/* Count the messages that the current transaction sees; returns their sum. */
static int64
count_messages(Relation rel, int npartitions, int64 *rows)
{
	Snapshot	snapshot = RegisterSnapshot(GetLatestSnapshot());
	int64		total = 0;

	for (int p = 0; p < npartitions; p++)
	{
		rows[p] = log_count_messages(rel, p, snapshot);
		total += rows[p];
	}
	UnregisterSnapshot(snapshot);
	return total;
}

static int64
sum_of_ends(Relation rel)
{
	int			npartitions = log_partition_count(rel);
	int64		sum = 0;

	for (int p = 0; p < npartitions; p++)
		sum += log_next_offset(rel, p);
	return sum;
}

/* Offset at which the first n messages of a partition end. */
static int64
end_of_rows(Relation rel, int partition, int64 n, Snapshot snapshot)
{
	int64		off;

	if (n == 0)
		return 0;
	log_nth_rows(rel, partition, &n, 1, snapshot, &off);
	return off + 1;
}

/* Set the barriers of partition_by changes: triples with a negative number. */
static void
set_routing_barriers(Relation rel, const LogPlan *plan, Snapshot snapshot)
{
	int64	   *offsets = palloc0(sizeof(int64) * LOG_MAX_BARRIERS * plan->npartitions);
	int			n = 0;

	for (int i = 0; i < plan->nbarriers; i++)
	{
		const int64 *barrier = &plan->barriers[3 * i];
		int64		k = -barrier[1] - 1;

		if (k < 0 || k >= LOG_MAX_BARRIERS || barrier[0] < 0 || barrier[0] >= plan->npartitions)
			continue;
		offsets[k * plan->npartitions + barrier[0]] =
			end_of_rows(rel, (int) barrier[0], barrier[2], snapshot);
		n = Max(n, (int) k + 1);
	}
	log_set_barriers(rel, plan->npartitions, n, offsets);
	pfree(offsets);
}

static void
set_barriers(Relation rel, const LogPlan *plan)
{
	Snapshot	snapshot = RegisterSnapshot(GetLatestSnapshot());

	for (int p = 1; p < plan->npartitions; p++)
	{
		int			parents[LOG_MAX_PARTITIONS];
		int64		ends[LOG_MAX_PARTITIONS];
		int			n = 0;

		for (int i = 0; i < plan->nbarriers; i++)
		{
			const int64 *barrier = &plan->barriers[3 * i];

			if (barrier[0] == p && barrier[1] >= 0 && barrier[1] < p && n < p)
			{
				parents[n] = (int) barrier[1];
				ends[n] = end_of_rows(rel, parents[n], barrier[2], snapshot);
				if (ends[n] > 0)
					n++;
			}
		}
		log_set_parents(rel, p, n, parents, ends);
	}
	set_routing_barriers(rel, plan, snapshot);
	UnregisterSnapshot(snapshot);
}

static void
add_routing_barriers(Relation rel, Snapshot snapshot, LogPlan *plan)
{
	int64	   *offsets = palloc(sizeof(int64) * LOG_MAX_BARRIERS * plan->npartitions);
	int			n = log_get_barriers(rel, plan->npartitions, offsets);
	int			number = 0;

	for (int i = 0; i < n; i++)
	{
		int			before = plan->nbarriers;

		for (int p = 0; p < plan->npartitions; p++)
		{
			int64	   *barrier = &plan->barriers[3 * plan->nbarriers];
			int64		end = offsets[i * plan->npartitions + p];
			int64		first = log_first_offset(rel, p);

			barrier[0] = p;
			barrier[1] = -(number + 1);
			barrier[2] = end <= first ? 0 : log_count_rows(rel, p, first, end, snapshot);
			if (barrier[2] > 0)
				plan->nbarriers++;
		}
		/* skip a barrier if nothing before it is left */
		if (plan->nbarriers > before)
			number++;
	}
	pfree(offsets);
}

void
log_plan_make(Relation rel, Snapshot snapshot, LogPlan *plan)
{
	StreamOptions options;

	memset(plan, 0, sizeof(LogPlan));
	log_options_get(rel, &options);
	/* one partition needs no plan */
	if (options.npartitions == 1 || !log_is_accessible(rel))
		return;
	plan->npartitions = options.npartitions;
	plan->barriers = palloc(sizeof(int64) * 3 * LOG_MAX_PARTITIONS *
							(LOG_MAX_PARTITIONS / 2 + LOG_MAX_BARRIERS));
	for (int p = 0; p < plan->npartitions; p++)
	{
		int			parents[LOG_MAX_PARTITIONS];
		int64		ends[LOG_MAX_PARTITIONS];
		int			nparents = log_get_parents(rel, p, parents, ends);

		CHECK_FOR_INTERRUPTS();
		plan->messages[p] = log_count_rows(rel, p, log_first_offset(rel, p), PG_INT64_MAX,
										   snapshot);
		plan->firsts[p] = log_print(rel, p, Min(plan->messages[p], 1), snapshot);
		plan->prints[p] = log_print(rel, p, plan->messages[p], snapshot);
		for (int i = 0; i < nparents; i++)
		{
			int64	   *barrier = &plan->barriers[3 * plan->nbarriers];
			int64		first = log_first_offset(rel, parents[i]);

			barrier[0] = p;
			barrier[1] = parents[i];
			barrier[2] = ends[i] <= first ? 0 :
				log_count_rows(rel, parents[i], first, ends[i], snapshot);
			if (barrier[2] > 0)
				plan->nbarriers++;
		}
	}
	add_routing_barriers(rel, snapshot, plan);
}

/*
 * ---- the plan came first ----
 */

/*
 * How far has the plan been followed?  Partitions are filled one after the
 * other.  False if the stream holds anything else.
 */
static bool
find_progress(Relation rel, int64 total, const int64 *rows)
{
	load.number = total;
	load.partition = 0;
	load.placed = rows[0];
	for (int p = 0; p < load.plan.npartitions; p++)
	{
		int64		want = Min(total, load.plan.messages[p]);

		if (rows[p] != want)
			return false;
		if (want > 0)
		{
			Snapshot	snapshot = RegisterSnapshot(GetLatestSnapshot());
			bool		same = log_print(rel, p, 1, snapshot) == load.plan.firsts[p];

			UnregisterSnapshot(snapshot);
			if (!same)
				return false;
			load.partition = p;
			load.placed = want;
		}
		total -= want;
	}
	return total == 0;
}

/* Find out what the rows are that are about to be appended. */
static void
begin_load(Relation rel)
{
	Oid			relid = RelationGetRelid(rel);
	int			npartitions = log_relcache(rel)->options.npartitions;
	bool		planned;
	int64		rows[LOG_MAX_PARTITIONS] = {0};
	int64		total;
	int64		noted;

	if (load.relid == relid && load.lxid == COMPAT_MY_LXID)
		return;
	if (load.plan.barriers)
		pfree(load.plan.barriers);
	load.plan.barriers = NULL;
	planned = read_plan(relid, &load.plan);
	if (load.relid == relid && planned == (load.kind == LOAD_PLACE) &&
		(load.kind == LOAD_ORDINARY || load.end == sum_of_ends(rel)))
	{
		load.lxid = COMPAT_MY_LXID;
		return;
	}

	load.relid = InvalidOid;
	load.kind = LOAD_ORDINARY;
	total = count_messages(rel, npartitions, rows);
	if (planned)
	{
		if (load.plan.npartitions == npartitions && find_progress(rel, total, rows))
			load.kind = LOAD_PLACE;
		else
			log_plan_forget(relid);
	}
	else if (total == 0)
	{
		log_plan_forget(relid);
		load.number = 0;
		load.kind = LOAD_NOTE;
	}
	else
	{
		uint8	   *order = read_order(relid, &noted);

		if (order != NULL && noted == total)
		{
			load.number = total;
			load.kind = LOAD_NOTE;
		}
		if (order)
			pfree(order);
	}
	load.lxid = COMPAT_MY_LXID;
	load.relid = relid;
}

/*
 * Place rows by the plan.  If the plan ends before the rows do, the rest is
 * routed as usual.
 */
static void
place_planned_rows(Relation rel, TupleTableSlot **slots, int nslots, int16 *partitions)
{
	LogPlan    *plan = &load.plan;

	for (int i = 0; i < nslots; i++)
	{
		while (load.partition < plan->npartitions &&
			   load.placed == plan->messages[load.partition])
		{
			load.partition++;
			load.placed = 0;
		}
		if (load.partition == plan->npartitions)
			break;

		/*
		 * the first row of the partition is not the one in the plan, so the
		 * rows are not the dump's
		 */
		if (load.placed == 0 &&
			(int64) hash_combine64(0, log_hash_slot(slots[i])) != plan->firsts[load.partition])
		{
			load.kind = LOAD_ORDINARY;
			log_plan_forget(RelationGetRelid(rel));
			break;
		}
		partitions[i] = (int16) load.partition;
		load.placed++;
	}
}

static void
load_place(Relation rel, TupleTableSlot **slots, int nslots, int16 *partitions, bool *noted)
{
	*noted = false;
	if (likely(!is_restoring()))
		return;
	begin_load(rel);
	if (load.kind == LOAD_PLACE)
		place_planned_rows(rel, slots, nslots, partitions);
	*noted = load.kind != LOAD_ORDINARY;
}

/*
 * Rows were appended: record where they went if there is no plan yet.  If the
 * plan is complete, set its barriers and delete it.
 */
static void
load_note(Relation rel, const int16 *partitions, int nrows)
{
	Oid			relid = RelationGetRelid(rel);

	load.end = sum_of_ends(rel);
	if (load.kind == LOAD_NOTE)
	{
		Relation	catalog = open_order(RowExclusiveLock, false);
		Datum		values[Natts_order];
		bool		nulls[Natts_order] = {false};
		bytea	   *bytes = palloc(VARHDRSZ + nrows);

		SET_VARSIZE(bytes, VARHDRSZ + nrows);
		for (int i = 0; i < nrows; i++)
			((uint8 *) VARDATA(bytes))[i] = (uint8) partitions[i];
		values[Anum_order_relid - 1] = ObjectIdGetDatum(relid);
		values[Anum_order_number - 1] = Int64GetDatum(load.number);
		values[Anum_order_partitions - 1] = PointerGetDatum(bytes);
		CatalogTupleInsert(catalog, heap_form_tuple(RelationGetDescr(catalog), values, nulls));
		table_close(catalog, NoLock);
		pfree(bytes);
	}
	load.number += nrows;
	if (load.kind == LOAD_PLACE)
	{
		int64		total = 0;

		for (int p = 0; p < load.plan.npartitions; p++)
			total += load.plan.messages[p];
		if (load.number < total)
			return;
		/* all messages of the plan are there */
		CommandCounterIncrement();
		set_barriers(rel, &load.plan);
		log_plan_forget(relid);
		load.kind = LOAD_ORDINARY;
	}
}

static void
xact_callback(XactEvent event, void *arg)
{
	if (event == XACT_EVENT_ABORT)
		load.relid = InvalidOid;
}

static void
subxact_callback(SubXactEvent event, SubTransactionId mySubid, SubTransactionId parentSubid,
				 void *arg)
{
	if (event == SUBXACT_EVENT_ABORT_SUB)
		load.relid = InvalidOid;
}

static const LogPlacement load_placement = {
	.place = load_place,
	.note = load_note,
	.file_changed = load_forget,
};

void
log_load_init(void)
{
	log_register_placement(&load_placement);
	RegisterXactCallback(xact_callback, NULL);
	RegisterSubXactCallback(subxact_callback, NULL);
}

/*
 * ---- the messages came first ----
 */

/*
 * All messages in the order in which they were restored; NULL if they are not
 * the messages of the plan.
 */
static LogRowStore *
collect_messages(Relation rel, const LogPlan *plan, const uint8 *order, Snapshot snapshot)
{
	LogRowStore *store = log_row_store_create(rel);
	TupleTableSlot *slot = log_slot_create(rel);
	LogReader  *readers[LOG_MAX_PARTITIONS] = {NULL};
	LogKeptRow	kept = {0};
	int64		number = 0;
	bool		same = true;

	for (int p = 0; p < plan->npartitions && same; p++)
	{
		int64		ns[LOG_PRINT_SAMPLES];
		int			nsamples = log_print_samples(plan->messages[p], ns);
		int			sample = 0;
		uint64		hash = 0;

		for (int64 n = 1; n <= plan->messages[p] && same; n++)
		{
			int			from = order ? order[number] : 0;

			CHECK_FOR_INTERRUPTS();
			if (readers[from] == NULL)
				readers[from] = log_reader_begin(rel, from, 0, PG_INT64_MAX, snapshot, false);
			if (!log_reader_next(readers[from], slot))
			{
				same = false;
				break;
			}
			log_row_store_add(store, slot, &kept);
			number++;
			if (sample < nsamples && ns[sample] == n)
			{
				hash = hash_combine64(hash, log_hash_slot(slot));
				sample++;
			}
		}
		same = same && (int64) hash == plan->prints[p];
	}
	ExecDropSingleTupleTableSlot(slot);
	for (int p = 0; p < LOG_MAX_PARTITIONS; p++)
		if (readers[p])
			log_reader_end(readers[p]);
	if (same)
		return store;
	log_row_store_end(store);
	return NULL;
}

/* most rows and bytes appended at once */
#define MOVE_ROWS	1000
#define MOVE_BYTES	(1024 * 1024)

/* Append the kept rows partition by partition, as the plan says. */
static void
append_messages(Relation rel, const LogPlan *plan, LogRowStore *store)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "streamq restore",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	LogRow		rows[MOVE_ROWS];
	CommandId	cid = GetCurrentCommandId(true);

	for (int p = 0; p < plan->npartitions; p++)
	{
		int64		left = plan->messages[p];

		while (left > 0)
		{
			int			n = 0;
			Size		bytes = 0;

			CHECK_FOR_INTERRUPTS();
			while (left > 0 && n < MOVE_ROWS && bytes < MOVE_BYTES)
			{
				LogKeptRow	kept;
				TupleTableSlot *slot = log_row_store_next(store, &kept);
				char	   *body;

				if (slot == NULL)
					elog(ERROR, "kept rows of stream \"%s\" ended early",
						 RelationGetRelationName(rel));
				log_slot_get_row(slot, &rows[n]);
				body = MemoryContextAllocHuge(context, Max(rows[n].len, 1));
				memcpy(body, rows[n].body, rows[n].len);
				rows[n].body = body;
				bytes += rows[n].len;
				n++;
				left--;
			}
			(void) log_append_rows(rel, p, rows, n, cid);
			MemoryContextReset(context);
		}
	}
	MemoryContextSwitchTo(old);
	MemoryContextDelete(context);
	CommandCounterIncrement();
}

/*
 * The stream has as many messages as the plan.  If they are the dump's
 * messages, move them to where they belong.
 */
static bool
move_messages(Relation rel, const LogPlan *plan, int64 total, const int64 *rows)
{
	Oid			relid = RelationGetRelid(rel);
	LogRowStore *store;
	Snapshot	snapshot;
	uint8	   *order = NULL;
	int64		noted;

	if (rows[0] != total)
	{
		order = read_order(relid, &noted);
		if (order == NULL || noted != total)
			return false;
	}
	/* a group has begun to consume */
	if (log_state_count(rel) > 0)
		return false;
	snapshot = RegisterSnapshot(GetLatestSnapshot());
	store = collect_messages(rel, plan, order, snapshot);
	UnregisterSnapshot(snapshot);
	if (order)
		pfree(order);
	if (store == NULL)
		return false;

	LockRelation(rel, AccessExclusiveLock);
	CheckTableNotInUse(rel, "restore");
	log_begin_anew(rel);
	log_ensure_partitions(rel, plan->npartitions);
	append_messages(rel, plan, store);
	log_row_store_end(store);
	set_barriers(rel, plan);
	return true;
}

static bool
is_in_place(Relation rel, const LogPlan *plan, const int64 *rows)
{
	Snapshot	snapshot = RegisterSnapshot(GetLatestSnapshot());
	bool		same = true;

	for (int p = 0; p < plan->npartitions && same; p++)
		same = rows[p] == plan->messages[p] &&
			log_print(rel, p, rows[p], snapshot) == plan->prints[p];
	UnregisterSnapshot(snapshot);
	return same;
}

bool
log_plan_follow(Relation rel, const LogPlan *plan)
{
	Oid			relid = RelationGetRelid(rel);
	int64		rows[LOG_MAX_PARTITIONS] = {0};
	int64		all = 0;
	int64		total;
	bool		moved = false;

	for (int p = 0; p < plan->npartitions; p++)
		all += plan->messages[p];
	total = count_messages(rel, plan->npartitions, rows);
	if (total == all && is_in_place(rel, plan, rows))
	{
		if (total > 0)
			set_barriers(rel, plan);
	}
	else if (total == all)
		moved = move_messages(rel, plan, total, rows);
	log_plan_forget(relid);
	load_forget();
	if (total == 0 && all > 0)
		keep_plan(relid, plan);
	return moved;
}
