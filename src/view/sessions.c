/*
 * sessions.c
 *	  The sessions of a continuous view: windows of a group that merge.
 *
 * A row makes a session [event time, event time + gap].  Sessions of a group
 * that overlap or touch become one.  So the sessions of a group are apart from
 * each other, and a row meets at most two of them: one that begins before the
 * row, and one that begins after it.
 *
 * A round has the sessions that its rows meet in memory.  Looking for stored
 * sessions with every row would be slow, so each group notes the stretches of
 * time whose stored sessions are all in memory.  Usually a row is later than
 * everything that is stored, and one look for the latest session of the group
 * is enough for the whole round.
 *
 * A session that begins earlier than its stored row gets a new row, because
 * the start is indexed.  The end is not, because it changes with every batch.
 * To find sessions that the watermark closes, rows have a column "due", which
 * is indexed.  It is a time not after the end of an open session.  It does not
 * change while the session grows.  Only when the watermark reaches it, the row
 * is looked at, and filed under its end if it is still open.  A closed session
 * is due when it is to be removed, or never (infinity).
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/heapam.h"
#include "access/htup_details.h"
#include "access/relscan.h"
#include "access/skey.h"
#include "access/stratnum.h"
#include "access/tableam.h"
#include "executor/tuptable.h"
#include "miscadmin.h"
#include "utils/datum.h"
#include "utils/fmgroids.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "compat.h"
#include "job/job_catalog.h"
#include "view/agg.h"
#include "view/chunks.h"
#include "view/interval.h"
#include "view/sessions.h"
#include "state/state.h"
#include "view/state_internal.h"
#include "view/state_table.h"

struct ViewSessionGroup
{
	uint64		hash;			/* hash of the keys, as stored */
	ViewSessionGroup *next;		/* another group with the same hash */
	Datum	   *keys;
	bool	   *nulls;
	ViewIntervals sessions;		/* data: ViewSession */

	/*
	 * The stored sessions that begin in these stretches are in memory.  A
	 * stretch begins and ends where a stored session begins, or is unbounded.
	 */
	ViewIntervals known;
};

/* the groups that have a hash */
typedef struct ViewSessionEntry
{
	uint64		hash;
	ViewSessionGroup *groups;
	char		status;
} ViewSessionEntry;

#define SH_PREFIX session_hash
#define SH_ELEMENT_TYPE ViewSessionEntry
#define SH_KEY_TYPE uint64
#define SH_KEY hash
#define SH_HASH_KEY(tb, key) ((uint32) ((key) ^ ((key) >> 32)))
#define SH_EQUAL(tb, a, b) ((a) == (b))
#define SH_SCOPE static inline
#define SH_DECLARE
#define SH_DEFINE
#include "lib/simplehash.h"

struct ViewSessions
{
	ViewStateTable *state;
	Timestamp	closed_until;
	int64		retention;
	session_hash_hash *groups;
	ViewSession *all;			/* every session in memory, merged ones too */

	/* for looking up stored sessions; NULL: not needed so far */
	IndexScanDesc scan;
	Relation	index;
	TupleTableSlot *slot;
};

ViewSessions *
view_sessions_begin(ViewStateTable *state, Timestamp closed_until, int64 retention)
{
	ViewSessions *sessions = palloc0(sizeof(ViewSessions));

	sessions->state = state;
	sessions->closed_until = closed_until;
	sessions->retention = retention;
	sessions->groups = session_hash_create(state->mcxt, 1024, NULL);
	return sessions;
}

/* ---- groups and sessions in memory ---- */

static ViewSessionGroup *
find_group(ViewSessions *sessions, Datum *keys, bool *nulls)
{
	ViewStateTable *state = sessions->state;
	uint64		hash = view_state_hash_keys(state, keys, nulls);
	ViewSessionGroup *group;
	ViewSessionEntry *entry;
	bool		found;

	entry = session_hash_insert(sessions->groups, hash, &found);
	if (!found)
		entry->groups = NULL;
	for (group = entry->groups; group; group = group->next)
	{
		if (view_state_keys_equal(state, group->keys, group->nulls, keys, nulls))
			return group;
	}

	group = MemoryContextAllocZero(state->mcxt, sizeof(ViewSessionGroup));
	group->hash = hash;
	view_state_copy_keys(state, keys, nulls, &group->keys, &group->nulls);
	group->next = entry->groups;
	entry->groups = group;
	return group;
}

/*
 * Equal values may look different.  A session shows those of its own rows, and
 * shares the group's copy if that looks the same.
 */
