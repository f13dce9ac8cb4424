/*
 * state_page.c
 *	  State pages: finding, reading and changing them.
 *
 * A session remembers in which block it found a page.  The page holds its key,
 * so an outdated memory is noticed.
 */
#include "postgres.h"

#include "access/transam.h"
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
#include "log/space/partition.h"
#include "log/space/state_directory.h"
#include "log/state_page.h"
#include "log/write/state_callbacks.h"

StaticAssertDecl(LOG_STATE_MAX <= LOG_PAGE_END - LOG_PAGE_START, "a state must fit its page");

/* ---- kinds ---- */

#define MAX_KINDS	16

static const LogStateKind *kinds[MAX_KINDS];

void
log_register_state_kind(uint8 number, const LogStateKind *kind)
{
	if (number == 0 || number >= MAX_KINDS || kinds[number] != NULL)
		elog(ERROR, "invalid number of a kind of states: %d", number);
	kinds[number] = kind;
}

const LogStateKind *
log_state_kind(uint8 number)
{
	return number < MAX_KINDS ? kinds[number] : NULL;
}

const LogStateKind *
log_state_kind_of(Relation rel, BlockNumber block, uint8 number)
{
	const LogStateKind *kind = log_state_kind(number);

	if (kind == NULL)
		log_page_corrupted(rel, block, psprintf("it is a state of kind %d, which this version of streamq does not know",
												number));
	return kind;
}

/* ---- finding ---- */

typedef struct StatePlaceKey
{
	RelFileLocator locator;
	LogStateKey state;
} StatePlaceKey;

typedef struct StatePlace
{
	StatePlaceKey key;
	BlockNumber block;
	Buffer		buffer;			/* where the block was in memory */
} StatePlace;

static HTAB *places = NULL;

#define MAX_PLACES 10000

/* Find the state's page and lock it; InvalidBuffer if there is none. */
static Buffer
find_page(Relation rel, const LogStateKey *state, int lockmode)
{
	StatePlaceKey key;
	StatePlace *place;
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
	key.state = *state;

	place = hash_search(places, &key, HASH_FIND, NULL);
	if (place != NULL && place->block != InvalidBlockNumber)
	{
		/* asking for the length of the file is a system call */
		if (ReadRecentBuffer(key.locator, MAIN_FORKNUM, place->block, place->buffer))
			buffer = place->buffer;
		else if (place->block < RelationGetNumberOfBlocks(rel))
			buffer = place->buffer = ReadBuffer(rel, place->block);
		else
			buffer = InvalidBuffer;
		if (BufferIsValid(buffer))
		{
			LockBuffer(buffer, lockmode);
			if (log_state_is(BufferGetPage(buffer), state))
				return buffer;
			UnlockReleaseBuffer(buffer);
		}
	}

	/*
	 * do now what allocates memory, because it must not happen with a page
	 * locked
	 */
	if (place == NULL)
	{
		if (hash_get_num_entries(places) >= MAX_PLACES)
		{
			hash_destroy(places);
			places = NULL;
			return log_state_find(rel, state, lockmode);
		}
		place = hash_search(places, &key, HASH_ENTER, NULL);
		/* it stays so if the search fails, at a damaged page */
		place->block = InvalidBlockNumber;
		place->buffer = InvalidBuffer;
	}
	buffer = log_state_find(rel, state, lockmode);
	if (BufferIsValid(buffer))
	{
		place->block = BufferGetBlockNumber(buffer);
		place->buffer = buffer;
	}
	else
		(void) hash_search(places, &key, HASH_REMOVE, NULL);
	return buffer;
}

static void
open_page(LogStatePage *page, Buffer buffer)
{
	page->buffer = buffer;
	page->data = LOG_PAGE_CONTENT(BufferGetPage(buffer));
	page->len = ((PageHeader) BufferGetPage(buffer))->pd_lower - LOG_PAGE_START;
}

bool
log_state_lock(Relation rel, LogStateKey key, int lockmode, LogStatePage *page)
{
	Buffer		buffer = find_page(rel, &key, lockmode);

	if (!BufferIsValid(buffer))
		return false;
	open_page(page, buffer);
	return true;
}

void
log_state_unlock(LogStatePage *page)
{
	UnlockReleaseBuffer(page->buffer);
}

bool
log_state_read(Relation rel, LogStateKey key, char *data, int *len)
{
	LogStatePage page;

	if (!log_state_lock(rel, key, BUFFER_LOCK_SHARE, &page))
		return false;
	*len = page.len;
	memcpy(data, page.data, page.len);
	log_state_unlock(&page);
	return true;
}

