/*
 * manifest.c
 *	  The manifest of an archive: a file with a line of JSON for each range of
 *	  offsets.
 *
 * Lines are only appended.  Like all JSON, they are in UTF-8.
 */
#include "postgres.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "storage/fd.h"
#include "utils/builtins.h"
#include "utils/json.h"
#include "utils/jsonb.h"
#include "utils/timestamp.h"

#include "archive/manifest.h"
#include "base/loaded.h"

/* ---- writing ---- */

static void
put_string(StringInfo buf, const char *name, const char *value)
{
	appendStringInfo(buf, "%s\"%s\":", buf->len > 1 ? "," : "", name);
	if (value != NULL)
		escape_json(buf, value);
	else
		appendStringInfoString(buf, "null");
}

static void
put_number(StringInfo buf, const char *name, int64 value)
{
	appendStringInfo(buf, ",\"%s\":", name);
	if (value >= 0)
		appendStringInfo(buf, INT64_FORMAT, value);
	else
		appendStringInfoString(buf, "null");
}

/* Write the line of a file, with its columns, as a JSON object. */
static void
form_line(StringInfo buf, const ArchiveLine *line)
{
	ListCell   *lc;
	const char *separator = "";

	appendStringInfoChar(buf, '{');
	put_string(buf, "file", line->file);
	put_string(buf, "stream", line->stream);
	put_number(buf, "partition", line->partition);
	put_number(buf, "after", line->after < 0 ? -1 : line->after - 1);
	put_number(buf, "first", line->first);
	put_number(buf, "last", line->end - 1);
	put_number(buf, "messages", line->messages);
	put_number(buf, "bytes", line->bytes);
	put_string(buf, "sha256", line->sha256[0] != '\0' ? line->sha256 : NULL);
	put_string(buf, "format", archive_format_name(line->format));
	put_string(buf, "compression", archive_compression_name(line->compression));
	put_string(buf, "encoding", line->encoding);
	appendStringInfoString(buf, ",\"columns\":[");
	foreach(lc, line->columns)
	{
		ArchiveColumn *column = lfirst(lc);

		appendStringInfo(buf, "%s{\"name\":", separator);
		escape_json(buf, column->name);
		appendStringInfoString(buf, ",\"type\":");
		escape_json(buf, column->type);
		appendStringInfoChar(buf, '}');
		separator = ",";
	}
	appendStringInfoChar(buf, ']');
	put_string(buf, "identity", line->identity);
	put_string(buf, "written_at", timestamptz_to_str(GetCurrentTimestamp()));
	put_string(buf, "written_by", "streamq " STREAMQ_VERSION ", PostgreSQL " PG_VERSION);
	appendStringInfoString(buf, "}\n");
}

/* the end of the last complete line of an open file */
static off_t
find_end(int fd, const char *path)
{
	off_t		end = lseek(fd, 0, SEEK_END);
	char		c;

	for (; end > 0; end--)
	{
		if (pg_pread(fd, &c, 1, end - 1) != 1)
			ereport(ERROR,
					(errcode_for_file_access(),
					 errmsg("could not read file \"%s\": %m", path)));
		if (c == '\n')
			break;
	}
	if (end < 0)
		ereport(ERROR,
				(errcode_for_file_access(),
				 errmsg("could not seek in file \"%s\": %m", path)));
	return end;
}

void
archive_manifest_append(const char *path, const ArchiveLine *line)
{
	StringInfoData buf;
	char	   *text;
	ssize_t		len;
	off_t		end;
	int			fd;

	initStringInfo(&buf);
	form_line(&buf, line);
	text = pg_server_to_any(buf.data, buf.len, PG_UTF8);

	len = strlen(text);

	fd = OpenTransientFile(path, O_CREAT | O_RDWR | PG_BINARY);
	if (fd < 0)
		ereport(ERROR,
				(errcode_for_file_access(),
				 errmsg("could not open file \"%s\": %m", path)));
	end = find_end(fd, path);
	errno = 0;
	if (pg_pwrite(fd, text, len, end) != len)
	{
		int			save_errno = errno == 0 ? ENOSPC : errno;

		/* if that fails, too, readers ignore what was written */
		if (ftruncate(fd, end) != 0)
			elog(LOG, "could not truncate file \"%s\": %m", path);
		errno = save_errno;
		ereport(ERROR,
				(errcode_for_file_access(),
				 errmsg("could not write to file \"%s\": %m", path)));
	}
	/* remove the rest of a line that a crash had left */
	if (ftruncate(fd, end + len) != 0 || pg_fsync(fd) != 0)
		ereport(ERROR,
				(errcode_for_file_access(),
				 errmsg("could not fsync file \"%s\": %m", path)));
	CloseTransientFile(fd);
	if (end == 0)
	{
		char	   *directory = pstrdup(path);

		get_parent_directory(directory);
		fsync_fname(directory, true);
	}
}

