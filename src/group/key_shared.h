/*
 * key_shared.h
 *	  Order per key, for key_shared mode.
 *
 * Entries are single messages, ordered by (hash of the key, offset), so the
 * messages of a key are neighbours.  Keys with equal hashes are one key here;
 * a message without a key gets a hash of its own.
 *
 * A message can be handed out to a consumer if no other consumer has a message
 * of the key, and no earlier message of the key is left.  If the key of a new
 * message is taken, the frontier moves past the message, because other keys
 * must not wait, and the message gets an entry that waits.
 *
 * If a key is stuck, many of its messages may wait, and a search for messages
 * must not meet them each time.  So a waiting message is blocked: its time is
 * KEY_BLOCKED, and it is not due.  A change that makes a message done unblocks
 * the next one of its key.
 *
 * The message is unblocked before the transaction ends, which may be too
 * early.  It is blocked again when a consumer meets it.  But a message must
 * not stay blocked for good.  So it may be blocked only if the message before
 * it is not done on any of its levels: that one will be done later, and will
 * unblock it.
 */
#ifndef STREAMQ_GROUP_KEY_SHARED_H
#define STREAMQ_GROUP_KEY_SHARED_H

#include "postgres.h"

#include "group/inflight.h"
#include "group/shared_mode.h"
#include "group/shared_take.h"

/* time of an available message that waits for an earlier one of its key */
#define KEY_BLOCKED		DT_NOEND

/* claim messages that came back, or that waited for their key */
extern void group_key_claim_old(SharedTake *take);

/* new messages and their keys, read from the log before the tree is open */
typedef struct KeyRow
{
	uint32		hash;
	int64		off;
} KeyRow;

typedef struct KeyPeek
{
	int64		end;			/* everything below is among the rows, or will
								 * never be visible */
	int64		expired_from;	/* messages at these offsets expired before */
	int64		expired_to;		/* they could be read, gaps included */
	int			nrows;
	KeyRow	   *rows;
} KeyPeek;

extern void group_key_peek(SharedTake *take, int64 frontier, KeyPeek *peek);

/*
 * Claim new messages, or insert entries for them that wait.  Returns false if
 * nothing is left of what the peek found.
 */
extern bool group_key_claim_fresh(SharedTake *take, const KeyPeek *peek);

/*
 * A message of this key was made done, and its entry replaced or removed just
 * now: unblock the next one of its key.  Returns true if there is one.  Another
 * entry of the tree may be found afterwards.
 */
extern bool group_key_unblock(InflightTree *tree, uint32 hash);

/* make an entry one that is not blocked, whatever happens to its levels */
extern bool group_key_clear_blocked(InflightEntry *entry);

/* this session was given a message of this key */
extern void group_key_remember(int32 group_id, int partition, int64 off, uint32 hash);

/* the hashes of the keys of sorted offsets, as group_shared_find() */
extern SharedSpot *group_key_find(Relation rel, const ConsumerGroup *group, int partition,
								  const int64 *offsets, int n, bool recall, int *nspots);

/* look for the entries of sorted offsets in the whole tree */
extern SharedSpot *group_key_search(Relation rel, const ConsumerGroup *group, int partition,
									const int64 *offsets, int n, int *nspots);

#endif
