/*
 * export.c
 *	  Writing a range of messages into a file.
 *
 * The file is written by COPY of a query.  The query runs as the owner of the
 * stream, because it may call functions of users: a type may have a cast to
 * json.
 */
#include "postgres.h"

#include "catalog/namespace.h"
#include "commands/copy.h"
#include "commands/defrem.h"
#include "nodes/makefuncs.h"
#include "parser/parse_node.h"
#include "parser/parser.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

#include "archive/export.h"
#include "archive/value_settings.h"
#include "base/command.h"
#include "compat.h"
#include "log/log.h"

/* Characters that no JSON text contains unescaped, except as white space. */
#define JSON_QUOTE		"\001"
#define JSON_DELIMITER	"\002"

/* a name that no column of the stream has */
static char *
unused_name(Relation rel, const char *name)
{
	char	   *result = pstrdup(name);

	while (get_attnum(RelationGetRelid(rel), result) != InvalidAttrNumber)
		result = psprintf("_%s", result);
	return result;
}

static ArchiveColumn *
make_column(char *name, Oid type)
{
	ArchiveColumn *column = palloc(sizeof(ArchiveColumn));

	column->name = name;
	column->type = format_type_be_qualified(getBaseType(type));
	return column;
}

List *
archive_columns(Relation rel)
{
	TupleDesc	desc = RelationGetDescr(rel);
	List	   *result;

	result = list_make3(make_column(unused_name(rel, "msg_id"), INT8OID),
						make_column(unused_name(rel, "partition"), INT4OID),
						make_column(unused_name(rel, "produced_at"), TIMESTAMPTZOID));
	for (int i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(desc, i);

		if (!att->attisdropped)
			result = lappend(result, make_column(pstrdup(NameStr(att->attname)), att->atttypid));
	}
	return result;
}

/* the query whose result is the file */
static char *
make_query(Relation rel, const ArchiveLine *line)
{
	const char *const expressions[] = {
		"streamq.msg_id(s.tableoid, s.ctid)",
		"streamq.msg_partition(streamq.msg_id(s.tableoid, s.ctid))",
		"streamq.produced_at(s.tableoid, s.ctid)"
	};
	const char *row = quote_identifier(unused_name(rel, "archived_message"));
	StringInfoData buf;
	int			i = 0;
	ListCell   *lc;

	initStringInfo(&buf);
	if (line->format == ARCHIVE_JSONL)
		/* a line feed in a value of type json would end the line */
		appendStringInfo(&buf, "SELECT pg_catalog.translate(pg_catalog.row_to_json(%s)::pg_catalog.text, E'\\n\\r', '  ') FROM (", row);
	appendStringInfoString(&buf, "SELECT ");
	foreach(lc, line->columns)
	{
		const char *name = quote_identifier(((ArchiveColumn *) lfirst(lc))->name);

		if (i > 0)
			appendStringInfoString(&buf, ", ");
		if (i < lengthof(expressions))
			appendStringInfo(&buf, "%s AS %s", expressions[i], name);
		else
			appendStringInfo(&buf, "s.%s", name);
		i++;
	}
	appendStringInfo(&buf, " FROM ONLY %s s WHERE %s OPERATOR(pg_catalog.>=) %lld"
					 " AND %s OPERATOR(pg_catalog.<=) %lld ORDER BY %s",
					 quote_qualified_identifier(get_namespace_name(RelationGetNamespace(rel)),
												RelationGetRelationName(rel)),
					 expressions[0], (long long) LOG_MSG_ID(line->partition, line->first),
					 expressions[0], (long long) LOG_MSG_ID(line->partition, line->end - 1),
					 expressions[0]);
	if (line->format == ARCHIVE_JSONL)
		appendStringInfo(&buf, ") %s", row);
	return buf.data;
}

static List *
add_option(List *options, const char *name, const char *value)
{
	return lappend(options, makeDefElem(pstrdup(name), (Node *) makeString(pstrdup(value)), -1));
}

static List *
copy_options(ArchiveFormat format)
{
	List	   *options = NIL;

	options = add_option(options, "format", format == ARCHIVE_BINARY ? "binary" : "csv");
	options = add_option(options, "encoding", archive_encoding());
	if (format == ARCHIVE_CSV)
		options = add_option(options, "header", "true");
	else if (format == ARCHIVE_JSONL)
	{
		options = add_option(options, "quote", JSON_QUOTE);
		options = add_option(options, "delimiter", JSON_DELIMITER);
	}
	return options;
}

static void
set_option(const char *name, const char *value)
{
	(void) set_config_option(name, value, PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE, true, 0,
							 false);
}

void
archive_copy_to_file(Relation rel, ArchiveLine *line, const char *path)
{
	BaseIdentity identity;
	ParseState *pstate = make_parsestate(NULL);
	CopyToState copy;
	int			nestlevel;

	base_become_role(rel->rd_rel->relowner, &identity);
	nestlevel = archive_set_settings();
	set_option("search_path", "pg_catalog, pg_temp");
	/* fail if row-level security would hide messages */
	set_option("row_security", "off");
	set_option("streamq.enable_stream_scan", "on");
	set_option("max_parallel_workers_per_gather", "0");

	pstate->p_sourcetext = make_query(rel, line);
	copy = COMPAT_BEGIN_COPY_TO(pstate,
								linitial_node(RawStmt, raw_parser(pstate->p_sourcetext,
																  RAW_PARSE_DEFAULT)),
								path, copy_options(line->format));
	line->messages = DoCopyTo(copy);
	EndCopyTo(copy);
	free_parsestate(pstate);

	AtEOXact_GUC(false, nestlevel);
	base_become_caller(&identity);
}
