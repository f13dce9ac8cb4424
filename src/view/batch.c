/*
 * batch.c
 *	  Processing the rows of a batch in a continuous view.
 *
 * The steps for each row are: event time, windows, WHERE, lateness, keys,
 * transition functions.  Then the watermark advances.  Groups that changed are
 * written at the end of a round.
 *
 * If tables are joined with the stream, the rows are those of the join, and
 * these steps come at the end of the round.  Only event times are computed,
 * and the watermark advances, when a message is read.
 */
#include "postgres.h"

#include "access/table.h"
#include "executor/executor.h"
#include "utils/lsyscache.h"
#include "utils/timestamp.h"

#include "job/job_kind.h"
#include "job/share.h"
#include "job/watermark.h"
#include "log/log.h"
#include "signal/xact_note.h"
#include "view/agg.h"
#include "view/analyze.h"
#include "view/closing.h"
#include "view/emit.h"
#include "view/joined.h"
#include "view/late.h"
#include "view/sessions.h"
#include "view/parts.h"
#include "view/state_table.h"
#include "view/trunc.h"
#include "view/view_job.h"
#include "view/window.h"

typedef struct ViewBatch
{
	ViewQuery  *vq;
	Relation	state;
	ViewEmit   *emit;			/* NULL: nothing is emitted */
	ViewJoin   *join;			/* NULL: no tables are joined */
	int64		sessions_closed;
	bool		had_watermark;	/* there was a watermark before the batch */
	Timestamp	watermark;
} ViewBatch;

typedef struct ViewRound
{
	ViewQuery  *vq;
	ViewEmit   *emit;			/* NULL: the row causes no corrections */
	ViewStateTable *state;
	ViewSessions *sessions;		/* NULL: windows do not merge */
	ViewAggSet *aggs;
	ExprContext *econtext;
	ViewLateRows *late;			/* NULL: no row was routed yet */
	ViewJoinRows *joined;		/* messages of the round; NULL: no tables are
								 * joined */
	Timestamp	late_at;		/* in a shared round: the least watermark for
								 * which the row is late */
	ViewWindow *windows;		/* windows of the current row */
	ViewSlice	slice;			/* slice of the last row, if has_slice */
	bool		has_slice;
	bool		has_window;		/* windows[0] is that of the last row */
	TupleTableSlot *window_slot;
	ExprState  *event_time;
	ExprState  *window_start;	/* NULL: a window function */
	ExprState  *where;
	ExprState **keys;			/* of sessions */
	ProjectionInfo *projection; /* of others: keys and arguments */
	Datum	   *keyvalues;
	bool	   *keynulls;
} ViewRound;

/* ---- a row ---- */

/* set the window for expressions */
static void
show_window(ViewRound *view, const ViewWindow *window)
{
	TupleTableSlot *slot = view->window_slot;

	if (TTS_EMPTY(slot) || DatumGetTimestamp(slot->tts_values[0]) != window->start ||
		DatumGetTimestamp(slot->tts_values[1]) != window->end)
	{
		ExecClearTuple(slot);
		slot->tts_values[0] = TimestampGetDatum(window->start);
		slot->tts_values[1] = TimestampGetDatum(window->end);
		slot->tts_isnull[0] = false;
		slot->tts_isnull[1] = false;
		ExecStoreVirtualTuple(slot);
	}
	view->econtext->ecxt_innertuple = slot;
}

static bool
passes_where(ViewRound *view)
{
	bool		isnull;
	Datum		value;

	if (view->where == NULL)
		return true;
	value = ExecEvalExprSwitchContext(view->where, view->econtext, &isnull);
	return !isnull && DatumGetBool(value);
}

/* has the watermark reached a time that is so long after another one? */
static bool
has_passed(const JobRound *round, Timestamp time, int64 after)
{
	return round->stats.has_watermark && time <= PG_INT64_MAX - after &&
		round->stats.watermark >= time + after;
}

