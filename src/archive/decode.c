/*
 * decode.c
 *	  Reading the messages in a file of an archive.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/pg_type.h"
#include "commands/copy.h"
#include "commands/defrem.h"
#include "fmgr.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "parser/parse_node.h"
#include "port/pg_bswap.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"

#include "archive/compress.h"
#include "archive/decode.h"
#include "archive/value_settings.h"
#include "base/catalog.h"
#include "base/loaded.h"

#define CHUNK	(64 * 1024)

/* the number of the field for a column that the file does not have */
#define NO_FIELD	(-1)

typedef struct Decoder
{
	const char *path;
	const ArchiveLine *line;
	ArchiveInput *input;
	TupleDesc	desc;
	Tuplestorestate *store;
	int64		nrows;
	MemoryContext row_context;	/* reset for each row */

	/* for CSV and binary, by column of the row */
	int		   *fields;
	FmgrInfo   *functions;
	Oid		   *ioparams;
	Datum	   *values;
	bool	   *nulls;

	/* bytes that were read ahead, for JSON and binary */
	char	   *buf;
	int			len;
	int			pos;
} Decoder;

static void
report_damage(const Decoder *decoder, const char *reason)
{
	ereport(ERROR,
			(errcode(ERRCODE_DATA_CORRUPTED),
			 errmsg("archive file \"%s\" is damaged", decoder->path),
			 errdetail_internal("%s", reason)));
}

static void
decode_context(void *arg)
{
	const Decoder *decoder = arg;

	errcontext("archive file \"%s\", message %lld", decoder->path,
			   (long long) decoder->nrows + 1);
}

/* ---- fields to columns ---- */

/*
 * Prepare to convert fields by the input or receive functions of the columns.
 * `columns` are those of the file.
 */
static void
map_columns(Decoder *decoder, const List *columns, bool binary)
{
	int			natts = decoder->desc->natts;

	decoder->fields = palloc(sizeof(int) * natts);
	decoder->functions = palloc0(sizeof(FmgrInfo) * natts);
	decoder->ioparams = palloc(sizeof(Oid) * natts);
	decoder->values = palloc0(sizeof(Datum) * natts);
	decoder->nulls = palloc(sizeof(bool) * natts);
	for (int i = 0; i < natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(decoder->desc, i);
		ListCell   *lc;
		Oid			function;

		decoder->fields[i] = NO_FIELD;
		if (att->attisdropped)
			continue;
		if (binary)
			getTypeBinaryInputInfo(att->atttypid, &function, &decoder->ioparams[i]);
		else
			getTypeInputInfo(att->atttypid, &function, &decoder->ioparams[i]);
		fmgr_info(function, &decoder->functions[i]);
		foreach(lc, columns)
		{
			const ArchiveColumn *column = lfirst(lc);
			char	   *type;

			if (strcmp(column->name, NameStr(att->attname)) != 0)
				continue;
			decoder->fields[i] = foreach_current_index(lc);
			if (!binary)
				continue;
			type = format_type_be_qualified(getBaseType(att->atttypid));
			if (strcmp(type, column->type) != 0)
				ereport(ERROR,
						(errcode(ERRCODE_DATATYPE_MISMATCH),
						 errmsg("column \"%s\" is of type %s, but in archive file \"%s\" it is of type %s",
								NameStr(att->attname), type, decoder->path, column->type),
						 errhint("Read the archive with a row type that has the types of the file.")));
		}
	}
}

static void
put_row(Decoder *decoder)
{
	tuplestore_putvalues(decoder->store, decoder->desc, decoder->values, decoder->nulls);
	decoder->nrows++;
	MemoryContextReset(decoder->row_context);
	CHECK_FOR_INTERRUPTS();
}

/* ---- bytes ---- */

static bool
fill_buffer(Decoder *decoder)
{
	decoder->len = archive_input_read(decoder->input, decoder->buf, CHUNK);
	decoder->pos = 0;
	return decoder->len > 0;
}

static void
read_bytes(Decoder *decoder, void *to, int len)
{
	char	   *next = to;

	while (len > 0)
	{
		int			n;

		if (decoder->pos == decoder->len && !fill_buffer(decoder))
			report_damage(decoder, "It ends too early.");
		n = Min(len, decoder->len - decoder->pos);
		memcpy(next, decoder->buf + decoder->pos, n);
		decoder->pos += n;
		next += n;
		len -= n;
	}
}

/* ---- binary ---- */

static int
read_int16(Decoder *decoder)
{
	uint16		value;

	read_bytes(decoder, &value, sizeof(value));
	return (int16) pg_ntoh16(value);
}

static int
read_int32(Decoder *decoder)
{
	uint32		value;

	read_bytes(decoder, &value, sizeof(value));
	return (int32) pg_ntoh32(value);
}

