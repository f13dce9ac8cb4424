/*
 * inflight_page.c
 *	  The bytes of the pages of a tree of entries.
 */
#include "postgres.h"

#include "compat.h"
#include "group/inflight_page.h"

/* bits of InflightDiskLevel.what */
#define WHAT_KIND		0x0f
#define WHAT_BURIED		0x10
#define WHAT_UNCOUNTED	0x20
#define WHAT_SHIFT		8		/* of the deliveries */
#define WHAT_MAX		0xffffff

void
group_inflight_report_corrupt(void)
{
	ereport(ERROR,
			(errcode(ERRCODE_DATA_CORRUPTED),
			 errmsg("invalid consumer group state")));
}

int
group_inflight_capacity(uint32 number, int height)
{
	int			max = height == 0 ? INFLIGHT_MAX_SLOTS : INFLIGHT_MAX_CHILDREN;
	int			size = height == 0 ? sizeof(InflightDiskSlot) : sizeof(InflightDiskChild);
	int			room = LOG_STATE_MAX - sizeof(InflightDiskNode);

	if (number == 0)
		room -= sizeof(InflightDiskHead);
	return Min(max, room / size);
}

int
group_inflight_slots(const InflightNode *node)
{
	int			n = node->n;

	for (int i = 0; node->nlong > 0 && i < node->n; i++)
		n += node->u.entries[i].nlevels > 2;
	return n;
}

void
group_inflight_count(const InflightNode *node, InflightCounts *counts)
{
	memset(counts, 0, sizeof(*counts));
	if (node->height > 0)
		return;
	for (int i = 0; i < node->n; i++)
	{
		const InflightEntry *entry = &node->u.entries[i];
		const InflightLevel *top = group_inflight_top(entry);

		if (top->kind == INFLIGHT_DONE)
			counts->done += entry->count;
		else if (top->kind == INFLIGHT_LEASED)
			counts->leased += entry->count;
		else if (top->deliveries > 0)
			counts->available += entry->count;
		else
			counts->waiting += entry->count;
	}
}

/* ---- slots ---- */

/* is the xid in the range that the commit log knows? */
static bool
is_possible(TransactionId xid)
{
	return TransactionIdIsNormal(xid) &&
		!TransactionIdPrecedes(xid, COMPAT_OLDEST_XID()) &&
		TransactionIdPrecedes(xid, ReadNextTransactionId());
}

/*
 * Most levels of a leaf have the same xid, so *possible is the xid that was
 * found possible last.
 */
static void
get_level(const InflightDiskLevel *disk, bool settled, TransactionId *possible,
		  InflightLevel *level)
{
	level->xid = settled ? InvalidTransactionId : disk->xid;
	level->kind = (uint8) (disk->what & WHAT_KIND);
	level->buried = (disk->what & WHAT_BURIED) != 0;
	level->uncounted = (disk->what & WHAT_UNCOUNTED) != 0;
	level->deliveries = (int32) (disk->what >> WHAT_SHIFT);
	level->consumer = disk->consumer;
	memcpy(&level->time, disk->time, sizeof(level->time));
	memcpy(&level->token, disk->token, sizeof(level->token));
	if (level->kind < INFLIGHT_AVAILABLE || level->kind > INFLIGHT_DONE)
		group_inflight_report_corrupt();
	if (settled || TransactionIdEquals(level->xid, *possible))
		return;
	if (!is_possible(level->xid))
		group_inflight_report_corrupt();
	*possible = level->xid;
}

static void
put_level(const InflightLevel *level, InflightDiskLevel *disk)
{
	/* that of a settled level is not read */
	if (TransactionIdIsValid(level->xid))
		disk->xid = level->xid;
	disk->what = (uint32) level->kind;
	if (level->buried)
		disk->what |= WHAT_BURIED;
	if (level->uncounted)
		disk->what |= WHAT_UNCOUNTED;
	disk->what |= (uint32) Min(level->deliveries, WHAT_MAX) << WHAT_SHIFT;
	disk->consumer = level->consumer;
	memcpy(disk->time, &level->time, sizeof(level->time));
	memcpy(disk->token, &level->token, sizeof(level->token));
}

static void
get_entry(const InflightDiskSlot *slots, int nslots, int i, TransactionId *possible,
		  InflightEntry *entry)
{
	const InflightDiskSlot *slot = &slots[i];

	if (slot->nlevels > INFLIGHT_MAX_LEVELS || slot->base > 1)
		group_inflight_report_corrupt();
	entry->hash = slot->hash;
	memcpy(&entry->from, slot->from, sizeof(entry->from));
	entry->count = slot->count;
	entry->nlevels = slot->nlevels;
	entry->slot = i;
	if (entry->from < 0 || entry->count <= 0)
		group_inflight_report_corrupt();
	get_level(&slot->levels[slot->base], true, possible, &entry->levels[0]);
	if (entry->nlevels > 1)
		get_level(&slot->levels[1 - slot->base], false, possible, &entry->levels[1]);
	if (entry->nlevels > 2)
	{
		const InflightDiskSlot *more = &slots[slot->more];

		if (slot->more >= nslots || more->nlevels != INFLIGHT_CONTINUED)
			group_inflight_report_corrupt();
		for (int l = 2; l < entry->nlevels; l++)
			get_level(&more->levels[l - 2], false, possible, &entry->levels[l]);
	}
}