/*
 * A row is late for a window that ends at a time if the watermark has reached
 * the end, and the lateness that is allowed is over.  If the window has been
 * removed because of the job's retention, the row is late whatever the
 * lateness.
 */
static bool
is_late(const JobRound *round, Timestamp end)
{
	const JobEventTime *options = &round->batch->job.event_time;
	ViewRound  *view = round->state;

	if (!has_passed(round, end, options->lateness))
		return options->retention != JOB_NO_LIMIT && has_passed(round, end, options->retention);
	if (round->part)
		view->late_at = Min(view->late_at, end + options->lateness);
	return true;
}

/*
 * How long after its end does a window take no more rows?  JOB_NO_LIMIT if it
 * always takes them.
 */
static int64
left_out_after(const JobRound *round)
{
	const JobEventTime *options = &round->batch->job.event_time;

	if (options->late == JOB_LATE_UPDATE)
		return options->retention;
	return options->retention == JOB_NO_LIMIT ? options->lateness :
		Min(options->retention, options->lateness);
}

/* is a row left out of a window that ends at a time? */
static bool
is_left_out(const JobRound *round, Timestamp end)
{
	int64		after = left_out_after(round);

	return after != JOB_NO_LIMIT && has_passed(round, end, after);
}

/* write a late row to the job's late_stream */
static void
route_row(JobRound *round, ViewRound *view, TupleTableSlot *slot)
{
	if (view->late == NULL)
	{
		MemoryContext old = MemoryContextSwitchTo(round->mcxt);

		view->late = view_late_begin(round->batch->source, round->batch->job.late_stream);
		MemoryContextSwitchTo(old);
	}
	view_late_add(view->late, slot);
}

/* a state of a slice has changed, which counts for windows that end later */
static void
touch_slice(ViewRound *view, Timestamp counts_after, uint64 hash)
{
	const ViewWindowSpec *spec = &view->vq->window;
	int			n = spec->kind->assign(spec, view->slice.range.start, view->windows);

	for (int i = 0; i < n; i++)
	{
		const ViewWindow *window = &view->windows[i];

		if (window->end > counts_after && view_emit_wants(view->emit, window->end))
			view_emit_touch(view->emit, window->start, window->end, hash);
	}
}

static void
evaluate_keys(ViewRound *view)
{
	for (int i = 0; i < view->state->nkeys; i++)
		view->keyvalues[i] = ExecEvalExprSwitchContext(view->keys[i], view->econtext,
													   &view->keynulls[i]);
}

static void
advance_group(ViewRound *view, const ViewWindow *window, Timestamp counts_after)
{
	ViewStateGroup *group;

	(void) ExecProject(view->projection);
	group = view_state_find_group(view->state, window, counts_after,
								  view->keyvalues, view->keynulls);
	view_agg_advance(view->aggs, group->aggs, view->econtext);
	if (view->emit == NULL)
		return;
	if (view->vq->sliced)
	{
		if (view_emit_wants(view->emit, view->slice.first_end))
			touch_slice(view, counts_after, group->hash);
	}
	else if (view_emit_wants(view->emit, window->end))
		view_emit_touch(view->emit, window->start, window->end, group->hash);
}

/* take a row in a query without windows, which has one for all time */
static void
take_unwindowed(ViewRound *view)
{
	static const ViewWindow whole = {0, 0};

	if (passes_where(view))
		advance_group(view, &whole, DT_NOBEGIN);
}

/* the emission must know of a session that it may have emitted */
static void
touch_session(ViewRound *view, const ViewSession *session)
{
	if (view->emit && view_emit_wants(view->emit, session->row.window_end))
		view_emit_touch(view->emit, session->row.window_start, session->row.window_end,
						session->row.hash);
}

/*
 * Take a row in a query with sessions; true if it is late.  That depends on
 * the session that the row would be part of.
 */
