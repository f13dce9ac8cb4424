/*
 * state_page.c
 *	  Pages of state for the parts above: one per (owner, partition).
 *
 * They are found through a chain of state directory pages that begins at the meta
 * page.  A session remembers where it found one; the page itself tells whose
 * it is, so a memory that is out of date is noticed.
 */
#include "postgres.h"

#include "access/xloginsert.h"
#include "miscadmin.h"
#include "storage/bufmgr.h"
#include "storage/lmgr.h"
#include "utils/hsearch.h"
#include "utils/memutils.h"

#include "compat.h"
#include "log/page/log_xlog.h"
#include "log/page/page.h"
#include "log/page/structure.h"
#include "log/space/blocks.h"
#include "log/space/partition.h"
#include "log/state_page.h"
#include "log/write/state_callbacks.h"

StaticAssertDecl(LOG_STATE_MAX <= LOG_PAGE_END - LOG_PAGE_START, "a state must fit its page");

const LogStateCallbacks *log_state_callbacks = NULL;

typedef struct StatePlaceKey
{
	RelFileLocator locator;
	uint32		owner;
	uint32		partition;
} StatePlaceKey;

typedef struct StatePlace
{
	StatePlaceKey key;
	BlockNumber block;
} StatePlace;

static HTAB *places = NULL;

#define MAX_PLACES 10000

void
log_register_state_callbacks(const LogStateCallbacks *callbacks)
{
	log_state_callbacks = callbacks;
}

static bool
is_state_page(Page page, uint32 owner, int partition)
{
	return log_page_is(page, LOG_PAGE_STATE, partition) && LOG_OPAQUE(page)->owner == owner;
}

static BlockNumber
state_dir_start(Relation rel)
{
	BlockNumber block;
	Buffer		buffer = log_read_meta(rel);

	if (!BufferIsValid(buffer))
		return InvalidBlockNumber;
	block = LOG_META(BufferGetPage(buffer))->state_dir;
	UnlockReleaseBuffer(buffer);
	return block;
}

/* the chain of directory pages must end some time */
static void
check_chain(Relation rel, BlockNumber dir, uint32 *npages)
{
	CHECK_FOR_INTERRUPTS();
	if ((++*npages & 0xFF) == 0 && *npages > RelationGetNumberOfBlocks(rel))
		log_page_corrupted(rel, dir, "the state directory has no end");
}

static BlockNumber
search_directory(Relation rel, uint32 owner, int partition)
{
	BlockNumber dir = state_dir_start(rel);
	uint32		npages = 0;

	while (BlockNumberIsValid(dir))
	{
		Buffer		buffer = log_page_read(rel, dir, LOG_PAGE_STATE_DIRECTORY, -1,
										   BUFFER_LOCK_SHARE);
		LogStateDirectory *directory = LOG_STATE_DIRECTORY(BufferGetPage(buffer));
		BlockNumber found = InvalidBlockNumber;

		for (uint32 i = 0; i < directory->nentries; i++)
			if (directory->entries[i].owner == owner &&
				directory->entries[i].partition == (uint32) partition)
			{
				found = directory->entries[i].block;
				if (!BlockNumberIsValid(found))
					log_page_corrupted(rel, dir, "it does not name the page of a state");
				break;
			}
		dir = directory->next;
		UnlockReleaseBuffer(buffer);
		check_chain(rel, dir, &npages);
		if (BlockNumberIsValid(found))
			return found;
	}
	return InvalidBlockNumber;
}

