/*
 * change.c
 *	  Changing a row: what the new bytes are.
 *
 * The functions work on a copy of the page, which GenericXLogFinish() turns
 * into a WAL record with the bytes that differ.  A state usually keeps its
 * length.  So a new version is written over one that nobody needs, and few
 * bytes differ.
 */
#include "postgres.h"

#include "access/subtrans.h"
#include "access/transam.h"
#include "access/xact.h"
#include "storage/procarray.h"

#include "state/change.h"

StateFate
state_fate(StateChanger *changer, TransactionId xid)
{
	int			i = xid % STATE_FATE_CACHE;
	StateFate	fate;

	if (!TransactionIdIsNormal(xid))
		return STATE_XID_COMMITTED;
	if (changer->xids[i] == xid)
		return changer->fates[i];
	if (TransactionIdIsCurrentTransactionId(xid))
		return STATE_XID_OWN;
	if (TransactionIdIsInProgress(xid))
		return STATE_XID_RUNNING;
	fate = TransactionIdDidCommit(xid) ? STATE_XID_COMMITTED : STATE_XID_ABORTED;
	changer->xids[i] = xid;
	changer->fates[i] = fate;
	return fate;
}

/*
 * How deeply nested is the open subtransaction that a transaction id of this
 * transaction has become part of?  A transaction that is deeper than another
 * may be rolled back alone.
 */
static int
nesting_depth(TransactionId current, TransactionId xid)
{
	int			depth = 0;

	/* go up from xid until we meet an open one */
	for (; TransactionIdIsValid(xid); xid = SubTransGetParent(xid))
	{
		for (TransactionId open = current; TransactionIdIsValid(open);
			 open = SubTransGetParent(open))
		{
			if (open == xid)
				goto found;
		}
	}
	return 0;
found:
	for (; TransactionIdIsValid(xid); xid = SubTransGetParent(xid))
		depth++;
	return depth;
}

bool
state_is_garbage(StateChanger *changer, StateVersion *v)
{
	StateFate	made = state_fate(changer, v->xmin);
	StateFate	replaced;

	if (made == STATE_XID_ABORTED)
		return true;
	if (made == STATE_XID_RUNNING || !TransactionIdIsValid(v->xmax) ||
		STATE_VERSION_IS_DELETED(v))
		return false;
	replaced = state_fate(changer, v->xmax);
	if (replaced == STATE_XID_ABORTED || replaced == STATE_XID_RUNNING)
		return false;
	if (replaced == STATE_XID_OWN)
	{
		/* needed if what replaced it can be rolled back alone */
		return made == STATE_XID_OWN && TransactionIdIsValid(changer->xid) &&
			nesting_depth(changer->xid, v->xmax) <= nesting_depth(changer->xid, v->xmin);
	}
	if (changer->keep ? state_keep_needs(changer->keep, v->xmin, v->xmax) :
		!TransactionIdPrecedes(v->xmax, changer->oldest_xmin))
		return false;
	if (TransactionIdIsNormal(v->xmax) &&
		(!TransactionIdIsValid(changer->removed) ||
		 TransactionIdPrecedes(changer->removed, v->xmax)))
		changer->removed = v->xmax;
	return true;
}

StateVersion *
state_newest_version(StateChanger *changer, StateRow *row)
{
	StateVersion *v = STATE_FIRST_VERSION(row);

	changer->wait_for = InvalidTransactionId;
	for (int i = 0; i < row->nversions; i++, v = STATE_NEXT_VERSION(v))
	{
		StateFate	made = state_fate(changer, v->xmin);
		StateFate	replaced;

		if (made == STATE_XID_ABORTED)
			continue;
		if (made == STATE_XID_RUNNING)
		{
			changer->wait_for = v->xmin;
			return NULL;
		}
		if (!TransactionIdIsValid(v->xmax))
			return v;
		replaced = state_fate(changer, v->xmax);
		if (replaced == STATE_XID_ABORTED)
			return v;
		if (replaced == STATE_XID_RUNNING)
		{
			changer->wait_for = v->xmax;
			return NULL;
		}
	}
	return NULL;
}

static void
begin_copy(StateRow *row, StateRowBuffer *to, Size *size)
{
	*size = STATE_ROW_HEADER(row);
	memcpy(to->data, row, *size);
	to->row.nversions = 0;
}

static StateVersion *
copy_version(StateRowBuffer *to, Size *size, StateVersion *v)
{
	StateVersion *copy = (StateVersion *) (to->data + *size);
	Size		len = STATE_VERSION_LEN(v);

	memcpy(copy, v, len);
	memset((char *) copy + len, 0, MAXALIGN(len) - len);
	*size += MAXALIGN(len);
	to->row.nversions++;
	return copy;
}

Size
state_prune_row(StateChanger *changer, StateRow *row, StateRowBuffer *to)
{
	StateVersion *v = STATE_FIRST_VERSION(row);
	bool		garbage = false;
	Size		size;

	begin_copy(row, to, &size);
	for (int i = 0; i < row->nversions; i++, v = STATE_NEXT_VERSION(v))
	{
		if (state_is_garbage(changer, v))
			garbage = true;
		else
			copy_version(to, &size, v);
	}
	return garbage ? size : 0;
}

/* find a version of this length that can be overwritten */
static StateVersion *
find_overwritable(StateChanger *changer, StateRow *row, StateVersion *newest, Size len)
{
	StateVersion *v = STATE_FIRST_VERSION(row);

	/* the transaction's own version of this very subtransaction */
	if (newest->xmin == changer->xid)
		return MAXALIGN(STATE_VERSION_LEN(newest)) == MAXALIGN(len) ? newest : NULL;
	for (int i = 0; i < row->nversions; i++, v = STATE_NEXT_VERSION(v))
	{
		if (v != newest && MAXALIGN(STATE_VERSION_LEN(v)) == MAXALIGN(len) &&
			state_is_garbage(changer, v))
			return v;
	}
	return NULL;
}