static bool
take_in_session(JobRound *round, ViewRound *view, Timestamp event)
{
	const ViewWindowSpec *spec = &view->vq->window;
	ViewSessionPlace place;
	ViewSession *session;

	if (!passes_where(view))
		return false;
	(void) spec->kind->assign(spec, event, view->windows);
	evaluate_keys(view);
	view_session_find(view->sessions, view->keyvalues, view->keynulls, view->windows, &place);
	if (is_left_out(round, place.bounds.end))
		return true;

	/* sessions that become another one are taken back */
	for (int i = 0; i < place.nsessions; i++)
		touch_session(view, place.sessions[i]);
	session = view_session_enter(view->sessions, view->keyvalues, view->keynulls, &place);
	view_agg_advance(view->aggs, session->row.aggs, view->econtext);
	touch_session(view, session);
	return is_late(round, place.bounds.end);
}

/*
 * Take a row in a query whose windows come from GROUP BY.  A row without an
 * event time has a group, too.
 */
static bool
take_truncated(JobRound *round, ViewRound *view)
{
	ViewWindow	window;
	Timestamp	start;
	bool		isnull;

	if (!passes_where(view))
		return false;
	start = DatumGetTimestamp(ExecEvalExprSwitchContext(view->window_start, view->econtext,
														&isnull));
	view_trunc_window(view->vq->window.trunc, start, isnull, &window);
	if (is_left_out(round, window.end))
		return true;
	advance_group(view, &window, DT_NOBEGIN);
	return is_late(round, window.end);
}

/*
 * Take a row into its windows, one after the other.  Returns whether it is late
 * for any of them.
 */
static bool
take_in_windows(JobRound *round, ViewRound *view, Timestamp event)
{
	const ViewWindowSpec *spec = &view->vq->window;
	bool		late = false;
	int			n = 1;

	/* rows that follow each other are often in the same window */
	if (spec->max_windows > 1 || !view->has_window ||
		event < view->windows[0].start || event >= view->windows[0].end)
	{
		view->has_window = false;
		n = spec->kind->assign(spec, event, view->windows);
		view->has_window = n > 0;
	}

	for (int i = 0; i < n; i++)
	{
		const ViewWindow *window = &view->windows[i];

		show_window(view, window);
		if (!passes_where(view))
			continue;
		late |= is_late(round, window->end);
		if (is_left_out(round, window->end))
			continue;
		advance_group(view, window, DT_NOBEGIN);
	}
	return late;
}

/*
 * Take a row into its slice.  Returns whether it is late for any of the slice's
 * windows.
 *
 * If the row is left out of some of the windows only, it goes to a state that
 * does not count for them.
 */
static bool
take_in_slice(JobRound *round, ViewRound *view, Timestamp event)
{
	const ViewWindowSpec *spec = &view->vq->window;
	ViewSlice  *slice = &view->slice;
	Timestamp	counts_after = DT_NOBEGIN;

	/* rows that follow each other are often in the same slice */
	if (!view->has_slice || event < slice->range.start || event >= slice->range.end)
	{
		view->has_slice = false;
		view->has_slice = spec->kind->find_slice(spec, event, slice);
		if (!view->has_slice)
			return false;
	}
	if (!passes_where(view))
		return false;
	if (is_left_out(round, slice->first_end))
	{
		if (is_left_out(round, slice->last_end))
			return true;
		(void) spec->kind->find_end(spec, round->stats.watermark - left_out_after(round),
									&counts_after);
	}
	advance_group(view, &slice->range, counts_after);
	return is_late(round, slice->first_end);
}

/*
 * Compute the event time of the row.  Without a finite one, a window function
 * returns no window, as in the query run by hand.
 */
static bool
find_event(ViewRound *view, Timestamp *event)
{
	bool		isnull;

	*event = DatumGetTimestamp(ExecEvalExprSwitchContext(view->event_time,
														 view->econtext, &isnull));
	return !isnull && !TIMESTAMP_NOT_FINITE(*event);
}

/*
 * Take a row in a query with windows; it may be in several of them.  Returns
 * whether it is late.
 */
