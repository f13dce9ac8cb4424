/*
 * by_name.c
 *	  Writing rows to a stream, matching columns by their names.
 *
 * The match is a list of expressions over a row, one for each column that is
 * written.  So PostgreSQL's own casts, domains and defaults apply.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "executor/executor.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "parser/parse_coerce.h"
#include "rewrite/rewriteHandler.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"

#include "compat.h"
#include "stream/by_name.h"
#include "stream/message.h"
#include "stream/privilege.h"
#include "stream/writer.h"

/* columns of a message */
enum
{
	PART_PAYLOAD,
	PART_KEY,
	PART_HEADERS,
	NPARTS
};

/* the expressions; those that are not written are NULL */
typedef struct RowMatch
{
	bool		as_message;		/* NPARTS expressions; otherwise one for each
								 * attribute of the stream */
	int			columns;		/* STREAM_WRITE_* */
	int			nexprs;
	Expr	  **exprs;
} RowMatch;

struct StreamByName
{
	MemoryContext context;		/* of this struct */
	StreamWriter *writer;
	ExprContext *econtext;
	bool		as_message;
	int			nexprs;
	ExprState **exprs;
	Datum	   *values;
	bool	   *nulls;
};

/* ---- matching ---- */

/* can rows have a value for this column? */
static bool
is_written(Form_pg_attribute att)
{
	return !att->attisdropped && !COMPAT_IS_VIRTUAL_COLUMN(att);
}

static AttrNumber
find_column(TupleDesc desc, const char *name)
{
	for (int i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(desc, i);

		if (is_written(att) && strcmp(NameStr(att->attname), name) == 0)
			return att->attnum;
	}
	return InvalidAttrNumber;
}

static Expr *
make_column(TupleDesc desc, AttrNumber attnum)
{
	Form_pg_attribute att = TupleDescAttr(desc, attnum - 1);

	return (Expr *) makeVar(1, attnum, att->atttypid, att->atttypmod, att->attcollation, 0);
}

/* the text of a column */
static Expr *
make_text(TupleDesc desc, AttrNumber attnum)
{
	Node	   *column = (Node *) make_column(desc, attnum);
	Node	   *result = coerce_to_target_type(NULL, column, exprType(column), TEXTOID, -1,
											   COERCION_EXPLICIT, COERCE_EXPLICIT_CAST, -1);

	if (result == NULL)
	{
		CoerceViaIO *io = makeNode(CoerceViaIO);

		io->arg = (Expr *) column;
		io->resulttype = TEXTOID;
		io->resultcollid = get_typcollation(TEXTOID);
		io->coerceformat = COERCE_EXPLICIT_CAST;
		io->location = -1;
		result = (Node *) io;
	}
	return (Expr *) result;
}

/* a JSON object of the columns [from, to) */
static Expr *
make_object(TupleDesc desc, int from, int to)
{
	RowExpr    *row = makeNode(RowExpr);

	for (int i = from; i < to; i++)
	{
		Form_pg_attribute att = TupleDescAttr(desc, i);

		if (!is_written(att))
			continue;
		row->args = lappend(row->args, make_column(desc, att->attnum));
		row->colnames = lappend(row->colnames, makeString(pstrdup(NameStr(att->attname))));
	}
	row->row_typeid = RECORDOID;
	row->row_format = COERCE_EXPLICIT_CALL;
	row->location = -1;
	return (Expr *) makeFuncExpr(F_TO_JSONB, JSONBOID, list_make1(row), InvalidOid, InvalidOid,
								 COERCE_EXPLICIT_CALL);
}

/* the row's column that fills the column "key" of the stream */
static AttrNumber
find_key(const StreamRowSource *source)
{
	AttrNumber	key = find_column(source->desc, "key");

	return AttributeNumberIsValid(key) ? key : source->key;
}

static bool
takes_messages(Relation rel, const StreamRowSource *source)
{
	AttrNumber	payload = find_column(RelationGetDescr(rel), "payload");

	return AttributeNumberIsValid(payload) &&
		stream_is_payload_type(TupleDescAttr(RelationGetDescr(rel), payload - 1)->atttypid) &&
		!AttributeNumberIsValid(find_column(source->desc, "payload"));
}

static void
match_message(RowMatch *match, Relation rel, const StreamRowSource *source)
{
	int			ncolumns = source->desc->natts - source->nheaders;
	AttrNumber	key = find_key(source);

	match->as_message = true;
	match->nexprs = NPARTS;
	match->exprs = palloc0(sizeof(Expr *) * NPARTS);
	match->exprs[PART_PAYLOAD] = make_object(source->desc, 0, ncolumns);
	match->columns = STREAM_WRITE_PAYLOAD;
	if (AttributeNumberIsValid(key) &&
		AttributeNumberIsValid(find_column(RelationGetDescr(rel), "key")))
	{
		match->exprs[PART_KEY] = make_text(source->desc, key);
		match->columns |= STREAM_WRITE_KEY;
	}
	if (source->nheaders > 0 &&
		AttributeNumberIsValid(find_column(RelationGetDescr(rel), "headers")))
	{
		match->exprs[PART_HEADERS] = make_object(source->desc, ncolumns, source->desc->natts);
		match->columns |= STREAM_WRITE_HEADERS;
	}
}

