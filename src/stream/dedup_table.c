/*
 * dedup_table.c
 *	  The tables of ids: streamq.dedup_0 and streamq.dedup_1.
 *
 * Ids that are not needed any more must leave without VACUUM.  So there are
 * two tables, and new ids go into the current one.  When it has been current
 * for as long as ids are remembered, the other table becomes current.  By then
 * all ids in the other table are too old, so it was truncated.
 *
 * An id is looked up in all tables, so it does not matter whether everybody
 * knows the newest current table.  The lock of an id keeps others from
 * inserting it at the same time into another table.
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/heapam.h"
#include "access/htup_details.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "catalog/index.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "port/pg_bswap.h"
#include "storage/bufmgr.h"
#include "storage/lmgr.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/guc.h"
#include "utils/fmgrprotos.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "base/catalog.h"
#include "base/try.h"
#include "compat.h"
#include "stream/dedup.h"
#include "stream/dedup_table.h"

/* columns of the tables */
#define Anum_dedup_key	1
#define Anum_dedup_produced_at	2
#define Anum_dedup_msg_id	3
#define Natts_dedup	3

/* columns of streamq.dedup_state */
#define Anum_dedup_state_number	1
#define Anum_dedup_state_current	2
#define Natts_dedup_state	3

/* rows inserted together */
#define INSERT_STEP		128

/* ms for which a producer may believe that an older table is current */
#define SWITCH_SLACK	1000

/* how long forgetting ids may keep producers waiting */
#define LOCK_PATIENCE	"50ms"

static const char *const table_names[DEDUP_TABLES] = {"dedup_0", "dedup_1"};

static Relation
open_table(int table, LOCKMODE lockmode)
{
	return base_catalog_open(table_names[table], Natts_dedup, lockmode, false);
}

/*
 * Long ids would make keys too large for an index.  So the key of a long id
 * has a cryptographic hash of the id.  Such a key is longer than the key of
 * any short id.
 */
bytea *
stream_dedup_key(Oid relid, Datum id)
{
	text	   *value = DatumGetTextPP(id);
	int			length = VARSIZE_ANY_EXHDR(value);
	bool		is_long = length > DEDUP_MAX_ID;
	int			key_length = sizeof(uint32) + (is_long ? DEDUP_MAX_ID + 1 : length);
	bytea	   *key = palloc(VARHDRSZ + key_length);
	uint32		prefix = pg_hton32(relid);
	char	   *to = VARDATA(key);

	SET_VARSIZE(key, VARHDRSZ + key_length);
	memcpy(to, &prefix, sizeof(prefix));
	to += sizeof(prefix);
	if (is_long)
	{
		bytea	   *hash = DatumGetByteaPP(DirectFunctionCall1(sha512_bytea,
															   PointerGetDatum(value)));
		int			hash_length = VARSIZE_ANY_EXHDR(hash);

		/* the beginning of the id, which keeps similar ids together, first */
		memcpy(to, VARDATA_ANY(value), DEDUP_MAX_ID + 1 - hash_length);
		memcpy(to + DEDUP_MAX_ID + 1 - hash_length, VARDATA_ANY(hash), hash_length);
	}
	else
		memcpy(to, VARDATA_ANY(value), length);
	return key;
}

/* ---- searching ---- */

void
stream_dedup_search_begin(DedupSearch *search)
{
	InitDirtySnapshot(search->dirty);
	for (int i = 0; i < DEDUP_TABLES; i++)
	{
		Relation	heap = open_table(i, AccessShareLock);

		if (RelationGetNumberOfBlocks(heap) == 0)
		{
			table_close(heap, AccessShareLock);
			search->heap[i] = NULL;
			continue;
		}
		search->heap[i] = heap;
		search->index[i] = index_open(COMPAT_PRIMARY_KEY_INDEX(heap), AccessShareLock);
		search->scan[i] = COMPAT_INDEX_BEGINSCAN(heap, search->index[i], &search->dirty, 1);
		search->slot[i] = table_slot_create(heap, NULL);
	}
}