/* the state's page, locked; InvalidBuffer if it has none */
static Buffer
find_page(Relation rel, uint32 owner, int partition, int lockmode)
{
	StatePlaceKey key;
	StatePlace *place;
	bool		found;
	Buffer		buffer;

	if (places == NULL)
	{
		HASHCTL		ctl;

		ctl.keysize = sizeof(StatePlaceKey);
		ctl.entrysize = sizeof(StatePlace);
		ctl.hcxt = TopMemoryContext;
		places = hash_create("streamq states", 64, &ctl, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	}
	memset(&key, 0, sizeof(key));
	key.locator = RelationLocator(rel);
	key.owner = owner;
	key.partition = partition;

	place = hash_search(places, &key, HASH_FIND, NULL);
	if (place != NULL && place->block < RelationGetNumberOfBlocks(rel))
	{
		buffer = ReadBuffer(rel, place->block);
		LockBuffer(buffer, lockmode);
		if (is_state_page(BufferGetPage(buffer), owner, partition))
			return buffer;
		UnlockReleaseBuffer(buffer);
	}

	for (int retries = 0; retries < 1000; retries++)
	{
		BlockNumber block;

		/* see directory.c */
		CHECK_FOR_INTERRUPTS();
		if (retries >= 10 && RecoveryInProgress())
			pg_usleep(1000);
		else if (retries >= 100)
			break;
		block = search_directory(rel, owner, partition);
		if (!BlockNumberIsValid(block))
			return InvalidBuffer;
		log_check_block(rel, block);
		buffer = ReadBuffer(rel, block);
		LockBuffer(buffer, lockmode);
		if (is_state_page(BufferGetPage(buffer), owner, partition))
		{
			if (hash_get_num_entries(places) >= MAX_PLACES)
			{
				hash_destroy(places);
				places = NULL;
				return buffer;
			}
			place = hash_search(places, &key, HASH_ENTER, &found);
			place->block = block;
			return buffer;
		}
		/* freed, and perhaps made again, in between */
		UnlockReleaseBuffer(buffer);
	}
	log_page_corrupted(rel, 0, "the state directory names pages that are none");
	return InvalidBuffer;
}

bool
log_state_read(Relation rel, uint32 owner, int partition, char *data, int *len)
{
	Buffer		buffer = find_page(rel, owner, partition, BUFFER_LOCK_SHARE);
	Page		page;

	if (!BufferIsValid(buffer))
		return false;
	page = BufferGetPage(buffer);
	*len = ((PageHeader) page)->pd_lower - LOG_PAGE_START;
	if (*len < 0 || *len > LOG_STATE_MAX)
		log_page_corrupted(rel, BufferGetBlockNumber(buffer), "its state has a bad length");
	memcpy(data, LOG_PAGE_CONTENT(page), *len);
	UnlockReleaseBuffer(buffer);
	return true;
}

/* give (owner, partition) a page with this content; extension lock held */
static void
create_page(Relation rel, uint32 owner, int partition, const char *data, int len)
{
	Buffer		buffers[4];		/* meta, directory, state, last directory */
	Buffer		logged[4];
	int			nbuffers = 3;
	Page		page;
	BlockNumber dir = state_dir_start(rel);
	BlockNumber last = InvalidBlockNumber;
	LogBlockRange state;
	bool		newdir = true;
	uint32		npages = 0;

	/* a directory page with room, or else the last one */
	while (BlockNumberIsValid(dir))
	{
		Buffer		buffer = log_page_read(rel, dir, LOG_PAGE_STATE_DIRECTORY, -1,
										   BUFFER_LOCK_SHARE);
		LogStateDirectory *directory = LOG_STATE_DIRECTORY(BufferGetPage(buffer));
		BlockNumber next = directory->next;
		bool		room = directory->nentries < LOG_STATE_DIRECTORY_MAX;

		UnlockReleaseBuffer(buffer);
		if (room)
		{
			newdir = false;
			break;
		}
		check_chain(rel, dir, &npages);
		last = dir;
		dir = next;
	}

	state.start = log_pick_block(rel, NULL);
	state.nblocks = 1;
	if (newdir)
		dir = log_pick_block(rel, &state);
	buffers[0] = log_page_read(rel, 0, LOG_PAGE_META, -1, BUFFER_LOCK_EXCLUSIVE);
	if (newdir)
	{
		buffers[1] = ReadBufferExtended(rel, MAIN_FORKNUM, dir, RBM_ZERO_AND_LOCK, NULL);
		if (BlockNumberIsValid(last))
			buffers[nbuffers++] = log_page_read(rel, last, LOG_PAGE_STATE_DIRECTORY, -1,
												BUFFER_LOCK_EXCLUSIVE);
	}
	else
		buffers[1] = log_page_read(rel, dir, LOG_PAGE_STATE_DIRECTORY, -1,
								   BUFFER_LOCK_EXCLUSIVE);
	buffers[2] = ReadBufferExtended(rel, MAIN_FORKNUM, state.start, RBM_ZERO_AND_LOCK, NULL);

	START_CRIT_SECTION();
	log_take_blocks(BufferGetPage(buffers[0]), state.start, 1);
	if (newdir)
	{
		LogStateDirectory *directory;

		log_take_blocks(BufferGetPage(buffers[0]), dir, 1);
		if (nbuffers == 4)
			LOG_STATE_DIRECTORY(BufferGetPage(buffers[3]))->next = dir;
		else
			LOG_META(BufferGetPage(buffers[0]))->state_dir = dir;
		log_page_init(BufferGetPage(buffers[1]), LOG_PAGE_STATE_DIRECTORY, 0);
		directory = LOG_STATE_DIRECTORY(BufferGetPage(buffers[1]));
		directory->next = InvalidBlockNumber;
		directory->nentries = 0;
	}
	page = BufferGetPage(buffers[1]);
	{
		LogStateDirectory *directory = LOG_STATE_DIRECTORY(page);
		LogStateEntry *entry = &directory->entries[directory->nentries++];

		entry->owner = owner;
		entry->partition = partition;
		entry->block = state.start;
		log_page_set_content(page, offsetof(LogStateDirectory, entries) +
							 directory->nentries * sizeof(LogStateEntry));
	}

	page = BufferGetPage(buffers[2]);
	log_page_init(page, LOG_PAGE_STATE, partition);
	LOG_OPAQUE(page)->owner = owner;
	memcpy(LOG_PAGE_CONTENT(page), data, len);
	log_page_set_content(page, len);

	for (int i = 0; i < nbuffers; i++)
		MarkBufferDirty(buffers[i]);

	/* redo begins at the end: pages before those that name them */
	logged[0] = buffers[0];
	if (nbuffers == 4)
		logged[1] = buffers[3];
	logged[nbuffers - 2] = buffers[1];
	logged[nbuffers - 1] = buffers[2];
	if (RelationNeedsWAL(rel))
		log_xlog_pages(LOG_PAGES_STATE, logged, nbuffers);
	END_CRIT_SECTION();

	for (int i = nbuffers - 1; i >= 0; i--)
		UnlockReleaseBuffer(buffers[i]);
}

/* the state of a page that is locked exclusively becomes this one */
static void
write_content(Relation rel, Buffer buffer, const char *data, int len)
{
	Page		page = BufferGetPage(buffer);

	START_CRIT_SECTION();
	memcpy(LOG_PAGE_CONTENT(page), data, len);
	log_page_set_content(page, len);
	MarkBufferDirty(buffer);
	if (RelationNeedsWAL(rel))
	{
		XLogRecPtr	lsn;

		XLogBeginInsert();
		XLogRegisterBuffer(0, buffer, REGBUF_STANDARD);
		XLogRegisterBufData(0, LOG_PAGE_CONTENT(page), len);
		lsn = XLogInsert(LOG_RMGR_ID, XLOG_LOG_STATE);
		PageSetLSN(page, lsn);
	}
	END_CRIT_SECTION();
}

void
log_state_write(Relation rel, uint32 owner, int partition, const char *data, int len)
{
	Buffer		buffer;

	Assert(len >= 0 && len <= LOG_STATE_MAX);
	buffer = find_page(rel, owner, partition, BUFFER_LOCK_EXCLUSIVE);
	if (!BufferIsValid(buffer))
	{
		log_create_storage(rel);
		LockRelationForExtension(rel, ExclusiveLock);
		create_page(rel, owner, partition, data, len);
		UnlockRelationForExtension(rel, ExclusiveLock);
		return;
	}
	write_content(rel, buffer, data, len);
	UnlockReleaseBuffer(buffer);
}

void
log_state_free(Relation rel, bool (*keep) (uint32 owner, void *arg), void *arg)
{
	BlockNumber dir;
	uint32		npages = 0;

	LockRelationForExtension(rel, ExclusiveLock);
	dir = state_dir_start(rel);
	while (BlockNumberIsValid(dir))
	{
		Buffer		buffers[3]; /* meta, directory, state */
		LogStateDirectory *directory;
		LogStateEntry victim;
		uint32		i = 0;
		PGAlignedBlock copy;

		CHECK_FOR_INTERRUPTS();
		/* ask about the owners without a lock held */
		buffers[1] = log_page_read(rel, dir, LOG_PAGE_STATE_DIRECTORY, -1, BUFFER_LOCK_SHARE);
		memcpy(copy.data, BufferGetPage(buffers[1]), BLCKSZ);
		UnlockReleaseBuffer(buffers[1]);
		directory = LOG_STATE_DIRECTORY(copy.data);
		while (i < directory->nentries && keep(directory->entries[i].owner, arg))
			i++;
		if (i >= directory->nentries)
		{
			check_chain(rel, dir, &npages);
			dir = directory->next;
			continue;
		}
		victim = directory->entries[i];

		buffers[0] = log_page_read(rel, 0, LOG_PAGE_META, -1, BUFFER_LOCK_EXCLUSIVE);
		buffers[1] = log_page_read(rel, dir, LOG_PAGE_STATE_DIRECTORY, -1,
								   BUFFER_LOCK_EXCLUSIVE);
		buffers[2] = log_page_read(rel, victim.block, LOG_PAGE_STATE, victim.partition,
								   BUFFER_LOCK_EXCLUSIVE);
		if (LOG_OPAQUE(BufferGetPage(buffers[2]))->owner != victim.owner)
			log_page_corrupted(rel, victim.block, "it is the state of another owner");
		directory = LOG_STATE_DIRECTORY(BufferGetPage(buffers[1]));

		START_CRIT_SECTION();
		directory->entries[i] = directory->entries[--directory->nentries];
		log_page_set_content(BufferGetPage(buffers[1]),
							 offsetof(LogStateDirectory, entries) +
							 directory->nentries * sizeof(LogStateEntry));
		/* no owner is 0: whoever remembers the block finds that it is free */
		LOG_OPAQUE(BufferGetPage(buffers[2]))->owner = 0;
		log_page_set_content(BufferGetPage(buffers[2]), 0);
		log_free_blocks(BufferGetPage(buffers[0]), victim.block, 1);
		for (int k = 0; k < 3; k++)
			MarkBufferDirty(buffers[k]);
		if (RelationNeedsWAL(rel))
			log_xlog_pages(LOG_PAGES_STATE, buffers, 3);
		END_CRIT_SECTION();

		for (int k = 2; k >= 0; k--)
			UnlockReleaseBuffer(buffers[k]);
	}
	UnlockRelationForExtension(rel, ExclusiveLock);
}

int
log_state_directory_pages(Relation rel)
{
	BlockNumber dir = state_dir_start(rel);
	uint32		npages = 0;

	while (BlockNumberIsValid(dir))
	{
		Buffer		buffer = log_page_read(rel, dir, LOG_PAGE_STATE_DIRECTORY, -1,
										   BUFFER_LOCK_SHARE);

		dir = LOG_STATE_DIRECTORY(BufferGetPage(buffer))->next;
		UnlockReleaseBuffer(buffer);
		check_chain(rel, dir, &npages);
	}
	return (int) npages;
}

/* every (owner, partition) that has a state, with a copy of it on request */
static List *
list_states(Relation rel, bool with_data)
{
	List	   *result = NIL;
	BlockNumber dir = state_dir_start(rel);
	uint32		npages = 0;

	while (BlockNumberIsValid(dir))
	{
		PGAlignedBlock copy;
		Buffer		buffer = log_page_read(rel, dir, LOG_PAGE_STATE_DIRECTORY, -1,
										   BUFFER_LOCK_SHARE);
		LogStateDirectory *directory = LOG_STATE_DIRECTORY(copy.data);

		memcpy(copy.data, BufferGetPage(buffer), BLCKSZ);
		UnlockReleaseBuffer(buffer);
		for (uint32 i = 0; i < directory->nentries; i++)
		{
			LogStateCopy *state = palloc(sizeof(LogStateCopy));

			state->owner = directory->entries[i].owner;
			state->partition = directory->entries[i].partition;
			state->data = with_data ? palloc(LOG_STATE_MAX) : NULL;
			if (!with_data ||
				log_state_read(rel, state->owner, state->partition, state->data, &state->len))
				result = lappend(result, state);
		}
		check_chain(rel, dir, &npages);
		dir = directory->next;
	}
	return result;
}

List *
log_state_copy_all(Relation rel)
{
	return list_states(rel, true);
}

/*
 * Let the owners settle transaction ids older than cutoff.  Returns the
 * oldest one left in any state, InvalidTransactionId if none is.
 *
 * Read, settle, write is no race: the page stays locked.
 */
TransactionId
log_state_vacuum(Relation rel, TransactionId cutoff)
{
	TransactionId oldest = InvalidTransactionId;
	List	   *states;
	ListCell   *lc;

	if (log_state_callbacks == NULL)
		return InvalidTransactionId;
	states = list_states(rel, false);
	foreach(lc, states)
	{
		LogStateCopy *state = lfirst(lc);
		Buffer		buffer = find_page(rel, state->owner, state->partition,
									   BUFFER_LOCK_EXCLUSIVE);
		Page		page;
		TransactionId xid;
		bool		changed = false;
		char		data[LOG_STATE_MAX];
		int			len;

		if (!BufferIsValid(buffer))
			continue;
		page = BufferGetPage(buffer);
		len = ((PageHeader) page)->pd_lower - LOG_PAGE_START;
		memcpy(data, LOG_PAGE_CONTENT(page), len);
		xid = log_state_callbacks->settle(data, &len, cutoff, &changed);
		if (changed)
			write_content(rel, buffer, data, len);
		UnlockReleaseBuffer(buffer);
		if (TransactionIdIsNormal(xid) &&
			(!TransactionIdIsValid(oldest) || TransactionIdPrecedes(xid, oldest)))
			oldest = xid;
	}
	return oldest;
}
