/*
 * rowstore.c
 *	  Rows of a stream kept for later, as their bytes in the log.
 *
 * A tuplestore would need decoded rows.  This copies the bytes of a row, at a
 * fraction of the cost, and decodes it only if somebody asks for its columns.
 * Rows are kept in memory up to work_mem, and after that in a temporary file.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "storage/buffile.h"
#include "utils/memutils.h"

#include "log/page/row_codec.h"
#include "log/read/slot.h"
#include "log/reader.h"

#define FIRST_CHUNK	8192
#define LAST_CHUNK	(1024 * 1024)

/* precedes the bytes of each row; both are MAXALIGNed */
typedef struct RowHeader
{
	LogKeptRow	kept;
	uint32		len;
	uint16		natts;
	uint16		flags;
} RowHeader;

#define ROW_HEADER	MAXALIGN(sizeof(RowHeader))

typedef struct RowChunk
{
	struct RowChunk *next;
	Size		size;
	Size		used;
} RowChunk;

#define CHUNK_DATA(chunk)	((char *) (chunk) + MAXALIGN(sizeof(RowChunk)))

struct LogRowStore
{
	MemoryContext context;		/* holds everything */
	TupleTableSlot *slot;		/* returned by log_row_store_next() */
	Size		limit;
	Size		used;
	RowChunk   *first;
	RowChunk   *last;
	BufFile    *file;			/* rows that are not in chunks, or NULL */
	int64		nfile;
	/* position of the next row to return */
	RowChunk   *chunk;
	Size		pos;
	int64		nread;			/* rows read from the file */
};

LogRowStore *
log_row_store_create(Relation rel)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "streamq rows",
												  ALLOCSET_SMALL_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	LogRowStore *store = palloc0(sizeof(LogRowStore));

	store->context = context;
	store->limit = work_mem * (Size) 1024;
	store->slot = MakeSingleTupleTableSlot(CreateTupleDescCopyConstr(RelationGetDescr(rel)),
										   &log_slot_ops);
	store->slot->tts_tableOid = RelationGetRelid(rel);
	MemoryContextSwitchTo(old);
	return store;
}

/*
 * Make room for `need` bytes in the last chunk.  False if no more memory may
 * be used.
 */
static bool
make_chunk_room(LogRowStore *store, Size need)
{
	RowChunk   *last = store->last;
	RowChunk   *chunk;
	Size		size;

	if (last != NULL && last->size - last->used >= need)
		return true;
	if (last != NULL && store->used + need > store->limit)
		return false;
	size = last == NULL ? FIRST_CHUNK : Min(last->size * 2, LAST_CHUNK);
	if (store->used < store->limit)
		size = Min(size, store->limit - store->used);
	size = Max(MAXALIGN(size), need);
	chunk = MemoryContextAllocHuge(store->context, MAXALIGN(sizeof(RowChunk)) + size);
	chunk->next = NULL;
	chunk->size = size;
	chunk->used = 0;
	if (last != NULL)
		last->next = chunk;
	else
		store->first = store->chunk = chunk;
	store->last = chunk;
	store->used += size;
	return true;
}

void
log_row_store_add(LogRowStore *store, TupleTableSlot *slot, const LogKeptRow *kept)
{
	RowHeader	header;
	LogRow		row;
	Size		need;

	log_slot_get_row(slot, &row);
	header.kept = *kept;
	header.len = row.len;
	header.natts = row.natts;
	header.flags = row.flags;
	need = ROW_HEADER + MAXALIGN(row.len);
	if (store->file == NULL && make_chunk_room(store, need))
	{
		char	   *at = CHUNK_DATA(store->last) + store->last->used;

		memcpy(at, &header, sizeof(header));
		memcpy(at + ROW_HEADER, row.body, row.len);
		store->last->used += need;
		return;
	}
	if (store->file == NULL)
	{
		MemoryContext old = MemoryContextSwitchTo(store->context);

		store->file = BufFileCreateTemp(false);
		MemoryContextSwitchTo(old);
	}
	BufFileWrite(store->file, &header, sizeof(header));
	BufFileWrite(store->file, unconstify(char *, row.body), row.len);
	store->nfile++;
}

static void
read_file(LogRowStore *store, void *data, Size len)
{
	size_t		nread = BufFileRead(store->file, data, len);

	/* BufFileRead() has reported errors of the system */
	if (nread != len)
		ereport(ERROR,
				(errcode(ERRCODE_DATA_CORRUPTED),
				 errmsg("could not read temporary file of kept rows: read only %zu of %zu bytes",
						nread, len)));
}

TupleTableSlot *
log_row_store_next(LogRowStore *store, LogKeptRow *kept)
{
	TupleTableSlot *slot = store->slot;
	RowHeader	header;
	LogRow		row;

	while (store->chunk != NULL && store->pos >= store->chunk->used)
	{
		store->chunk = store->chunk->next;
		store->pos = 0;
	}
	if (store->chunk != NULL)
	{
		char	   *at = CHUNK_DATA(store->chunk) + store->pos;

		memcpy(&header, at, sizeof(header));
		row.body = at + ROW_HEADER;
		store->pos += ROW_HEADER + MAXALIGN(header.len);
	}
	else if (store->nread < store->nfile)
	{
		char	   *body;

		if (store->nread == 0 && BufFileSeek(store->file, 0, 0, SEEK_SET) != 0)
			ereport(ERROR,
					(errcode_for_file_access(),
					 errmsg("could not rewind temporary file of kept rows: %m")));
		read_file(store, &header, sizeof(header));
		ExecClearTuple(slot);
		body = log_slot_reserve(slot, header.len);
		read_file(store, body, header.len);
		row.body = body;
		store->nread++;
	}
	else
	{
		ExecClearTuple(slot);
		return NULL;
	}
	row.len = header.len;
	row.natts = header.natts;
	row.flags = header.flags;
	log_slot_store(slot, &row, InvalidBuffer);
	*kept = header.kept;
	return slot;
}

void
log_row_store_rewind(LogRowStore *store)
{
	ExecClearTuple(store->slot);
	store->chunk = store->first;
	store->pos = 0;
	store->nread = 0;
}

void
log_row_store_end(LogRowStore *store)
{
	ExecDropSingleTupleTableSlot(store->slot);
	if (store->file)
		BufFileClose(store->file);
	MemoryContextDelete(store->context);
}
