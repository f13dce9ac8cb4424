/*
 * state_page.h
 *	  Pages of state that belong to the parts above.
 */
#ifndef STREAMQ_LOG_STATE_PAGE_H
#define STREAMQ_LOG_STATE_PAGE_H

#include "postgres.h"

#include "utils/rel.h"

/*
 * A small piece of state (up to LOG_STATE_MAX bytes) for an owner (a consumer
 * group's id) and a partition, in a page of the stream's own file, changed in
 * place, WAL-logged, crash-safe.  No transaction semantics: the owner puts
 * them into the bytes.  Writers of one (owner, partition) exclude each other
 * by a heavyweight lock of their own.
 */
#define LOG_STATE_MAX	8000

/* copy the state out; false when there is none.  data holds LOG_STATE_MAX bytes */
extern bool log_state_read(Relation rel, uint32 owner, int partition,
						   char *data, int *len);

/* write it, allocating the page at first */
extern void log_state_write(Relation rel, uint32 owner, int partition,
							const char *data, int len);

/*
 * Free the pages of owners for which keep(owner, arg) is false.  Call it where no
 * such owner can come back by rollback.
 */
extern void log_state_free(Relation rel, bool (*keep) (uint32 owner, void *arg), void *arg);

/* how long the list of states is: some 680 of them stand on a page */
extern int	log_state_directory_pages(Relation rel);

/*
 * What the owner of the states does for the log: vacuum settles transaction
 * ids older than cutoff in place (returns the oldest one left, or
 * InvalidTransactionId), and a TRUNCATE carries a state to the new file, where the
 * partition goes on at first_offset.  These two may change data and len.
 */
typedef struct LogStateCallbacks
{
	TransactionId (*settle) (char *data, int *len, TransactionId cutoff, bool *changed);
	void		(*carry) (char *data, int *len, int64 first_offset);

	/*
	 * for log_check: what is wrong with a state of a partition that ends at
	 * next_offset; NULL if nothing is.  May fail with ERRCODE_DATA_CORRUPTED.
	 * Optional.
	 */
	const char *(*verify) (const char *data, int len, int64 next_offset);
} LogStateCallbacks;

extern void log_register_state_callbacks(const LogStateCallbacks *callbacks);

#endif
