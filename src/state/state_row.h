/*
 * state_row.h
 *	  Pages, rows and versions of a state table.
 */
#ifndef STREAMQ_STATE_ROW_H
#define STREAMQ_STATE_ROW_H

#include "postgres.h"

#include "access/htup_details.h"
#include "storage/bufpage.h"
#include "storage/itemptr.h"
#include "utils/rel.h"

/*
 * The special space of a page.  A page of another version is refused: the
 * format of state tables may change, because their contents can be computed
 * again.
 */
typedef struct StatePageOpaque
{
	uint32		unused;
	uint16		version;
	uint16		page_id;
} StatePageOpaque;

#define STATE_PAGE_ID		0xA7E5
#define STATE_PAGE_VERSION	1
#define STATE_OPAQUE(page)	((StatePageOpaque *) PageGetSpecialPointer(page))

/*
 * A row: this header, the home of a moved row, and the versions, each at a
 * multiple of 8.
 *
 * The TID of a row is that of its first place, its home.  A row that outgrows
 * the page moves to another one.  Then a StateForward is at its home.
 */
typedef struct StateRow
{
	uint8		flags;			/* STATE_ROW_* */
	uint8		nversions;
	uint16		unused;
	TransactionId born;			/* inserted the row */
} StateRow;

typedef struct StateForward
{
	uint8		flags;			/* STATE_ROW_FORWARD */
	uint8		unused;
	OffsetNumber off;
	BlockNumber block;
} StateForward;

#define STATE_ROW_FORWARD	0x01	/* is a StateForward */
#define STATE_ROW_MOVED		0x02	/* has a home elsewhere */

#define STATE_ROW_HEADER(row) \
	(MAXALIGN(sizeof(StateRow)) + \
	 (((row)->flags & STATE_ROW_MOVED) ? MAXALIGN(sizeof(ItemPointerData)) : 0))
#define STATE_ROW_HOME(row)	((ItemPointer) ((char *) (row) + MAXALIGN(sizeof(StateRow))))

/*
 * A version.  A snapshot that sees xmin and does not see xmax sees the
 * version.  There is at most one such version.
 *
 * xmax is the transaction that made the next version, even if that one is no
 * longer there.  The newest version has none, unless the row was deleted.
 *
 * From infomask2 on, a version is like a heap tuple and, like a minimal tuple,
 * begins 8 bytes after the place where a heap tuple would begin.
 */
typedef struct StateVersion
{
	TransactionId xmin;
	TransactionId xmax;
	uint16		len_flags;		/* length and STATE_VERSION_DELETED */
	uint16		infomask2;
	uint16		infomask;
	uint8		hoff;
	bits8		bits[FLEXIBLE_ARRAY_MEMBER];
} StateVersion;

#define STATE_VERSION_DELETED	0x8000	/* xmax deleted the row */
#define STATE_VERSION_LEN(v)	((Size) ((v)->len_flags & ~STATE_VERSION_DELETED))
#define STATE_VERSION_IS_DELETED(v)	(((v)->len_flags & STATE_VERSION_DELETED) != 0)

#define STATE_FIRST_VERSION(row)	((StateVersion *) ((char *) (row) + STATE_ROW_HEADER(row)))
#define STATE_NEXT_VERSION(v)	((StateVersion *) ((char *) (v) + MAXALIGN(STATE_VERSION_LEN(v))))

/* length of a version with the data of a heap tuple */
#define STATE_LEN_OF_TUPLE(tup_len)	((tup_len) - MINIMAL_TUPLE_OFFSET)

/* largest row with all its versions */
#define STATE_MAX_ROW_SIZE \
	MAXALIGN_DOWN(BLCKSZ - SizeOfPageHeaderData - sizeof(ItemIdData) - \
				  MAXALIGN(sizeof(StatePageOpaque)))

/*
 * Largest heap tuple in a version.  A page must hold three versions: the
 * committed one, one of an earlier round of the transaction, and the new one.
 * Of a larger tuple, the version has only a pointer to the whole tuple in the
 * TOAST table.  It can be told by its number of attributes, which is 0.
 */
#define STATE_MAX_TUPLE_SIZE	((Size) 2688)

#define STATE_TUPLE_IS_SPILLED(tuple)	(HeapTupleHeaderGetNatts((tuple)->t_data) == 0)

/* share of a page that new rows may fill, in percent */
#define STATE_FILLFACTOR	40

StaticAssertDecl(sizeof(StateRow) == 8 && sizeof(StateForward) == 8, "format of rows");
StaticAssertDecl(offsetof(StateVersion, infomask2) ==
				 offsetof(HeapTupleHeaderData, t_infomask2) - MINIMAL_TUPLE_OFFSET,
				 "format of versions");
StaticAssertDecl(offsetof(StateVersion, bits) ==
				 offsetof(HeapTupleHeaderData, t_bits) - MINIMAL_TUPLE_OFFSET,
				 "format of versions");
StaticAssertDecl(sizeof(StatePageOpaque) == 8, "format of pages");

extern void state_init_page(Page page);

/* Fail if a page that is not new is not one of a state table. */
extern void state_check_page(Relation rel, BlockNumber block, Page page);

/* The row at an item, or NULL if there is none. */
extern StateRow *state_get_row(Page page, OffsetNumber off);

/* Write a version made of a heap tuple, without xids.  Returns its length. */
extern Size state_form_version(StateVersion *v, HeapTuple tuple);

#endif
