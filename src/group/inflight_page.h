/*
 * inflight_page.h
 *	  The bytes of the pages of a tree of entries, and nodes in memory.
 */
#ifndef STREAMQ_GROUP_INFLIGHT_PAGE_H
#define STREAMQ_GROUP_INFLIGHT_PAGE_H

#include "postgres.h"

#include "access/transam.h"
#include "datatype/timestamp.h"

#include "group/inflight.h"

/*
 * Page 0 is the head, with the root node after it.  The other pages have one
 * node each.  A leaf has slots, an inner node has children.
 */
#define INFLIGHT_FORMAT		1

#define INFLIGHT_NO_PAGE	PG_UINT32_MAX	/* an empty root without a page */

#define INFLIGHT_MAX_VERSIONS	4
#define INFLIGHT_MAX_STEPS		8
#define INFLIGHT_MAX_SPARES		48

/* free the pages that are not in use when so many may be */
#define INFLIGHT_MAX_GARBAGE	64

/* ---- on disk ---- */

/* a beginning of the group: the first one, or a seek */
typedef struct InflightVersion
{
	TransactionId xid;			/* InvalidTransactionId: settled */
	uint32		root;			/* page of the root node */
	int64		frontier;
} InflightVersion;

/* where the group was when nothing newer than xid was settled */
typedef struct InflightStep
{
	TransactionId xid;			/* InvalidTransactionId: every snapshot sees
								 * it */
	uint32		reserved;		/* 0 */
	int64		position;
} InflightStep;

#define INFLIGHT_LIMITED	0x01	/* InflightHead.limited */

/* flag of a spare page that may not exist yet */
#define INFLIGHT_UNMADE		((uint32) 0x80000000)

typedef struct InflightDiskHead
{
	uint8		format;
	uint8		flags;
	uint8		nversions;
	uint8		nsteps;
	TransactionId settled_xid;	/* newest transaction that made something done
								 * for good; InvalidTransactionId: every
								 * snapshot sees all that is done */
	TimestampTz last_consumed_at;
	InflightVersion versions[INFLIGHT_MAX_VERSIONS];	/* oldest first */
	int64		leased;
	int64		done;
	int64		waiting;
	int64		available;
	int64		acked;
	int64		redelivered;
	int64		dead_lettered;
	int64		expired;
	uint64		mark;			/* the counts are exact if this is the
								 * server's mark */
	TimestampTz step_time;		/* of the last step */
	InflightStep steps[INFLIGHT_MAX_STEPS]; /* oldest first */
	uint32		next_number;	/* pages from here on were never used */
	uint16		nspares;
	uint16		garbage;		/* how many pages may be neither in the tree
								 * nor spare */
	uint32		spares[INFLIGHT_MAX_SPARES];
} InflightDiskHead;

StaticAssertDecl(sizeof(InflightDiskHead) == 488, "on-disk format");

typedef struct InflightCounts
{
	int64		waiting;
	int64		available;
	int64		leased;
	int64		done;
} InflightCounts;

typedef struct InflightDiskNode
{
	uint8		format;
	uint8		height;			/* 0: leaf */
	uint16		n;				/* slots, some of which may be free, or
								 * children */
	uint32		recounted;		/* VACUUM has changed the leaf since its
								 * entries were counted as: */
	InflightCounts counts;
	int64		redelivered;	/* by transactions that VACUUM has settled;
								 * not counted in the head yet */
} InflightDiskNode;

StaticAssertDecl(sizeof(InflightDiskNode) == 48, "on-disk format");

typedef struct InflightDiskLevel
{
	TransactionId xid;
	uint32		what;			/* kind, flags, deliveries */
	uint32		consumer;
	uint32		time[2];
	uint32		token[2];
} InflightDiskLevel;

/*
 * A slot holds an entry, or levels 2 and 3 of one.  Entries keep their slots,
 * and levels their halves of a slot, so that a change touches few bytes.
 */