static bool
looks_the_same(ViewStateTable *state, ViewSessionGroup *group, Datum *keys, bool *nulls)
{
	for (int i = 0; i < state->nkeys; i++)
	{
		ViewStateKey *key = &state->keys[i];

		if (!nulls[i] && !datum_image_eq(group->keys[i], keys[i], key->byval, key->len))
			return false;
	}
	return true;
}

/* add a session with these bounds and keys; its states are not set */
static ViewSession *
add_session(ViewSessions *sessions, ViewSessionGroup *group, const ViewWindow *bounds,
			Datum *keys, bool *nulls)
{
	ViewStateTable *state = sessions->state;
	ViewSession *session = MemoryContextAllocZero(state->mcxt, sizeof(ViewSession));

	session->row.hash = group->hash;
	session->row.window_start = bounds->start;
	session->row.window_end = bounds->end;
	session->row.keys = group->keys;
	session->row.nulls = group->nulls;
	if (!looks_the_same(state, group, keys, nulls))
		view_state_copy_keys(state, keys, nulls, &session->row.keys, &session->row.nulls);
	session->row.aggs = MemoryContextAllocZero(state->mcxt,
											   sizeof(ViewAggValue) * Max(1, state->aggs->ncalls));
	session->next = sessions->all;
	sessions->all = session;
	view_interval_add(&group->sessions, state->mcxt, bounds, session);
	return session;
}

/* ---- stored sessions ---- */

static void
open_scan(ViewSessions *sessions)
{
	ViewStateTable *state = sessions->state;
	MemoryContext old = MemoryContextSwitchTo(state->mcxt);

	sessions->index = index_open(state->index, AccessShareLock);
	sessions->scan = COMPAT_INDEX_BEGINSCAN(state->rel, sessions->index,
											GetActiveSnapshot(), 2);
	sessions->slot = table_slot_create(state->rel, NULL);
	MemoryContextSwitchTo(old);
}

static void
close_scan(ViewSessions *sessions)
{
	if (sessions->scan == NULL)
		return;
	ExecDropSingleTupleTableSlot(sessions->slot);
	index_endscan(sessions->scan);
	index_close(sessions->index, AccessShareLock);
	sessions->scan = NULL;
}

/* the scan may allocate memory that it needs until it ends */
static bool
next_stored(ViewSessions *sessions, bool forward)
{
	MemoryContext old = MemoryContextSwitchTo(sessions->state->mcxt);
	bool		found = index_getnext_slot(sessions->scan,
										   forward ? ForwardScanDirection : BackwardScanDirection,
										   sessions->slot);

	MemoryContextSwitchTo(old);
	return found;
}

/*
 * Find the stored session of the group that begins last at or before a time,
 * or first after it.  The slot has it, with all columns.
 */
static bool
find_stored(ViewSessions *sessions, ViewSessionGroup *group, Timestamp when, bool after,
			Timestamp *start)
{
	ViewStateTable *state = sessions->state;
	TupleTableSlot *slot;
	ScanKeyData keys[2];

	if (sessions->scan == NULL)
		open_scan(sessions);
	slot = sessions->slot;

	/* the columns of the index */
	ScanKeyInit(&keys[0], 1, BTEqualStrategyNumber, F_INT8EQ, Int64GetDatum((int64) group->hash));
	ScanKeyInit(&keys[1], 2, after ? BTGreaterStrategyNumber : BTLessEqualStrategyNumber,
				after ? F_TIMESTAMP_GT : F_TIMESTAMP_LE, TimestampGetDatum(when));
	index_rescan(sessions->scan, keys, 2, NULL, 0);

	while (next_stored(sessions, after))
	{
		CHECK_FOR_INTERRUPTS();
		slot_getallattrs(slot);
		if (view_state_keys_equal(state, group->keys, group->nulls,
								  slot->tts_values + state->first,
								  slot->tts_isnull + state->first))
		{
			*start = DatumGetTimestamp(slot->tts_values[WINDOW_START_ATTNO - 1]);
			return true;
		}
	}
	return false;
}

/* load the session in the slot, unless it is in memory */
static void
load_stored(ViewSessions *sessions, ViewSessionGroup *group)
{
	ViewStateTable *state = sessions->state;
	TupleTableSlot *slot = sessions->slot;
	Datum	   *keys = slot->tts_values + state->first;
	ViewWindow	bounds;
	ViewSession *session;

	bounds.start = DatumGetTimestamp(slot->tts_values[WINDOW_START_ATTNO - 1]);
	bounds.end = DatumGetTimestamp(slot->tts_values[WINDOW_END_ATTNO - 1]);
	if (view_interval_find(&group->known, bounds.start, bounds.start) != NULL)
		return;

	session = add_session(sessions, group, &bounds, keys, slot->tts_isnull + state->first);
	session->stored = bounds;
	session->row.due = DatumGetTimestamp(slot->tts_values[VIEW_STATE_DUE_ATTNO - 1]);
	session->row.stored = true;
	session->row.tid = slot->tts_tid;
	view_state_note_toasted(state, &session->row, keys);
	view_state_load_aggs(state, &session->row, slot->tts_values, slot->tts_isnull);
}