bool
log_state_next(Relation rel, LogStateKey *key)
{
	LogStateWalk walk;
	LogStateEntry entry;

	log_state_walk_begin(&walk, rel, key);
	if (!log_state_walk_next(&walk, &entry) || entry.key.kind != key->kind ||
		entry.key.owner != key->owner || entry.key.partition != key->partition)
		return false;
	*key = entry.key;
	return true;
}

uint32
log_state_count(Relation rel)
{
	Buffer		buffer = log_read_meta(rel);
	uint32		n;

	if (!BufferIsValid(buffer))
		return 0;
	n = LOG_META(BufferGetPage(buffer))->nstates;
	UnlockReleaseBuffer(buffer);
	return n;
}

/* ---- writing ---- */

void
log_state_change(Relation rel, LogStatePage *state, const LogStateChange *changes, int n, int len)
{
	Page		page = BufferGetPage(state->buffer);
	char	   *content = LOG_PAGE_CONTENT(page);
	xl_log_state xlrec;
	xl_log_state_change ranges[LOG_STATE_MAX_CHANGES];
	char		bytes[LOG_STATE_MAX];
	int			nbytes = 0;

	Assert(n <= LOG_STATE_MAX_CHANGES && len >= 0 && len <= LOG_STATE_MAX);
	xlrec.len = (uint16) len;
	for (int i = 0; i < n; i++)
	{
		Assert(changes[i].offset + changes[i].nbytes <= len);
		ranges[i].offset = changes[i].offset;
		ranges[i].nbytes = changes[i].nbytes;
		memcpy(bytes + nbytes, changes[i].bytes, changes[i].nbytes);
		nbytes += changes[i].nbytes;
	}

	START_CRIT_SECTION();
	for (int i = 0; i < n; i++)
		memcpy(content + changes[i].offset, changes[i].bytes, changes[i].nbytes);
	log_page_set_content(page, len);
	MarkBufferDirty(state->buffer);
	if (RelationNeedsWAL(rel))
	{
		XLogRecPtr	lsn;

		XLogBeginInsert();
		XLogRegisterData((char *) &xlrec, sizeof(xlrec));
		XLogRegisterBuffer(0, state->buffer, REGBUF_STANDARD);
		if (n > 0)
		{
			XLogRegisterBufData(0, (char *) ranges, n * sizeof(xl_log_state_change));
			XLogRegisterBufData(0, bytes, nbytes);
		}
		lsn = XLogInsert(LOG_RMGR_ID, XLOG_LOG_STATE);
		PageSetLSN(page, lsn);
	}
	END_CRIT_SECTION();
	state->len = len;
}

/* a range in WAL costs as much as this many bytes */
#define RANGE_COST	((int) sizeof(xl_log_state_change))

/* the first offset from i on at which the first n bytes differ, or n */
static int
skip_equal(const char *a, const char *b, int i, int n)
{
	while (i + (int) sizeof(uint64) <= n && memcmp(a + i, b + i, sizeof(uint64)) == 0)
		i += sizeof(uint64);
	while (i < n && a[i] == b[i])
		i++;
	return i;
}

/* the first offset from i on at which they are equal, or n */
static int
skip_different(const char *a, const char *b, int i, int n)
{
	while (i + (int) sizeof(uint64) <= n)
	{
		uint64		x;
		uint64		y;

		memcpy(&x, a + i, sizeof(x));
		memcpy(&y, b + i, sizeof(y));
		x ^= y;
		/* has a byte of x no bit set? */
		if (((x - UINT64CONST(0x0101010101010101)) & ~x &
			 UINT64CONST(0x8080808080808080)) != 0)
			break;
		i += sizeof(uint64);
	}
	while (i < n && a[i] != b[i])
		i++;
	return i;
}

void
log_state_replace(Relation rel, LogStatePage *state, const char *data, int len)
{
	LogStateChange changes[LOG_STATE_MAX_CHANGES];
	int			common = Min(len, state->len);
	int			n = 0;
	int			i = skip_equal(data, state->data, 0, common);

	while (i < len)
	{
		LogStateChange *change = &changes[n++];
		int			start = i;
		int			end;

		/* what lies beyond the old bytes is different */
		do
		{
			end = skip_different(data, state->data, i, common);
			if (end == common)
				end = len;
			i = skip_equal(data, state->data, end, common);

			/*
			 * end the range where more equal bytes follow than a new range
			 * costs
			 */
		} while (i < len && (i - end <= RANGE_COST || n == LOG_STATE_MAX_CHANGES));
		change->offset = (uint16) start;
		change->nbytes = (uint16) (end - start);
		change->bytes = data + start;
	}
	log_state_change(rel, state, changes, n, len);
}

