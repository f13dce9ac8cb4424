/*
 * state_callbacks.h
 *	  Kinds of states, for the rest of the log.
 */
#ifndef STREAMQ_LOG_WRITE_STATE_CALLBACKS_H
#define STREAMQ_LOG_WRITE_STATE_CALLBACKS_H

#include "postgres.h"

#include "utils/rel.h"

#include "log/state_page.h"

/* NULL if this version does not know the kind */
extern const LogStateKind *log_state_kind(uint8 number);

/* the same; an error if it does not */
extern const LogStateKind *log_state_kind_of(Relation rel, BlockNumber block, uint8 number);

/* let the owners settle old transaction ids; returns the oldest one left */
extern TransactionId log_state_vacuum(Relation rel, TransactionId cutoff);

#endif