static void
write_version(StateChanger *changer, StateVersion *v, HeapTuple tuple)
{
	Size		len = state_form_version(v, tuple);

	v->xmin = changer->xid;
	v->xmax = InvalidTransactionId;
	memset((char *) v + len, 0, MAXALIGN(len) - len);
}

static void
set_replaced(StateChanger *changer, StateVersion *v)
{
	v->xmax = changer->xid;
	v->len_flags &= ~STATE_VERSION_DELETED;
}

/*
 * Remove the oldest version that was replaced by a committed transaction, so
 * that the row fits on a page.  A snapshot that needs it finds out.
 */
static bool
drop_oldest(StateChanger *changer, StateRowBuffer *to, Size *size)
{
	StateVersion *oldest = NULL;
	StateVersion *v = STATE_FIRST_VERSION(&to->row);
	Size		len;

	for (int i = 0; i < to->row.nversions; i++, v = STATE_NEXT_VERSION(v))
	{
		if (TransactionIdIsValid(v->xmax) && state_fate(changer, v->xmin) == STATE_XID_COMMITTED &&
			state_fate(changer, v->xmax) == STATE_XID_COMMITTED &&
			(oldest == NULL || TransactionIdPrecedes(v->xmax, oldest->xmax)))
			oldest = v;
	}
	if (oldest == NULL)
		return false;
	if (!TransactionIdIsValid(changer->removed) ||
		TransactionIdPrecedes(changer->removed, oldest->xmax))
		changer->removed = oldest->xmax;
	len = MAXALIGN(STATE_VERSION_LEN(oldest));
	memmove(oldest, (char *) oldest + len,
			to->data + *size - ((char *) oldest + len));
	*size -= len;
	to->row.nversions--;
	return true;
}

Size
state_add_version(StateChanger *changer, StateRow *row, HeapTuple tuple, StateRowBuffer *to)
{
	StateVersion *newest = state_newest_version(changer, row);
	Size		len = STATE_LEN_OF_TUPLE(tuple->t_len);
	bool		replace_own = newest->xmin == changer->xid;
	StateVersion *v = find_overwritable(changer, row, newest, len);
	Size		size;

	if (v)
	{
		if (!replace_own)
			set_replaced(changer, newest);
		write_version(changer, v, tuple);
		return 0;
	}

	/* room for a new version, in place of all that is not needed */
	begin_copy(row, to, &size);
	v = STATE_FIRST_VERSION(row);
	for (int i = 0; i < row->nversions; i++, v = STATE_NEXT_VERSION(v))
	{
		if (v == newest)
		{
			if (!replace_own)
				set_replaced(changer, copy_version(to, &size, v));
		}
		else if (!state_is_garbage(changer, v))
			copy_version(to, &size, v);
	}
	while ((size + MAXALIGN(len) + MAXALIGN(sizeof(ItemPointerData)) > STATE_MAX_ROW_SIZE ||
			to->row.nversions == PG_UINT8_MAX) &&
		   drop_oldest(changer, to, &size))
		;
	if (size + MAXALIGN(len) + MAXALIGN(sizeof(ItemPointerData)) > STATE_MAX_ROW_SIZE)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("versions of a row of a state table do not fit on a page")));
	write_version(changer, (StateVersion *) (to->data + size), tuple);
	to->row.nversions++;
	return size + MAXALIGN(len);
}

void
state_mark_deleted(StateChanger *changer, StateRow *row)
{
	StateVersion *newest = state_newest_version(changer, row);

	newest->xmax = changer->xid;
	newest->len_flags |= STATE_VERSION_DELETED;
}

Size
state_form_row(TransactionId xid, HeapTuple tuple, StateRowBuffer *to)
{
	StateVersion *v = STATE_FIRST_VERSION(&to->row);
	Size		len;

	to->row.flags = 0;
	to->row.nversions = 1;
	to->row.unused = 0;
	to->row.born = xid;
	v = STATE_FIRST_VERSION(&to->row);
	len = state_form_version(v, tuple);
	v->xmin = xid;
	v->xmax = InvalidTransactionId;
	memset((char *) v + len, 0, MAXALIGN(len) - len);
	return STATE_ROW_HEADER(&to->row) + MAXALIGN(len);
}

Size
state_form_moved(StateRow *row, Size size, ItemPointer home, StateRowBuffer *to)
{
	Size		header = STATE_ROW_HEADER(row);
	Size		result;

	memcpy(to->data, row, sizeof(StateRow));
	to->row.flags |= STATE_ROW_MOVED;
	memset(to->data + sizeof(StateRow), 0, MAXALIGN(sizeof(ItemPointerData)));
	*STATE_ROW_HOME(&to->row) = *home;
	result = STATE_ROW_HEADER(&to->row);
	memcpy(to->data + result, (char *) row + header, size - header);
	return result + size - header;
}

bool
state_prune_page(StateChanger *changer, Page page)
{
	OffsetNumber max = PageGetMaxOffsetNumber(page);
	StateRowBuffer to;
	bool		changed = false;

	for (OffsetNumber off = FirstOffsetNumber; off <= max; off++)
	{
		StateRow   *row = state_get_row(page, off);
		Size		size;

		if (row == NULL || (row->flags & STATE_ROW_FORWARD))
			continue;
		size = state_prune_row(changer, row, &to);
		if (size > 0)
		{
			if (!PageIndexTupleOverwrite(page, off, (Item) to.data, size))
				elog(ERROR, "could not shorten a row of a state table");
			changed = true;
		}
	}
	return changed;
}
