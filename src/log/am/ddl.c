/*
 * ddl.c
 *	  New, truncated and moved files.
 *
 * Offsets never begin again: TRUNCATE carries each partition's next offset,
 * the partitions and the states of the parts above into the new file.
 */
#include "postgres.h"

#include "access/multixact.h"
#include "access/transam.h"
#include "access/xact.h"
#include "access/xlog.h"
#include "access/xloginsert.h"
#include "catalog/pg_am_d.h"
#include "catalog/pg_class.h"
#include "catalog/storage.h"
#include "catalog/storage_xlog.h"
#include "miscadmin.h"
#include "storage/bufmgr.h"
#include "storage/procarray.h"
#include "storage/smgr.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/relcache.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"

#include "log/am/am.h"
#include "log/log.h"
#include "log/page/page.h"
#include "log/page/structure.h"
#include "log/space/shared.h"
#include "log/space/state_directory.h"
#include "log/state_page.h"
#include "log/write/append_batch.h"
#include "log/write/state_callbacks.h"
#include "base/loaded.h"

/* Pages of a new file, in block order. */
typedef struct NewFile
{
	int			npages;
	int			maxpages;
	char	  **pages;
} NewFile;

/* set by log_begin_anew(): nothing is carried over to the next new file */
static bool begin_anew = false;

static Page
add_page(NewFile *file)
{
	if (file->npages == file->maxpages)
	{
		file->maxpages = Max(16, file->maxpages * 2);
		file->pages = file->pages ?
			repalloc(file->pages, file->maxpages * sizeof(char *)) :
			palloc(file->maxpages * sizeof(char *));
	}
	file->pages[file->npages] = COMPAT_PALLOC_PAGE();
	return (Page) file->pages[file->npages++];
}

/*
 * Add a level of the state directory with these entries.  Returns the number
 * of its pages, whose entries replace those in the array.
 */
static uint32
add_state_level(NewFile *file, LogStateEntry *entries, uint32 n, int level)
{
	uint32		npages = 0;

	for (uint32 i = 0; i < n; i += LOG_STATE_DIRECTORY_MAX)
	{
		BlockNumber block = file->npages;
		Page		page = add_page(file);
		LogStateDirectory *directory = LOG_STATE_DIRECTORY(page);

		log_fill_state_directory(page, level);
		directory->nentries = Min(n - i, LOG_STATE_DIRECTORY_MAX);
		memcpy(directory->entries, &entries[i], directory->nentries * sizeof(LogStateEntry));
		log_state_directory_set_content(page);
		entries[npages].key = directory->entries[0].key;
		entries[npages++].block = block;
	}
	return npages;
}

/*
 * Add the states, as their owners carry them to the offsets where the
 * partitions continue.
 */
static void
carry_states(Relation rel, NewFile *file, int npartitions, const int64 *next)
{
	LogMeta    *meta = LOG_META(file->pages[0]);
	LogStateEntry *entries;
	LogStateWalk walk;
	LogStateEntry entry;
	uint32		max = 64;
	uint32		n = 0;

	entries = palloc(max * sizeof(LogStateEntry));
	log_state_walk_begin(&walk, rel, NULL);
	while (log_state_walk_next(&walk, &entry))
	{
		const LogStateKind *kind = log_state_kind_of(rel, entry.block, entry.key.kind);
		char		data[LOG_STATE_MAX];
		int			len;
		bool		changed;

		CHECK_FOR_INTERRUPTS();
		if (entry.key.partition >= npartitions || !log_state_read(rel, entry.key, data, &len))
			continue;

		/*
		 * the new file counts as frozen up to here, so it must not hold older
		 * xids
		 */
		(void) kind->settle(&entry.key, data, &len, RecentXmin, &changed);
		if (!kind->carry(&entry.key, data, &len, next[entry.key.partition]))
			continue;
		if (n == max)
		{
			max *= 2;
			entries = repalloc_huge(entries, max * sizeof(LogStateEntry));
		}
		entries[n].key = entry.key;
		entries[n++].block = file->npages;
		log_fill_state(add_page(file), &entry.key, data, len);
	}
	meta->nstates = n;
	for (int level = 0; n > 0 && (level == 0 || n > 1); level++)
	{
		n = add_state_level(file, entries, n, level);
		meta->state_root = entries[0].block;
	}
	pfree(entries);
}

/*
 * Build the pages of an empty log that continues where the file of rel ends.
 * No pages are built if nothing needs to be carried over.
 */
static void
carry_on(Relation rel, NewFile *file)
{
	int			npartitions;
	bool		anything = false;
	int64		next[LOG_MAX_PARTITIONS];
	Page		meta;

	memset(file, 0, sizeof(*file));
	npartitions = log_partition_count(rel);
	for (int p = 0; p < npartitions; p++)
	{
		next[p] = log_next_offset(rel, p);
		anything |= next[p] > 0;
	}
	if (!anything && log_state_count(rel) == 0 && npartitions == 1)
		return;

	meta = add_page(file);
	log_fill_meta(meta, npartitions, 0);
	for (int p = 0; p < npartitions; p++)
	{
		LOG_META(meta)->heads[p] = file->npages;
		log_fill_head(add_page(file), p, next[p]);
	}
	carry_states(rel, file, npartitions, next);
	LOG_META(meta)->nallocated = file->npages;
}

