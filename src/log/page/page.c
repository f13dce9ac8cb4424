/*
 * page.c
 *	  Pages of a stream's file: initializing, checking and reading them.
 */
#include "postgres.h"

#include "access/xlog.h"
#include "miscadmin.h"
#include "utils/rel.h"

#include "log/page/page.h"
#include "log/page/run.h"
#include "log/page/structure.h"
#include "log/state_page.h"

void
log_page_init(Page page, LogPageKind kind, int partition)
{
	LogPageOpaque *opaque;

	if (PageIsNew(page))
	{
		PageHeader	header = (PageHeader) page;

		/* most pages arrive zeroed, so PageInit's memset can be saved */
		header->pd_lower = LOG_PAGE_START;
		header->pd_upper = header->pd_special = LOG_PAGE_END;
		PageSetPageSizeAndVersion(page, BLCKSZ, PG_PAGE_LAYOUT_VERSION);
	}
	else
		PageInit(page, BLCKSZ, sizeof(LogPageOpaque));
	opaque = LOG_OPAQUE(page);
	opaque->partition = (uint8) Max(partition, 0);
	opaque->magic = LOG_PAGE_MAGIC;
	opaque->version = LOG_PAGE_VERSION;
	opaque->kind = (uint8) kind;
}

/*
 * Do the counts on the page agree with the length of its content?  Readers of
 * the page rely on this and do not check the counts again.
 */
static bool
content_fits(Page page, LogPageKind kind)
{
	Size		content = ((PageHeader) page)->pd_lower - LOG_PAGE_START;
	LogPageOpaque *opaque = LOG_OPAQUE(page);

	switch (kind)
	{
		case LOG_PAGE_DATA:
			return opaque->cont_len <= content && opaque->base >= 0 &&
				(opaque->last_run == 0 ? opaque->nrows == 0 :
				 opaque->last_run >= LOG_PAGE_START + opaque->cont_len &&
				 opaque->last_run == MAXALIGN(opaque->last_run) &&
				 opaque->last_run + sizeof(LogRun) <= LOG_PAGE_START + content);
		case LOG_PAGE_META:
			{
				LogMeta    *meta = LOG_META(page);

				return meta->npartitions >= 1 && meta->npartitions <= LOG_META_PARTITIONS &&
					meta->nfree <= LOG_META_MAX_FREE &&
					content == offsetof(LogMeta, free) + meta->nfree * sizeof(LogBlockRange);
			}
		case LOG_PAGE_HEAD:
			{
				LogHead    *head = LOG_HEAD(page);

				return head->nbarriers <= LOG_MAX_BARRIERS &&
					content == sizeof(LogHead) + head->nparents * sizeof(LogParent) +
					head->nbarriers * sizeof(LogBarrier) +
					head->nroot * sizeof(LogRootEntry);
			}
		case LOG_PAGE_DIRECTORY:
			return LOG_DIRECTORY(page)->nextents <= LOG_DIRECTORY_MAX &&
				content == offsetof(LogDirectory, extents) +
				LOG_DIRECTORY(page)->nextents * sizeof(LogExtent);
		case LOG_PAGE_STATE_DIRECTORY:
			{
				LogStateDirectory *directory = LOG_STATE_DIRECTORY(page);

				return directory->nentries <= LOG_STATE_DIRECTORY_MAX &&
					directory->level <= LOG_STATE_MAX_LEVEL &&
					(directory->level == 0 || directory->nentries > 0) &&
					content == offsetof(LogStateDirectory, entries) +
					directory->nentries * sizeof(LogStateEntry);
			}
		case LOG_PAGE_STATE:
			return content <= LOG_STATE_MAX;
		case LOG_PAGE_FREE:
			return content == 0;
	}
	return false;
}

bool
log_page_is(Page page, LogPageKind kind, int partition)
{
	PageHeader	header = (PageHeader) page;
	LogPageOpaque *opaque;

	if (header->pd_upper != LOG_PAGE_END || header->pd_special != LOG_PAGE_END ||
		header->pd_lower < LOG_PAGE_START || header->pd_lower > LOG_PAGE_END)
		return false;
	opaque = LOG_OPAQUE(page);
	return opaque->magic == LOG_PAGE_MAGIC &&
		opaque->version == LOG_PAGE_VERSION &&
		opaque->kind == (uint8) kind &&
		(partition < 0 || opaque->partition == (uint8) partition) &&
		content_fits(page, kind);
}

bool
log_state_is(Page page, const LogStateKey *key)
{
	LogPageOpaque *opaque = LOG_OPAQUE(page);

	return log_page_is(page, LOG_PAGE_STATE, key->partition) &&
		opaque->owner == key->owner && opaque->nrows == key->kind &&
		opaque->base == key->number;
}

const char *
log_page_check_runs(Page page)
{
	LogPageOpaque *opaque = LOG_OPAQUE(page);
	LogRunWalk	walk;
	LogRun	   *run;
	uint32		last = 0;

	log_run_begin(&walk, page);
	while ((run = log_run_next(&walk)) != NULL)
	{
		last = walk.pos;
		if ((run->flags & ~LOG_RUN_KNOWN) != 0)
			return LOG_RUN_UNKNOWN;
		/* a row takes two bytes at least */
		if (run->nrows == 0 || run->nbytes < run->nrows * sizeof(uint16))
			return "a run is too short for its rows";
		if (walk.end > walk.lower)
			return "a run ends after the content of the page";
	}
	if (walk.end != walk.lower)
		return "its runs do not fill its content";
	if (last != opaque->last_run || walk.off != opaque->base + opaque->nrows)
		return "its runs are not those that it counts";
	return NULL;
}

void
log_page_corrupted(Relation rel, BlockNumber block, const char *what)
{
	ereport(ERROR,
			(errcode(ERRCODE_DATA_CORRUPTED),
			 errmsg("block %u of stream \"%s\" is damaged: %s",
					block, RelationGetRelationName(rel), what),
			 errhint("Restore the stream from a backup.")));
	pg_unreachable();
}

Buffer
log_page_read(Relation rel, BlockNumber block, LogPageKind kind, int partition,
			  int lockmode)
{
	Buffer		buffer;

	/* this rejects the invalid block, too, which would extend the file */
	log_check_block(rel, block);
	buffer = ReadBuffer(rel, block);
	LockBuffer(buffer, lockmode);
	if (!log_page_is(BufferGetPage(buffer), kind, partition))
		log_page_corrupted(rel, block, "it is not a page of the expected kind and version");
	return buffer;
}

void
log_page_set_content(Page page, Size len)
{
	Assert(LOG_PAGE_START + len <= LOG_PAGE_END);
	((PageHeader) page)->pd_lower = LOG_PAGE_START + len;
}
