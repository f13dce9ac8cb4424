/*
 * check_structure.c
 *	  Checking the structure of a stream's file: meta page, heads,
 *	  directories, free blocks, states.
 *
 * Structure pages are copied while the extension lock is held, so no block is
 * handed out or given back meanwhile.  But the tail can move into another
 * extent.  So the tail is read before and after its directory is copied; if
 * both agree, the copies belong together.  On a standby redo changes one page
 * after the other, so what looks wrong there is checked again.
 */
#include "postgres.h"

#include "access/transam.h"
#include "miscadmin.h"
#include "storage/bufmgr.h"
#include "storage/latch.h"
#include "storage/lmgr.h"
#include "utils/rel.h"
#include "utils/wait_event.h"

#include "base/try.h"
#include "log/check.h"
#include "log/check/check_walk.h"
#include "log/page/page.h"
#include "log/page/structure.h"
#include "log/space/relcache.h"
#include "log/space/shared.h"
#include "log/write/state_callbacks.h"

/* how often the directory is copied until the tail does not move meanwhile */
#define MAX_TRIES			20
/* how often a standby checks again, and how long it waits before that */
#define STANDBY_TRIES		5
#define STANDBY_WAIT_MS		200

/* A part of the file and its use. */
typedef struct Use
{
	BlockNumber start;
	uint32		nblocks;
	int			partition;
	const char *what;
} Use;

typedef struct Structure
{
	Check	   *check;
	int			npartitions;
	BlockNumber nallocated;
	bool		complete;		/* all free blocks are in the list */
	uint32		nstates;		/* states found */
	uint32		ndirectory;		/* pages of the state directory */
	CheckPartition *partitions;
	int			nuses;
	int			maxuses;
	Use		   *uses;
} Structure;

/* A problem of one pass, kept until the pass is known to count. */
typedef struct Problem
{
	int			partition;
	BlockNumber block;
	int64		off;
	char	   *text;
} Problem;

/* ---- reporting and reading ---- */

void
log_check_report(Check *check, int partition, BlockNumber block, int64 off,
				 const char *fmt, ...)
{
	StringInfoData text;

	initStringInfo(&text);
	for (;;)
	{
		va_list		args;
		int			needed;

		va_start(args, fmt);
		needed = appendStringInfoVA(&text, fmt, args);
		va_end(args);
		if (needed == 0)
			break;
		enlargeStringInfo(&text, needed);
	}
	check->nproblems++;
	check->report(check->arg, partition, block, off, text.data);
	pfree(text.data);
}

typedef struct GuardedCall
{
	Check	   *check;
	void		(*fn) (Check *check, void *arg);
	void	   *arg;
} GuardedCall;

static void
call_guarded(void *arg)
{
	GuardedCall *call = arg;

	call->fn(call->check, call->arg);
}

static bool
is_problem(const ErrorData *error)
{
	return base_try_is_damage(error) ||
		ERRCODE_TO_CATEGORY(error->sqlerrcode) == ERRCODE_INTERNAL_ERROR;
}

bool
log_check_guard(Check *check, int partition, BlockNumber block,
				void (*fn) (Check *check, void *arg), void *arg)
{
	GuardedCall call = {check, fn, arg};
	ErrorData  *error = base_try(call_guarded, &call, BASE_TRY_KEEP, is_problem);

	if (error == NULL)
		return true;
	log_check_report(check, partition, block, -1, "%s", error->message);
	FreeErrorData(error);
	return false;
}

typedef struct ReadArgs
{
	BlockNumber block;
	char	   *copy;
} ReadArgs;

static void
read_page(Check *check, void *arg)
{
	ReadArgs   *args = arg;
	Buffer		buffer = ReadBufferExtended(check->rel, MAIN_FORKNUM, args->block,
											RBM_NORMAL, check->strategy);

	LockBuffer(buffer, BUFFER_LOCK_SHARE);
	memcpy(args->copy, BufferGetPage(buffer), BLCKSZ);
	UnlockReleaseBuffer(buffer);
}