/*
 * Write the levels 0 and 1 of an entry into its slot.  If a half of the slot
 * has level 0 already, it keeps it, because the WAL has only what differs.  An
 * entry that is fresh on the page takes the order of the one that had the slot
 * before, which is likely to be similar.
 */
static void
put_levels(const InflightEntry *entry, InflightDiskSlot *slot, bool fresh)
{
	int			base = slot->base & 1;

	for (int i = 0; i < 2 && !fresh; i++)
	{
		InflightDiskLevel level = slot->levels[base ^ i];

		put_level(&entry->levels[0], &level);
		if (memcmp(&level, &slot->levels[base ^ i], sizeof(level)) == 0)
		{
			base ^= i;
			break;
		}
	}
	slot->base = (uint8) base;
	put_level(&entry->levels[0], &slot->levels[base]);
	if (entry->nlevels > 1)
		put_level(&entry->levels[1], &slot->levels[1 - base]);
}

/* ---- leaves ---- */

typedef struct SlotOrder
{
	InflightKey key;
	int			slot;
} SlotOrder;

static int
compare_order(const void *a, const void *b)
{
	return group_inflight_compare(((const SlotOrder *) a)->key, ((const SlotOrder *) b)->key);
}

static void
decode_leaf(const InflightDiskSlot *slots, int nslots, InflightNode *node)
{
	SlotOrder	order[INFLIGHT_MAX_SLOTS];
	TransactionId possible = InvalidTransactionId;
	bool		sorted = true;

	node->n = 0;
	for (int i = 0; i < nslots; i++)
	{
		SlotOrder  *o = &order[node->n];

		if (slots[i].nlevels == 0 || slots[i].nlevels == INFLIGHT_CONTINUED)
			continue;
		o->key.hash = slots[i].hash;
		memcpy(&o->key.off, slots[i].from, sizeof(o->key.off));
		o->slot = i;
		if (node->n++ > 0 && group_inflight_compare(o[-1].key, o->key) > 0)
			sorted = false;
	}
	if (!sorted)
		qsort(order, node->n, sizeof(SlotOrder), compare_order);
	for (int i = 0; i < node->n; i++)
	{
		get_entry(slots, nslots, order[i].slot, &possible, &node->u.entries[i]);
		node->nlong += node->u.entries[i].nlevels > 2;
	}
}

/* the first free slot from *next on; extends *nslots if there is none */
static int
take_slot(bool *used, int *next, int *nslots, InflightDiskSlot *slots)
{
	int			i = *next;

	while (i < *nslots && used[i])
		i++;
	if (i >= (int) INFLIGHT_MAX_SLOTS)
		elog(ERROR, "a leaf of a consumer group's state is too full");
	if (i == *nslots)
		memset(&slots[(*nslots)++], 0, sizeof(InflightDiskSlot));
	used[i] = true;
	*next = i + 1;
	return i;
}

/* returns the new number of slots */
static int
encode_leaf(InflightNode *node, InflightDiskSlot *slots, int nslots)
{
	bool		used[INFLIGHT_MAX_SLOTS] = {0};
	int			next = 0;

	/* entries and further levels keep their slots */
	for (int i = 0; i < node->n; i++)
	{
		InflightEntry *entry = &node->u.entries[i];

		if (entry->slot < 0)
			continue;
		used[entry->slot] = true;
		if (entry->nlevels > 2 && slots[entry->slot].nlevels > 2)
			used[slots[entry->slot].more] = true;
	}
	for (int i = 0; i < node->n; i++)
	{
		InflightEntry *entry = &node->u.entries[i];
		bool		fresh = entry->slot < 0;
		bool		continued = !fresh && slots[entry->slot].nlevels > 2;
		InflightDiskSlot *slot;

		if (fresh)
			entry->slot = take_slot(used, &next, &nslots, slots);
		slot = &slots[entry->slot];
		if (entry->nlevels > 2)
		{
			InflightDiskSlot *more;

			if (!continued)
				slot->more = (uint16) take_slot(used, &next, &nslots, slots);
			more = &slots[slot->more];
			more->nlevels = INFLIGHT_CONTINUED;
			for (int l = 2; l < entry->nlevels; l++)
				put_level(&entry->levels[l], &more->levels[l - 2]);
		}
		slot->nlevels = (uint8) entry->nlevels;
		slot->hash = entry->hash;
		memcpy(slot->from, &entry->from, sizeof(entry->from));
		slot->count = entry->count;
		put_levels(entry, slot, fresh);
	}
	for (int i = 0; i < nslots; i++)
		if (!used[i])
			slots[i].nlevels = 0;
	return node->n == 0 && !node->keeps_slots ? 0 : nslots;
}

