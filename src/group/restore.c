/*
 * restore.c
 *	  Consumer groups in a logical dump.
 *
 * pg_dump reads tables, and a group's positions are in the pages of its stream.
 * So streamq.group_dump is a table that is always empty: what pg_dump reads there
 * is computed at that moment (its condition appends the rows of a function), and rows
 * that a restore writes there become groups.
 *
 * Offsets are not the same in a restored stream.  A dump tells for each
 * partition how many messages it had, how many from the first on the group had done, as
 * the dump's snapshot sees it, and a print of some of these.
 * The messages may be restored later than the groups, so this is kept in
 * streamq.restored_group and looked at when the group has no state yet.  Where the
 * messages cannot be recognized, the group begins at the first one.
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/pg_type.h"
#include "common/hashfn.h"
#include "executor/tuptable.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"

#include "api/api.h"
#include "base/dump.h"
#include "group/restore.h"
#include "group/store.h"
#include "group/version.h"
#include "log/log.h"
#include "streamq.h"

/* messages that make up a print */
#define PRINT_SAMPLES		64

#define RESTORED_CATALOG	"restored_group"

enum
{
	Anum_restored_group_id = 1,
	Anum_restored_messages,
	Anum_restored_done,
	Anum_restored_prints,
	Natts_restored = Anum_restored_prints
};

/* ---- prints of messages ---- */

/* values in their binary form, which no setting changes */
static uint64
hash_row(TupleTableSlot *slot)
{
	TupleDesc	desc = slot->tts_tupleDescriptor;
	uint64		hash = 0;

	slot_getallattrs(slot);
	for (int i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(desc, i);
		HeapTuple	tuple;
		Oid			send;
		uint64		h = 0;

		if (att->attisdropped)
			continue;
		if (!slot->tts_isnull[i])
		{
			tuple = SearchSysCache1(TYPEOID, ObjectIdGetDatum(att->atttypid));
			if (!HeapTupleIsValid(tuple))
				elog(ERROR, "cache lookup failed for type %u", att->atttypid);
			send = ((Form_pg_type) GETSTRUCT(tuple))->typsend;
			ReleaseSysCache(tuple);
			h = 1;
			if (OidIsValid(send))
			{
				bytea	   *bytes = OidSendFunctionCall(send, slot->tts_values[i]);

				h = hash_bytes_extended((unsigned char *) VARDATA(bytes),
										VARSIZE(bytes) - VARHDRSZ, 1);
				pfree(bytes);
			}
		}
		hash = hash_combine64(hash, h);
	}
	return hash;
}

/* of messages spread over the first n; 0 if there are not so many */
static int64
make_print(Relation rel, int partition, int64 n, Snapshot snapshot)
{
	TupleTableSlot *slot = log_slot_create(rel);
	int64		ns[PRINT_SAMPLES];
	int64		offsets[PRINT_SAMPLES];
	int			nsamples = (int) Min(n, PRINT_SAMPLES);
	uint64		hash = 0;

	for (int i = 0; i < nsamples; i++)
		ns[i] = nsamples == 1 ? 1 :
			1 + (int64) ((double) (n - 1) * i / (nsamples - 1));
	log_nth_rows(rel, partition, ns, nsamples, snapshot, offsets);
	for (int i = 0; i < nsamples; i++)
	{
		LogReader  *reader;

		if (offsets[i] < 0)
		{
			hash = 0;
			break;
		}
		reader = log_reader_begin(rel, partition, offsets[i], offsets[i] + 1, snapshot, false);
		if (log_reader_next(reader, slot))
			hash = hash_combine64(hash, hash_row(slot));
		log_reader_end(reader);
	}
	ExecDropSingleTupleTableSlot(slot);
	return (int64) hash;
}

/* ---- dump ---- */

static Datum
make_array(const int64 *numbers, int n)
{
	Datum	   *elems = palloc(sizeof(Datum) * Max(n, 1));

	for (int i = 0; i < n; i++)
		elems[i] = Int64GetDatum(numbers[i]);
	return PointerGetDatum(construct_array(elems, n, INT8OID, sizeof(int64),
										   FLOAT8PASSBYVAL, TYPALIGN_DOUBLE));
}

/*
 * group_progress(relid oid, group_id int4): messages, done, prints by partition
 */
PG_FUNCTION_INFO_V1(streamq_group_progress);
Datum
streamq_group_progress(PG_FUNCTION_ARGS)
{
	int32		group_id = PG_GETARG_INT32(1);
	Snapshot	snapshot = GetActiveSnapshot();
	Relation	rel;
	int64		messages[LOG_MAX_PARTITIONS];
	int64		done[LOG_MAX_PARTITIONS];
	int64		prints[LOG_MAX_PARTITIONS];
	int			npartitions;
	TupleDesc	desc;
	Datum		values[3];
	bool		nulls[3] = {0};

	streamq_require_loaded();
	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	rel = log_open_stream(PG_GETARG_OID(0), AccessShareLock);
	npartitions = log_partition_count(rel);
	for (int p = 0; p < npartitions; p++)
	{
		char		data[LOG_STATE_MAX];
		int			len;
		int64		first = log_first_offset(rel, p);
		int64		position;

		CHECK_FOR_INTERRUPTS();
		if (!log_state_read(rel, (uint32) group_id, p, data, &len))
			position = group_restored_position(rel, group_id, p);
		else if (!group_version_position(data, len, snapshot, &position))
			position = first;
		messages[p] = log_count_rows(rel, p, first, PG_INT64_MAX, snapshot);
		done[p] = log_count_rows(rel, p, first, position, snapshot);
		prints[p] = make_print(rel, p, done[p], snapshot);
	}
	table_close(rel, AccessShareLock);

	values[0] = make_array(messages, npartitions);
	values[1] = make_array(done, npartitions);
	values[2] = make_array(prints, npartitions);
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(desc), values, nulls)));
}