bool
log_check_read(Check *check, int partition, BlockNumber block, char *copy)
{
	ReadArgs	args = {block, copy};

	CHECK_FOR_INTERRUPTS();
	if (block >= check->nblocks)
		check->nblocks = RelationGetNumberOfBlocks(check->rel);
	if (block >= check->nblocks)
	{
		log_check_report(check, partition, block, -1, "the block is past the end of the file");
		return false;
	}
	return log_check_guard(check, partition, block, read_page, &args);
}

/* Check that fields are zero that pages of this kind do not use. */
static void
check_unused_fields(Check *check, int partition, BlockNumber block, LogPageKind kind, Page page)
{
	LogPageOpaque *opaque = LOG_OPAQUE(page);
	bool		has_owner = kind == LOG_PAGE_DIRECTORY || kind == LOG_PAGE_STATE;
	uint8		flags = kind == LOG_PAGE_META ? LOG_META_INCOMPLETE : 0;

	bool		unused = opaque->last_run == 0 && opaque->cont_len == 0 &&
		(opaque->flags & ~flags) == 0;

	if (kind != LOG_PAGE_STATE)
		unused &= opaque->base == 0 && opaque->nrows == 0;
	if (!has_owner)
		unused &= opaque->owner == 0;
	if (kind == LOG_PAGE_DIRECTORY)
		unused &= LOG_DIRECTORY(page)->reserved == 0;
	for (int i = 0; kind == LOG_PAGE_META && i < (int) lengthof(LOG_META(page)->reserved); i++)
		unused &= LOG_META(page)->reserved[i] == 0;
	for (int i = 0; kind == LOG_PAGE_HEAD && i < (int) lengthof(LOG_HEAD(page)->reserved); i++)
		unused &= LOG_HEAD(page)->reserved[i] == 0;
	if (!unused)
		log_check_report(check, partition, block, -1, "fields that are not in use are not zero");
}

/* Copy a page that must be of the given kind, and check its unused fields. */
static bool
read_kind(Check *check, BlockNumber block, LogPageKind kind, int partition, char *copy,
		  const char *name)
{
	if (!BlockNumberIsValid(block))
	{
		log_check_report(check, partition, InvalidBlockNumber, -1, "no block is named for %s", name);
		return false;
	}
	if (!log_check_read(check, partition, block, copy))
		return false;
	if (!log_page_is((Page) copy, kind,
					 kind == LOG_PAGE_META || kind == LOG_PAGE_STATE_DIRECTORY ? -1 : partition))
	{
		log_check_report(check, partition, block, -1, "the block is not %s, or its counts are impossible",
						 name);
		return false;
	}
	check_unused_fields(check, partition, block, kind, (Page) copy);
	return true;
}

static void
use_blocks(Structure *s, BlockNumber start, uint32 nblocks, int partition, const char *what)
{
	if (s->nuses == s->maxuses)
	{
		s->maxuses = Max(256, s->maxuses * 2);
		s->uses = s->uses ?
			repalloc_huge(s->uses, s->maxuses * sizeof(Use)) :
			palloc(s->maxuses * sizeof(Use));
	}
	s->uses[s->nuses].start = start;
	s->uses[s->nuses].nblocks = nblocks;
	s->uses[s->nuses].partition = partition;
	s->uses[s->nuses].what = what;
	s->nuses++;
}

/* ---- meta page ---- */

static void
check_free_ranges(Structure *s, LogMeta *meta)
{
	uint64		end = 0;

	for (uint32 i = 0; i < meta->nfree; i++)
	{
		LogBlockRange *range = &meta->free[i];

		if (range->nblocks == 0 ||
			(uint64) range->start + range->nblocks > meta->nallocated)
		{
			log_check_report(s->check, -1, 0, -1,
							 "free blocks %u, %u long, are not within the %u that were handed out",
							 range->start, range->nblocks, meta->nallocated);
			continue;
		}
		if (i > 0 && range->start <= end)
			log_check_report(s->check, -1, 0, -1,
							 "free blocks %u, %u long, do not follow those before them",
							 range->start, range->nblocks);
		end = Max(end, (uint64) range->start + range->nblocks);
		use_blocks(s, range->start, range->nblocks, -1, "free");
	}
}

/* ---- heads and directories ---- */