static void
read_binary_header(Decoder *decoder)
{
	static const char signature[11] = "PGCOPY\n\377\r\n\0";
	char		found[11];
	int			extension;

	read_bytes(decoder, found, sizeof(found));
	if (memcmp(found, signature, sizeof(found)) != 0)
		report_damage(decoder, "It does not begin like a file of COPY.");
	if ((read_int32(decoder) & 0xffff0000) != 0)
		report_damage(decoder, "It has unknown flags.");
	extension = read_int32(decoder);
	while (extension-- > 0)
		read_bytes(decoder, found, 1);
}

static void
convert_binary(Decoder *decoder, StringInfo fields, const int *lengths)
{
	for (int i = 0; i < decoder->desc->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(decoder->desc, i);
		int			field = decoder->fields[i];
		StringInfo	buf = field == NO_FIELD || lengths[field] < 0 ? NULL : &fields[field];

		decoder->nulls[i] = buf == NULL;
		if (att->attisdropped)
			continue;
		decoder->values[i] = ReceiveFunctionCall(&decoder->functions[i], buf,
												 decoder->ioparams[i], att->atttypmod);
		if (buf != NULL && buf->cursor != buf->len)
			report_damage(decoder, "A value is longer than its type allows.");
	}
}

/* Read the rows of a file in COPY's binary format. */
static void
decode_binary(Decoder *decoder)
{
	int			nfields = list_length(decoder->line->columns);
	StringInfoData *fields = palloc0(sizeof(StringInfoData) * nfields);
	int		   *lengths = palloc(sizeof(int) * nfields);
	int			count;

	if (nfields == 0)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_FILE),
				 errmsg("archive file \"%s\" cannot be read without its manifest", decoder->path),
				 errhint("The manifest has the names of the columns. It was written to the destination of the archive.")));
	map_columns(decoder, decoder->line->columns, true);
	read_binary_header(decoder);
	while ((count = read_int16(decoder)) != -1)
	{
		MemoryContext old = MemoryContextSwitchTo(decoder->row_context);

		if (count != nfields)
			report_damage(decoder, "A message has another number of columns than the manifest says.");
		for (int i = 0; i < nfields; i++)
		{
			lengths[i] = read_int32(decoder);
			if (lengths[i] < -1 || lengths[i] >= (int) MaxAllocSize - 1)
				report_damage(decoder, "A value has an impossible length.");
			if (lengths[i] < 0)
				continue;
			initStringInfo(&fields[i]);
			enlargeStringInfo(&fields[i], lengths[i]);
			read_bytes(decoder, fields[i].data, lengths[i]);
			fields[i].len = lengths[i];
			fields[i].data[lengths[i]] = '\0';
		}
		convert_binary(decoder, fields, lengths);
		MemoryContextSwitchTo(old);
		put_row(decoder);
	}
}

/* ---- CSV ---- */

/* COPY's callback has no argument */
static ArchiveInput *copy_input = NULL;

static int
read_for_copy(void *buf, int minread, int maxread)
{
	return archive_input_read(copy_input, buf, maxread);
}

static void
convert_text(Decoder *decoder, char **fields, int nfields)
{
	for (int i = 0; i < decoder->desc->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(decoder->desc, i);
		int			field = decoder->fields[i];
		char	   *string = NULL;

		if (field != NO_FIELD && field < nfields)
			string = fields[field];
		decoder->nulls[i] = string == NULL;
		if (!att->attisdropped)
			decoder->values[i] = InputFunctionCall(&decoder->functions[i], string,
												   decoder->ioparams[i], att->atttypmod);
	}
}

/* the columns of a CSV file, from its first line */
static List *
make_columns(char **fields, int nfields)
{
	List	   *result = NIL;

	for (int i = 0; i < nfields; i++)
	{
		ArchiveColumn *column = palloc0(sizeof(ArchiveColumn));

		column->name = pstrdup(fields[i] == NULL ? "" : fields[i]);
		result = lappend(result, column);
	}
	return result;
}

/* Read the rows of a file in CSV, whose first line has the names of columns. */
static void
decode_csv(Decoder *decoder)
{
	/* COPY FROM wants a relation, but does not use it to read raw fields */
	Relation	rel = table_open(base_catalog_oid("archive", false), AccessShareLock);
	List	   *options = list_make2(makeDefElem("format", (Node *) makeString("csv"), -1),
									 makeDefElem("encoding",
												 (Node *) makeString(pstrdup(archive_encoding())), -1));
	ParseState *pstate = make_parsestate(NULL);
	CopyFromState copy;
	char	  **fields;
	int			nfields;
	int			ncolumns;

	copy_input = decoder->input;
	copy = BeginCopyFrom(pstate, rel, NULL, NULL, false, read_for_copy, NIL, options);
	if (!NextCopyFromRawFields(copy, &fields, &nfields))
		report_damage(decoder, "It has no line with the names of the columns.");
	ncolumns = nfields;
	map_columns(decoder, make_columns(fields, nfields), false);
	while (NextCopyFromRawFields(copy, &fields, &nfields))
	{
		MemoryContext old = MemoryContextSwitchTo(decoder->row_context);

		if (nfields != ncolumns)
			report_damage(decoder, "A message has another number of columns than the first line.");
		convert_text(decoder, fields, nfields);
		MemoryContextSwitchTo(old);
		put_row(decoder);
	}
	EndCopyFrom(copy);
	free_parsestate(pstate);
	table_close(rel, AccessShareLock);
}

