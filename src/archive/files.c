/*
 * files.c
 *	  The directory of an archive, and the names of the files in it.
 *
 * A name is
 *		PREFIX-PPP-FFFFFFFFFFFFFFF-LLLLLLLLLLLLLLL.FORMAT[.COMPRESSION]
 * with the partition and the first and last offset as decimal numbers, so the
 * names of a partition sort by offset.
 */
#include "postgres.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "access/xlog.h"
#include "common/cryptohash.h"
#include "common/sha2.h"
#include "miscadmin.h"
#include "storage/fd.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

#include "archive/files.h"
#include "log/log.h"

#define PREFIX_MAX		160		/* so that names fit into a file system */
#define CHUNK			(64 * 1024)

static const char *const format_suffixes[] = {
	[ARCHIVE_JSONL] = ".jsonl",
	[ARCHIVE_CSV] = ".csv",
	[ARCHIVE_BINARY] = ".bin"
};

static const char *const compression_suffixes[] = {
	[ARCHIVE_NONE] = "",
	[ARCHIVE_GZIP] = ".gz",
	[ARCHIVE_LZ4] = ".lz4",
	[ARCHIVE_ZSTD] = ".zst"
};

char *
archive_check_directory(const char *path, bool writing)
{
	char	   *result = pstrdup(path);
	char	   *real;
	char	   *data;
	bool		inside;
	struct stat st;

	if (!is_absolute_path(path) || strlen(path) >= MAXPGPATH / 2)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("\"%s\" must be the absolute path of a directory", "destination"),
				 errdetail("It is \"%s\".", path)));
	canonicalize_path(result);
	if (stat(result, &st) != 0)
		ereport(ERROR,
				(errcode_for_file_access(),
				 errmsg("could not stat directory \"%s\": %m", result)));
	if (!S_ISDIR(st.st_mode))
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("\"%s\" is not a directory", result)));
	if (!writing)
		return result;
	real = realpath(result, NULL);
	data = realpath(DataDir, NULL);
	if (real == NULL || data == NULL)
		ereport(ERROR,
				(errcode_for_file_access(),
				 errmsg("could not resolve path \"%s\": %m", result)));
	inside = path_is_prefix_of_path(data, real);
	free(real);
	free(data);
	if (inside)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("\"%s\" must not be inside the data directory", "destination"),
				 errdetail("It is \"%s\".", result)));
	return result;
}

/*
 * Letters, digits, dots, underscores and characters beyond ASCII stay as they
 * are, because they mean nothing to a shell.  Other bytes become "~" and two
 * hexadecimal digits.
 */
static void
put_name(StringInfo buf, const char *name)
{
	for (const char *c = name; *c != '\0'; c++)
	{
		if (IS_HIGHBIT_SET(*c) || *c == '_' || *c == '.' || (*c >= '0' && *c <= '9') ||
			(*c >= 'a' && *c <= 'z') || (*c >= 'A' && *c <= 'Z'))
			appendStringInfoChar(buf, *c);
		else
			appendStringInfo(buf, "~%02x", (unsigned char) *c);
	}
}

char *
archive_prefix(Relation rel)
{
	StringInfoData buf;

	initStringInfo(&buf);
	put_name(&buf, get_namespace_name(RelationGetNamespace(rel)));
	appendStringInfoChar(&buf, '.');
	put_name(&buf, RelationGetRelationName(rel));
	if (buf.len > PREFIX_MAX)
		ereport(ERROR,
				(errcode(ERRCODE_NAME_TOO_LONG),
				 errmsg("name of stream \"%s\" is too long for names of files",
						RelationGetRelationName(rel)),
				 errdetail("Names of files would begin with \"%s\".", buf.data)));
	return buf.data;
}

char *
archive_identity(Relation rel)
{
	return psprintf(UINT64_FORMAT "/%u/%u", GetSystemIdentifier(), MyDatabaseId,
					RelationGetRelid(rel));
}