static void
add_extent(CheckPartition *p, const LogExtent *extent)
{
	if (p->nextents == p->maxextents)
	{
		p->maxextents = Max(64, p->maxextents * 2);
		p->extents = p->extents ?
			repalloc_huge(p->extents, p->maxextents * sizeof(LogExtent)) :
			palloc(p->maxextents * sizeof(LogExtent));
	}
	p->extents[p->nextents++] = *extent;
}

/* Check an entry of a directory page, and note it and its blocks. */
static void
check_extent(Structure *s, CheckPartition *p, BlockNumber leaf, const LogExtent *extent)
{
	const LogExtent *prev = p->nextents > 0 ? &p->extents[p->nextents - 1] : NULL;
	bool		used = extent->base != LOG_SPARE_EXTENT;
	int			partition = p->partition;
	int64		off = used ? extent->base : -1;

	if (extent->nblocks == 0 || extent->start == 0 ||
		(uint64) extent->start + extent->nblocks > s->nallocated)
	{
		log_check_report(s->check, partition, leaf, off,
						 "an extent at block %u, %u long, is not within the %u blocks that were handed out",
						 extent->start, extent->nblocks, s->nallocated);
		p->head_ok = false;
		return;
	}
	if (used)
	{
		if (p->nextents > p->nused)
			log_check_report(s->check, partition, leaf, off,
							 "an extent in use follows a spare one");
		else if (extent->base < 0 || (prev && extent->base < prev->base))
			log_check_report(s->check, partition, leaf, off,
							 "base offsets of extents fall");
		if (extent->first_time == DT_NOEND || extent->first_time > extent->last_time ||
			(prev && prev->base != LOG_SPARE_EXTENT && extent->first_time < prev->last_time))
			log_check_report(s->check, partition, leaf, off,
							 "append times of extents fall");
		p->nused = p->nextents + 1;
		p->last_leaf = leaf;
	}
	add_extent(p, extent);
	use_blocks(s, extent->start, extent->nblocks, partition, used ? "an extent" : "a spare extent");
}

static void
check_parents(Structure *s, CheckPartition *p, BlockNumber block, LogHead *head)
{
	for (int i = 0; i < head->nparents; i++)
	{
		LogParent  *parent = &LOG_HEAD_PARENTS(head)[i];
		CheckPartition *before = &s->partitions[Min(parent->partition, LOG_META_PARTITIONS - 1)];

		/* no group could finish what was never written */
		if (parent->partition >= (uint32) p->partition || parent->reserved != 0 ||
			(i > 0 && parent->partition <= parent[-1].partition) ||
			parent->offset <= 0 ||
			(before->tail_ok && parent->offset > before->tail.next_offset))
			log_check_report(s->check, p->partition, block, -1,
							 "parent %u, to be finished below offset " INT64_FORMAT ", is impossible",
							 parent->partition, parent->offset);
	}
}

static void
check_barriers(Structure *s, CheckPartition *p, BlockNumber block, LogHead *head)
{
	for (int i = 0; i < head->nbarriers; i++)
	{
		LogBarrier *barrier = &LOG_HEAD_BARRIERS(head)[i];

		if (barrier->offset < (i > 0 ? barrier[-1].offset : 0) ||
			barrier->id <= (i > 0 ? barrier[-1].id : 0))
			log_check_report(s->check, p->partition, block, -1,
							 "barrier %u at offset " INT64_FORMAT " is not in order",
							 barrier->id, barrier->offset);
	}
}

/* Get the tail as the rest of the server knows it. */
static void
get_tail(Check *check, void *arg)
{
	CheckPartition *p = arg;

	log_get_tail(check->rel, p->partition, &p->tail);
}

/*
 * Check the head of a partition and its directory pages.  What they say goes
 * to *p.
 */