static bool
take_windowed(JobRound *round, ViewRound *view, bool has_event, Timestamp event)
{
	if (view->window_start)
		return take_truncated(round, view);
	if (!has_event)
		return false;
	if (view->sessions)
		return take_in_session(round, view, event);
	if (view->vq->sliced)
		return take_in_slice(round, view, event);
	return take_in_windows(round, view, event);
}

/* must a late row go to another stream? */
static bool
is_routed(const JobRound *round, bool replaying)
{
	return round->batch->job.event_time.late == JOB_LATE_ROUTE && !replaying;
}

/* corrections and late rows of a replayed row were written before */
static void
begin_row(JobRound *round, ViewRound *view, TupleTableSlot *slot, int64 msg_id, bool replaying)
{
	view->emit = replaying ? NULL : ((ViewBatch *) round->batch->loaded)->emit;
	ResetExprContext(view->econtext);
	view->aggs->ordinal = msg_id;
	view->econtext->ecxt_scantuple = slot;
	view->econtext->ecxt_innertuple = NULL;
	view->late_at = DT_NOEND;
}

void
view_take_row(JobRound *round, JobInput *input)
{
	ViewRound  *view = round->state;
	bool		replaying = input->off < round->progress[input->number].replay_to;
	Timestamp	event = 0;
	bool		has_event = false;
	MemoryContext old;

	begin_row(round, view, input->slot, LOG_MSG_ID(input->partition, input->off), replaying);
	old = MemoryContextSwitchTo(view->econtext->ecxt_per_tuple_memory);
	if (view->vq->windowed)
		has_event = find_event(view, &event);
	if (view->joined)
	{
		ViewMessage *message = view_join_add(view->joined, input);

		message->replaying = replaying;
		message->has_event = has_event;
		message->event = event;
		message->has_watermark = round->stats.has_watermark;
		message->watermark = round->stats.watermark;
	}
	else if (!view->vq->windowed)
		take_unwindowed(view);
	else if (take_windowed(round, view, has_event, event))
	{
		if (round->part)
			job_part_note_late(round, input, view->late_at);
		else
			round->stats.late_rows++;
		if (is_routed(round, replaying))
			route_row(round, view, input->slot);
	}
	if (has_event)
		job_advance_watermark(round, input, event);
	MemoryContextSwitchTo(old);
}

/* ---- joins with tables ---- */

/* take a row of the join; a message may have any number of them */
static void
take_joined(ViewMessage *message, TupleTableSlot *slot, void *arg)
{
	JobRound   *round = arg;
	ViewRound  *view = round->state;
	MemoryContext old;

	begin_row(round, view, slot, message->msg_id, message->replaying);
	round->stats.has_watermark = message->has_watermark;
	round->stats.watermark = message->watermark;
	old = MemoryContextSwitchTo(view->econtext->ecxt_per_tuple_memory);
	if (!view->vq->windowed)
		take_unwindowed(view);
	else if (take_windowed(round, view, message->has_event, message->event))
		message->late = true;
	MemoryContextSwitchTo(old);
}

static void
take_late_message(ViewMessage *message, TupleTableSlot *slot, void *arg)
{
	JobRound   *round = arg;

	if (!message->late)
		return;
	round->stats.late_rows++;
	if (is_routed(round, message->replaying))
		route_row(round, round->state, slot);
}

/* join the messages of the round with the tables */
static void
join_messages(JobRound *round, ViewRound *view)
{
	bool		has_watermark = round->stats.has_watermark;
	Timestamp	watermark = round->stats.watermark;

	view_join_run(view->joined, take_joined, round);
	round->stats.has_watermark = has_watermark;
	round->stats.watermark = watermark;
	if (view->vq->windowed)
		view_join_each_message(view->joined, take_late_message, round);
	view_join_end(view->joined);
}

/* ---- a round ---- */

static TupleTableSlot *
make_window_slot(ViewQuery *vq)
{
	TupleDesc	desc = CreateTemplateTupleDesc(2);

	TupleDescInitEntry(desc, WINDOW_START_ATTNO, "window_start", vq->event_type, -1, 0);
	TupleDescInitEntry(desc, WINDOW_END_ATTNO, "window_end", vq->event_type, -1, 0);
	return MakeSingleTupleTableSlot(desc, &TTSOpsVirtual);
}

