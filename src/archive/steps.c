/*
 * steps.c
 *	  What the process that writes archives does with one archive: choose a
 *	  range, write its file, and let retention go on.
 *
 * A range consists of whole extents that are full and in which no transaction
 * is in progress.  It is recorded before its file is written.  So after a
 * crash the same range gets the same name again, and replaces what the crash
 * had left.
 */
#include "postgres.h"

#include <sys/stat.h>
#include <unistd.h>

#include "access/relation.h"
#include "catalog/pg_authid_d.h"
#include "common/file_perm.h"
#include "miscadmin.h"
#include "storage/fd.h"
#include "storage/lmgr.h"
#include "utils/acl.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"

#include "archive/archive.h"
#include "archive/file_command.h"
#include "archive/compress.h"
#include "archive/export.h"
#include "archive/files.h"
#include "archive/value_settings.h"
#include "compat.h"
#include "log/log.h"
#include "log/reader.h"
#include "log/space.h"
#include "stream/retention.h"

/* a file has so many bytes of extents, or one extent if that is larger */
#define FILE_BYTES		(16 * 1024 * 1024)

/* archives whose manifest this process has looked at */
static List *known_archives = NIL;

/* ---- choosing ---- */

/* The archive, if it is still the one with this key. */
static bool
get_archive(const ArchiveKey *key, ArchiveRow *row)
{
	return archive_get(key->stream, row) && row->started_at == key->started_at &&
		!row->restored;
}

/* Open a stream, if the lock is free. */
static Relation
open_stream(Oid relid)
{
	Relation	rel;

	if (!ConditionalLockRelationOid(relid, AccessShareLock))
		return NULL;
	rel = try_relation_open(relid, NoLock);
	if (rel == NULL)
		UnlockRelationOid(relid, AccessShareLock);
	else if (!log_is_stream(rel))
	{
		relation_close(rel, AccessShareLock);
		rel = NULL;
	}
	return rel;
}

/* the end of the full and settled extents from `from` on; `from` if none */
static int64
find_range_end(Relation rel, int partition, int64 from)
{
	int64		stable = log_stable_offset(rel, partition, NULL, NULL);
	int64		end = from;
	int64		bytes = 0;
	LogHeadExtent extent;

	while (end < stable && bytes < FILE_BYTES &&
		   log_get_head_extent(rel, partition, end, &extent) && extent.end <= stable)
	{
		CHECK_FOR_INTERRUPTS();
		if (end > from && bytes + extent.bytes > FILE_BYTES)
			break;
		end = extent.end;
		bytes += extent.bytes;
	}
	return end;
}

/* choose a range of a partition, and record it; false if there is none */
static bool
plan_partition(Relation rel, ArchiveStep *step)
{
	ArchiveProgress progress;
	int64		first = log_first_offset(rel, step->partition);

	archive_get_progress(step->key.stream, step->partition, &progress);
	step->after = progress.next_offset;
	step->from = progress.pending_from;
	step->to = progress.pending_to;

	/* go on with what was begun, unless TRUNCATE has removed it */
	if (step->from >= 0 && step->from >= first)
		return true;
	step->from = Max(first, step->after);
	if (step->from >= log_next_offset(rel, step->partition))
		return false;
	step->to = find_range_end(rel, step->partition, step->from);
	if (step->to == step->from)
		return false;
	progress.pending_from = step->from;
	progress.pending_to = step->to;
	archive_set_progress(step->key.stream, step->partition, &progress);
	return true;
}

bool
archive_plan(const ArchiveKey *key, ArchiveStep *step)
{
	Relation	rel = open_stream(key->stream);
	ArchiveRow	row;
	bool		found = false;

	if (rel == NULL)
		return false;
	step->key = *key;
	step->path = step->command = NULL;
	step->bytes = 0;
	if (archive_lock(key->stream, false) && get_archive(key, &row))
	{
		int			npartitions = log_partition_count(rel);
		int			start = step->partition + 1;

		for (int i = 0; i < npartitions && !found; i++)
		{
			step->partition = (start + i) % npartitions;
			found = plan_partition(rel, step);
		}
	}
	relation_close(rel, AccessShareLock);
	return found;
}

/* ---- writing ---- */

/* the owner of an archive may have lost a privilege since it began */
static void
check_owner(const ArchiveRow *row)
{
	if (!SearchSysCacheExists1(AUTHOID, ObjectIdGetDatum(row->owner)))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("owner of the archive has been dropped"),
				 errhint("Stop the archive and start it again.")));
	if (!has_privs_of_role(row->owner, ROLE_PG_WRITE_SERVER_FILES) ||
		(row->command != NULL &&
		 !has_privs_of_role(row->owner, ROLE_PG_EXECUTE_SERVER_PROGRAM)))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("role \"%s\" may not archive to files of the server any more",
						GetUserNameFromId(row->owner, false))));
}

/*
 * Is the range in the manifest already?  The first time that this process
 * writes to a manifest, it has a look whether that is so, and whether the
 * manifest belongs to this stream.
 */