/* the expression for a column of the stream */
static Expr *
match_column(Relation rel, Form_pg_attribute att, const StreamRowSource *source)
{
	AttrNumber	attnum = find_column(source->desc, NameStr(att->attname));
	Node	   *value;
	Node	   *result;

	if (AttributeNumberIsValid(attnum))
		value = (Node *) make_column(source->desc, attnum);
	else if (strcmp(NameStr(att->attname), "key") == 0 && AttributeNumberIsValid(source->key))
		value = (Node *) make_text(source->desc, source->key);
	else
	{
		value = build_column_default(rel, att->attnum);
		if (value == NULL)
			ereport(ERROR,
					(errcode(ERRCODE_UNDEFINED_COLUMN),
					 errmsg("\"%s\" has no column \"%s\" for stream \"%s\"",
							source->name, NameStr(att->attname), RelationGetRelationName(rel)),
					 errdetail("Columns are matched by name, and this one has no default."),
					 errhint("Use a stream with columns of the same names, or one with a column \"payload\" of type jsonb.")));
	}
	result = coerce_to_target_type(NULL, value, exprType(value), att->atttypid, att->atttypmod,
								   COERCION_ASSIGNMENT, COERCE_IMPLICIT_CAST, -1);
	if (result == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_DATATYPE_MISMATCH),
				 errmsg("column \"%s\" of stream \"%s\" is of type %s but that of \"%s\" is of type %s",
						NameStr(att->attname), RelationGetRelationName(rel),
						format_type_be(att->atttypid), source->name,
						format_type_be(exprType(value)))));
	return (Expr *) result;
}

static void
match_columns(RowMatch *match, Relation rel, const StreamRowSource *source)
{
	TupleDesc	desc = RelationGetDescr(rel);

	match->nexprs = desc->natts;
	match->exprs = palloc0(sizeof(Expr *) * desc->natts);
	match->columns = STREAM_WRITE_ROW;
	for (int i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(desc, i);

		/* the writer computes generated columns */
		if (!att->attisdropped && att->attgenerated == '\0')
			match->exprs[i] = match_column(rel, att, source);
	}
}

static void
make_match(RowMatch *match, Relation rel, const StreamRowSource *source)
{
	memset(match, 0, sizeof(RowMatch));
	if (takes_messages(rel, source))
		match_message(match, rel, source);
	else
		match_columns(match, rel, source);
	stream_check_produce(rel, match->columns);
}

void
stream_by_name_check(Relation rel, const StreamRowSource *source)
{
	RowMatch	match;

	make_match(&match, rel, source);
}

/* ---- writing ---- */

StreamByName *
stream_by_name_begin(Relation rel, const StreamRowSource *source, int nrows)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "streamq rows by name",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	StreamByName *writer = palloc0(sizeof(StreamByName));
	RowMatch	match;

	make_match(&match, rel, source);
	writer->context = context;
	writer->writer = stream_writer_begin(rel, nrows, STREAM_ANY_PARTITION, match.columns);
	writer->econtext = CreateStandaloneExprContext();
	writer->as_message = match.as_message;
	writer->nexprs = match.nexprs;
	writer->exprs = palloc0(sizeof(ExprState *) * match.nexprs);
	writer->values = palloc0(sizeof(Datum) * match.nexprs);
	writer->nulls = palloc0(sizeof(bool) * match.nexprs);
	for (int i = 0; i < match.nexprs; i++)
	{
		if (match.exprs[i] != NULL)
			writer->exprs[i] = ExecInitExpr(expression_planner(match.exprs[i]), NULL);
	}
	MemoryContextSwitchTo(old);
	return writer;
}

static StreamValue
make_value(const StreamByName *writer, int part, Oid type)
{
	StreamValue value = {type, writer->nulls[part], writer->values[part]};

	return value;
}

void
stream_by_name_add(StreamByName *writer, TupleTableSlot *slot)
{
	writer->econtext->ecxt_scantuple = slot;
	for (int i = 0; i < writer->nexprs; i++)
	{
		writer->nulls[i] = true;
		writer->values[i] = (Datum) 0;
		if (writer->exprs[i] != NULL)
			writer->values[i] = ExecEvalExprSwitchContext(writer->exprs[i], writer->econtext,
														  &writer->nulls[i]);
	}
	if (writer->as_message)
	{
		StreamMessage message;

		message.payload = make_value(writer, PART_PAYLOAD, JSONBOID);
		message.key = make_value(writer, PART_KEY, TEXTOID);
		message.headers = make_value(writer, PART_HEADERS, JSONBOID);
		stream_writer_add(writer->writer, &message);
	}
	else
		stream_writer_add_row(writer->writer, writer->values, writer->nulls);
	ResetExprContext(writer->econtext);
}

int
stream_by_name_flush(StreamByName *writer)
{
	const int64 *msg_ids;

	return stream_writer_flush(writer->writer, &msg_ids);
}

void
stream_by_name_end(StreamByName *writer)
{
	stream_writer_end(writer->writer);
	FreeExprContext(writer->econtext, true);
	MemoryContextDelete(writer->context);
}
