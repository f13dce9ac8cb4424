/*
 * state_callbacks.h
 *	  States of the parts above, for the rest of the log.
 */
#ifndef STREAMQ_LOG_WRITE_STATE_CALLBACKS_H
#define STREAMQ_LOG_WRITE_STATE_CALLBACKS_H

#include "postgres.h"

#include "nodes/pg_list.h"
#include "utils/rel.h"

#include "log/state_page.h"

extern const LogStateCallbacks *log_state_callbacks;
extern TransactionId log_state_vacuum(Relation rel, TransactionId cutoff);

typedef struct LogStateCopy
{
	uint32		owner;
	uint32		partition;
	int			len;
	char	   *data;
} LogStateCopy;
extern List *log_state_copy_all(Relation rel);

#endif