static void
check_head(Structure *s, CheckPartition *p, BlockNumber block)
{
	Check	   *check = s->check;
	PGAlignedBlock headcopy;
	PGAlignedBlock copy;
	LogHead    *head = LOG_HEAD(headcopy.data);
	LogRootEntry *root;
	bool		spare = false;

	p->head_ok = false;
	p->nextents = p->nused = 0;
	p->last_leaf = InvalidBlockNumber;
	if (!read_kind(check, block, LOG_PAGE_HEAD, p->partition, headcopy.data,
				   "the head of its partition"))
		return;
	p->head_ok = true;
	use_blocks(s, block, 1, p->partition, "a head");
	p->first_offset = head->first_offset;
	p->origin_offset = head->origin_offset;
	p->frozen_offset = head->frozen_offset;
	p->frozen_dead = head->frozen_dead;
	if (head->origin_offset < 0 || head->first_offset < head->origin_offset ||
		head->expired_offset < head->origin_offset ||
		head->expired_offset > head->first_offset ||
		head->frozen_offset < head->first_offset)
		log_check_report(check, p->partition, block, head->first_offset,
						 "origin " INT64_FORMAT ", first " INT64_FORMAT " and frozen offset "
						 INT64_FORMAT " are not in order",
						 head->origin_offset, head->first_offset, head->frozen_offset);
	else if (head->frozen_dead < 0 ||
			 head->frozen_dead > head->frozen_offset - head->first_offset)
		log_check_report(check, p->partition, block, head->first_offset,
						 INT64_FORMAT " dead rows are more than there are frozen ones",
						 head->frozen_dead);
	check_parents(s, p, block, head);
	check_barriers(s, p, block, head);

	root = LOG_HEAD_ROOT(head);
	for (int r = 0; r < head->nroot; r++)
	{
		LogDirectory *directory = LOG_DIRECTORY(copy.data);

		if (root[r].leaf_id >= head->next_leaf_id ||
			(r > 0 && root[r].leaf_id <= root[r - 1].leaf_id))
			log_check_report(check, p->partition, block, -1,
							 "directory pages in the root are not in order");
		if (root[r].base == LOG_SPARE_EXTENT)
			spare = true;
		else if (spare || (r > 0 && root[r].base < root[r - 1].base))
			log_check_report(check, p->partition, block, root[r].base,
							 "base offsets in the root fall");
		if (!read_kind(check, root[r].block, LOG_PAGE_DIRECTORY, p->partition, copy.data,
					   "a directory page of its partition"))
		{
			p->head_ok = false;
			continue;
		}
		if (LOG_OPAQUE(copy.data)->owner != root[r].leaf_id)
		{
			log_check_report(check, p->partition, root[r].block, -1,
							 "it is directory page %u, the root means %u",
							 LOG_OPAQUE(copy.data)->owner, root[r].leaf_id);
			p->head_ok = false;
			continue;
		}
		use_blocks(s, root[r].block, 1, p->partition, "a directory page");
		if (directory->nextents == 0)
			log_check_report(check, p->partition, root[r].block, -1,
							 "the directory page has no extents");
		else if (directory->extents[0].base != root[r].base)
			log_check_report(check, p->partition, root[r].block, root[r].base,
							 "its first extent is not the one in the root");
		for (uint32 i = 0; i < directory->nextents; i++)
			check_extent(s, p, root[r].block, &directory->extents[i]);
	}
	if (head->nroot > 0 && root[0].base != LOG_SPARE_EXTENT && root[0].base != p->first_offset)
		log_check_report(check, p->partition, block, p->first_offset,
						 "the first extent begins with offset " INT64_FORMAT
						 ", not with the first offset", root[0].base);
}

/* Does the directory agree with the tail in shared memory? */
static void
check_tail(Structure *s, CheckPartition *p, BlockNumber block)
{
	const LogTail *tail = &p->tail;
	const LogExtent *last = p->nused > 0 ? &p->extents[p->nused - 1] : NULL;
	uint64		spare = 0;

	/* Shared memory learns about a head only from the first append. */
	if (!BlockNumberIsValid(tail->head) && p->nextents == 0 &&
		tail->next_offset == p->origin_offset)
		return;

	for (int i = p->nused; i < p->nextents; i++)
		spare += p->extents[i].nblocks;

	if (tail->head != block || tail->first_offset != p->first_offset ||
		tail->frozen_offset > p->frozen_offset ||
		tail->spare_blocks != spare ||
		tail->extent_start != (last ? last->start : InvalidBlockNumber) ||
		tail->extent_end != (last ? last->start + last->nblocks : InvalidBlockNumber) ||
		(last && tail->leaf != p->last_leaf))
	{
		log_check_report(s->check, p->partition, block, tail->next_offset,
						 "the tail in shared memory is not that of the directory");
		p->tail_ok = false;
		return;
	}
	if (last && last->last_time != DT_NOEND)
		log_check_report(s->check, p->partition, p->last_leaf, last->base,
						 "the last extent in use is marked as full");
	for (int i = 0; i + 1 < p->nused; i++)
		if (p->extents[i].last_time == DT_NOEND)
			log_check_report(s->check, p->partition, block, p->extents[i].base,
							 "an extent is not marked as full, but another one follows");
	if (tail->next_offset < p->first_offset || tail->next_offset < p->frozen_offset)
		log_check_report(s->check, p->partition, block, tail->next_offset,
						 "the partition ends at offset " INT64_FORMAT ", before its frozen offset "
						 INT64_FORMAT, tail->next_offset, p->frozen_offset);
}

