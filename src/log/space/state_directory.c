/*
 * state_directory.c
 *	  The directory of state pages.
 *
 * The directory is a tree of pages ordered by key (structure.h).  All changes
 * happen under the relation extension lock, and each has one WAL record that
 * leaves a valid tree.  A full page is split before an entry is added, from
 * the top down, so each split has room for its entry in the page above.  Pages
 * are not merged, but a page that becomes empty is freed.
 *
 * A search goes down from the meta page and locks a page before it releases
 * the one above.  Every change locks in the same order, so a search sees the
 * tree before or after it.
 *
 * On a standby, redo changes the pages one after the other: new pages first,
 * then from the top down.  (Pages of a record are restored in reverse order,
 * so they are registered that way.)  A search still finds what it looks for,
 * because an entry is in its new place before the page above names that place,
 * and is removed from its old place afterwards.
 */
#include "postgres.h"

#include "access/xlog.h"
#include "access/xloginsert.h"
#include "miscadmin.h"
#include "storage/bufmgr.h"
#include "utils/rel.h"

#include "log/page/log_xlog.h"
#include "log/page/page.h"
#include "log/page/structure.h"
#include "log/space/blocks.h"
#include "log/space/partition.h"
#include "log/space/state_directory.h"

/* Place of a key, or where it would be: one page per level, the root first. */
typedef struct StatePath
{
	int			depth;			/* 0: there is no tree */
	BlockNumber blocks[LOG_STATE_MAX_LEVEL + 1];
	uint32		nentries[LOG_STATE_MAX_LEVEL + 1];
	uint32		positions[LOG_STATE_MAX_LEVEL + 1]; /* of the entry followed;
													 * in the leaf, of the
													 * first entry not before
													 * the key */
	bool		bounded;		/* the leaf ends before this key: */
	LogStateKey high;
} StatePath;

/* ---- searching ---- */

