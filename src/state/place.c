/*
 * place.c
 *	  Finding a page with room for a row.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "storage/bufmgr.h"
#include "storage/freespace.h"
#include "storage/lmgr.h"
#include "utils/rel.h"

#include "state/place.h"
#include "state/state_row.h"

Size
state_page_room(Page page)
{
	if (PageIsNew(page))
		return STATE_MAX_ROW_SIZE;
	return PageGetHeapFreeSpace(page);
}

Size
state_spare_room(Relation rel)
{
	return RelationGetTargetPageFreeSpace(rel, STATE_FILLFACTOR);
}

static Buffer
extend(Relation rel)
{
	Buffer		buffer;

	LockRelationForExtension(rel, ExclusiveLock);
	buffer = ReadBufferExtended(rel, MAIN_FORKNUM, P_NEW, RBM_ZERO_AND_LOCK, NULL);
	UnlockRelationForExtension(rel, ExclusiveLock);
	return buffer;
}

Buffer
state_find_page(Relation rel, Size size, Size spare)
{
	Size		need = Min(MAXALIGN(size) + spare, STATE_MAX_ROW_SIZE);
	BlockNumber nblocks = RelationGetNumberOfBlocks(rel);
	BlockNumber block = RelationGetTargetBlock(rel);

	if (!BlockNumberIsValid(block))
		block = GetPageWithFreeSpace(rel, need);
	while (BlockNumberIsValid(block) && block < nblocks)
	{
		Buffer		buffer = ReadBuffer(rel, block);
		Size		room;

		CHECK_FOR_INTERRUPTS();
		LockBuffer(buffer, BUFFER_LOCK_EXCLUSIVE);
		state_check_page(rel, block, BufferGetPage(buffer));
		room = state_page_room(BufferGetPage(buffer));
		if (room >= need)
		{
			RelationSetTargetBlock(rel, block);
			return buffer;
		}
		UnlockReleaseBuffer(buffer);
		block = RecordAndGetPageWithFreeSpace(rel, block, room, need);
	}

	{
		Buffer		buffer = extend(rel);

		RelationSetTargetBlock(rel, BufferGetBlockNumber(buffer));
		return buffer;
	}
}