/*
 * Check the head, directory and tail of a partition, again if the tail moves
 * into another extent meanwhile.
 */
static void
check_partition(Structure *s, CheckPartition *p, BlockNumber block)
{
	Check	   *check = s->check;
	List	  **problems = check->arg;
	int			length = list_length(*problems);
	int64		nproblems = check->nproblems;
	int			nuses = s->nuses;

	for (int try = 1;; try++)
	{
		LogTail		tail;

		p->tail_ok = log_check_guard(check, p->partition, block, get_tail, p);
		tail = p->tail;
		check_head(s, p, block);
		if (!p->tail_ok || try >= MAX_TRIES)
			break;
		if (log_check_guard(check, p->partition, block, get_tail, p) &&
			tail.extent_start == p->tail.extent_start &&
			tail.spare_blocks == p->tail.spare_blocks)
		{
			/* do not check what was appended meanwhile */
			p->tail = tail;
			break;
		}
		*problems = list_truncate(*problems, length);
		check->nproblems = nproblems;
		s->nuses = nuses;
	}
	if (p->tail_ok && p->head_ok && check->nproblems == nproblems)
		check_tail(s, p, block);
}

/* ---- states ---- */

typedef struct VerifyArgs
{
	const LogStateKind *kind;
	const LogStateKey *key;
	const char *data;
	int			len;
	int64		next_offset;
	const char *problem;
} VerifyArgs;

static void
verify_state(Check *check, void *arg)
{
	VerifyArgs *args = arg;

	args->problem = args->kind->verify(args->key, args->data, args->len, args->next_offset);
}

/*
 * Check a state page that the directory names, and let its kind verify the
 * bytes.
 */
static void
check_state(Structure *s, BlockNumber dir, const LogStateEntry *entry)
{
	Check	   *check = s->check;
	const LogStateKey *key = &entry->key;
	PGAlignedBlock copy;
	VerifyArgs	args;
	CheckPartition *p;

	s->nstates++;
	if (key->partition >= s->npartitions || key->owner == 0 || key->reserved != 0)
	{
		log_check_report(check, -1, dir, -1, "a state of owner %u and partition %u is impossible",
						 key->owner, key->partition);
		return;
	}
	p = &s->partitions[key->partition];
	if (!read_kind(check, entry->block, LOG_PAGE_STATE, p->partition, copy.data,
				   "a state of its partition"))
		return;
	args.kind = log_state_kind(key->kind);
	use_blocks(s, entry->block, 1, p->partition, args.kind ? args.kind->name : "a state");
	if (!log_state_is((Page) copy.data, key))
	{
		log_check_report(check, p->partition, entry->block, -1,
						 "it is a state of owner %u, the directory names owner %u, or another page of it",
						 LOG_OPAQUE(copy.data)->owner, key->owner);
		return;
	}
	if (args.kind == NULL)
		log_check_report(check, p->partition, entry->block, -1,
						 "it is a state of kind %d, which this version of streamq does not know",
						 key->kind);
	if (args.kind == NULL || args.kind->verify == NULL)
		return;
	args.key = key;
	args.data = LOG_PAGE_CONTENT(copy.data);
	args.len = ((PageHeader) copy.data)->pd_lower - LOG_PAGE_START;
	args.next_offset = PG_INT64_MAX;
	args.problem = NULL;

	/*
	 * get the current tail, because the state is newer than the one used so
	 * far
	 */
	if (p->tail_ok)
	{
		LogTail		tail = p->tail;

		if (log_check_guard(check, p->partition, entry->block, get_tail, p))
			args.next_offset = p->tail.next_offset;
		p->tail = tail;
	}
	if (log_check_guard(check, p->partition, entry->block, verify_state, &args) &&
		args.problem != NULL)
		log_check_report(check, p->partition, entry->block, -1, "%s", args.problem);
}

