/*
 * commands.c
 *	  archive_stream(), stop_archive(), and archives in a logical dump.
 */
#include "postgres.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "access/table.h"
#include "access/xact.h"
#include "catalog/pg_authid_d.h"
#include "catalog/pg_class.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "storage/fd.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/rel.h"
#include "utils/timestamp.h"

#include "archive/archive.h"
#include "archive/archive_catalog.h"
#include "archive/file_command.h"
#include "archive/compress.h"
#include "archive/files.h"
#include "base/argument.h"
#include "base/dump.h"
#include "base/loaded.h"
#include "log/log.h"
#include "stream/privilege.h"

static void (*waker) (void) = NULL;

void
archive_register_waker(void (*function) (void))
{
	waker = function;
}

/* ---- checks ---- */

static void
check_privileges(bool with_command)
{
	if (!has_privs_of_role(GetUserId(), ROLE_PG_WRITE_SERVER_FILES))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("permission denied to archive to files of the server"),
				 errdetail("Only roles with privileges of the \"%s\" role may archive to files.",
						   "pg_write_server_files")));
	if (with_command && !has_privs_of_role(GetUserId(), ROLE_PG_EXECUTE_SERVER_PROGRAM))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("permission denied to archive with a command"),
				 errdetail("Only roles with privileges of the \"%s\" role may run a command on the server.",
						   "pg_execute_server_program")));
}

static char *
get_text(FunctionCallInfo fcinfo, int argument, const char *name)
{
	if (PG_ARGISNULL(argument))
		base_null_argument(name);
	return text_to_cstring(PG_GETARG_TEXT_PP(argument));
}

static void
get_formats(FunctionCallInfo fcinfo, ArchiveRow *row)
{
	char	   *format = get_text(fcinfo, 2, "format");
	char	   *compression = get_text(fcinfo, 3, "compression");

	if (!archive_find_format(format, &row->format))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("unknown format of an archive: \"%s\"", format),
				 errhint("Use \"jsonl\", \"csv\" or \"binary\".")));
	if (!archive_find_compression(compression, &row->compression))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("unknown compression of an archive: \"%s\"", compression),
				 errhint("Use \"none\", \"gzip\", \"lz4\" or \"zstd\".")));
	archive_check_compression(row->compression);
}

/* can the server create files there? */
static void
check_writable(const ArchiveRow *row)
{
	char	   *path = psprintf("%s/%s.%d.tmp", row->destination, row->prefix, MyProcPid);
	int			fd = OpenTransientFile(path, O_CREAT | O_TRUNC | O_WRONLY | PG_BINARY);

	if (fd < 0)
		ereport(ERROR,
				(errcode_for_file_access(),
				 errmsg("could not create file \"%s\": %m", path)));
	CloseTransientFile(fd);
	(void) unlink(path);
}

/* without the manifest, files of an archive may be somebody's only copy */
static void
check_no_files(const ArchiveRow *row)
{
	DIR		   *dir = AllocateDir(row->destination);
	struct dirent *entry;

	while ((entry = ReadDir(dir, row->destination)) != NULL)
	{
		ArchiveLine *line = archive_parse_file_name(entry->d_name);

		if (line != NULL && strcmp(line->stream, row->prefix) == 0)
			ereport(ERROR,
					(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
					 errmsg("directory \"%s\" has files of an archive without their manifest",
							row->destination),
					 errdetail("One of them is \"%s\".", entry->d_name),
					 errhint("Use another directory.")));
	}
	FreeDir(dir);
}

/*
 * Go on where an earlier archive of this stream ended.  Fails if the files
 * there are of another stream.
 */
static void
adopt_files(Relation rel, const ArchiveRow *row)
{
	char	   *manifest = archive_manifest_path(row->destination, row->prefix);
	List	   *lines = archive_manifest_read(manifest, true);
	ListCell   *lc;

	if (lines == NIL)
		check_no_files(row);
	foreach(lc, lines)
	{
		if (strcmp(((ArchiveLine *) lfirst(lc))->identity, row->identity) != 0)
			ereport(ERROR,
					(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
					 errmsg("archive manifest \"%s\" belongs to another stream", manifest),
					 errhint("Use another directory.")));
	}
	foreach(lc, archive_manifest_effective(manifest, lines))
	{
		ArchiveLine *line = lfirst(lc);
		ArchiveProgress progress;

		if (line->partition >= log_partition_count(rel) ||
			line->end > log_next_offset(rel, line->partition))
			ereport(ERROR,
					(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
					 errmsg("archive manifest \"%s\" has messages that stream \"%s\" never had",
							manifest, RelationGetRelationName(rel)),
					 errhint("Use another directory.")));
		archive_get_progress(row->stream, line->partition, &progress);
		progress.next_offset = line->end;
		progress.files += line->file != NULL ? 1 : 0;
		progress.bytes += Max(line->bytes, 0);
		archive_set_progress(row->stream, line->partition, &progress);
	}
}