/*
 * Whether a row is late for its session depends on its keys.  Arguments of a
 * row that is left out must not be computed, because that may fail.  So they
 * are computed later than keys.
 */
static void
compile_keys(ViewRound *view, ViewQuery *vq)
{
	int			nkeys = Max(1, list_length(vq->keys));
	ListCell   *lc;

	if (!view_is_merging(vq))
	{
		view->projection = view_agg_project(view->aggs, vq, view->econtext);
		view->keyvalues = view->aggs->row->tts_values;
		view->keynulls = view->aggs->row->tts_isnull;
		return;
	}
	view->keys = palloc(sizeof(ExprState *) * nkeys);
	view->keyvalues = palloc(sizeof(Datum) * nkeys);
	view->keynulls = palloc(sizeof(bool) * nkeys);
	foreach(lc, vq->keys)
		view->keys[foreach_current_index(lc)] =
		view_compile_expression(vq, ((ViewKey *) lfirst(lc))->expr);
}

void
view_begin_round(JobRound *round)
{
	ViewBatch  *batch = round->batch->loaded;
	ViewQuery  *vq = batch->vq;
	ViewRound  *view = palloc0(sizeof(ViewRound));
	Expr	   *where;

	view->vq = vq;
	view->econtext = CreateStandaloneExprContext();
	if (vq->windowed)
	{
		/* over the stream's rows, also if tables are joined with them */
		view->event_time = ExecInitExpr(expression_planner(vq->event_time), NULL);
		if (vq->window_start)
			view->window_start = view_compile_expression(vq, vq->window_start);
		if (!vq->sliced || batch->emit)
			view->windows = palloc(sizeof(ViewWindow) * vq->window.max_windows);
		view->window_slot = make_window_slot(vq);
	}
	where = batch->join ? vq->window_quals : vq->where;
	if (where)
		view->where = view_compile_expression(vq, where);
	if (batch->join)
		view->joined = view_join_begin(batch->join, round->batch->source,
									   round->batch->npartitions);
	view->aggs = view_agg_set_create(vq);
	compile_keys(view, vq);
	view->state = view_state_open(batch->state, vq, view->aggs);
	view->state->partial = round->batch->helping;
	if (round->part)
		view_parts_begin(view->aggs);
	if (view_is_merging(vq))
		view->sessions = view_sessions_begin(view->state,
											 batch->had_watermark ? batch->watermark : DT_NOBEGIN,
											 round->batch->job.event_time.retention);
	round->state = view;
}

/* an error while a stored state is loaded is not caused by the row */
bool
view_is_row_innocent(JobRound *round)
{
	return ((ViewRound *) round->state)->state->loading;
}

void
view_flush_round(JobRound *round)
{
	ViewRound  *view = round->state;

	if (view->joined)
		join_messages(round, view);
	if (view->sessions)
		view_sessions_flush(view->sessions);
	else
		view_state_flush(view->state);
	if (view->late)
		view_late_write(view->late);
	if (view->window_slot)
		ExecDropSingleTupleTableSlot(view->window_slot);
}

/* ---- a shared round ---- */

JobSharing
view_sharing(const JobBatch *batch)
{
	return view_may_share(&batch->job, ((ViewBatch *) batch->loaded)->vq);
}

void
view_send_part(JobRound *round)
{
	view_parts_send(round, ((ViewRound *) round->state)->state);
}

void
view_take_part(JobRound *round, void *data, Size size)
{
	ViewRound  *view = round->state;
	MemoryContext old;

	ResetExprContext(view->econtext);
	old = MemoryContextSwitchTo(view->econtext->ecxt_per_tuple_memory);
	view_parts_take(view->state, data, size);
	MemoryContextSwitchTo(old);
}

/* ---- a batch ---- */