void
log_state_write(Relation rel, LogStateKey key, const char *data, int len)
{
	LogStatePage page;
	Buffer		buffer;

	Assert(len >= 0 && len <= LOG_STATE_MAX);
	buffer = find_page(rel, &key, BUFFER_LOCK_EXCLUSIVE);
	if (!BufferIsValid(buffer))
	{
		log_create_storage(rel);
		LockRelationForExtension(rel, ExclusiveLock);
		buffer = log_state_find(rel, &key, BUFFER_LOCK_EXCLUSIVE);
		if (!BufferIsValid(buffer))
			log_state_insert(rel, &key, data, len);
		UnlockRelationForExtension(rel, ExclusiveLock);
		if (!BufferIsValid(buffer))
			return;
	}
	open_page(&page, buffer);
	log_state_replace(rel, &page, data, len);
	log_state_unlock(&page);
}

void
log_state_create(Relation rel, const LogStateKey *keys, int n)
{
	LogStateKey *missing = palloc(n * sizeof(LogStateKey));
	int			nmissing = 0;

	log_create_storage(rel);
	LockRelationForExtension(rel, ExclusiveLock);
	for (int i = 0; i < n; i++)
	{
		Buffer		buffer = log_state_find(rel, &keys[i], BUFFER_LOCK_SHARE);

		if (BufferIsValid(buffer))
			UnlockReleaseBuffer(buffer);
		else
			missing[nmissing++] = keys[i];
	}
	for (int i = 0; i < nmissing;)
		i += log_state_insert_empty(rel, &missing[i], nmissing - i);
	UnlockRelationForExtension(rel, ExclusiveLock);
	pfree(missing);
}

void
log_state_free(Relation rel, uint8 kind, uint32 owner,
			   bool (*keep) (const LogStateKey *key, void *arg), void *arg)
{
	LogStateKey from = log_state_key(kind, owner, 0, 0);
	LogStateWalk walk;
	LogStateEntry entry;
	LogStateEntry victims[LOG_STATE_MAX_PAGES];
	int			n = 0;

	LockRelationForExtension(rel, ExclusiveLock);
	log_state_walk_begin(&walk, rel, &from);
	while (log_state_walk_next(&walk, &entry) && entry.key.kind == kind &&
		   (owner == 0 || entry.key.owner == owner))
	{
		CHECK_FOR_INTERRUPTS();
		if (!keep(&entry.key, arg))
			victims[n++] = entry;
		if (n == LOG_STATE_MAX_PAGES || (n > 0 && log_state_walk_at_end(&walk)))
		{
			log_state_remove(rel, victims, n);
			n = 0;
		}
	}
	if (n > 0)
		log_state_remove(rel, victims, n);
	UnlockRelationForExtension(rel, ExclusiveLock);
}

/* ---- VACUUM ---- */

/* Let the owner settle one state.  Returns the oldest xid left. */
static TransactionId
settle_state(Relation rel, const LogStateKey *key, TransactionId cutoff)
{
	LogStatePage page;
	char		data[LOG_STATE_MAX];
	int			len;
	TransactionId xid;
	bool		changed = false;

	/* freed since the walk read its entry */
	if (!log_state_lock(rel, *key, BUFFER_LOCK_EXCLUSIVE, &page))
		return InvalidTransactionId;
	len = page.len;
	memcpy(data, page.data, len);
	xid = log_state_kind_of(rel, BufferGetBlockNumber(page.buffer), key->kind)->settle(key, data, &len, cutoff, &changed);
	if (changed)
		log_state_replace(rel, &page, data, len);
	log_state_unlock(&page);
	return xid;
}

/*
 * A state created during the walk may be missed.  It has no xids older than
 * the cutoff.
 */
TransactionId
log_state_vacuum(Relation rel, TransactionId cutoff)
{
	TransactionId oldest = InvalidTransactionId;
	LogStateWalk walk;
	LogStateEntry entry;

	log_state_walk_begin(&walk, rel, NULL);
	while (log_state_walk_next(&walk, &entry))
	{
		TransactionId xid = settle_state(rel, &entry.key, cutoff);

		CHECK_FOR_INTERRUPTS();
		if (TransactionIdIsNormal(xid) &&
			(!TransactionIdIsValid(oldest) || TransactionIdPrecedes(xid, oldest)))
			oldest = xid;
	}
	return oldest;
}
