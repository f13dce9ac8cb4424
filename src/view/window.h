/*
 * window.h
 *	  Windows over event time: what a query asks for, and the kinds of window
 *	  functions.
 *
 * A kind is found by the SQL function that the query calls in FROM.  The same
 * arithmetic serves that function, so a continuous view and its query run by
 * hand agree.
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
 * A size that passed view_window_check_size: either whole months or a number of
 * microseconds (a day is 24 hours).
 */
typedef struct ViewWindowSize
{
	int64		months;			/* 0: fixed size */
	int64		micros;			/* 0: calendar size */
} ViewWindowSize;

typedef struct ViewWindowKind ViewWindowKind;

/* the call of a window function */
typedef struct ViewWindowSpec
{
	const ViewWindowKind *kind;
	int			max_windows;	/* of one row */
	ViewWindowSize size;
	Timestamp	origin;
} ViewWindowSpec;

struct ViewWindowKind
{
	const char *function;		/* in streamq's schema */

	/*
	 * Take the arguments that follow the event time (constants are folded,
	 * defaults filled in) and set max_windows.  Errors are for the user.
	 */
	void		(*take_arguments) (ViewWindowSpec *spec, List *args);

	/*
	 * The windows of a row, in the order of their starts; returns their
	 * number. The event time is finite.
	 */
	int			(*assign) (const ViewWindowSpec *spec, Timestamp event,
						   ViewWindow *windows);

	/*
	 * The watermark has moved from one time to a later one.  False if no
	 * window ends after the first and not after the second; else *first_start
	 * is not after the start of any such window.
	 */
	bool		(*may_close) (const ViewWindowSpec *spec, Timestamp from,
							  Timestamp to, Timestamp *first_start);
};

/* the kind of a function, NULL if it is no window function */
extern const ViewWindowKind *view_window_find_kind(Oid funcid);

/*
 * Take apart a window size.  ERRCODE_INVALID_PARAMETER_VALUE when it is not
 * positive, not finite, or mixes months with smaller units.
 */
extern void view_window_check_size(const Interval *size, ViewWindowSize *result);

/* ERRCODE_INVALID_PARAMETER_VALUE when it is not finite */
extern void view_window_check_origin(Timestamp origin);

/* ERRCODE_DATETIME_VALUE_OUT_OF_RANGE */
extern void view_window_out_of_range(void) pg_attribute_noreturn();

/* the kinds */
extern const ViewWindowKind view_tumble;

#endif
