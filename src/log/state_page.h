/*
 * state_page.h
 *	  State pages: small states that other folders keep in a stream's file.
 *
 * A state page holds up to LOG_STATE_MAX bytes.  It is changed in place,
 * WAL-logged and crash-safe.  The log gives it no transaction semantics; the
 * owner puts them into the bytes.
 */
#ifndef STREAMQ_LOG_STATE_PAGE_H
#define STREAMQ_LOG_STATE_PAGE_H

#include "postgres.h"

#include "storage/buf.h"
#include "utils/rel.h"

#define LOG_STATE_MAX	8000

/*
 * Key of a state page.  Kinds are numbers on disk, and are never reused:
 *
 * 		1	consumer groups in ordered mode (group/ordered_version.h)
 * 		2	in shared mode (group/inflight.h)
 * 		3	in key_shared mode (group/inflight.h)
 * 		4	consumers of groups (group/registry.h)
 * 		5	messages evicted from groups (group/floor.h)
 *
 * The kind says what an owner is, for example the id of a group.  0 is no owner.
 * An owner may have any number of pages in each partition, and numbers them as
 * it likes.  A state that belongs to no partition uses partition 0.  Pages are
 * ordered by kind, owner, partition and number.
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

/* What a kind does for the log.  Each function gets the bytes of one page. */
typedef struct LogStateKind
{
	const char *name;			/* of one page, with an article */

	/*
	 * VACUUM: remove transaction ids older than cutoff.  Returns the oldest
	 * one left, or InvalidTransactionId.  The page is locked.
	 */
	TransactionId (*settle) (const LogStateKey *key, char *data, int *len,
							 TransactionId cutoff, bool *changed);

	/*
	 * TRUNCATE: the partition continues at first_offset in a new file.  False
	 * if the page is not needed there.
	 */
	bool		(*carry) (const LogStateKey *key, char *data, int *len, int64 first_offset);

	/*
	 * check_stream: NULL or what is wrong with the page.  The partition ends
	 * at next_offset.  May fail with ERRCODE_DATA_CORRUPTED.  Optional.
	 */
	const char *(*verify) (const LogStateKey *key, const char *data, int len,
						   int64 next_offset);
} LogStateKind;

extern void log_register_state_kind(uint8 number, const LogStateKind *kind);

/* ---- whole pages ---- */

/*
 * Copy the bytes of the page to data, which has room for LOG_STATE_MAX bytes.
 * False if there is no page.
 */
extern bool log_state_read(Relation rel, LogStateKey key, char *data, int *len);

/*
 * Replace the bytes of the page, creating it if necessary.  WAL gets only the
 * bytes that differ.  A lock of the owner must serialize the writers of a
 * page.
 */
extern void log_state_write(Relation rel, LogStateKey key, const char *data, int len);

/*
 * Create empty pages with these keys, except those that exist.  Cheaper than
 * creating them one by one if the keys follow each other.
 */
extern void log_state_create(Relation rel, const LogStateKey *keys, int n);

/*
 * Find the first page at or after *key of the same kind, owner and partition,
 * and set *key to its key.  False if there is none.
 */
extern bool log_state_next(Relation rel, LogStateKey *key);

/* Number of state pages of the stream, of all kinds. */
extern uint32 log_state_count(Relation rel);

/*
 * Free the pages of a kind for which keep(key, arg) is false.  With an owner
 * other than 0, only its pages are considered.  No rollback must bring a freed
 * page back into use.  keep is called with the relation extension lock held,
 * but with no page locked.
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

/* replacement of some bytes of a page */
typedef struct LogStateChange
{
	uint16		offset;
	uint16		nbytes;
	const char *bytes;
} LogStateChange;

#define LOG_STATE_MAX_CHANGES	256

/*
 * Lock the page in the given mode (BUFFER_LOCK_SHARE or
 * BUFFER_LOCK_EXCLUSIVE).  False if there is none.  Until log_state_unlock(),
 * the caller must not look at catalogs or wait for another lock.
 */
extern bool log_state_lock(Relation rel, LogStateKey key, int lockmode, LogStatePage *page);
extern void log_state_unlock(LogStatePage *page);

/*
 * Replace the bytes of an exclusively locked page.  WAL gets only the bytes
 * that differ.
 */
extern void log_state_replace(Relation rel, LogStatePage *page, const char *data, int len);

/*
 * Replace bytes of an exclusively locked page and set its length to len, in
 * one WAL record.  The changes must be ordered by offset, must not overlap,
 * and must include all bytes after the old length.
 */
extern void log_state_change(Relation rel, LogStatePage *page,
							 const LogStateChange *changes, int n, int len);

#endif
