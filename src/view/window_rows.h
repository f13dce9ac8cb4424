/*
 * window_rows.h
 *	  Returning windows as rows of a set-returning function.
 */
#ifndef STREAMQ_VIEW_WINDOW_ROWS_H
#define STREAMQ_VIEW_WINDOW_ROWS_H

#include "postgres.h"

#include "fmgr.h"
#include "funcapi.h"

#include "view/window.h"

/* begin the first call; returns private zeroed memory of the set */
extern void *view_window_rows_begin(FunctionCallInfo fcinfo, Size size);

/* a window as a row of the function's result type */
extern Datum view_window_rows_form(FuncCallContext *context, const ViewWindow *window);

#endif