/* ---- restore ---- */

/*
 * BEFORE INSERT on streamq.group_dump: makes the group, and keeps the row out
 * of the table.
 */
PG_FUNCTION_INFO_V1(streamq_group_dump_restored);
Datum
streamq_group_dump_restored(PG_FUNCTION_ARGS)
{
	bool		isnull;

	(void) base_restore_row(fcinfo, "group_dump_restored",
							"SELECT streamq.restore_group($1)", &isnull);
	PG_RETURN_POINTER(NULL);
}

static int
read_numbers(HeapTuple tuple, int attnum, TupleDesc desc, int64 *numbers)
{
	bool		isnull;
	Datum		value = heap_getattr(tuple, attnum, desc, &isnull);
	Datum	   *elems;
	int			n;

	if (isnull)
		return 0;
	deconstruct_array(DatumGetArrayTypeP(value), INT8OID, sizeof(int64), FLOAT8PASSBYVAL,
					  TYPALIGN_DOUBLE, &elems, NULL, &n);
	n = Min(n, LOG_MAX_PARTITIONS);
	for (int i = 0; i < n; i++)
		numbers[i] = DatumGetInt64(elems[i]);
	return n;
}

/* find the group's row; both are to be closed by the caller if it is there */
static HeapTuple
find_restored(Relation catalog, int32 group_id, SysScanDesc *scan)
{
	ScanKeyData key;

	ScanKeyInit(&key, Anum_restored_group_id, BTEqualStrategyNumber, F_INT4EQ,
				Int32GetDatum(group_id));
	*scan = systable_beginscan(catalog, COMPAT_PRIMARY_KEY_INDEX(catalog), true, NULL,
							   1, &key);
	return systable_getnext(*scan);
}

/* are the first done messages of every partition where they were? */
static bool
same_places(Relation rel, const LogLoad *load, const int64 *messages, const int64 *done,
			const int64 *prints, int n, Snapshot snapshot)
{
	for (int p = 0; p < Max(n, load->npartitions); p++)
	{
		int64		was = p < n ? messages[p] : 0;
		int64		is = p < load->npartitions ? load->rows[p] : 0;

		if (was != is)
			return false;
	}
	for (int p = 0; p < Min(n, load->npartitions); p++)
		if (done[p] > 0 && make_print(rel, p, done[p], snapshot) != prints[p])
			return false;
	return true;
}

int64
group_restored_position(Relation rel, int32 group_id, int partition)
{
	Relation	catalog = base_catalog_open(RESTORED_CATALOG, Natts_restored, AccessShareLock, false);
	SysScanDesc scan;
	HeapTuple	tuple = find_restored(catalog, group_id, &scan);

	/*
	 * a partition without a state was added after the group: all of it is to
	 * come
	 */
	int64		position = log_origin_offset(rel, partition);

	if (HeapTupleIsValid(tuple))
	{
		TupleDesc	desc = RelationGetDescr(catalog);
		Snapshot	snapshot = RegisterSnapshot(GetLatestSnapshot());
		LogLoad    *load = log_load_read(rel, snapshot);
		int64		messages[LOG_MAX_PARTITIONS];
		int64		done[LOG_MAX_PARTITIONS];
		int64		prints[LOG_MAX_PARTITIONS];
		int64		rows[LOG_MAX_PARTITIONS] = {0};
		int64		total = 0;
		int			n = read_numbers(tuple, Anum_restored_messages, desc, messages);
		int			ndone = read_numbers(tuple, Anum_restored_done, desc, done);
		int			nprints = read_numbers(tuple, Anum_restored_prints, desc, prints);

		for (int p = 0; p < n; p++)
			total += messages[p];
		if (n == ndone && n == nprints && total == load->total)
		{
			if (same_places(rel, load, messages, done, prints, n, snapshot))
				memcpy(rows, done, sizeof(int64) * n);
			else
			{
				int64		prefix = 0;

				/* up to the first message that was not done */
				for (int p = 0; p < n; p++)
				{
					prefix += done[p];
					if (done[p] < messages[p])
						break;
				}
				log_load_prefix(load, prefix, rows);
			}
			if (rows[partition] > 0)
			{
				log_nth_rows(rel, partition, &rows[partition], 1, snapshot, &position);
				position++;
			}
		}
		UnregisterSnapshot(snapshot);
	}
	systable_endscan(scan);
	table_close(catalog, AccessShareLock);
	return position;
}

void
group_forget_restored(int32 group_id)
{
	Relation	catalog = base_catalog_open(RESTORED_CATALOG, Natts_restored, RowExclusiveLock, true);
	SysScanDesc scan;
	HeapTuple	tuple;

	if (catalog == NULL)
		return;
	tuple = find_restored(catalog, group_id, &scan);
	if (HeapTupleIsValid(tuple))
		base_catalog_delete(catalog, tuple);
	systable_endscan(scan);
	table_close(catalog, RowExclusiveLock);
}
