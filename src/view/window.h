/*
 * window.h
 *	  Windows over event time: the windows that a query asks for, and the
 *	  kinds of window functions.
 *
 * A kind is identified by the SQL function that the query calls in FROM.  That
 * function and continuous views use the same arithmetic, so a continuous view
 * and its query run by hand give the same result.
 */
#ifndef STREAMQ_WINDOW_H
#define STREAMQ_WINDOW_H

#include "postgres.h"

#include "datatype/timestamp.h"
#include "nodes/nodes.h"
#include "nodes/pg_list.h"

#include "compat.h"

/* [start, end), microseconds of one time line (timestamptz: UTC) */
typedef struct ViewWindow
{
	Timestamp	start;
	Timestamp	end;
} ViewWindow;

/*
 * A checked duration: either whole months, or a number of microseconds, where
 * a day has 24 hours.
 */
typedef struct ViewWindowSize
{
	int64		months;			/* 0: fixed size */
	int64		micros;			/* 0: calendar size */
} ViewWindowSize;

typedef struct ViewWindowKind ViewWindowKind;
typedef struct ViewTrunc ViewTrunc;

/* a call of a window function, or an expression that cuts time (trunc.h) */
typedef struct ViewWindowSpec
{
	const ViewWindowKind *kind;
	int64		max_windows;	/* most windows of one row */
	ViewWindowSize size;
	ViewWindowSize step;		/* between the starts or ends of windows, for
								 * kinds with overlapping windows */
	Timestamp	origin;
	ViewTrunc  *trunc;			/* NULL: a window function */
} ViewWindowSpec;

/*
 * A slice: a piece of time that each window contains as a whole or not at all.
 * So rows of one slice are in the same windows.
 */
typedef struct ViewSlice
{
	ViewWindow	range;
	Timestamp	first_end;		/* least and greatest end of its windows */
	Timestamp	last_end;
} ViewSlice;

/* a kind of window function */
struct ViewWindowKind
{
	const char *function;		/* name of the function in schema streamq;
								 * NULL: expressions in GROUP BY, of which
								 * only may_close is called */
	bool		same_start;		/* several windows have the same start */

	/*
	 * Windows of a group that overlap or touch become one (sessions.c).  Then
	 * assign gives the window of the row alone, and may_close is not called.
	 */
	bool		merging;

	/*
	 * Take the arguments after the event time, with constants folded and
	 * defaults filled in, and set max_windows.  Raises errors for the user.
	 */
	void		(*take_arguments) (ViewWindowSpec *spec, List *args);

	/*
	 * Assign a row to its windows, in the order of their starts, and return
	 * their number.  The event time is finite.
	 */
	int			(*assign) (const ViewWindowSpec *spec, Timestamp event,
						   ViewWindow *windows);

	/* do windows end in the order of their starts? */
	bool		ends_in_order;

	/*
	 * Called when the watermark moves.  False if no window ends in (from,
	 * to]. Otherwise *first_start is set to a time not after the start of any
	 * such window.
	 */
	bool		(*may_close) (const ViewWindowSpec *spec, Timestamp from,
							  Timestamp to, Timestamp *first_start);

	/*
	 * For kinds whose windows overlap; NULL otherwise.
	 *
	 * find_slice finds the slice that contains a time; false if the time is
	 * in no window.
	 *
	 * find_end finds the greatest end, at or before a limit, of all windows;
	 * `end` may be NULL.  It returns the number of that end, as ends are
	 * numbered in their order.
	 */
	bool		(*find_slice) (const ViewWindowSpec *spec, Timestamp event,
							   ViewSlice *slice);
	int64		(*find_end) (const ViewWindowSpec *spec, Timestamp limit, Timestamp *end);
};

/* find the kind of a function; NULL if it is not a window function */
extern const ViewWindowKind *view_window_find_kind(Oid funcid);

/*
 * Check a duration in the arguments of a window function.  Fails with 22023 if
 * it is not positive, not finite, or mixes months with smaller units.  The
 * message calls it "window <what>".
 */
extern void view_window_check_size(const Interval *size, const char *what,
								   ViewWindowSize *result);

/* fail with 22023 unless the origin is finite */
extern void view_window_check_origin(Timestamp origin);

/*
 * Take a duration or the origin from the arguments of a window function in the
 * query of a continuous view.  Fails unless it is a constant that is not null.
 */
extern void view_window_take_size(Node *arg, const char *what, ViewWindowSize *result);
extern Timestamp view_window_take_origin(Node *arg);

/*
 * Are the windows around a time so near to the bounds of timestamps that they
 * may be out of range?
 */
extern bool view_window_near_bounds(const ViewWindowSpec *spec, Timestamp ts);

/* raise the error "timestamp out of range" (22008) */
extern void view_window_out_of_range(void) pg_attribute_noreturn();

/* the kinds */
extern const ViewWindowKind view_tumble;
extern const ViewWindowKind view_hop;
extern const ViewWindowKind view_cumulate;
extern const ViewWindowKind view_session;
extern const ViewWindowKind view_truncated;

#endif
