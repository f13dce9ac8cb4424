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
#include "nodes/pg_list.h"

#include "compat.h"

/* [start, end), microseconds of one time line (timestamptz: UTC) */
typedef struct ViewWindow
{
	Timestamp	start;
	Timestamp	end;
} ViewWindow;

/*
 * A checked window size: either whole months, or a number of microseconds,
 * where a day has 24 hours.
 */
typedef struct ViewWindowSize
{
	int64		months;			/* 0: fixed size */
	int64		micros;			/* 0: calendar size */
} ViewWindowSize;

typedef struct ViewWindowKind ViewWindowKind;

/* a call of a window function */
typedef struct ViewWindowSpec
{
	const ViewWindowKind *kind;
	int			max_windows;	/* most windows of one row */
	ViewWindowSize size;
	Timestamp	origin;
} ViewWindowSpec;

/* a kind of window function */
struct ViewWindowKind
{
	const char *function;		/* name of the function in schema streamq */

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

	/*
	 * The end of the last window that has rows of the state table from this
	 * start to this end.  NULL if a row is of one window.
	 */
	Timestamp	(*last_end) (const ViewWindowSpec *spec, Timestamp start, Timestamp end);

	/*
	 * Called when the watermark moves.  False if no window ends in (from,
	 * to]. Otherwise *first_start is set to a time not after the start of any
	 * such window.
	 */
	bool		(*may_close) (const ViewWindowSpec *spec, Timestamp from,
							  Timestamp to, Timestamp *first_start);
};

/* find the kind of a function; NULL if it is not a window function */
extern const ViewWindowKind *view_window_find_kind(Oid funcid);

/*
 * Check a window size.  Fails with 22023 if it is not positive, not finite, or
 * mixes months with smaller units.
 */
extern void view_window_check_size(const Interval *size, ViewWindowSize *result);

/* fail with 22023 unless the origin is finite */
extern void view_window_check_origin(Timestamp origin);

/* raise the error "timestamp out of range" (22008) */
extern void view_window_out_of_range(void) pg_attribute_noreturn();

/* the kinds */
extern const ViewWindowKind view_tumble;
extern const ViewWindowKind view_session;

#endif
