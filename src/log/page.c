/*
 * page.c
 *	  Pages of a stream's file: making, checking and reading them.
 */
#include "postgres.h"

#include "utils/rel.h"

#include "log/log_internal.h"

void
log_page_init(Page page, LogPageKind kind, int partition)
{
	LogPageOpaque *opaque;

	PageInit(page, BLCKSZ, sizeof(LogPageOpaque));
	opaque = LOG_OPAQUE(page);
	memset(opaque, 0, sizeof(LogPageOpaque));
	opaque->partition = (uint8) Max(partition, 0);
	opaque->magic = LOG_PAGE_MAGIC;
	opaque->version = LOG_PAGE_VERSION;
	opaque->kind = (uint8) kind;
}

bool
log_page_is(Page page, LogPageKind kind, int partition)
{
	LogPageOpaque *opaque;

	if (PageIsNew(page) ||
		((PageHeader) page)->pd_special != LOG_PAGE_END)
		return false;
	opaque = LOG_OPAQUE(page);
	return opaque->magic == LOG_PAGE_MAGIC &&
		opaque->version == LOG_PAGE_VERSION &&
		opaque->kind == (uint8) kind &&
		(partition < 0 || opaque->partition == (uint8) partition);
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
	Buffer		buffer = ReadBuffer(rel, block);

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