/* The first entry that is not before the key. */
static uint32
find_position(const LogStateDirectory *directory, const LogStateKey *key)
{
	uint32		lo = 0;
	uint32		hi = directory->nentries;

	while (lo < hi)
	{
		uint32		mid = (lo + hi) / 2;

		if (log_state_compare(&directory->entries[mid].key, key) < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

/* The entry to follow from a page above the leaves. */
static uint32
find_child(const LogStateDirectory *directory, const LogStateKey *key)
{
	uint32		i = find_position(directory, key);

	if (i == directory->nentries || log_state_compare(&directory->entries[i].key, key) > 0)
		i = Max(i, 1) - 1;
	return i;
}

static inline bool
holds_key(const LogStateDirectory *directory, uint32 i, const LogStateKey *key)
{
	return i < directory->nentries &&
		log_state_compare(&directory->entries[i].key, key) == 0;
}

/*
 * Find the leaf for the key and share-lock it; InvalidBuffer if there is no
 * tree.
 */
static Buffer
descend(Relation rel, const LogStateKey *key, StatePath *path)
{
	Buffer		buffer = log_read_meta(rel);
	BlockNumber block;

	path->depth = 0;
	path->bounded = false;
	if (!BufferIsValid(buffer))
		return InvalidBuffer;
	block = LOG_META(BufferGetPage(buffer))->state_root;
	if (!BlockNumberIsValid(block))
	{
		UnlockReleaseBuffer(buffer);
		return InvalidBuffer;
	}
	for (int level = -1;;)
	{
		Buffer		child = log_page_read(rel, block, LOG_PAGE_STATE_DIRECTORY, -1,
										  BUFFER_LOCK_SHARE);
		LogStateDirectory *directory = LOG_STATE_DIRECTORY(BufferGetPage(child));
		uint32		i;

		UnlockReleaseBuffer(buffer);
		buffer = child;
		if (level >= 0 && directory->level != level - 1)
			log_page_corrupted(rel, block, "it is not a page of the state directory's next level");
		level = directory->level;
		i = level > 0 ? find_child(directory, key) : find_position(directory, key);
		path->blocks[path->depth] = block;
		path->nentries[path->depth] = directory->nentries;
		path->positions[path->depth++] = i;
		if (level == 0)
			return buffer;
		if (i + 1 < directory->nentries)
		{
			path->high = directory->entries[i + 1].key;
			path->bounded = true;
		}
		block = directory->entries[i].block;
	}
}

Buffer
log_state_find(Relation rel, const LogStateKey *key, int lockmode)
{
	StatePath	path;
	Buffer		leaf = descend(rel, key, &path);
	LogStateDirectory *directory;
	BlockNumber block;
	Buffer		buffer;
	uint32		i;

	if (!BufferIsValid(leaf))
		return InvalidBuffer;
	directory = LOG_STATE_DIRECTORY(BufferGetPage(leaf));
	i = path.positions[path.depth - 1];
	if (!holds_key(directory, i, key))
	{
		UnlockReleaseBuffer(leaf);
		return InvalidBuffer;
	}
	block = directory->entries[i].block;
	log_check_block(rel, block);
	buffer = ReadBuffer(rel, block);
	LockBuffer(buffer, lockmode);
	UnlockReleaseBuffer(leaf);
	if (!log_state_is(BufferGetPage(buffer), key))
		log_page_corrupted(rel, block, "it is not the state that the directory names");
	return buffer;
}

/* ---- walking ---- */

void
log_state_walk_begin(LogStateWalk *walk, Relation rel, const LogStateKey *from)
{
	walk->rel = rel;
	if (from)
		walk->next = *from;
	else
		memset(&walk->next, 0, sizeof(LogStateKey));
	walk->last = walk->loaded = false;
	walk->i = 0;
}

bool
log_state_walk_next(LogStateWalk *walk, LogStateEntry *entry)
{
	LogStateDirectory *directory = LOG_STATE_DIRECTORY(walk->leaf.data);

	while (!walk->loaded || walk->i >= directory->nentries)
	{
		StatePath	path;
		Buffer		buffer;

		CHECK_FOR_INTERRUPTS();
		if (walk->last)
			return false;
		buffer = descend(walk->rel, &walk->next, &path);
		if (!BufferIsValid(buffer))
			return false;
		memcpy(walk->leaf.data, BufferGetPage(buffer), BLCKSZ);
		UnlockReleaseBuffer(buffer);
		/* on a damaged page keys may decrease, and the walk would never end */
		if (path.bounded && log_state_compare(&path.high, &walk->next) <= 0)
			log_page_corrupted(walk->rel, path.blocks[path.depth - 1],
							   "the keys of the state directory are not in order");
		walk->loaded = true;
		walk->i = path.positions[path.depth - 1];
		walk->last = !path.bounded;
		walk->next = path.high;

		/*
		 * On a standby, a split may not have reached this leaf.  The entries
		 * from the next leaf's key on are in the next leaf too.
		 */
		if (path.bounded)
			directory->nentries = find_position(directory, &path.high);
	}
	*entry = directory->entries[walk->i++];
	return true;
}

/* ---- adding ---- */

static Buffer
lock_meta(Relation rel)
{
	return log_page_read(rel, 0, LOG_PAGE_META, -1, BUFFER_LOCK_EXCLUSIVE);
}

static Buffer
lock_directory(Relation rel, BlockNumber block)
{
	return log_page_read(rel, block, LOG_PAGE_STATE_DIRECTORY, -1, BUFFER_LOCK_EXCLUSIVE);
}

static Buffer
lock_new(Relation rel, BlockNumber block)
{
	return ReadBufferExtended(rel, MAIN_FORKNUM, block, RBM_ZERO_AND_LOCK, NULL);
}

/*
 * In a critical section: dirty and log the pages.  Redo restores them in
 * reverse order.
 */
static void
finish_change(Relation rel, Buffer *buffers, int n)
{
	for (int i = 0; i < n; i++)
		MarkBufferDirty(buffers[i]);
	if (RelationNeedsWAL(rel))
		log_xlog_pages(LOG_PAGES_STATE, buffers, n);
}

static void
release_all(Buffer *buffers, int n)
{
	for (int i = 0; i < n; i++)
		UnlockReleaseBuffer(buffers[i]);
}

static void
add_entry(Page page, uint32 i, const LogStateKey *key, BlockNumber block)
{
	LogStateDirectory *directory = LOG_STATE_DIRECTORY(page);

	memmove(&directory->entries[i + 1], &directory->entries[i],
			(directory->nentries - i) * sizeof(LogStateEntry));
	directory->entries[i].key = *key;
	directory->entries[i].block = block;
	directory->nentries++;
	log_state_directory_set_content(page);
}

/* Add a root above the present one.  The first root is an empty leaf. */
static void
add_root(Relation rel, const StatePath *path)
{
	BlockNumber block = log_pick_block(rel, NULL);
	LogStateKey least;
	Buffer		buffers[2];
	Page		metapage;
	Page		page;

	if (path->depth > LOG_STATE_MAX_LEVEL)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("stream \"%s\" has too many states", RelationGetRelationName(rel))));
	memset(&least, 0, sizeof(least));
	buffers[0] = lock_meta(rel);
	buffers[1] = lock_new(rel, block);
	metapage = BufferGetPage(buffers[0]);
	page = BufferGetPage(buffers[1]);

	START_CRIT_SECTION();
	log_take_blocks(metapage, block, 1);
	log_fill_state_directory(page, path->depth);
	if (path->depth > 0)
		add_entry(page, 0, &least, path->blocks[0]);
	LOG_META(metapage)->state_root = block;
	finish_change(rel, buffers, 2);
	END_CRIT_SECTION();
	release_all(buffers, 2);
}

/*
 * Split the page of the path at depth d, which is not the root.  The page
 * above has room.  If keys are added in order, as numbers are, the left page
 * stays full.
 */
static void
split_page(Relation rel, const StatePath *path, int d)
{
	BlockNumber block = log_pick_block(rel, NULL);
	uint32		n = path->nentries[d];
	uint32		pos = path->positions[d];
	uint32		at = pos >= n - 1 ? n - 1 : n / 2;
	Buffer		buffers[4];		/* in the order that redo needs: left, above,
								 * meta, right */
	LogStateDirectory *above;
	LogStateDirectory *left;
	LogStateDirectory *right;

	buffers[2] = lock_meta(rel);
	buffers[1] = lock_directory(rel, path->blocks[d - 1]);
	buffers[0] = lock_directory(rel, path->blocks[d]);
	buffers[3] = lock_new(rel, block);
	left = LOG_STATE_DIRECTORY(BufferGetPage(buffers[0]));
	right = LOG_STATE_DIRECTORY(BufferGetPage(buffers[3]));

	START_CRIT_SECTION();
	log_take_blocks(BufferGetPage(buffers[2]), block, 1);
	log_fill_state_directory(BufferGetPage(buffers[3]), left->level);
	right->nentries = n - at;
	memcpy(right->entries, &left->entries[at], (n - at) * sizeof(LogStateEntry));
	log_state_directory_set_content(BufferGetPage(buffers[3]));
	left->nentries = at;
	log_state_directory_set_content(BufferGetPage(buffers[0]));
	above = LOG_STATE_DIRECTORY(BufferGetPage(buffers[1]));
	/* the first entry covers all keys below the second, whatever its key */
	if (path->positions[d - 1] == 0)
		memset(&above->entries[0].key, 0, sizeof(LogStateKey));
	add_entry(BufferGetPage(buffers[1]), path->positions[d - 1] + 1,
			  &right->entries[0].key, block);
	finish_change(rel, buffers, 4);
	END_CRIT_SECTION();
	release_all(buffers, 4);
}

/*
 * Make room for one more entry in the leaf.  False if that has changed the
 * path.
 */
static bool
make_room(Relation rel, const StatePath *path)
{
	int			d = path->depth;

	/* find the highest page of the full ones above the leaf */
	while (d > 0 && path->nentries[d - 1] >= LOG_STATE_DIRECTORY_MAX)
		d--;
	if (d == path->depth && d > 0)
		return true;
	if (d == 0)
		add_root(rel, path);
	else
		split_page(rel, path, d);
	return false;
}

void
log_state_insert(Relation rel, const LogStateKey *key, const char *data, int len)
{
	StatePath	path;
	BlockNumber block;
	Buffer		buffers[3];		/* in the order that redo needs: leaf, meta,
								 * state */

	do
	{
		Buffer		leaf = descend(rel, key, &path);

		if (BufferIsValid(leaf))
			UnlockReleaseBuffer(leaf);
	} while (!make_room(rel, &path));

	block = log_pick_block(rel, NULL);
	buffers[1] = lock_meta(rel);
	buffers[0] = lock_directory(rel, path.blocks[path.depth - 1]);
	buffers[2] = lock_new(rel, block);

	START_CRIT_SECTION();
	log_take_blocks(BufferGetPage(buffers[1]), block, 1);
	LOG_META(BufferGetPage(buffers[1]))->nstates++;
	add_entry(BufferGetPage(buffers[0]), path.positions[path.depth - 1], key, block);
	log_fill_state(BufferGetPage(buffers[2]), key, data, len);
	finish_change(rel, buffers, 3);
	END_CRIT_SECTION();
	release_all(buffers, 3);
}

uint32
log_state_insert_empty(Relation rel, const LogStateKey *keys, uint32 n)
{
	StatePath	path;
	LogBlockRange range;
	Buffer		buffers[LOG_STATE_MAX_PAGES + 2];	/* as above */
	Buffer		leaf;
	LogStateDirectory *directory;
	uint32		i;
	uint32		max;

	do
	{
		leaf = descend(rel, &keys[0], &path);
		if (BufferIsValid(leaf))
			UnlockReleaseBuffer(leaf);
	} while (!make_room(rel, &path));

	max = Min(n, LOG_STATE_MAX_PAGES);
	max = Min(max, LOG_STATE_DIRECTORY_MAX - path.nentries[path.depth - 1]);
	range = log_pick_blocks(rel, max);
	max = Min(max, range.nblocks);
	buffers[1] = lock_meta(rel);
	buffers[0] = lock_directory(rel, path.blocks[path.depth - 1]);
	directory = LOG_STATE_DIRECTORY(BufferGetPage(buffers[0]));
	i = path.positions[path.depth - 1];

	/* those that follow each other here */
	for (n = 1; n < max; n++)
		if (log_state_compare(&keys[n - 1], &keys[n]) >= 0 ||
			(i < directory->nentries &&
			 log_state_compare(&keys[n], &directory->entries[i].key) >= 0) ||
			(path.bounded && log_state_compare(&keys[n], &path.high) >= 0))
			break;
	for (uint32 k = 0; k < n; k++)
		buffers[2 + k] = lock_new(rel, range.start + k);
	XLogEnsureRecordSpace(n + 2, 0);

	START_CRIT_SECTION();
	log_take_blocks(BufferGetPage(buffers[1]), range.start, n);
	LOG_META(BufferGetPage(buffers[1]))->nstates += n;
	for (uint32 k = 0; k < n; k++)
	{
		add_entry(BufferGetPage(buffers[0]), i + k, &keys[k], range.start + k);
		log_fill_state(BufferGetPage(buffers[2 + k]), &keys[k], "", 0);
	}
	finish_change(rel, buffers, n + 2);
	END_CRIT_SECTION();
	release_all(buffers, n + 2);
	return n;
}

/* ---- removing ---- */

static void
remove_entries(Page page, uint32 i, uint32 n)
{
	LogStateDirectory *directory = LOG_STATE_DIRECTORY(page);

	memmove(&directory->entries[i], &directory->entries[i + n],
			(directory->nentries - i - n) * sizeof(LogStateEntry));
	directory->nentries -= n;
	log_state_directory_set_content(page);
}

/*
 * Free a page.  A session that remembers the block will see that it is no
 * longer the state it was.
 */
static void
free_page(Page metapage, Buffer buffer)
{
	log_page_init(BufferGetPage(buffer), LOG_PAGE_FREE, 0);
	log_free_blocks(metapage, BufferGetBlockNumber(buffer), 1);
}

void
log_state_remove(Relation rel, const LogStateEntry *victims, int n)
{
	StatePath	path;
	Buffer		leaf = descend(rel, &victims[0].key, &path);

	/*
	 * in the order that redo needs: states, pages of the path from the leaf
	 * up, meta
	 */
	Buffer		buffers[LOG_STATE_MAX_PAGES + LOG_STATE_MAX_LEVEL + 2];
	int			npath = 1;
	int			nbuffers;
	Page		metapage;
	bool		all;			/* no page of the tree remains */

	Assert(n >= 1 && n <= LOG_STATE_MAX_PAGES);
	if (!BufferIsValid(leaf))
		log_page_corrupted(rel, 0, "it does not name the state directory");
	UnlockReleaseBuffer(leaf);

	/* the leaf; if it becomes empty, the page above; and so on */
	if (path.nentries[path.depth - 1] == (uint32) n)
		while (npath < path.depth && path.nentries[path.depth - 1 - npath++] == 1)
			;
	all = npath == path.depth &&
		path.nentries[0] == (path.depth == 1 ? (uint32) n : 1);

	nbuffers = n + npath + 1;
	buffers[nbuffers - 1] = lock_meta(rel);
	metapage = BufferGetPage(buffers[nbuffers - 1]);
	for (int i = npath - 1; i >= 0; i--)
		buffers[n + i] = lock_directory(rel, path.blocks[path.depth - 1 - i]);
	for (int i = 0; i < n; i++)
	{
		LogStateDirectory *directory = LOG_STATE_DIRECTORY(BufferGetPage(buffers[n]));

		buffers[i] = log_page_read(rel, victims[i].block, LOG_PAGE_STATE,
								   victims[i].key.partition, BUFFER_LOCK_EXCLUSIVE);
		if (!log_state_is(BufferGetPage(buffers[i]), &victims[i].key))
			log_page_corrupted(rel, victims[i].block, "it is not the state that the directory names");
		if (!holds_key(directory, find_position(directory, &victims[i].key), &victims[i].key))
			log_page_corrupted(rel, path.blocks[path.depth - 1],
							   "the keys of the state directory are not in order");
	}
	XLogEnsureRecordSpace(nbuffers, 0);

	START_CRIT_SECTION();
	LOG_META(metapage)->nstates -= n;
	for (int i = 0; i < n; i++)
	{
		Page		page = BufferGetPage(buffers[n]);

		remove_entries(page, find_position(LOG_STATE_DIRECTORY(page), &victims[i].key), 1);
		free_page(metapage, buffers[i]);
	}
	for (int i = 0; i < npath; i++)
	{
		if (i > 0)
			remove_entries(BufferGetPage(buffers[n + i]), path.positions[path.depth - 1 - i], 1);
		if (i < npath - 1 || all)
			free_page(metapage, buffers[n + i]);
	}
	if (all)
		LOG_META(metapage)->state_root = InvalidBlockNumber;
	finish_change(rel, buffers, nbuffers);
	END_CRIT_SECTION();
	release_all(buffers, nbuffers);
}