void
stream_dedup_search_end(DedupSearch *search)
{
	for (int i = 0; i < DEDUP_TABLES; i++)
	{
		if (search->heap[i] == NULL)
			continue;
		ExecDropSingleTupleTableSlot(search->slot[i]);
		index_endscan(search->scan[i]);
		index_close(search->index[i], AccessShareLock);

		/*
		 * not to the end of the transaction: a table is truncated when it is
		 * old
		 */
		table_close(search->heap[i], AccessShareLock);
	}
}

/* read the entry in a slot */
static void
read_entry(DedupSearch *search, int table, DedupEntry *entry)
{
	TupleTableSlot *slot = search->slot[table];
	bool		isnull;
	Datum		value;

	entry->table = table;
	entry->tid = slot->tts_tid;
	entry->writer = TransactionIdIsValid(search->dirty.xmin) ?
		search->dirty.xmin : search->dirty.xmax;
	value = slot_getattr(slot, Anum_dedup_produced_at, &isnull);
	entry->produced_at = DatumGetTimestampTz(value);
	value = slot_getattr(slot, Anum_dedup_msg_id, &isnull);
	entry->msg_id = isnull ? STREAM_WAITING : DatumGetInt64(value);
	entry->seen = true;
	if (IsolationIsSerializable() && !TransactionIdIsValid(entry->writer))
	{
		value = slot_getsysattr(slot, MinTransactionIdAttributeNumber, &isnull);
		entry->seen = TransactionIdIsCurrentTransactionId(DatumGetTransactionId(value)) ||
			table_tuple_satisfies_snapshot(search->heap[table], slot,
										   GetTransactionSnapshot());
	}
}

bool
stream_dedup_search(DedupSearch *search, bytea *key, DedupEntry *entry)
{
	ScanKeyData scankey;

	ScanKeyInit(&scankey, Anum_dedup_key, BTEqualStrategyNumber, F_BYTEAEQ,
				PointerGetDatum(key));
	for (int i = 0; i < DEDUP_TABLES; i++)
	{
		bool		found;

		if (search->heap[i] == NULL)
			continue;
		index_rescan(search->scan[i], &scankey, 1, NULL, 0);
		found = index_getnext_slot(search->scan[i], ForwardScanDirection, search->slot[i]);
		if (found)
			read_entry(search, i, entry);
		ExecClearTuple(search->slot[i]);
		if (found)
			return true;
	}
	return false;
}

/* ---- changing ---- */

static int
current_table(void)
{
	Relation	state = base_catalog_open("dedup_state", Natts_dedup_state, AccessShareLock, false);
	HeapTuple	tuple = base_catalog_fetch(state, Anum_dedup_state_number, Int32GetDatum(0));
	int			current = 0;
	bool		isnull;

	if (HeapTupleIsValid(tuple))
		current = DatumGetInt32(heap_getattr(tuple, Anum_dedup_state_current,
											 RelationGetDescr(state), &isnull));
	table_close(state, AccessShareLock);
	return current;
}

/*
 * Open the current table for inserting.  The lock stays until the transaction
 * ends, so the table is not truncated before.
 */
static Relation
open_current(void)
{
	int			current = current_table();

	for (;;)
	{
		Relation	heap = open_table(current, RowExclusiveLock);
		int			now = current_table();

		if (now == current)
			return heap;
		/* another table became current while we waited for the lock */
		table_close(heap, RowExclusiveLock);
		current = now;
	}
}

/* fill a slot for each entry */
static void
fill_slots(TupleTableSlot **slots, const DedupNewEntry *entries, int n)
{
	TimestampTz now = GetCurrentTimestamp();

	for (int i = 0; i < n; i++)
	{
		TupleTableSlot *slot = slots[i];

		ExecClearTuple(slot);
		memset(slot->tts_isnull, false, Natts_dedup * sizeof(bool));
		slot->tts_values[Anum_dedup_key - 1] = PointerGetDatum(entries[i].key);
		slot->tts_values[Anum_dedup_produced_at - 1] = TimestampTzGetDatum(now);
		slot->tts_values[Anum_dedup_msg_id - 1] = Int64GetDatum(entries[i].msg_id);
		slot->tts_isnull[Anum_dedup_msg_id - 1] = entries[i].msg_id == STREAM_WAITING;
		ExecStoreVirtualTuple(slot);
	}
}

