/*
 * state_row.c
 *	  Pages, rows and versions of a state table.
 */
#include "postgres.h"

#include "state/state_row.h"

void
state_init_page(Page page)
{
	PageInit(page, BLCKSZ, sizeof(StatePageOpaque));
	STATE_OPAQUE(page)->unused = 0;
	STATE_OPAQUE(page)->version = STATE_PAGE_VERSION;
	STATE_OPAQUE(page)->page_id = STATE_PAGE_ID;
}

void
state_check_page(Relation rel, BlockNumber block, Page page)
{
	if (PageIsNew(page))
		return;
	if (PageGetSpecialSize(page) != MAXALIGN(sizeof(StatePageOpaque)) ||
		STATE_OPAQUE(page)->page_id != STATE_PAGE_ID ||
		STATE_OPAQUE(page)->version != STATE_PAGE_VERSION)
		ereport(ERROR,
				(errcode(ERRCODE_DATA_CORRUPTED),
				 errmsg("block %u of state table \"%s\" has an unknown format",
						block, RelationGetRelationName(rel))));
}

StateRow *
state_get_row(Page page, OffsetNumber off)
{
	ItemId		item;

	if (PageIsNew(page) || off < FirstOffsetNumber || off > PageGetMaxOffsetNumber(page))
		return NULL;
	item = PageGetItemId(page, off);
	return ItemIdIsNormal(item) ? (StateRow *) PageGetItem(page, item) : NULL;
}

Size
state_form_version(StateVersion *v, HeapTuple tuple)
{
	Size		len = STATE_LEN_OF_TUPLE(tuple->t_len);

	memcpy(&v->infomask2, &tuple->t_data->t_infomask2,
		   tuple->t_len - offsetof(HeapTupleHeaderData, t_infomask2));
	v->len_flags = (uint16) len;
	v->infomask2 &= HEAP_NATTS_MASK;
	v->infomask &= ~(HEAP_XACT_MASK | HEAP_COMBOCID);
	return len;
}