typedef struct InflightDiskSlot
{
	uint8		nlevels;		/* 0: free; INFLIGHT_CONTINUED */
	uint8		base;			/* half that has level 0; the other has level
								 * 1 */
	uint16		more;			/* slot with the further levels, if any */
	uint32		hash;
	uint32		from[2];
	int32		count;
	InflightDiskLevel levels[2];
} InflightDiskSlot;

#define INFLIGHT_CONTINUED	0xff

StaticAssertDecl(sizeof(InflightDiskSlot) == 76, "on-disk format");

typedef struct InflightDiskChild
{
	uint32		hash;
	uint32		number;
	int64		off;
	TimestampTz due;
	int64		least;
} InflightDiskChild;

StaticAssertDecl(sizeof(InflightDiskChild) == 32, "on-disk format");

/* can be defined smaller, to test high trees */
#ifndef INFLIGHT_MAX_SLOTS
#define INFLIGHT_MAX_SLOTS \
	((LOG_STATE_MAX - sizeof(InflightDiskNode)) / sizeof(InflightDiskSlot))
#endif
#ifndef INFLIGHT_MAX_CHILDREN
#define INFLIGHT_MAX_CHILDREN \
	((LOG_STATE_MAX - sizeof(InflightDiskNode)) / sizeof(InflightDiskChild))
#endif
#define INFLIGHT_MAX_HEIGHT	8

/* ---- in memory ---- */

typedef struct InflightKey
{
	uint32		hash;
	int64		off;
} InflightKey;

static inline int
group_inflight_compare(InflightKey a, InflightKey b)
{
	if (a.hash != b.hash)
		return a.hash < b.hash ? -1 : 1;
	return a.off < b.off ? -1 : a.off > b.off;
}

typedef struct InflightChild
{
	InflightKey key;			/* least key; the first child begins where its
								 * parent does */
	uint32		number;
	TimestampTz due;			/* nothing can be handed out before */
	int64		least;			/* no entry has a lower offset */
} InflightChild;

typedef struct InflightNode
{
	bool		loaded;
	bool		dirty;
	uint32		number;
	int			height;
	bool		bounded;		/* ends before high */
	InflightKey low;
	InflightKey high;
	int			at;				/* child that the cursor's path follows */
	InflightCounts counted;		/* contribution of the leaf to the head */
	int64		redelivered;	/* the head does not count these yet */
	int			n;
	bool		keeps_slots;	/* an empty leaf that will be filled again, so
								 * its page keeps its bytes */
	int			nlong;			/* no more entries of the leaf than this have
								 * more than two levels */
	union
	{
		/* room for a few more than fit on a page */
		InflightEntry entries[INFLIGHT_MAX_SLOTS + 4];
		InflightChild children[INFLIGHT_MAX_CHILDREN + 1];
	}			u;
} InflightNode;

/* how many slots or children fit into a node on this page */
extern int	group_inflight_capacity(uint32 number, int height);

/* how many slots the entries of a leaf need */
extern int	group_inflight_slots(const InflightNode *node);

/* add up the entries by kind */
extern void group_inflight_count(const InflightNode *node, InflightCounts *counts);

/*
 * Decode a node.  Sets height, n, counted, and the entries or children, in
 * order.  XX001 if the bytes are invalid.
 */
extern void group_inflight_decode_node(const char *data, int len, InflightNode *node);

/*
 * Encode a node over the old bytes; returns the new length.  Gives slots to
 * new entries.  `counts` is NULL, or what to store as the counted entries of a
 * leaf that VACUUM changes.
 */
extern int	group_inflight_encode_node(InflightNode *node, const InflightCounts *counts,
									   char *data, int len);

/* XX001 if the bytes are invalid */
extern void group_inflight_decode_head(const char *data, int len, InflightDiskHead *head);

extern void group_inflight_report_corrupt(void) pg_attribute_noreturn();

#endif
