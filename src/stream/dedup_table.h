/*
 * dedup_table.h
 *	  The tables of ids: streamq.dedup_0 and streamq.dedup_1.
 */
#ifndef STREAMQ_STREAM_DEDUP_TABLE_H
#define STREAMQ_STREAM_DEDUP_TABLE_H

#include "postgres.h"

#include "access/genam.h"
#include "datatype/timestamp.h"
#include "executor/tuptable.h"
#include "utils/rel.h"
#include "utils/snapshot.h"

#define DEDUP_TABLES		2

/* longest id that is stored as it is; of a longer one, a hash is stored */
#define DEDUP_MAX_ID		128

/* an id that was found */
typedef struct DedupEntry
{
	int			table;
	ItemPointerData tid;
	TransactionId writer;		/* in progress: it inserts or deletes the
								 * entry; otherwise invalid */
	bool		seen;			/* the transaction's snapshot sees the entry */
	TimestampTz produced_at;
	int64		msg_id;			/* or STREAM_WAITING */
} DedupEntry;

/* a search for keys */
typedef struct DedupSearch
{
	SnapshotData dirty;
	Relation	heap[DEDUP_TABLES]; /* NULL if empty */
	Relation	index[DEDUP_TABLES];
	IndexScanDesc scan[DEDUP_TABLES];
	TupleTableSlot *slot[DEDUP_TABLES];
} DedupSearch;

/* an id to be stored */
typedef struct DedupNewEntry
{
	bytea	   *key;
	int64		msg_id;			/* or STREAM_WAITING */
} DedupNewEntry;

/* the key under which an id (text) is stored; keys are compared as bytes */
extern bytea *stream_dedup_key(Oid relid, Datum id);

extern void stream_dedup_search_begin(DedupSearch *search);

/* look for a key in all tables, whatever the snapshot; false if there is none */
extern bool stream_dedup_search(DedupSearch *search, bytea *key, DedupEntry *entry);
extern void stream_dedup_search_end(DedupSearch *search);

/*
 * Change the tables.  The caller holds the locks of the ids (dedup.c), so
 * nobody else inserts, changes or deletes these entries.
 */
extern void stream_dedup_insert(const DedupNewEntry *entries, int n);
extern void stream_dedup_set_msg_id(const DedupEntry *entry, int64 msg_id);
extern void stream_dedup_delete(const DedupEntry *entry);

#endif
