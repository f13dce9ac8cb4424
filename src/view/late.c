/*
 * late.c
 *	  Routing late rows of a continuous view to another stream.
 *
 * The rows are written in the subtransaction of the round, so they are undone
 * with it.  A row that cannot be written is recorded as a row that failed.
 */
#include "postgres.h"

#include "access/table.h"

#include "log/log.h"
#include "log/options.h"
#include "stream/by_name.h"
#include "view/late.h"

struct ViewLateRows
{
	Relation	stream;
	StreamByName *writer;
};

static void
describe_rows(StreamRowSource *rows, Relation source)
{
	StreamOptions options;

	log_options_get(source, &options);
	rows->name = RelationGetRelationName(source);
	rows->desc = RelationGetDescr(source);
	rows->nheaders = 0;
	rows->key = options.nkeys == 1 ? options.keys[0] : InvalidAttrNumber;
}

void
view_late_check(Relation source, Oid stream)
{
	Relation	rel = log_open_stream(stream, AccessShareLock);
	StreamRowSource rows;

	describe_rows(&rows, source);
	stream_by_name_check(rel, &rows);
	table_close(rel, NoLock);
}

ViewLateRows *
view_late_begin(Relation source, Oid stream)
{
	ViewLateRows *late = palloc(sizeof(ViewLateRows));
	StreamRowSource rows;

	describe_rows(&rows, source);
	late->stream = log_open_stream(stream, NoLock);
	late->writer = stream_by_name_begin(late->stream, &rows, 1);
	return late;
}

void
view_late_add(ViewLateRows *late, TupleTableSlot *slot)
{
	stream_by_name_add(late->writer, slot);
}

void
view_late_write(ViewLateRows *late)
{
	(void) stream_by_name_flush(late->writer);
	stream_by_name_end(late->writer);
	table_close(late->stream, NoLock);
}
