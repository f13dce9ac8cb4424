/*
 * state_directory.h
 *	  The directory of state pages.
 */
#ifndef STREAMQ_LOG_SPACE_STATE_DIRECTORY_H
#define STREAMQ_LOG_SPACE_STATE_DIRECTORY_H

#include "postgres.h"

#include "storage/bufmgr.h"
#include "utils/rel.h"

#include "log/page/structure.h"

/* The state page, pinned and locked; InvalidBuffer if there is none. */
extern Buffer log_state_find(Relation rel, const LogStateKey *key, int lockmode);

/* Walk over all entries of the directory from a key on, in order. */
typedef struct LogStateWalk
{
	Relation	rel;
	LogStateKey next;			/* key with which the next leaf begins */
	bool		last;			/* there is no next leaf */
	bool		loaded;
	uint32		i;
	PGAlignedBlock leaf;
} LogStateWalk;

extern void log_state_walk_begin(LogStateWalk *walk, Relation rel, const LogStateKey *from);
extern bool log_state_walk_next(LogStateWalk *walk, LogStateEntry *entry);

/* Was the last entry returned the last one of its leaf? */
static inline bool
log_state_walk_at_end(const LogStateWalk *walk)
{
	return walk->i >= LOG_STATE_DIRECTORY(walk->leaf.data)->nentries;
}

/*
 * ---- changes; the caller holds the extension lock ----
 */

/* Create a page with these bytes.  There must be none with this key. */
extern void log_state_insert(Relation rel, const LogStateKey *key, const char *data, int len);

/* Most pages that one record creates or frees. */
#define LOG_STATE_MAX_PAGES	16

/*
 * Create empty pages with some of these keys, from the first one on.  Returns
 * how many.  There must be none with these keys.
 */
extern uint32 log_state_insert_empty(Relation rel, const LogStateKey *keys, uint32 n);

/* Free pages whose entries are in one leaf, in order. */
extern void log_state_remove(Relation rel, const LogStateEntry *victims, int n);

#endif
