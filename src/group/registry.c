/*
 * registry.c
 *	  The consumers of a group, and their numbers.
 *
 * A page has a header and up to REGISTRY_SLOTS slots.  The header of page 0
 * counts for all pages of the group.
 *
 * A new consumer is entered under the heavyweight lock of the registry, which
 * is released at once.  Pages are changed in place, and a page never loses
 * slots.  So a session that knows the slot of its consumer can note that the
 * consumer was seen without that lock, if the slot still has the number.
 *
 * A registry must not grow without limit.  When it has doubled since the last
 * time, consumers are removed that have no lease and whose session has ended.
 * A name that an application chose stays for some time longer, because a
 * program that is restarted should find its number.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "storage/bufmgr.h"
#include "utils/hsearch.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "compat.h"
#include "group/group_catalog.h"
#include "group/group_lock.h"
#include "group/mode.h"
#include "group/registry.h"
#include "group/session.h"
#include "log/log.h"
#include "log/state_page.h"

#define REGISTRY_VERSION	1

typedef struct RegistryHeader
{
	uint32		version;
	uint32		last_number;	/* of page 0: the last number given */
	uint32		clean_at;		/* of page 0: number of consumers at which
								 * some leave the registry */
	uint32		reserved;
} RegistryHeader;

typedef struct RegistrySlot
{
	uint32		number;			/* 0: free */
	/* what noting a consumer changes */
	int32		pid;
	TimestampTz session_start;
	TimestampTz last_seen;

	char		name[GROUP_CONSUMER_MAX + 1];	/* ends with zeros */
} RegistrySlot;

StaticAssertDecl(sizeof(RegistryHeader) == 16, "on-disk format");
StaticAssertDecl(sizeof(RegistrySlot) == 88, "on-disk format");
StaticAssertDecl(offsetof(RegistrySlot, pid) == 4 && offsetof(RegistrySlot, name) == 24,
				 "on-disk format");

#define REGISTRY_SLOTS	90
#define SLOT_OFFSET(i)	(sizeof(RegistryHeader) + (i) * sizeof(RegistrySlot))

StaticAssertDecl(SLOT_OFFSET(REGISTRY_SLOTS) <= LOG_STATE_MAX, "a page must hold its slots");

typedef union RegistryPage
{
	char		data[LOG_STATE_MAX];
	struct
	{
		RegistryHeader header;
		RegistrySlot slots[REGISTRY_SLOTS];
	};
} RegistryPage;

/* pages of one group at most */
#define REGISTRY_MAX_PAGES	100
/* consumers that are kept in any case */
#define REGISTRY_KEEP		256
/* how long a chosen name stays after its session is gone */
#define REGISTRY_KEEP_TIME	(10 * USECS_PER_MINUTE)
/* how often a session notes that it was seen */
#define REGISTRY_INTERVAL	USECS_PER_SEC

static LogStateKey
page_key(const ConsumerGroup *group, uint32 page)
{
	return log_state_key(GROUP_REGISTRY_PAGE_KIND, (uint32) group->group_id, 0, page);
}

static int
count_slots(int len)
{
	return (int) ((len - sizeof(RegistryHeader)) / sizeof(RegistrySlot));
}

/* read a page; returns the number of its slots, or -1 if there is none */
static int
read_page(Relation rel, const ConsumerGroup *group, uint32 number, RegistryPage *page)
{
	int			len;

	if (!log_state_read(rel, page_key(group, number), page->data, &len))
		return -1;
	return count_slots(len);
}

/* ---- this session's consumers ---- */

typedef struct KnownKey
{
	RelFileLocator locator;		/* a rollback may bring back an older file */
	int32		group_id;
	char		name[GROUP_CONSUMER_MAX + 1];
} KnownKey;

typedef struct KnownConsumer
{
	KnownKey	key;
	uint32		number;
	uint32		page;
	int			slot;
	TimestampTz noted_at;
} KnownConsumer;

#define KNOWN_MAX	1000

static HTAB *known = NULL;

