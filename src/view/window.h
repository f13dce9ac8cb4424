/*
 * window.h
 *	  Window functions over event time: arithmetic shared by the SQL functions
 *	  and by continuous views.
 */
#ifndef STREAMQ_WINDOW_H
#define STREAMQ_WINDOW_H

#include "postgres.h"

#include "datatype/timestamp.h"

/*
 * A size that passed view_window_check_size: either whole months or a number of
 * microseconds (a day is 24 hours).
 */
typedef struct WindowSize
{
	int64		months;			/* 0: fixed size */
	int64		micros;			/* 0: calendar size */
} WindowSize;

/*
 * Take apart a window size.  ERRCODE_INVALID_PARAMETER_VALUE when it is not
 * positive, not finite, or mixes months with smaller units.
 */
extern void view_window_check_size(const Interval *size, WindowSize *result);

/*
 * The tumbling window that holds ts: [start, end), aligned to origin.  All
 * three are microseconds of one time line (timestamptz: UTC).  ts must be
 * finite.  ERRCODE_DATETIME_VALUE_OUT_OF_RANGE when the window does not fit
 * the type.
 */
extern void view_window_tumble(Timestamp ts, const WindowSize *size, Timestamp origin,
							   Timestamp *start, Timestamp *end);

#endif