/*
 * Check a page of the state directory and everything below it.  Its keys are
 * at least low and less than high (NULL: no limit).  level is that of the
 * page, -1 for the root.
 */
static void
check_state_directory(Structure *s, BlockNumber block, int level,
					  const LogStateKey *low, const LogStateKey *high)
{
	PGAlignedBlock copy;
	LogStateDirectory *directory = LOG_STATE_DIRECTORY(copy.data);

	/* pages that name each other would never end */
	if (++s->ndirectory > s->check->nblocks)
		return;
	if (!read_kind(s->check, block, LOG_PAGE_STATE_DIRECTORY, -1, copy.data,
				   "a page of the state directory"))
		return;
	use_blocks(s, block, 1, -1, "a page of the state directory");
	if (directory->reserved != 0)
		log_check_report(s->check, -1, block, -1, "fields that are not in use are not zero");
	if (level >= 0 && directory->level != level)
	{
		log_check_report(s->check, -1, block, -1,
						 "it has level %u of the state directory, the page above names level %d",
						 directory->level, level);
		return;
	}
	for (uint32 i = 0; i < directory->nentries; i++)
	{
		LogStateEntry *entry = &directory->entries[i];
		bool		first = i == 0 && directory->level > 0;

		if ((low && !first && log_state_compare(&entry->key, low) < 0) ||
			(high && !first && log_state_compare(&entry->key, high) >= 0) ||
			(i > 0 && log_state_compare(&entry->key, &entry[-1].key) <= 0))
			log_check_report(s->check, -1, block, -1,
							 "the keys of the state directory are not in order");
		if (directory->level == 0)
			check_state(s, block, entry);
		else
			check_state_directory(s, entry->block, directory->level - 1,
								  first ? low : &entry->key,
								  i + 1 < directory->nentries ? &entry[1].key : high);
	}
}

static void
check_states(Structure *s, const LogMeta *meta)
{
	s->nstates = 0;
	s->ndirectory = 0;
	if (BlockNumberIsValid(meta->state_root))
		check_state_directory(s, meta->state_root, -1, NULL, NULL);
	if (s->nstates != meta->nstates)
		log_check_report(s->check, -1, 0, -1, "there are %u states, %u are counted",
						 s->nstates, meta->nstates);
}

/* ---- all blocks ---- */

static int
compare_uses(const void *a, const void *b)
{
	const Use  *x = a;
	const Use  *y = b;

	return x->start < y->start ? -1 : x->start > y->start;
}

/*
 * Check that no block is used twice, and that all others are free or may be
 * missing from the list of free blocks.
 */
static void
check_uses(Structure *s)
{
	Check	   *check = s->check;
	uint64		end = 0;
	uint64		unused = 0;
	const Use  *last = NULL;

	qsort(s->uses, s->nuses, sizeof(Use), compare_uses);
	for (int i = 0; i < s->nuses; i++)
	{
		Use		   *use = &s->uses[i];

		if (last && use->start < end)
			log_check_report(check, use->partition, use->start, -1,
							 "the block is in use twice: as %s and as %s", last->what, use->what);
		else
			unused += use->start - end;
		if ((uint64) use->start + use->nblocks > s->nallocated)
			log_check_report(check, use->partition, use->start, -1,
							 "%s is beyond the %u blocks that were handed out",
							 use->what, s->nallocated);
		if ((uint64) use->start + use->nblocks > end)
		{
			end = (uint64) use->start + use->nblocks;
			last = use;
		}
	}
	if (end < s->nallocated)
		unused += s->nallocated - end;

	if (unused == 0 || check->nproblems > 0)
		return;
	if (s->complete)
		log_check_report(check, -1, 0, -1,
						 UINT64_FORMAT " blocks are in use for nothing and not in the list of free blocks",
						 unused);
	else
		ereport(NOTICE,
				(errmsg("stream \"%s\" has " UINT64_FORMAT " free blocks that its list of free space has no room for",
						RelationGetRelationName(check->rel), unused),
				 errhint("VACUUM finds them again.")));
}