static KnownConsumer *
find_known(Relation rel, const ConsumerGroup *group, const char *name, bool *found)
{
	KnownKey	key;

	if (known != NULL && hash_get_num_entries(known) >= KNOWN_MAX)
	{
		hash_destroy(known);
		known = NULL;
	}
	if (known == NULL)
	{
		HASHCTL		ctl;

		ctl.keysize = sizeof(KnownKey);
		ctl.entrysize = sizeof(KnownConsumer);
		ctl.hcxt = TopMemoryContext;
		known = hash_create("streamq consumers", 16, &ctl, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	}
	memset(&key, 0, sizeof(key));
	key.locator = RelationLocator(rel);
	key.group_id = group->group_id;
	strlcpy(key.name, name, sizeof(key.name));
	return hash_search(known, &key, HASH_ENTER, found);
}

/* ---- changing pages ---- */

/* note in a slot that this session has used the consumer now */
static void
set_seen(RegistrySlot *slot, TimestampTz now)
{
	slot->pid = MyProcPid;
	slot->session_start = MyStartTimestamp;
	slot->last_seen = now;
}

/*
 * Note that the consumer was seen.  False if the slot does not have its number
 * any more.
 */
static bool
note_seen(Relation rel, const ConsumerGroup *group, uint32 number, uint32 page, int i,
		  TimestampTz now)
{
	LogStatePage state;
	RegistrySlot slot;
	bool		found = false;

	if (!log_state_lock(rel, page_key(group, page), BUFFER_LOCK_EXCLUSIVE, &state))
		return false;
	if (i < count_slots(state.len))
	{
		memcpy(&slot, state.data + SLOT_OFFSET(i), sizeof(slot));
		found = slot.number == number;
	}
	if (found)
	{
		LogStateChange change;

		set_seen(&slot, now);
		change.offset = SLOT_OFFSET(i) + offsetof(RegistrySlot, pid);
		change.nbytes = offsetof(RegistrySlot, name) - offsetof(RegistrySlot, pid);
		change.bytes = (const char *) &slot + offsetof(RegistrySlot, pid);
		log_state_change(rel, &state, &change, 1, state.len);
	}
	log_state_unlock(&state);
	return found;
}

/* write a slot of an existing page, or add it after the last one */
static void
write_slot(Relation rel, const ConsumerGroup *group, uint32 page, int i, const RegistrySlot *slot)
{
	LogStatePage state;
	LogStateChange change = {
		.offset = SLOT_OFFSET(i),
		.nbytes = sizeof(RegistrySlot),
		.bytes = (const char *) slot
	};

	if (!log_state_lock(rel, page_key(group, page), BUFFER_LOCK_EXCLUSIVE, &state))
		elog(ERROR, "page %u of the consumers of group %d is missing", page, group->group_id);
	log_state_change(rel, &state, &change, 1, Max(state.len, (int) SLOT_OFFSET(i + 1)));
	log_state_unlock(&state);
}

/*
 * Free a slot, unless its consumer was seen since it was read.  The consumer
 * may have come back in a session that knows the slot.
 */
static bool
free_slot(Relation rel, const ConsumerGroup *group, uint32 page, int i, const RegistrySlot *read)
{
	static const RegistrySlot empty = {0};
	LogStatePage state;
	bool		same;

	if (!log_state_lock(rel, page_key(group, page), BUFFER_LOCK_EXCLUSIVE, &state))
		return false;
	same = memcmp(state.data + SLOT_OFFSET(i), read, sizeof(RegistrySlot)) == 0;
	if (same)
	{
		LogStateChange change = {
			.offset = SLOT_OFFSET(i),
			.nbytes = sizeof(RegistrySlot),
			.bytes = (const char *) &empty
		};

		log_state_change(rel, &state, &change, 1, state.len);
	}
	log_state_unlock(&state);
	return same;
}

static void
write_header(Relation rel, const ConsumerGroup *group, const RegistryHeader *header)
{
	LogStatePage state;
	LogStateChange change = {
		.offset = 0,
		.nbytes = sizeof(RegistryHeader),
		.bytes = (const char *) header
	};

	if (!log_state_lock(rel, page_key(group, 0), BUFFER_LOCK_EXCLUSIVE, &state))
		elog(ERROR, "page 0 of the consumers of group %d is missing", group->group_id);
	log_state_change(rel, &state, &change, 1, state.len);
	log_state_unlock(&state);
}

/* ---- consumers that leave ---- */

static void
add_leased_name(const GroupLease *lease, void *arg)
{
	(void) hash_search((HTAB *) arg, lease->consumer, HASH_ENTER, NULL);
}

/* the names of all consumers that have leases */
static HTAB *
collect_leased_names(Relation rel, const ConsumerGroup *group, TimestampTz now)
{
	HASHCTL		ctl;
	HTAB	   *names;
	int			npartitions = log_partition_count(rel);

	ctl.keysize = GROUP_CONSUMER_MAX + 1;
	ctl.entrysize = GROUP_CONSUMER_MAX + 1;
	ctl.hcxt = CurrentMemoryContext;
	names = hash_create("streamq leased names", 64, &ctl, HASH_ELEM | HASH_STRINGS | HASH_CONTEXT);
	for (int p = 0; p < npartitions; p++)
		group->mode->leases(rel, group, p, now, add_leased_name, names);
	return names;
}

/*
 * Free the slots of consumers that have no lease, and whose sessions are gone.
 * With `all`, names that an application chose do not stay longer.  Returns the
 * number of consumers left.
 */
static uint32
clean(Relation rel, const ConsumerGroup *group, bool all)
{
	TimestampTz now = GetCurrentTimestamp();
	HTAB	   *leased = collect_leased_names(rel, group, now);
	RegistryPage page;
	uint32		left = 0;
	int			n;

	for (uint32 p = 0; (n = read_page(rel, group, p, &page)) >= 0; p++)
	{
		for (int i = 0; i < n; i++)
		{
			const RegistrySlot *slot = &page.slots[i];

			if (slot->number == 0)
				continue;
			if (!group_session_has_ended(slot->pid, slot->session_start) ||
				(!all && !group_session_is_name(slot->name) &&
				 now - slot->last_seen <= REGISTRY_KEEP_TIME) ||
				hash_search(leased, slot->name, HASH_FIND, NULL) != NULL ||
				!free_slot(rel, group, p, i, slot))
				left++;
		}
	}
	hash_destroy(leased);
	return left;
}

/* ---- entering ---- */

/* what a search of the registry found */
typedef struct RegistrySearch
{
	RegistryHeader header;		/* of page 0 */
	uint32		npages;
	uint32		nconsumers;
	bool		found;			/* the name, in this slot */
	bool		has_room;		/* a slot for a new name */
	uint32		page;
	int			slot;
	uint32		number;
} RegistrySearch;

/* search for a name, or for a place for it */
static void
search_name(Relation rel, const ConsumerGroup *group, const char *name, RegistrySearch *search)
{
	RegistryPage page;
	int			n;

	memset(search, 0, sizeof(RegistrySearch));
	for (uint32 p = 0; (n = read_page(rel, group, p, &page)) >= 0; p++)
	{
		if (p == 0)
			search->header = page.header;
		search->npages++;
		for (int i = 0; i < REGISTRY_SLOTS; i++)
		{
			bool		used = i < n && page.slots[i].number != 0;

			search->nconsumers += used;
			if (used && strcmp(page.slots[i].name, name) == 0)
			{
				search->found = true;
				search->page = p;
				search->slot = i;
				search->number = page.slots[i].number;
				return;
			}
			if (i <= n && !used && !search->has_room)
			{
				search->has_room = true;
				search->page = p;
				search->slot = i;
			}
		}
	}
}

/* write an empty page */
static void
add_page(Relation rel, const ConsumerGroup *group, uint32 number, RegistryHeader *header)
{
	header->version = REGISTRY_VERSION;
	log_state_write(rel, page_key(group, number), (char *) header, sizeof(RegistryHeader));
}

void
group_registry_create(Relation rel, const ConsumerGroup *group)
{
	RegistryHeader header = {.clean_at = REGISTRY_KEEP};

	add_page(rel, group, 0, &header);
}

/*
 * Enter a name that is not in the registry.  The header with the number is
 * written before the slot, so that the number is not given again if only the
 * header gets into WAL before a crash.
 */
static void
enter_name(Relation rel, const ConsumerGroup *group, const char *name, RegistrySearch *search,
		   TimestampTz now)
{
	RegistrySlot slot;

	if (search->npages == 0)
	{
		search->header.clean_at = REGISTRY_KEEP;
		add_page(rel, group, 0, &search->header);
		search->npages = 1;
		search->has_room = true;
		search->page = search->slot = 0;
	}
	if (!search->has_room)
	{
		RegistryHeader header = {0};

		if (search->npages == REGISTRY_MAX_PAGES)
			ereport(ERROR,
					(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
					 errmsg("consumer group \"%s\" of stream \"%s\" has too many consumers",
							group->name, RelationGetRelationName(rel)),
					 errdetail("A group has at most %d consumers at a time.",
							   REGISTRY_MAX_PAGES * REGISTRY_SLOTS)));
		add_page(rel, group, search->npages, &header);
		search->page = search->npages++;
		search->slot = 0;
	}

	search->number = ++search->header.last_number;
	write_header(rel, group, &search->header);
	memset(&slot, 0, sizeof(slot));
	slot.number = search->number;
	set_seen(&slot, now);
	strlcpy(slot.name, name, sizeof(slot.name));
	write_slot(rel, group, search->page, search->slot, &slot);
}

/* find or enter a name; the registry is locked */
static void
find_or_enter(Relation rel, const ConsumerGroup *group, const char *name, RegistrySearch *search,
			  TimestampTz now)
{
	search_name(rel, group, name, search);
	if (!search->found && search->npages > 0 &&
		(search->nconsumers >= search->header.clean_at ||
		 (!search->has_room && search->npages == REGISTRY_MAX_PAGES)))
	{
		RegistryHeader header = search->header;
		uint32		left = clean(rel, group, search->nconsumers >=
								 REGISTRY_MAX_PAGES * REGISTRY_SLOTS);

		search_name(rel, group, name, search);
		header.clean_at = Max(REGISTRY_KEEP, 2 * left);
		search->header = header;
	}
	if (search->found)
		(void) note_seen(rel, group, search->number, search->page, search->slot, now);
	else
		enter_name(rel, group, name, search, now);
}

uint32
group_registry_enter(Relation rel, const ConsumerGroup *group, const char *name)
{
	TimestampTz now = GetCurrentTimestamp();
	bool		found;
	KnownConsumer *consumer = find_known(rel, group, name, &found);
	RegistrySearch search;

	if (!found)
		consumer->number = 0;
	else if (consumer->number != 0)
	{
		if (now >= consumer->noted_at && now - consumer->noted_at < REGISTRY_INTERVAL)
			return consumer->number;
		if (note_seen(rel, group, consumer->number, consumer->page, consumer->slot, now))
		{
			consumer->noted_at = now;
			return consumer->number;
		}
		consumer->number = 0;	/* in case of an error */
	}

	group_lock_registry(group->group_id);
	find_or_enter(rel, group, name, &search, now);
	group_unlock_registry(group->group_id);

	consumer->page = search.page;
	consumer->slot = search.slot;
	consumer->noted_at = now;
	consumer->number = search.number;
	return search.number;
}

/* ---- reading ---- */

bool
group_registry_name(Relation rel, const ConsumerGroup *group, uint32 number, char *name)
{
	RegistryPage page;
	int			n;

	name[0] = '\0';
	if (number == 0)
		return false;
	for (uint32 p = 0; (n = read_page(rel, group, p, &page)) >= 0; p++)
	{
		for (int i = 0; i < n; i++)
		{
			if (page.slots[i].number == number)
			{
				strlcpy(name, page.slots[i].name, GROUP_CONSUMER_MAX + 1);
				return true;
			}
		}
	}
	return false;
}

static int
compare_numbers(const void *a, const void *b)
{
	uint32		x = ((const GroupRegistered *) a)->number;
	uint32		y = ((const GroupRegistered *) b)->number;

	return x < y ? -1 : x > y;
}

int
group_registry_list(Relation rel, const ConsumerGroup *group, GroupRegistered **consumers)
{
	RegistryPage page;
	int			n;
	int			count = 0;
	int			room = REGISTRY_SLOTS;

	*consumers = palloc(room * sizeof(GroupRegistered));
	for (uint32 p = 0; (n = read_page(rel, group, p, &page)) >= 0; p++)
	{
		if (count + n > room)
		{
			room = 2 * room + n;
			*consumers = repalloc(*consumers, room * sizeof(GroupRegistered));
		}
		for (int i = 0; i < n; i++)
		{
			const RegistrySlot *slot = &page.slots[i];
			GroupRegistered *consumer = &(*consumers)[count];

			if (slot->number == 0)
				continue;
			consumer->number = slot->number;
			consumer->pid = slot->pid;
			consumer->session_start = slot->session_start;
			consumer->last_seen = slot->last_seen;
			strlcpy(consumer->name, slot->name, sizeof(consumer->name));
			count++;
		}
	}
	qsort(*consumers, count, sizeof(GroupRegistered), compare_numbers);
	return count;
}

/* ---- callbacks of the log ---- */

/* the pages have no transaction ids */
static TransactionId
settle_registry(const LogStateKey *key, char *data, int *len, TransactionId cutoff, bool *changed)
{
	return InvalidTransactionId;
}

static bool
carry_registry(const LogStateKey *key, char *data, int *len, int64 first_offset)
{
	return true;
}

static const char *
verify_registry(const LogStateKey *key, const char *data, int len, int64 next_offset)
{
	RegistryHeader header;

	if (len < (int) sizeof(RegistryHeader) ||
		(len - sizeof(RegistryHeader)) % sizeof(RegistrySlot) != 0 ||
		count_slots(len) > REGISTRY_SLOTS)
		return "its length is wrong";
	memcpy(&header, data, sizeof(header));
	if (header.version != REGISTRY_VERSION)
		return "its version is unknown";
	if (key->partition != 0 || key->number >= REGISTRY_MAX_PAGES)
		return "its key is wrong";
	for (int i = 0; i < count_slots(len); i++)
	{
		RegistrySlot slot;

		memcpy(&slot, data + SLOT_OFFSET(i), sizeof(slot));
		if (slot.number == 0)
			continue;
		if (key->number == 0 && slot.number > header.last_number)
			return "a consumer has a number that was not given yet";
		if (slot.name[0] == '\0' || memchr(slot.name, '\0', sizeof(slot.name)) == NULL)
			return "a consumer has no valid name";
	}
	return NULL;
}

const LogStateKind group_registry_pages = {
	.name = "a list of a group's consumers",
	.settle = settle_registry,
	.carry = carry_registry,
	.verify = verify_registry
};