static void
insert_into_index(Relation heap, Relation index, IndexInfo *info, TupleTableSlot *slot)
{
	bool		isnull = false;

	/*
	 * The lock of the id keeps others from inserting it.  But a trigger of
	 * the stream may have produced it between the search and now.
	 */
	if (!index_insert(index, slot->tts_values, &isnull, &slot->tts_tid, heap,
					  UNIQUE_CHECK_PARTIAL, false, info))
		ereport(ERROR,
				(errcode(ERRCODE_UNIQUE_VIOLATION),
				 errmsg("a trigger has produced another message with the same dedup_id")));
}

void
stream_dedup_insert(const DedupNewEntry *entries, int n)
{
	Relation	heap;
	Relation	index;
	IndexInfo  *info;
	TupleTableSlot *slots[INSERT_STEP];
	int			nslots = Min(n, INSERT_STEP);
	CommandId	cid = GetCurrentCommandId(true);

	if (n == 0)
		return;
	heap = open_current();
	index = index_open(COMPAT_PRIMARY_KEY_INDEX(heap), RowExclusiveLock);
	info = BuildIndexInfo(index);
	for (int i = 0; i < nslots; i++)
		slots[i] = MakeSingleTupleTableSlot(RelationGetDescr(heap), &TTSOpsVirtual);
	for (int from = 0; from < n; from += nslots)
	{
		int			step = Min(nslots, n - from);

		CHECK_FOR_INTERRUPTS();
		fill_slots(slots, entries + from, step);
		if (step == 1)
			table_tuple_insert(heap, slots[0], cid, 0, NULL);
		else
			table_multi_insert(heap, slots, step, cid, 0, NULL);
		for (int i = 0; i < step; i++)
			insert_into_index(heap, index, info, slots[i]);
	}
	for (int i = 0; i < nslots; i++)
		ExecDropSingleTupleTableSlot(slots[i]);
	index_close(index, RowExclusiveLock);
	table_close(heap, NoLock);
}

void
stream_dedup_delete(const DedupEntry *entry)
{
	Relation	heap = open_table(entry->table, RowExclusiveLock);
	ItemPointerData tid = entry->tid;

	simple_heap_delete(heap, &tid);
	table_close(heap, NoLock);
}

void
stream_dedup_set_msg_id(const DedupEntry *entry, int64 msg_id)
{
	Relation	heap = open_table(entry->table, RowExclusiveLock);
	HeapTupleData old;
	Buffer		buffer;
	Datum		values[Natts_dedup] = {0};
	bool		nulls[Natts_dedup] = {false};
	bool		replaces[Natts_dedup] = {false};

	old.t_self = entry->tid;
	if (!heap_fetch(heap, SnapshotSelf, &old, &buffer, false))
		elog(ERROR, "could not find an entry of table \"%s\"", RelationGetRelationName(heap));
	values[Anum_dedup_msg_id - 1] = Int64GetDatum(msg_id);
	replaces[Anum_dedup_msg_id - 1] = true;
	/* no index has this column */
	base_catalog_update(heap, &old, values, nulls, replaces);
	ReleaseBuffer(buffer);
	table_close(heap, NoLock);
}

/* ---- forgetting ---- */

bool
stream_dedup_is_used(void)
{
	bool		used = false;

	for (int i = 0; i < DEDUP_TABLES && !used; i++)
	{
		Relation	heap = base_catalog_open(table_names[i], Natts_dedup, AccessShareLock, true);

		if (heap == NULL)
			continue;
		used = RelationGetNumberOfBlocks(heap) > 0;
		table_close(heap, AccessShareLock);
	}
	return used;
}

static bool
is_empty(int table)
{
	Relation	heap = open_table(table, AccessShareLock);
	bool		empty = RelationGetNumberOfBlocks(heap) == 0;

	table_close(heap, AccessShareLock);
	return empty;
}

/*
 * The ids of a table are remembered for the longest dedup_window of the
 * streams that have ids in it.  Has this time passed since the table `began`
 * became current?  Also true if all these streams are gone.
 *
 * The query jumps from stream to stream in the index.  No id contains the byte
 * 0xff.
 */