/* ---- reading ---- */

static void
report_damage(const char *path, int number, const char *reason)
{
	ereport(ERROR,
			(errcode(ERRCODE_DATA_CORRUPTED),
			 errmsg("line %d of archive manifest \"%s\" is damaged", number, path),
			 errdetail_internal("%s", reason)));
}

/* a value of an object of a line, in its text form; NULL if it is missing or null */
static char *
get_value(JsonbContainer *object, const char *name)
{
	JsonbValue	key;
	JsonbValue *value;

	key.type = jbvString;
	key.val.string.val = unconstify(char *, name);
	key.val.string.len = strlen(name);
	value = findJsonbValueFromContainer(object, JB_FOBJECT, &key);
	if (value == NULL || value->type == jbvNull)
		return NULL;
	if (value->type == jbvNumeric)
		return DatumGetCString(DirectFunctionCall1(numeric_out,
												   NumericGetDatum(value->val.numeric)));
	if (value->type == jbvString)
		return pnstrdup(value->val.string.val, value->val.string.len);
	return NULL;
}

static int64
get_number(JsonbContainer *object, const char *name)
{
	char	   *value = get_value(object, name);

	return value == NULL ? -1 :
		DatumGetInt64(DirectFunctionCall1(int8in, CStringGetDatum(value)));
}

static char *
get_string(JsonbContainer *object, const char *name)
{
	char	   *value = get_value(object, name);

	if (value == NULL)
		elog(ERROR, "\"%s\" is missing", name);
	return value;
}

static List *
get_columns(JsonbContainer *object)
{
	List	   *result = NIL;
	JsonbValue	key;
	JsonbValue *value;
	JsonbContainer *array;

	key.type = jbvString;
	key.val.string.val = "columns";
	key.val.string.len = strlen("columns");
	value = findJsonbValueFromContainer(object, JB_FOBJECT, &key);
	if (value == NULL || value->type != jbvBinary ||
		!JsonContainerIsArray(value->val.binary.data))
		return NIL;
	array = value->val.binary.data;
	for (uint32 i = 0; i < JsonContainerSize(array); i++)
	{
		JsonbValue *element = getIthJsonbValueFromContainer(array, i);
		ArchiveColumn *column = palloc(sizeof(ArchiveColumn));

		if (element->type != jbvBinary || !JsonContainerIsObject(element->val.binary.data))
			elog(ERROR, "\"columns\" is not a list of objects");
		column->name = get_string(element->val.binary.data, "name");
		column->type = get_string(element->val.binary.data, "type");
		result = lappend(result, column);
	}
	return result;
}

/* Read such a line; an error means that it is damaged. */
static ArchiveLine *
parse_line(char *text)
{
	ArchiveLine *line = palloc0(sizeof(ArchiveLine));
	Jsonb	   *jsonb = DatumGetJsonbP(DirectFunctionCall1(jsonb_in, CStringGetDatum(text)));
	JsonbContainer *object = &jsonb->root;
	char	   *sha256;

	if (!JB_ROOT_IS_OBJECT(jsonb))
		elog(ERROR, "it is not a JSON object");
	line->file = get_value(object, "file");
	line->stream = get_string(object, "stream");
	line->partition = get_number(object, "partition");
	line->after = get_number(object, "after");
	if (line->after >= 0)
		line->after++;
	line->first = get_number(object, "first");
	line->end = get_number(object, "last") + 1;
	line->messages = get_number(object, "messages");
	line->bytes = get_number(object, "bytes");
	sha256 = get_value(object, "sha256");
	if (sha256 != NULL)
		strlcpy(line->sha256, sha256, sizeof(line->sha256));
	if (!archive_find_format(get_string(object, "format"), &line->format) ||
		!archive_find_compression(get_string(object, "compression"), &line->compression))
		elog(ERROR, "its format is unknown");
	line->encoding = get_string(object, "encoding");
	line->columns = get_columns(object);
	line->identity = get_string(object, "identity");
	if (line->partition < 0 || line->first < 0 || line->end < line->first)
		elog(ERROR, "its range of offsets is impossible");
	if (line->file != NULL &&
		(line->file[0] == '\0' || first_dir_separator(line->file) != NULL))
		elog(ERROR, "its file name is impossible");
	return line;
}