/* Copy and check the structure.  False if there is no usable meta page. */
static bool
check_structure(Structure *s)
{
	Check	   *check = s->check;
	PGAlignedBlock copy;
	LogMeta    *meta = LOG_META(copy.data);

	check->nblocks = RelationGetNumberOfBlocks(check->rel);
	s->npartitions = 0;
	s->nuses = 0;
	if (check->nblocks == 0)
		return false;
	if (!log_check_read(check, -1, 0, copy.data))
		return false;
	if (PageIsNew((Page) copy.data))
	{
		/* a crash may leave a file that was extended but never written */
		for (BlockNumber block = 1; block < check->nblocks; block++)
		{
			if (log_check_read(check, -1, block, copy.data) && !PageIsNew((Page) copy.data))
			{
				log_check_report(check, -1, 0, -1, "the meta page is empty, other pages are not");
				break;
			}
		}
		return false;
	}
	if (!log_page_is((Page) copy.data, LOG_PAGE_META, -1))
	{
		log_check_report(check, -1, 0, -1, "the block is not a meta page, or its counts are impossible");
		return false;
	}

	check_unused_fields(check, -1, 0, LOG_PAGE_META, (Page) copy.data);
	s->npartitions = (int) meta->npartitions;
	s->nallocated = meta->nallocated;
	s->complete = (LOG_OPAQUE(copy.data)->flags & LOG_META_INCOMPLETE) == 0;
	use_blocks(s, 0, 1, -1, "the meta page");
	check_free_ranges(s, meta);
	for (int i = 0; i < LOG_META_PARTITIONS; i++)
		if (BlockNumberIsValid(meta->heads[i]) && i >= s->npartitions)
			log_check_report(check, i, 0, -1, "there is a head beyond the %d partitions",
							 s->npartitions);
	for (int i = 0; i < s->npartitions; i++)
	{
		s->partitions[i].partition = i;
		check_partition(s, &s->partitions[i], meta->heads[i]);
	}
	check_states(s, meta);
	check_uses(s);
	return true;
}

/* ---- the whole stream ---- */

static void
keep_problem(void *arg, int partition, BlockNumber block, int64 off, const char *text)
{
	List	  **problems = arg;
	Problem    *problem = palloc(sizeof(Problem));

	problem->partition = partition;
	problem->block = block;
	problem->off = off;
	problem->text = pstrdup(text);
	*problems = lappend(*problems, problem);
}

void
log_check(Relation rel, LogProblem report, void *arg)
{
	Check		check;
	Structure	s;
	List	   *problems = NIL;
	ListCell   *lc;
	bool		standby = RecoveryInProgress();

	memset(&check, 0, sizeof(check));
	check.rel = rel;
	check.strategy = GetAccessStrategy(BAS_BULKREAD);
	check.oldest_xid = rel->rd_rel->relfrozenxid;
	check.report = keep_problem;
	check.arg = &problems;
	memset(&s, 0, sizeof(s));
	s.check = &check;
	s.partitions = palloc0(sizeof(CheckPartition) * LOG_META_PARTITIONS);

	for (int try = 1;; try++)
	{
		problems = NIL;
		check.nproblems = 0;
		if (!standby)
		{
			/*
			 * load the cache entry here, because it reads catalogs, which
			 * must not happen under the lock
			 */
			(void) log_relcache(rel);
			LockRelationForExtension(rel, ExclusiveLock);
		}
		(void) check_structure(&s);
		if (!standby)
			UnlockRelationForExtension(rel, ExclusiveLock);
		if (!standby || problems == NIL || try >= STANDBY_TRIES)
			break;
		(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
						 STANDBY_WAIT_MS, PG_WAIT_EXTENSION);
		ResetLatch(MyLatch);
		CHECK_FOR_INTERRUPTS();
	}
	check.report = report;
	check.arg = arg;
	foreach(lc, problems)
	{
		Problem    *problem = lfirst(lc);

		report(arg, problem->partition, problem->block, problem->off, problem->text);
	}
	for (int i = 0; i < s.npartitions; i++)
		log_check_data(&check, &s.partitions[i]);
	FreeAccessStrategy(check.strategy);
}