/*
 * archive_stream(stream regclass, destination text, format text,
 *				  compression text, command text)
 *
 * 42501 without the privileges to write files, to run a command, or to read
 * the stream; 42710 if the stream is archived already; 22023 for a format,
 * compression, command or directory that cannot be used; the system's error if
 * the directory cannot be written to; 55000 if it holds another archive.
 */
PG_FUNCTION_INFO_V1(streamq_archive_stream);
Datum
streamq_archive_stream(PG_FUNCTION_ARGS)
{
	ArchiveRow	row = {0};
	ArchiveRow	old;
	Relation	rel;

	base_require_loaded();
	if (PG_ARGISNULL(0))
		base_null_argument("stream");
	row.destination = get_text(fcinfo, 1, "destination");
	get_formats(fcinfo, &row);
	if (!PG_ARGISNULL(4))
	{
		row.command = text_to_cstring(PG_GETARG_TEXT_PP(4));
		if (row.command[0] == '\0')
			row.command = NULL;
		else
			archive_command_check(row.command);
	}
	PreventCommandIfReadOnly("archive_stream()");
	PreventCommandIfParallelMode("archive_stream()");

	rel = log_open_stream(PG_GETARG_OID(0), AccessShareLock);
	stream_check_read(rel);
	check_privileges(row.command != NULL);
	row.stream = RelationGetRelid(rel);
	row.destination = archive_check_directory(row.destination, true);
	row.owner = GetUserId();
	row.prefix = archive_prefix(rel);
	row.identity = archive_identity(rel);
	row.started_at = GetCurrentTimestamp();

	(void) archive_lock(row.stream, true);
	if (archive_get(row.stream, &old))
	{
		if (!old.restored)
			ereport(ERROR,
					(errcode(ERRCODE_DUPLICATE_OBJECT),
					 errmsg("stream \"%s\" is archived already", RelationGetRelationName(rel)),
					 errdetail("Its archive is in \"%s\".", old.destination),
					 errhint("Call stop_archive() first.")));
		(void) archive_delete(row.stream);
	}
	check_writable(&row);
	archive_add(&row);
	adopt_files(rel, &row);
	table_close(rel, NoLock);
	waker();
	PG_RETURN_VOID();
}

/*
 * stop_archive(stream regclass)
 *
 * 42704 if the stream is not archived; 42501 unless the caller owns the stream
 * or the archive.
 */
PG_FUNCTION_INFO_V1(streamq_stop_archive);
Datum
streamq_stop_archive(PG_FUNCTION_ARGS)
{
	Relation	rel;
	ArchiveRow	row;

	base_require_loaded();
	if (PG_ARGISNULL(0))
		base_null_argument("stream");
	PreventCommandIfReadOnly("stop_archive()");
	PreventCommandIfParallelMode("stop_archive()");
	rel = log_open_stream(PG_GETARG_OID(0), AccessShareLock);
	(void) archive_lock(RelationGetRelid(rel), true);
	if (!archive_get(RelationGetRelid(rel), &row))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("stream \"%s\" is not archived", RelationGetRelationName(rel))));
	if (!has_privs_of_role(GetUserId(), row.owner) &&
		!object_ownercheck(RelationRelationId, RelationGetRelid(rel), GetUserId()))
		aclcheck_error(ACLCHECK_NOT_OWNER, OBJECT_TABLE, RelationGetRelationName(rel));
	(void) archive_delete(RelationGetRelid(rel));
	table_close(rel, NoLock);
	waker();
	PG_RETURN_VOID();
}

/*
 * BEFORE INSERT trigger on streamq.archive_dump: creates the archive of a
 * restored row, and keeps the row out of the table.
 */
PG_FUNCTION_INFO_V1(streamq_archive_dump_restored);
Datum
streamq_archive_dump_restored(PG_FUNCTION_ARGS)
{
	bool		isnull;

	(void) base_restore_row(fcinfo, "archive_dump_restored",
							"SELECT streamq.restore_archive($1)", &isnull);
	PG_RETURN_POINTER(NULL);
}