/* ---- JSON lines ---- */

/* the next line, without its end; false at the end of the file */
static bool
read_json_line(Decoder *decoder, StringInfo line)
{
	resetStringInfo(line);
	for (;;)
	{
		char	   *start;
		char	   *end;

		if (decoder->pos == decoder->len && !fill_buffer(decoder))
		{
			if (line->len > 0)
				report_damage(decoder, "Its last line has no end.");
			return false;
		}
		start = decoder->buf + decoder->pos;
		end = memchr(start, '\n', decoder->len - decoder->pos);
		if (end != NULL)
		{
			appendBinaryStringInfo(line, start, end - start);
			decoder->pos += end - start + 1;
			return true;
		}
		appendBinaryStringInfo(line, start, decoder->len - decoder->pos);
		decoder->pos = decoder->len;
	}
}

/* json_populate_record() takes the type of the row from its expression */
static FmgrInfo *
prepare_populate(Decoder *decoder)
{
	FmgrInfo   *function = palloc0(sizeof(FmgrInfo));
	Oid			type = decoder->desc->tdtypeid;
	List	   *args = list_make3(makeNullConst(type, -1, InvalidOid),
								  makeNullConst(JSONOID, -1, InvalidOid),
								  makeBoolConst(false, false));

	fmgr_info(F_JSON_POPULATE_RECORD, function);
	fmgr_info_set_expr((Node *) makeFuncExpr(F_JSON_POPULATE_RECORD, type, args, InvalidOid,
											 InvalidOid, COERCE_EXPLICIT_CALL), function);
	return function;
}

/* Read the rows of a file that has a JSON object in each line. */
static void
decode_jsonl(Decoder *decoder)
{
	FmgrInfo   *function = prepare_populate(decoder);
	StringInfoData line;
	int			encoding = pg_char_to_encoding(archive_encoding());

	initStringInfo(&line);
	while (read_json_line(decoder, &line))
	{
		LOCAL_FCINFO(call, 3);
		MemoryContext old = MemoryContextSwitchTo(decoder->row_context);
		char	   *text = pg_any_to_server(line.data, line.len, encoding);
		HeapTupleHeader row;
		HeapTupleData tuple;

		InitFunctionCallInfoData(*call, function, 3, InvalidOid, NULL, NULL);
		call->args[0].value = (Datum) 0;
		call->args[0].isnull = true;
		call->args[1].value = DirectFunctionCall1(json_in, CStringGetDatum(text));
		call->args[1].isnull = false;
		call->args[2].value = BoolGetDatum(false);
		call->args[2].isnull = false;
		row = DatumGetHeapTupleHeader(FunctionCallInvoke(call));
		if (call->isnull)
			report_damage(decoder, "A message is null.");
		tuple.t_len = HeapTupleHeaderGetDatumLength(row);
		ItemPointerSetInvalid(&tuple.t_self);
		tuple.t_tableOid = InvalidOid;
		tuple.t_data = row;
		MemoryContextSwitchTo(old);
		tuplestore_puttuple(decoder->store, &tuple);
		decoder->nrows++;
		MemoryContextReset(decoder->row_context);
		CHECK_FOR_INTERRUPTS();
	}
}

int64
archive_decode_file(const char *path, const ArchiveLine *line, TupleDesc desc,
					Tuplestorestate *store)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "streamq archive file",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	Decoder    *decoder = palloc0(sizeof(Decoder));
	ErrorContextCallback callback;
	int64		nrows;

	decoder->path = path;
	decoder->line = line;
	decoder->desc = desc;
	decoder->store = store;
	decoder->buf = palloc(CHUNK);
	decoder->row_context = AllocSetContextCreate(context, "streamq archive row",
												 ALLOCSET_DEFAULT_SIZES);
	decoder->input = archive_input_open(path, line->compression);
	callback.callback = decode_context;
	callback.arg = decoder;
	callback.previous = error_context_stack;
	error_context_stack = &callback;
	switch (line->format)
	{
		case ARCHIVE_JSONL:
			decode_jsonl(decoder);
			break;
		case ARCHIVE_CSV:
			decode_csv(decoder);
			break;
		case ARCHIVE_BINARY:
			decode_binary(decoder);
			break;
	}
	error_context_stack = callback.previous;
	nrows = decoder->nrows;
	archive_input_close(decoder->input);
	MemoryContextSwitchTo(old);
	MemoryContextDelete(context);
	return nrows;
}