/* Write the pages to an empty file, bypassing shared buffers. */
static void
write_pages(NewFile *file, SMgrRelation smgr, const RelFileLocator *locator, char persistence)
{
	if (file->npages == 0)
		return;
	for (int i = 0; i < file->npages; i++)
	{
		Page		page = (Page) file->pages[i];

		if (persistence == RELPERSISTENCE_PERMANENT && XLogIsNeeded())
			log_newpage(unconstify(RelFileLocator *, locator), MAIN_FORKNUM, i, page, true);
		PageSetChecksumInplace(page, i);
		smgrextend(smgr, MAIN_FORKNUM, i, file->pages[i], true);
	}
	smgrimmedsync(smgr, MAIN_FORKNUM);
}

/*
 * ALTER TABLE rewrites a table through a transient one named after its OID.
 * If the old table is a stream, its messages would get new offsets, so that is
 * refused.  If it is not, it is about to become one.
 */
static void
check_transient(Relation rel)
{
	unsigned int oid;
	char		end;
	HeapTuple	tuple;
	bool		stream;

	if (sscanf(RelationGetRelationName(rel), "pg_temp_%u%c", &oid, &end) != 1)
		return;
	tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(oid));
	if (!HeapTupleIsValid(tuple))
		return;
	stream = ((Form_pg_class) GETSTRUCT(tuple))->relam == rel->rd_rel->relam;
	ReleaseSysCache(tuple);
	if (stream)
		log_refuse(get_rel_name(oid), LOG_REFUSE_REWRITE);
	log_check_conversion(oid);
}

void
log_set_new_filelocator(Relation rel, const RelFileLocator *locator, char persistence,
						TransactionId *freezeXid, MultiXactId *minmulti)
{
	RelFileLocator old = RelationLocator(rel);
	RelFileLocator new = *locator;
	bool		truncate = !RelFileLocatorEquals(old, new);
	SMgrRelation smgr;
	NewFile		file;

	base_require_loaded();
	if (persistence == RELPERSISTENCE_TEMP)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("temporary streams are not supported"),
				 errhint("Use an unlogged stream, or an ordinary temporary table.")));
	if (rel->rd_rel->relkind == RELKIND_MATVIEW)
		log_refuse_materialized_view();
	check_transient(rel);

	memset(&file, 0, sizeof(file));
	if (truncate && !begin_anew)
		carry_on(rel, &file);
	log_placement_file_changed();

	*freezeXid = RecentXmin;
	*minmulti = GetOldestMultiXactId();
	smgr = RelationCreateStorage(new, persistence, true);
	write_pages(&file, smgr, &new, persistence);
	if (persistence == RELPERSISTENCE_UNLOGGED)
	{
		smgrcreate(smgr, INIT_FORKNUM, false);
		log_smgrcreate(&new, INIT_FORKNUM);
		smgrimmedsync(smgr, INIT_FORKNUM);
	}
	smgrclose(smgr);

	log_shared_forget(new);
	log_shared_forget_at_abort(new);
	if (truncate)
		log_shared_forget_at_commit(old);
}

/* Used when messages of a restored dump move (dump/load_plan.c). */
void
log_begin_anew(Relation rel)
{
	begin_anew = true;
	PG_TRY();
	{
		COMPAT_SET_NEW_RELATION_FILE(rel, rel->rd_rel->relpersistence);
	}
	PG_FINALLY();
	{
		begin_anew = false;
	}
	PG_END_TRY();
}

/* TRUNCATE of a file created in the same transaction. */
void
log_nontransactional_truncate(Relation rel)
{
	NewFile		file;
	RelFileLocator locator = RelationLocator(rel);

	carry_on(rel, &file);
	log_placement_file_changed();
	RelationTruncate(rel, 0);
	write_pages(&file, RelationGetSmgr(rel), &locator, rel->rd_rel->relpersistence);
	log_shared_forget(locator);
	if (rel->rd_amcache)
		pfree(rel->rd_amcache);
	rel->rd_amcache = NULL;
}

/* ALTER TABLE ... SET TABLESPACE. */
void
log_copy_data(Relation rel, const RelFileLocator *locator)
{
	char		persistence = rel->rd_rel->relpersistence;
	RelFileLocator new = *locator;
	SMgrRelation dst;

	/* the copy is made from the file, not from shared buffers */
	FlushRelationBuffers(rel);
	dst = RelationCreateStorage(new, persistence, true);
	RelationCopyStorage(RelationGetSmgr(rel), dst, MAIN_FORKNUM, persistence);
	if (persistence == RELPERSISTENCE_UNLOGGED)
	{
		smgrcreate(dst, INIT_FORKNUM, false);
		log_smgrcreate(&new, INIT_FORKNUM);
		smgrimmedsync(dst, INIT_FORKNUM);
	}
	log_shared_forget(new);
	log_shared_forget_at_abort(new);
	log_shared_forget_at_commit(RelationLocator(rel));
	RelationDropStorage(rel);
	smgrclose(dst);
}
