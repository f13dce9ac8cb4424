/*
 * ruler.h
 *	  Time measured in whole units from the origin of windows.
 *
 * The marks of a ruler are one microsecond apart, or one calendar month.  The
 * bounds of windows are on marks, so their arithmetic is that of integers,
 * whatever the unit.
 */
#ifndef STREAMQ_VIEW_RULER_H
#define STREAMQ_VIEW_RULER_H

#include "postgres.h"

#include "datatype/timestamp.h"

#include "view/window.h"

typedef struct ViewRuler
{
	Timestamp	origin;			/* time of mark 0 */
	bool		months;			/* marks are months, not microseconds */
} ViewRuler;

/* number of marks in a duration */
static inline int64
view_ruler_length(const ViewWindowSize *size)
{
	return size->months > 0 ? size->months : size->micros;
}

/* the last mark at or before a time */
extern int64 view_ruler_mark(const ViewRuler *ruler, Timestamp ts);

/* the time of a mark */
extern Timestamp view_ruler_time(const ViewRuler *ruler, int64 mark);

/*
 * the greatest multiple of a length at or before a mark, and a mark plus a
 * length; these and the functions above fail with 22008 if the result is out of
 * range
 */
extern int64 view_ruler_floor(int64 mark, int64 length);
extern int64 view_ruler_add(int64 mark, int64 length);

#endif
