/*
 * tid.h
 *	  TIDs of messages.
 */
#ifndef STREAMQ_LOG_SPACE_TID_H
#define STREAMQ_LOG_SPACE_TID_H

#include "postgres.h"

#include "storage/itemptr.h"

#include "log/log.h"

/* Inline version of log_make_tid(). */
static inline void
log_set_tid(int partition, int64 off, ItemPointer tid)
{
	ItemPointerSet(tid,
				   ((BlockNumber) partition << 24) | (BlockNumber) ((off >> 15) & 0xFFFFFF),
				   (OffsetNumber) ((off & 0x7FFF) + 1));
}

#endif