char *
archive_manifest_path(const char *directory, const char *prefix)
{
	return psprintf("%s/%s%s", directory, prefix, ARCHIVE_MANIFEST_SUFFIX);
}

char *
archive_file_name(const char *prefix, const ArchiveLine *line)
{
	return psprintf("%s-%03d-%015lld-%015lld%s%s", prefix, line->partition,
					(long long) line->first, (long long) line->end - 1,
					format_suffixes[line->format], compression_suffixes[line->compression]);
}

/* the index of the suffix that a name has, and its length without it; -1 if none */
static int
find_suffix(const char *const *suffixes, int n, const char *name, size_t *len)
{
	for (int i = n - 1; i >= 0; i--)
	{
		size_t		suffix = strlen(suffixes[i]);

		if (*len > suffix && memcmp(name + *len - suffix, suffixes[i], suffix) == 0)
		{
			*len -= suffix;
			return i;
		}
	}
	return -1;
}

ArchiveLine *
archive_parse_file_name(const char *name)
{
	ArchiveLine *line = palloc0(sizeof(ArchiveLine));
	size_t		len = strlen(name);
	int			compression = find_suffix(compression_suffixes,
										  lengthof(compression_suffixes), name, &len);
	int			format = find_suffix(format_suffixes, lengthof(format_suffixes), name, &len);
	const size_t numbers = strlen("-PPP-FFFFFFFFFFFFFFF-LLLLLLLLLLLLLLL");
	long long	first;
	long long	last;
	int			n = 0;

	if (compression < 0 || format < 0 || len <= numbers)
		return NULL;
	if (sscanf(name + len - numbers, "-%3d-%15lld-%15lld%n",
			   &line->partition, &first, &last, &n) != 3 ||
		n != numbers || line->partition < 0 || line->partition >= LOG_MAX_PARTITIONS ||
		first < 0 || last < first)
		return NULL;
	line->file = pstrdup(name);
	line->stream = pnstrdup(name, len - numbers);
	line->after = line->messages = line->bytes = -1;
	line->first = first;
	line->end = last + 1;
	line->format = format;
	line->compression = compression;
	return line;
}

void
archive_measure_file(const char *path, ArchiveLine *line)
{
	static const char digits[] = "0123456789abcdef";
	pg_cryptohash_ctx *ctx = pg_cryptohash_create(PG_SHA256);
	uint8		digest[PG_SHA256_DIGEST_LENGTH];
	char	   *buf = palloc(CHUNK);
	int			fd = OpenTransientFile(path, O_RDONLY | PG_BINARY);
	int			n;

	if (fd < 0)
		ereport(ERROR,
				(errcode_for_file_access(),
				 errmsg("could not open file \"%s\": %m", path)));
	line->bytes = 0;
	if (pg_cryptohash_init(ctx) < 0)
		elog(ERROR, "could not compute SHA-256: %s", pg_cryptohash_error(ctx));
	while ((n = read(fd, buf, CHUNK)) > 0)
	{
		CHECK_FOR_INTERRUPTS();
		if (pg_cryptohash_update(ctx, (uint8 *) buf, n) < 0)
			elog(ERROR, "could not compute SHA-256: %s", pg_cryptohash_error(ctx));
		line->bytes += n;
	}
	if (n < 0)
		ereport(ERROR,
				(errcode_for_file_access(),
				 errmsg("could not read file \"%s\": %m", path)));
	if (pg_cryptohash_final(ctx, digest, sizeof(digest)) < 0)
		elog(ERROR, "could not compute SHA-256: %s", pg_cryptohash_error(ctx));
	pg_cryptohash_free(ctx);
	CloseTransientFile(fd);
	pfree(buf);
	for (int i = 0; i < PG_SHA256_DIGEST_LENGTH; i++)
	{
		line->sha256[i * 2] = digits[digest[i] >> 4];
		line->sha256[i * 2 + 1] = digits[digest[i] & 15];
	}
	line->sha256[ARCHIVE_SHA256_LENGTH] = '\0';
}