static ArchiveLine *
read_line(const char *path, int number, char *text, int len)
{
	MemoryContext context = CurrentMemoryContext;
	ArchiveLine *line = NULL;

	/* whatever is wrong, the error names the manifest */
	PG_TRY();
	{
		line = parse_line(pg_any_to_server(text, len, PG_UTF8));
	}
	PG_CATCH();
	{
		ErrorData  *error;

		MemoryContextSwitchTo(context);
		error = CopyErrorData();
		if (ERRCODE_TO_CATEGORY(error->sqlerrcode) == ERRCODE_INSUFFICIENT_RESOURCES ||
			ERRCODE_TO_CATEGORY(error->sqlerrcode) == ERRCODE_OPERATOR_INTERVENTION)
			PG_RE_THROW();
		FlushErrorState();
		report_damage(path, number, error->message);
	}
	PG_END_TRY();
	return line;
}

List *
archive_manifest_read(const char *path, bool missing_ok)
{
	List	   *lines = NIL;
	FILE	   *file = AllocateFile(path, PG_BINARY_R);
	StringInfoData buf;
	int			number = 0;
	char		chunk[8192];

	if (file == NULL)
	{
		if (missing_ok && errno == ENOENT)
			return NIL;
		ereport(ERROR,
				(errcode_for_file_access(),
				 errmsg("could not open file \"%s\": %m", path)));
	}
	initStringInfo(&buf);
	while (fgets(chunk, sizeof(chunk), file) != NULL)
	{
		appendStringInfoString(&buf, chunk);
		if (buf.len == 0 || buf.data[buf.len - 1] != '\n')
			continue;
		CHECK_FOR_INTERRUPTS();
		buf.data[--buf.len] = '\0';
		lines = lappend(lines, read_line(path, ++number, buf.data, buf.len));
		resetStringInfo(&buf);
	}
	if (ferror(file))
		ereport(ERROR,
				(errcode_for_file_access(),
				 errmsg("could not read file \"%s\": %m", path)));
	FreeFile(file);
	return lines;
}

static int
compare_lines(const ListCell *a, const ListCell *b)
{
	const ArchiveLine *left = lfirst(a);
	const ArchiveLine *right = lfirst(b);

	if (left->partition != right->partition)
		return left->partition < right->partition ? -1 : 1;
	if (left->first != right->first)
		return left->first < right->first ? -1 : 1;
	return 0;
}

List *
archive_manifest_effective(const char *path, List *lines)
{
	List	   *result = NIL;
	const ArchiveLine *previous = NULL;
	int64	   *limits = NULL;
	int			npartitions = 0;
	ListCell   *lc;

	foreach(lc, lines)
		npartitions = Max(npartitions, ((ArchiveLine *) lfirst(lc))->partition + 1);
	limits = palloc(sizeof(int64) * Max(npartitions, 1));
	for (int p = 0; p < npartitions; p++)
		limits[p] = PG_INT64_MAX;

	/* from the last line to the first: later ones win */
	for (int i = list_length(lines) - 1; i >= 0; i--)
	{
		ArchiveLine *line = list_nth(lines, i);
		int64		from = line->after < 0 ? 0 : line->after;

		if (line->first < limits[line->partition])
		{
			result = lappend(result, line);
			limits[line->partition] = Min(limits[line->partition], from);
		}
	}
	list_sort(result, compare_lines);

	foreach(lc, result)
	{
		const ArchiveLine *line = lfirst(lc);

		if (previous != NULL && previous->partition != line->partition)
			previous = NULL;
		if (previous == NULL ? line->after >= 0 : line->after != previous->end)
			ereport(ERROR,
					(errcode(ERRCODE_DATA_CORRUPTED),
					 errmsg("lines are missing in archive manifest \"%s\"", path),
					 errdetail("There is no line about the messages of partition %d before offset %lld.",
							   line->partition, (long long) line->first)));
		previous = line;
	}
	return result;
}
