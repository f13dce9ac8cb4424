/*
 * inflight_entry.h
 *	  Entries of the state of a group in the modes that let several consumers
 *	  work on a partition at once (inflight.h), and their levels.
 *
 * An entry has levels.  Level 0 is settled: it holds whatever happens.  Each
 * higher level has the xid of a (sub)transaction.  If that aborts, the level
 * was never there; if it commits, the level becomes level 0.  So a change
 * needs no lock until the end of the transaction, and a rollback gives
 * messages back at once.  All levels above 0 belong to one top-level
 * transaction, because nobody changes an entry whose newest level belongs to
 * another transaction in progress.
 */
#ifndef STREAMQ_GROUP_INFLIGHT_ENTRY_H
#define STREAMQ_GROUP_INFLIGHT_ENTRY_H

#include "postgres.h"

#include "datatype/timestamp.h"

typedef enum InflightKind
{
	INFLIGHT_AVAILABLE = 1,
	INFLIGHT_LEASED,
	INFLIGHT_DONE
} InflightKind;

/* many are copied for each batch, so they are small */
typedef struct InflightLevel
{
	TimestampTz time;			/* available: not before (0: at once); leased:
								 * the deadline */
	uint64		token;			/* of the delivery (memory.h) */
	TransactionId xid;			/* InvalidTransactionId: settled (level 0
								 * only) */
	int32		deliveries;		/* so far; this one included if leased */
	uint32		consumer;		/* number in the registry of consumers; 0:
								 * none */
	uint8		kind;			/* InflightKind */
	bool		buried;			/* done: counts as dead-lettered, not as
								 * acknowledged */
	bool		uncounted;		/* private: done, settled by VACUUM */
} InflightLevel;

#define INFLIGHT_MAX_LEVELS	4

typedef struct InflightEntry
{
	uint32		hash;			/* of the key; 0 in shared mode */
	int			slot;			/* private; -1 in a new entry */
	int64		from;
	int32		count;			/* offsets [from, from + count) */
	int			nlevels;		/* at least 1 */
	InflightLevel levels[INFLIGHT_MAX_LEVELS];
} InflightEntry;

/* a new entry with one settled level: available, never delivered */
extern void group_inflight_init(InflightEntry *entry, uint32 hash, int64 from, int32 count);

static inline const InflightLevel *
group_inflight_top(const InflightEntry *entry)
{
	return &entry->levels[entry->nlevels - 1];
}

/* does the newest level belong to another transaction, in progress? */
extern bool group_inflight_is_foreign(const InflightEntry *entry);

/*
 * Deliveries of messages that had been delivered before, of which the newest
 * level knows and the settled one does not.
 */
extern int64 group_inflight_redelivered(const InflightEntry *entry);

/*
 * Put a level on an entry that is not foreign, with the xid of the current
 * (sub)transaction.  Fails with 54000 if too many open savepoints have changed
 * the entry.
 */
extern void group_inflight_push(InflightEntry *entry, const InflightLevel *level);

/* change the settled state: allowed where a rollback must not undo it */
extern void group_inflight_settle_to(InflightEntry *entry, const InflightLevel *level);

/*
 * Cut an entry at from and to (clipped to its range): parts gets the range
 * before, the range itself, and the range after, as far as not empty (room for
 * three).  Returns the number of parts; *middle is the index of [from, to), or
 * -1.
 */
extern int	group_inflight_cut(const InflightEntry *entry, int64 from, int64 to,
							   InflightEntry *parts, int *middle);

#endif
