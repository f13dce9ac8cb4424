/*
 * state_page.h
 *	  Pages of state that belong to the parts above.
 *
 * A state page holds up to LOG_STATE_MAX bytes in the stream's own file.  It is
 * changed in place, WAL-logged and crash-safe.  There are no transaction
 * semantics: the owner puts them into the bytes.
 */
#ifndef STREAMQ_LOG_STATE_PAGE_H
#define STREAMQ_LOG_STATE_PAGE_H

#include "postgres.h"

#include "storage/buf.h"
#include "utils/rel.h"

#define LOG_STATE_MAX	8000

/*
 * Whose page it is.  Kinds are numbers on disk, given out once:
 *
 *		1	consumer groups (group/store.h)
 *
 * An owner is what the kind says, such as a group's id, never 0.  It may have any
 * number of pages in each partition, which it numbers as it likes.  What has
 * no partition uses partition 0.  Pages are ordered by kind, owner, partition,
 * number.
 */
typedef struct LogStateKey
{
	uint32		owner;
	uint8		kind;
	uint8		partition;
	uint16		reserved;		/* 0 */
	uint32		number;
} LogStateKey;

StaticAssertDecl(sizeof(LogStateKey) == 12, "on-disk format");
StaticAssertDecl(offsetof(LogStateKey, kind) == 4 && offsetof(LogStateKey, partition) == 5 &&
				 offsetof(LogStateKey, number) == 8, "on-disk format");

static inline LogStateKey
log_state_key(uint8 kind, uint32 owner, int partition, uint32 number)
{
	LogStateKey key = {owner, kind, (uint8) partition, 0, number};

	return key;
}

/* ---- kinds ---- */

/*
 * What a kind does for the log.  All of it gets the bytes of one page.
 */
typedef struct LogStateKind
{
	const char *name;			/* with an article, of one page */

	/*
	 * VACUUM: take out transaction ids older than cutoff.  Returns the oldest
	 * one left, InvalidTransactionId if there is none.  Called with the page
	 * locked.
	 */
	TransactionId (*settle) (const LogStateKey *key, char *data, int *len,
							 TransactionId cutoff, bool *changed);

	/*
	 * TRUNCATE: the partition goes on at first_offset in a new file.  False
	 * if the page is not needed there.
	 */
	bool		(*carry) (const LogStateKey *key, char *data, int *len, int64 first_offset);

	/*
	 * check_stream: what is wrong with the page of a partition that ends at
	 * next_offset; NULL if nothing is.  May fail with ERRCODE_DATA_CORRUPTED.
	 * Optional.
	 */
	const char *(*verify) (const LogStateKey *key, const char *data, int len,
						   int64 next_offset);
} LogStateKind;

extern void log_register_state_kind(uint8 number, const LogStateKind *kind);

/* ---- whole pages ---- */

/* copy the page's bytes out; false if there is no page.  data holds LOG_STATE_MAX bytes */
extern bool log_state_read(Relation rel, LogStateKey key, char *data, int *len);

/*
 * Make these the page's bytes; allocates the page if there is none.  WAL gets the
 * bytes that differ.  Writers of one page exclude each other, by a lock of
 * their own.
 */
extern void log_state_write(Relation rel, LogStateKey key, const char *data, int len);

/*
 * The first page at or after *key of the same kind, owner and partition:
 * false if there is none, else *key is its key.
 */
extern bool log_state_next(Relation rel, LogStateKey *key);

/* how many state pages the stream has, of all kinds */
extern uint32 log_state_count(Relation rel);

/*
 * Free pages of a kind: all those for which keep(key, arg) is false.  Call it where
 * none of them can be needed again by a rollback.  keep is called without a
 * page locked, but with the relation's extension lock held.
 *
 * With an owner other than 0 only its pages are looked at.
 */
extern void log_state_free(Relation rel, uint8 kind, uint32 owner,
						   bool (*keep) (const LogStateKey *key, void *arg), void *arg);

/* ---- access in place ---- */

typedef struct LogStatePage
{
	Buffer		buffer;			/* pinned and locked */
	const char *data;
	int			len;
} LogStatePage;

/* some bytes of a page are replaced */
typedef struct LogStateChange
{
	uint16		offset;
	uint16		nbytes;
	const char *bytes;
} LogStateChange;

#define LOG_STATE_MAX_CHANGES	16

/*
 * Lock the page in the mode given (BUFFER_LOCK_SHARE or _EXCLUSIVE); false if there is
 * none.  Until log_state_unlock nothing may be done that looks at catalogs or waits
 * for another lock.
 */
extern bool log_state_lock(Relation rel, LogStateKey key, int lockmode, LogStatePage *page);
extern void log_state_unlock(LogStatePage *page);

/*
 * Replace bytes of a page that is locked exclusively, in one WAL record, and let
 * it be len bytes long.  The changes do not overlap, are ordered by offset, and
 * contain all bytes behind the page's old length.
 */
extern void log_state_change(Relation rel, LogStatePage *page,
							 const LogStateChange *changes, int n, int len);

#endif
