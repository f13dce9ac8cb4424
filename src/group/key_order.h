/*
 * key_order.h
 *	  What the tree says about a key, for the files of key_shared mode.
 */
#ifndef STREAMQ_GROUP_KEY_ORDER_H
#define STREAMQ_GROUP_KEY_ORDER_H

#include "postgres.h"

#include "executor/tuptable.h"

#include "group/inflight.h"
#include "group/key_shared.h"
#include "group/shared_take.h"
#include "log/log.h"

typedef struct KeyOrder
{
	bool		found;			/* the tree has entries of the key */
	bool		taken;			/* the message cannot be handed out, because
								 * of another one of the key */
	bool		may_block;		/* an earlier message will unblock it */
	int64		outstanding;	/* messages of the key that this consumer has */
} KeyOrder;

/* look at the other messages of a key, for the message at off */
extern void group_key_look(SharedTake *take, uint32 hash, int64 off, KeyOrder *order);

/* how many more messages of a key may the consumer have? */
extern int64 group_key_places(const SharedTake *take, const KeyOrder *order);

/* sort rows in the order of the tree; quick if their offsets are in order */
extern void group_key_sort(KeyRow *rows, int n);

/* the hash of the key of the message in the slot */
extern uint32 group_key_hash(const LogKeyHash *key, TupleTableSlot *slot, int64 off);

#endif