/* ---- nodes ---- */

void
group_inflight_decode_node(const char *data, int len, InflightNode *node)
{
	InflightDiskNode disk;
	int			size;

	memset(&node->counted, 0, sizeof(node->counted));
	node->nlong = 0;
	node->keeps_slots = false;
	node->redelivered = 0;
	if (len == 0)
	{
		/* a page that was made and never used */
		node->height = node->n = 0;
		return;
	}
	if (len < (int) sizeof(disk))
		group_inflight_report_corrupt();
	memcpy(&disk, data, sizeof(disk));
	size = disk.height == 0 ? sizeof(InflightDiskSlot) : sizeof(InflightDiskChild);
	if (disk.format != INFLIGHT_FORMAT || disk.height > INFLIGHT_MAX_HEIGHT ||
		disk.n > (disk.height == 0 ? INFLIGHT_MAX_SLOTS : INFLIGHT_MAX_CHILDREN) ||
		len != (int) sizeof(disk) + disk.n * size)
		group_inflight_report_corrupt();
	node->height = disk.height;
	data += sizeof(disk);
	if (disk.height > 0)
	{
		node->n = disk.n;
		for (int i = 0; i < node->n; i++)
		{
			InflightDiskChild child;

			memcpy(&child, data + i * sizeof(child), sizeof(child));
			node->u.children[i].key.hash = child.hash;
			node->u.children[i].key.off = child.off;
			node->u.children[i].number = child.number;
			node->u.children[i].due = child.due;
			node->u.children[i].least = child.least;
		}
		return;
	}
	decode_leaf((const InflightDiskSlot *) data, disk.n, node);
	node->redelivered = disk.redelivered;
	if (disk.recounted)
		node->counted = disk.counts;
	else
		group_inflight_count(node, &node->counted);
}

int
group_inflight_encode_node(InflightNode *node, const InflightCounts *counts,
						   char *data, int len)
{
	InflightDiskNode disk;
	int			size;

	memset(&disk, 0, sizeof(disk));
	if (len > 0)
		memcpy(&disk, data, sizeof(disk));
	if (len == 0 || disk.height != node->height)
		disk.n = 0;
	disk.format = INFLIGHT_FORMAT;
	disk.height = (uint8) node->height;
	disk.recounted = counts != NULL;
	if (counts != NULL)
		disk.counts = *counts;
	disk.redelivered = counts != NULL ? node->redelivered : 0;
	if (node->height > 0)
	{
		disk.n = (uint16) node->n;
		size = sizeof(InflightDiskChild);
		for (int i = 0; i < node->n; i++)
		{
			InflightDiskChild child;

			child.hash = node->u.children[i].key.hash;
			child.number = node->u.children[i].number;
			child.off = node->u.children[i].key.off;
			child.due = node->u.children[i].due;
			child.least = node->u.children[i].least;
			memcpy(data + sizeof(disk) + i * sizeof(child), &child, sizeof(child));
		}
	}
	else
	{
		size = sizeof(InflightDiskSlot);
		disk.n = (uint16) encode_leaf(node, (InflightDiskSlot *) (data + sizeof(disk)),
									  disk.n);
	}
	memcpy(data, &disk, sizeof(disk));
	return sizeof(disk) + disk.n * size;
}

void
group_inflight_decode_head(const char *data, int len, InflightDiskHead *head)
{
	if (len < (int) sizeof(*head))
		group_inflight_report_corrupt();
	memcpy(head, data, sizeof(*head));
	if (head->format != INFLIGHT_FORMAT ||
		head->nversions < 1 || head->nversions > INFLIGHT_MAX_VERSIONS ||
		head->nsteps > INFLIGHT_MAX_STEPS || head->nspares > INFLIGHT_MAX_SPARES)
		group_inflight_report_corrupt();
	for (int i = 0; i < head->nversions; i++)
		if (head->versions[i].frontier < 0 ||
			(TransactionIdIsValid(head->versions[i].xid) &&
			 !is_possible(head->versions[i].xid)))
			group_inflight_report_corrupt();
	for (int i = 0; i < head->nsteps; i++)
		if (TransactionIdIsValid(head->steps[i].xid) && !is_possible(head->steps[i].xid))
			group_inflight_report_corrupt();
	if (TransactionIdIsValid(head->settled_xid) && !is_possible(head->settled_xid))
		group_inflight_report_corrupt();
}
