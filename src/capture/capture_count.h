/*
 * capture_count.h
 *	  How many messages captures have written.
 */
#ifndef STREAMQ_CAPTURE_COUNT_H
#define STREAMQ_CAPTURE_COUNT_H

#include "postgres.h"

/* called by capture_init: registers the transaction callbacks */
extern void capture_count_init(void);

/* this transaction has written messages */
extern void capture_count_add(Oid source, int32 number, int64 messages);

/* delete the counters of a capture */
extern void capture_count_delete(Oid source, int32 number);

#endif