static bool
is_window_over(int table, int began)
{
	const char *name = table_names[table];
	StringInfoData sql;
	bool		isnull;
	bool		result;

	initStringInfo(&sql);
	appendStringInfo(&sql,
					 "WITH RECURSIVE s AS ("
					 "(SELECT pg_catalog.substr(key, 1, 4) AS stream FROM streamq.%s ORDER BY key LIMIT 1) "
					 "UNION ALL "
					 "SELECT (SELECT pg_catalog.substr(d.key, 1, 4) FROM streamq.%s d "
					 "WHERE d.key OPERATOR(pg_catalog.>) (s.stream OPERATOR(pg_catalog.||) '\\xff'::pg_catalog.bytea) "
					 "ORDER BY d.key LIMIT 1) "
					 "FROM s WHERE s.stream IS NOT NULL) "
					 "SELECT coalesce((SELECT since[%d] FROM streamq.dedup_state) OPERATOR(pg_catalog.+) "
					 "pg_catalog.max(coalesce(o.dedup_window, '1 day')) "
					 "OPERATOR(pg_catalog.+) '%d ms'::pg_catalog.interval "
					 "OPERATOR(pg_catalog.<) pg_catalog.clock_timestamp(), true) "
					 "FROM s JOIN pg_catalog.pg_class c ON c.oid OPERATOR(pg_catalog.=) "
					 "('x' OPERATOR(pg_catalog.||) pg_catalog.encode(s.stream, 'hex'))::pg_catalog.bit(32)::pg_catalog.int8::pg_catalog.oid "
					 "LEFT JOIN streamq.stream_options o "
					 "ON o.stream::pg_catalog.oid OPERATOR(pg_catalog.=) c.oid",
					 name, name, began + 1, SWITCH_SLACK);
	if (SPI_execute(sql.data, true, 1) != SPI_OK_SELECT || SPI_processed != 1)
		elog(ERROR, "could not read table \"%s\"", name);
	result = DatumGetBool(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc,
										1, &isnull));
	return result;
}

static void
execute(const char *sql)
{
	if (SPI_execute(sql, false, 0) < 0)
		elog(ERROR, "could not execute \"%s\"", sql);
}

static void
wait_for_lock(void *arg)
{
	int			nestlevel = NewGUCNestLevel();

	/* the process has set it to zero in this way */
	(void) set_config_option("lock_timeout", LOCK_PATIENCE, PGC_SUSET, PGC_S_OVERRIDE,
							 GUC_ACTION_SAVE, true, 0, false);
	LockRelationOid(*(Oid *) arg, AccessExclusiveLock);
	AtEOXact_GUC(true, nestlevel);
}

static bool
is_lock_timeout(const ErrorData *error)
{
	return error->sqlerrcode == ERRCODE_LOCK_NOT_AVAILABLE;
}

/*
 * Lock a table to truncate it.  Producers that look up ids hold a lock on it
 * for a moment, so it is worth waiting for them.  But a transaction that has
 * inserted into the table may be in progress for long, and while this waits,
 * other producers have to wait, too.  So this does not wait for long.
 */
static bool
lock_table(int table)
{
	Oid			relid = base_catalog_oid(table_names[table], false);

	return ConditionalLockRelationOid(relid, AccessExclusiveLock) ||
		base_try(wait_for_lock, &relid, BASE_TRY_KEEP, is_lock_timeout) == NULL;
}

void
stream_dedup_maintain(void)
{
	int			current;
	int			next;

	SPI_connect();
	current = current_table();
	next = (current + 1) % DEDUP_TABLES;
	for (int i = 0; i < DEDUP_TABLES; i++)
	{
		/* a table takes ids until the next one becomes current */
		if (i == current || is_empty(i) || !is_window_over(i, (i + 1) % DEDUP_TABLES))
			continue;
		if (!lock_table(i))
			continue;
		execute(psprintf("TRUNCATE streamq.%s", table_names[i]));
	}
	if (!is_empty(current) && is_empty(next) &&
		is_window_over(current, current))
		execute(psprintf("UPDATE streamq.dedup_state SET current = %d, "
						 "since[%d] = pg_catalog.clock_timestamp()", next, next + 1));
	SPI_finish();
}
