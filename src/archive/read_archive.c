/*
 * read_archive.c
 *	  read_archive(): the messages in the files of an archive.
 *
 * The manifest says which files there are, and what is in them.  Without a
 * manifest, for example where a command has copied the files, their names say
 * enough, except for binary files.
 */
#include "postgres.h"

#include <sys/stat.h>

#include "catalog/pg_authid_d.h"
#include "catalog/pg_type.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "storage/fd.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/typcache.h"

#include "archive/decode.h"
#include "archive/files.h"
#include "archive/value_settings.h"
#include "base/argument.h"
#include "base/loaded.h"

static void
check_privilege(void)
{
	if (!has_privs_of_role(GetUserId(), ROLE_PG_READ_SERVER_FILES))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("permission denied to read archives on the server"),
				 errdetail("Only roles with privileges of the \"%s\" role may read archives.",
						   "pg_read_server_files")));
}

/* does the name end with this suffix? */
static bool
has_suffix(const char *name, const char *suffix)
{
	size_t		len = strlen(name);

	return len > strlen(suffix) && strcmp(name + len - strlen(suffix), suffix) == 0;
}

/*
 * Look through a directory: the prefixes of manifests, and the files that look
 * like those of an archive.
 */
static void
list_directory(const char *directory, List **prefixes, List **lines)
{
	DIR		   *dir = AllocateDir(directory);
	struct dirent *entry;

	*prefixes = *lines = NIL;
	while ((entry = ReadDir(dir, directory)) != NULL)
	{
		ArchiveLine *line = archive_parse_file_name(entry->d_name);

		if (line != NULL)
			*lines = lappend(*lines, line);
		else if (has_suffix(entry->d_name, ARCHIVE_MANIFEST_SUFFIX))
			*prefixes = lappend(*prefixes,
								pnstrdup(entry->d_name,
										 strlen(entry->d_name) - strlen(ARCHIVE_MANIFEST_SUFFIX)));
	}
	FreeDir(dir);
}

static bool
has_string(const List *list, const char *string)
{
	ListCell   *lc;

	foreach(lc, list)
	{
		if (strcmp(lfirst(lc), string) == 0)
			return true;
	}
	return false;
}

/*
 * A directory may hold archives of several streams.  Then the row type decides,
 * if it is that of a stream with such a name.
 */
static const char *
choose_prefix(const char *directory, List *prefixes, Oid rowtype)
{
	Oid			relid = get_typ_typrelid(rowtype);
	Relation	rel;
	char	   *wanted;

	if (list_length(prefixes) == 1)
		return linitial(prefixes);
	rel = RelationIdGetRelation(relid);
	wanted = archive_prefix(rel);
	RelationClose(rel);
	if (!has_string(prefixes, wanted))
		ereport(ERROR,
				(errcode(ERRCODE_AMBIGUOUS_PARAMETER),
				 errmsg("directory \"%s\" has archives of several streams", directory),
				 errdetail("None of them is named \"%s\", like the row type.", wanted),
				 errhint("Pass a null of the row type of one of the streams.")));
	return wanted;
}

static int
compare_files(const ListCell *a, const ListCell *b)
{
	return strcmp(((const ArchiveLine *) lfirst(a))->file, ((const ArchiveLine *) lfirst(b))->file);
}

/* the files to read, in order */
static List *
find_files(const char *directory, Oid rowtype)
{
	List	   *prefixes;
	List	   *lines;
	List	   *result = NIL;
	const char *prefix;
	ListCell   *lc;

	list_directory(directory, &prefixes, &lines);
	if (prefixes != NIL)
	{
		char	   *manifest = archive_manifest_path(directory,
													 choose_prefix(directory, prefixes, rowtype));

		return archive_manifest_effective(manifest, archive_manifest_read(manifest, false));
	}
	foreach(lc, lines)
	{
		ArchiveLine *line = lfirst(lc);

		if (!has_string(prefixes, line->stream))
			prefixes = lappend(prefixes, line->stream);
	}
	if (prefixes == NIL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_FILE),
				 errmsg("directory \"%s\" has no archive", directory)));
	prefix = choose_prefix(directory, prefixes, rowtype);
	foreach(lc, lines)
	{
		if (strcmp(((ArchiveLine *) lfirst(lc))->stream, prefix) == 0)
			result = lappend(result, lfirst(lc));
	}
	list_sort(result, compare_files);
	return result;
}

/* compare a file with what the manifest says */
static void
verify_file(const char *path, const ArchiveLine *line)
{
	ArchiveLine found = {0};
	struct stat st;

	if (stat(path, &st) != 0)
		ereport(ERROR,
				(errcode_for_file_access(),
				 errmsg("could not stat archive file \"%s\": %m", path)));
	if (line->sha256[0] == '\0')
		return;
	archive_measure_file(path, &found);
	if (found.bytes != line->bytes)
		ereport(ERROR,
				(errcode(ERRCODE_DATA_CORRUPTED),
				 errmsg("archive file \"%s\" has a wrong size", path),
				 errdetail("It has %lld bytes instead of %lld.",
						   (long long) found.bytes, (long long) line->bytes)));
	if (strcmp(found.sha256, line->sha256) != 0)
		ereport(ERROR,
				(errcode(ERRCODE_DATA_CORRUPTED),
				 errmsg("archive file \"%s\" has a wrong checksum", path),
				 errdetail("Its SHA-256 is %s instead of %s.", found.sha256, line->sha256)));
}

/*
 * read_archive(destination text, row_type anyelement) returns setof anyelement
 *
 * 42501 without the privilege to read files; 42804 if row_type is not of a
 * composite type; 22023 if destination is not an absolute path; the system's
 * error if it or a file does not exist; XX001 if a file or the manifest is
 * damaged.
 */
PG_FUNCTION_INFO_V1(streamq_read_archive);
Datum
streamq_read_archive(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	Oid			rowtype = get_fn_expr_argtype(fcinfo->flinfo, 1);
	char	   *directory;
	int			nestlevel;
	ListCell   *lc;

	base_require_loaded();
	if (PG_ARGISNULL(0))
		base_null_argument("destination");
	if (!OidIsValid(get_typ_typrelid(rowtype)))
		ereport(ERROR,
				(errcode(ERRCODE_DATATYPE_MISMATCH),
				 errmsg("\"%s\" must be of a composite type", "row_type"),
				 errhint("Use a null of the row type of a table, such as NULL::clicks.")));
	check_privilege();
	directory = archive_check_directory(text_to_cstring(PG_GETARG_TEXT_PP(0)), false);
	InitMaterializedSRF(fcinfo, MAT_SRF_BLESS);

	nestlevel = archive_set_settings();
	foreach(lc, find_files(directory, rowtype))
	{
		ArchiveLine *line = lfirst(lc);
		char	   *path;
		int64		messages;

		if (line->file == NULL)
			continue;
		path = psprintf("%s/%s", directory, line->file);
		verify_file(path, line);
		messages = archive_decode_file(path, line, rsinfo->setDesc, rsinfo->setResult);
		if (line->messages >= 0 && messages != line->messages)
			ereport(ERROR,
					(errcode(ERRCODE_DATA_CORRUPTED),
					 errmsg("archive file \"%s\" has %lld messages instead of %lld", path,
							(long long) messages, (long long) line->messages)));
	}
	AtEOXact_GUC(false, nestlevel);
	PG_RETURN_NULL();
}