void *
view_load(JobBatch *job_batch)
{
	ViewBatch  *batch = palloc0(sizeof(ViewBatch));

	/* the query was analyzed when the view was created */
	batch->vq = view_analyze(castNode(Query, stringToNode(job_batch->job.query_tree)));
	view_check_access(batch->vq, job_batch->owner);
	if (batch->vq->tables)
		batch->join = view_join_prepare(batch->vq, job_batch->job.query);
	batch->state = table_open(job_batch->job.state,
							  job_batch->helping ? AccessShareLock : NoLock);
	if (!view_state_fits(batch->vq, batch->state))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("state of continuous view \"%s\" does not fit its query",
						get_rel_name(job_batch->job.target)),
				 errdetail("An aggregate was replaced, and now has another type of state, or states that cannot be merged."),
				 errhint("Drop the continuous view and create it again.")));
	batch->had_watermark = job_batch->stats.has_watermark;
	batch->watermark = job_batch->stats.watermark;
	if (job_batch->job.event_time.late == JOB_LATE_ROUTE)
		view_late_check(job_batch->source, job_batch->job.late_stream);
	if (OidIsValid(job_batch->job.emit_into))
	{
		Timestamp	emitted = job_batch->stats.emitted_until;

		if (batch->had_watermark)
			emitted = Max(emitted, batch->watermark);
		batch->emit = view_emit_create(&job_batch->job, batch->vq, TIMESTAMP_IS_NOBEGIN(emitted),
									   emitted);
	}
	return batch;
}

/* emit what the batch has closed or corrected, then remove old windows */
bool
view_finish(JobBatch *job_batch)
{
	ViewBatch  *batch = job_batch->loaded;
	JobStats   *stats = &job_batch->stats;
	int64		retention = job_batch->job.event_time.retention;
	int64		removed;

	if (!batch->vq->windowed || !stats->has_watermark)
		return false;
	if (batch->emit)
		stats->rows_written += view_emit_run(batch->emit, stats->watermark);
	if (view_is_merging(batch->vq))
		batch->sessions_closed =
			view_sessions_close(view_state_open(batch->state, batch->vq, NULL), stats->watermark,
								retention);
	if (retention == JOB_NO_LIMIT)
		return false;
	removed = view_remove_windows(&job_batch->job, batch->vq, batch->state, stats->watermark);
	return removed >= VIEW_REMOVE_ROWS;
}

bool
view_next_end(JobBatch *job_batch, Timestamp *end)
{
	ViewBatch  *batch = job_batch->loaded;

	return batch->vq->windowed && job_batch->stats.has_watermark &&
		view_find_open_window(batch->vq, batch->state, job_batch->stats.watermark, end);
}

/* count the windows that the batch has closed */
void
view_end_batch(JobBatch *job_batch)
{
	ViewBatch  *batch = job_batch->loaded;
	ViewQuery  *vq = batch->vq;
	ViewStateTable *state;
	Timestamp	watermark = job_batch->stats.watermark;
	Timestamp	first = 0;
	int64		closed;

	if (!vq->windowed || !job_batch->stats.has_watermark)
		return;
	if (batch->had_watermark && batch->watermark == watermark)
		return;
	if (!view_is_merging(vq) && batch->had_watermark &&
		!vq->window.kind->may_close(&vq->window, batch->watermark, watermark, &first))
		return;
	state = view_state_open(batch->state, vq, NULL);
	if (view_is_merging(vq))
		closed = batch->sessions_closed;
	else if (vq->sliced)
		closed = view_state_count_sliced_windows(state, &vq->window, !batch->had_watermark,
												 first, batch->watermark, watermark);
	else
		closed = view_state_count_windows(state, !batch->had_watermark, first,
										  batch->watermark, watermark);
	if (closed > 0)
		signal_note_closed(job_batch->job.target, watermark, closed);
}

void
view_close(JobBatch *job_batch)
{
	table_close(((ViewBatch *) job_batch->loaded)->state, NoLock);
}