/* the stored sessions that begin in this stretch of time are in memory now */
static void
note_known(ViewSessions *sessions, ViewSessionGroup *group, ViewWindow stretch)
{
	ViewInterval *other;

	while ((other = view_interval_find(&group->known, stretch.start, stretch.end)) != NULL)
	{
		stretch.start = Min(stretch.start, other->range.start);
		stretch.end = Max(stretch.end, other->range.end);
		view_interval_remove(&group->known, other);
	}
	view_interval_add(&group->known, sessions->state->mcxt, &stretch, NULL);
}

/* load the stored sessions around a time: the last before it, the first after */
static void
load_around(ViewSessions *sessions, ViewSessionGroup *group, Timestamp event)
{
	ViewWindow	stretch = {DT_NOBEGIN, DT_NOEND};

	if (view_interval_find(&group->known, event, event) != NULL)
		return;

	if (find_stored(sessions, group, DT_NOEND, false, &stretch.start))
	{
		if (stretch.start <= event)
			load_stored(sessions, group);
		else
		{
			/* not the latest of its group */
			stretch.start = DT_NOBEGIN;
			if (find_stored(sessions, group, event, false, &stretch.start))
				load_stored(sessions, group);
			if (find_stored(sessions, group, event, true, &stretch.end))
				load_stored(sessions, group);
		}
	}
	note_known(sessions, group, stretch);
}

/* ---- rows ---- */

static void
add_to_place(ViewSessionPlace *place, const ViewInterval *interval)
{
	place->sessions[place->nsessions++] = interval->data;
	place->bounds.start = Min(place->bounds.start, interval->range.start);
	place->bounds.end = Max(place->bounds.end, interval->range.end);
}

void
view_session_find(ViewSessions *sessions, Datum *keys, bool *nulls, const ViewWindow *window,
				  ViewSessionPlace *place)
{
	ViewSessionGroup *group = find_group(sessions, keys, nulls);
	ViewInterval *before;
	ViewInterval *after = NULL;

	load_around(sessions, group, window->start);
	place->group = group;
	place->bounds = *window;
	place->nsessions = 0;

	before = view_interval_find(&group->sessions, window->start, window->start);
	if (before)
		add_to_place(place, before);
	if (!before || before->range.end < window->end)
		after = view_interval_find(&group->sessions,
								   before ? before->range.end + 1 : window->start, window->end);
	if (after)
		add_to_place(place, after);
}

/* change the bounds of a session that is in memory */
static void
set_bounds(ViewSessionGroup *group, ViewSession *session, const ViewWindow *bounds)
{
	ViewInterval *interval = view_interval_find(&group->sessions, session->row.window_start,
												session->row.window_start);

	interval->range = *bounds;
	session->row.window_start = bounds->start;
	session->row.window_end = bounds->end;
}

ViewSession *
view_session_enter(ViewSessions *sessions, Datum *keys, bool *nulls,
				   const ViewSessionPlace *place)
{
	ViewStateTable *state = sessions->state;
	ViewSession *session;

	if (place->nsessions == 0)
	{
		session = add_session(sessions, place->group, &place->bounds, keys, nulls);
		view_agg_init(state->aggs, session->row.aggs);
	}
	else
	{
		session = place->sessions[0];
		if (place->nsessions == 2)
		{
			ViewSession *other = place->sessions[1];

			view_agg_combine(state->aggs, session->row.aggs, other->row.aggs);
			other->merged = true;
			view_interval_remove(&place->group->sessions,
								 view_interval_find(&place->group->sessions,
													other->row.window_start,
													other->row.window_start));
		}
		set_bounds(place->group, session, &place->bounds);
	}
	session->changed = true;
	return session;
}

/* ---- writing ---- */

/* when is a closed session to be looked at? */
static Timestamp
removal_due(Timestamp end, int64 retention)
{
	return retention == JOB_NO_LIMIT || end > END_TIMESTAMP - 1 - retention ?
		DT_NOEND : end + retention;
}