static bool
is_in_manifest(const char *manifest, const ArchiveRow *row, const ArchiveLine *line)
{
	bool		found = false;
	MemoryContext old;
	ArchiveKey *key;
	ListCell   *lc;

	foreach(lc, known_archives)
	{
		key = lfirst(lc);
		if (key->stream == row->stream && key->started_at == row->started_at)
			return false;
	}
	foreach(lc, archive_manifest_read(manifest, true))
	{
		ArchiveLine *other = lfirst(lc);

		if (strcmp(other->identity, row->identity) != 0)
			ereport(ERROR,
					(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
					 errmsg("archive manifest \"%s\" belongs to another stream", manifest)));
		if (other->partition == line->partition)
			found = other->first == line->first && other->end == line->end &&
				other->after == line->after && strcmp(other->sha256, line->sha256) == 0;
	}
	old = MemoryContextSwitchTo(TopMemoryContext);
	key = palloc(sizeof(ArchiveKey));
	key->stream = row->stream;
	key->started_at = row->started_at;
	known_archives = lappend(known_archives, key);
	MemoryContextSwitchTo(old);
	return found;
}

typedef struct TemporaryFiles
{
	char	   *plain;			/* as COPY writes it */
	char	   *packed;
} TemporaryFiles;

static void
write_file(Relation rel, const ArchiveRow *row, ArchiveLine *line, const char *path,
		   const TemporaryFiles *files)
{
	archive_copy_to_file(rel, line, files->plain);
	if (line->messages == 0)
	{
		line->file = NULL;
		(void) unlink(files->plain);
		return;
	}
	if (row->compression != ARCHIVE_NONE)
	{
		archive_compress_file(files->plain, files->packed, row->compression);
		(void) unlink(files->plain);
	}
	else if (chmod(files->packed, pg_file_create_mode) != 0)
		ereport(ERROR,
				(errcode_for_file_access(),
				 errmsg("could not set permissions of file \"%s\": %m", files->packed)));
	archive_measure_file(files->packed, line);
	/* this makes the file, its name and the directory durable */
	(void) durable_rename(files->packed, path, ERROR);
}

/* write a file and its line in the manifest */
static void
write_range(Relation rel, const ArchiveRow *row, ArchiveStep *step, MemoryContext context)
{
	ArchiveLine line = {
		.stream = row->prefix,
		.partition = step->partition,
		.after = step->after,
		.first = step->from,
		.end = step->to,
		.format = row->format,
		.compression = row->compression,
		.encoding = pstrdup(archive_encoding()),
		.columns = archive_columns(rel),
		.identity = row->identity
	};
	char	   *name = archive_file_name(row->prefix, &line);
	char	   *path = psprintf("%s/%s", row->destination, name);
	char	   *manifest = archive_manifest_path(row->destination, row->prefix);
	TemporaryFiles files;

	line.file = name;
	files.packed = psprintf("%s.tmp", path);
	files.plain = row->compression == ARCHIVE_NONE ? files.packed :
		psprintf("%s.plain.tmp", path);
	PG_TRY();
	{
		write_file(rel, row, &line, path, &files);
	}
	PG_CATCH();
	{
		(void) unlink(files.plain);
		(void) unlink(files.packed);
		PG_RE_THROW();
	}
	PG_END_TRY();
	if (!is_in_manifest(manifest, row, &line))
		archive_manifest_append(manifest, &line);
	step->bytes = line.bytes;
	if (line.file != NULL)
	{
		MemoryContext old = MemoryContextSwitchTo(context);

		step->path = pstrdup(path);
		if (row->command != NULL)
			step->command = archive_command_expand(row->command, path);
		MemoryContextSwitchTo(old);
	}
}

bool
archive_export(ArchiveStep *step)
{
	MemoryContext context = GetMemoryChunkContext(step);
	Relation	rel = open_stream(step->key.stream);
	ArchiveRow	row;
	bool		done = false;

	if (rel == NULL)
		return false;
	/* all of the range is settled, so this snapshot sees what has committed */
	PushActiveSnapshot(GetTransactionSnapshot());
	if (get_archive(&step->key, &row) &&
		log_first_offset(rel, step->partition) <= step->from)
	{
		check_owner(&row);
		write_range(rel, &row, step, context);
		done = true;
	}
	PopActiveSnapshot();
	relation_close(rel, AccessShareLock);
	return done;
}

bool
archive_advance(const ArchiveStep *step)
{
	ArchiveRow	row;
	ArchiveProgress progress;

	if (!archive_lock(step->key.stream, false))
		return false;
	if (get_archive(&step->key, &row))
	{
		archive_get_progress(step->key.stream, step->partition, &progress);
		progress.next_offset = Max(progress.next_offset, step->to);
		progress.pending_from = progress.pending_to = -1;
		progress.files += step->path != NULL ? 1 : 0;
		progress.bytes += step->bytes;
		archive_set_progress(step->key.stream, step->partition, &progress);
		(void) archive_set_error(step->key.stream, NULL);
	}
	return true;
}

bool
archive_record_error(const ArchiveKey *key, const char *error)
{
	ArchiveRow	row;

	return archive_lock(key->stream, false) && get_archive(key, &row) &&
		archive_set_error(key->stream, error);
}

/* ---- retention ---- */

static bool
is_archived(Relation rel)
{
	ArchiveRow	row;

	return archive_get(RelationGetRelid(rel), &row);
}

static void
keep_unarchived(Relation rel, int npartitions, int64 *least)
{
	int64	   *positions = palloc(sizeof(int64) * npartitions);

	archive_get_positions(RelationGetRelid(rel), npartitions, positions);
	for (int p = 0; p < npartitions; p++)
		least[p] = Min(least[p], positions[p]);
	pfree(positions);
}

void
archive_stream_dropped(Oid relid)
{
	(void) archive_delete(relid);
}

void
archive_init(void)
{
	static const StreamRetentionKeeper keeper = {
		.keeps = is_archived,
		.lower = keep_unarchived
	};

	stream_register_retention_keeper(&keeper);
}
