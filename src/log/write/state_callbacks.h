/*
 * state_callbacks.h
 *	  The kinds of states, for the other rooms of the log.
 */
#ifndef STREAMQ_LOG_WRITE_STATE_CALLBACKS_H
#define STREAMQ_LOG_WRITE_STATE_CALLBACKS_H

#include "postgres.h"

#include "utils/rel.h"

#include "log/state_page.h"

/* The kind with this number; NULL if this version does not know it. */
extern const LogStateKind *log_state_kind(uint8 number);

/* The same, but raises an error if the kind is unknown. */
extern const LogStateKind *log_state_kind_of(Relation rel, BlockNumber block, uint8 number);

/* Let the owners settle old transaction ids.  Returns the oldest one left. */
extern TransactionId log_state_vacuum(Relation rel, TransactionId cutoff);

#endif