/* write a session that is not merged into another */
static void
write_session(ViewSessions *sessions, ViewSession *session, StateWriter *writer,
			  Datum *values, bool *nulls)
{
	ViewStateTable *state = sessions->state;
	ViewStateGroup *row = &session->row;
	Timestamp	old_due = row->due;

	if (row->window_end <= sessions->closed_until)
		row->due = removal_due(row->window_end, sessions->retention);
	else if (!row->stored || row->due > row->window_end)
		row->due = row->window_end;

	/* indexed columns of a row cannot change */
	if (row->stored &&
		(session->stored.start != row->window_start || row->due != old_due))
	{
		state_delete(writer, &row->tid);

		/* TOAST pointers belong to the old row */
		row->stored = false;
		row->toasted = NULL;
	}
	if (state->collects)
		view_state_spill(state, row, writer);
	view_state_write_row(writer, row, view_state_form_row(state, row, values, nulls));
}

void
view_sessions_flush(ViewSessions *sessions)
{
	ViewStateTable *state = sessions->state;
	StateWriter *writer = state_begin_write(state->rel);
	int			natts = RelationGetDescr(state->rel)->natts;
	Datum	   *values = palloc(sizeof(Datum) * natts);
	bool	   *nulls = palloc(sizeof(bool) * natts);
	MemoryContext work = AllocSetContextCreate(CurrentMemoryContext,
											   "streamq session row",
											   ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(work);

	close_scan(sessions);
	for (ViewSession *session = sessions->all; session; session = session->next)
	{
		if (session->merged && session->row.stored)
			state_delete(writer, &session->row.tid);
		else if (session->changed && !session->merged)
			write_session(sessions, session, writer, values, nulls);
		MemoryContextReset(work);
		CHECK_FOR_INTERRUPTS();
	}
	MemoryContextSwitchTo(old);
	MemoryContextDelete(work);
	state_end_write(writer);
}

static SysScanDesc
begin_due_scan(ViewStateTable *state, Timestamp until)
{
	ScanKeyData key;

	ScanKeyInit(&key, VIEW_STATE_DUE_ATTNO, BTLessEqualStrategyNumber, F_TIMESTAMP_LE,
				TimestampGetDatum(until));
	return systable_beginscan(state->rel, state->due_index, true, GetActiveSnapshot(), 1, &key);
}

static Timestamp
get_time(ViewStateTable *state, HeapTuple tup, AttrNumber attno)
{
	bool		isnull;

	return DatumGetTimestamp(heap_getattr(tup, attno, RelationGetDescr(state->rel), &isnull));
}

int64
view_sessions_close(ViewStateTable *state, Timestamp watermark, int64 retention)
{
	TupleDesc	desc = RelationGetDescr(state->rel);
	StateWriter *writer = state_begin_write(state->rel);
	Datum	   *values = palloc0(sizeof(Datum) * desc->natts);
	bool	   *nulls = palloc0(sizeof(bool) * desc->natts);
	bool	   *replace = palloc0(sizeof(bool) * desc->natts);
	SysScanDesc scan = begin_due_scan(state, watermark);
	int64		closed = 0;
	HeapTuple	tup;

	replace[VIEW_STATE_DUE_ATTNO - 1] = true;
	while (HeapTupleIsValid(tup = systable_getnext(scan)))
	{
		Timestamp	end = get_time(state, tup, WINDOW_END_ATTNO);
		Timestamp	due = end;
		HeapTuple	changed;

		CHECK_FOR_INTERRUPTS();
		if (end <= watermark)
		{
			due = removal_due(end, retention);
			/* a closed one has had that time already */
			if (get_time(state, tup, VIEW_STATE_DUE_ATTNO) <= end)
				closed++;
		}
		if (due > watermark)
		{
			values[VIEW_STATE_DUE_ATTNO - 1] = TimestampGetDatum(due);
			changed = heap_modify_tuple(tup, desc, values, nulls, replace);
			state_insert(writer, changed, NULL);
			heap_freetuple(changed);
		}
		else if (state->collects)
			view_chunks_delete(state, tup, writer);
		state_delete(writer, &tup->t_self);
	}
	systable_endscan(scan);
	state_end_write(writer);
	return closed;
}

bool
view_sessions_next_end(ViewStateTable *state, Timestamp watermark, Timestamp *end)
{
	SysScanDesc scan = begin_due_scan(state, END_TIMESTAMP);
	bool		found = false;
	HeapTuple	tup;

	while (!found && HeapTupleIsValid(tup = systable_getnext(scan)))
	{
		CHECK_FOR_INTERRUPTS();
		/* a closed one may be due because of the retention */
		if (get_time(state, tup, WINDOW_END_ATTNO) > watermark)
		{
			*end = Max(get_time(state, tup, VIEW_STATE_DUE_ATTNO), watermark);
			found = true;
		}
	}
	systable_endscan(scan);
	return found;
}
