/*
 * tid.c
 *	  Offsets, TIDs and message ids.
 *
 * A TID has 47 usable bits: 32 of the block number, and the offset numbers 1
 * to 32768.  They hold the partition and the low 39 bits of the offset.  The
 * live range of a partition is shorter than 2^38, so the remaining bits follow
 * from it.
 */
#include "postgres.h"

#include "storage/itemptr.h"
#include "utils/rel.h"

#include "log/log.h"
#include "log/space/tid.h"

#define TID_OFFSET_BITS		39
#define TID_OFFSET_MASK		((INT64CONST(1) << TID_OFFSET_BITS) - 1)

void
log_make_tid(int partition, int64 off, ItemPointer tid)
{
	log_set_tid(partition, off, tid);
}

int
log_tid_partition(ItemPointer tid)
{
	return (int) (ItemPointerGetBlockNumberNoCheck(tid) >> 24);
}

int64
log_tid_offset_near(ItemPointer tid, int64 next)
{
	int64		low = ((int64) (ItemPointerGetBlockNumberNoCheck(tid) & 0xFFFFFF) << 15) |
		((ItemPointerGetOffsetNumberNoCheck(tid) - 1) & 0x7FFF);
	int64		half = (TID_OFFSET_MASK + 1) / 2;
	int64		off;

	if (likely(next < half))
		return low;
	/* the only candidate in [next - half, next + half) */
	off = (next & ~TID_OFFSET_MASK) | low;
	if (off >= next + half)
		off -= TID_OFFSET_MASK + 1;
	else if (off < next - half)
		off += TID_OFFSET_MASK + 1;
	return off;
}

int64
log_tid_offset(Relation rel, ItemPointer tid)
{
	return log_tid_offset_near(tid, log_next_offset(rel, log_tid_partition(tid)));
}

int64
log_tid_msg_id(Relation rel, ItemPointer tid)
{
	return LOG_MSG_ID(log_tid_partition(tid), log_tid_offset(rel, tid));
}
