/*
 * trunc.h
 *	  Windows from expressions in GROUP BY: date_trunc(), date_bin(), and casts
 *	  to date.
 */
#ifndef STREAMQ_VIEW_TRUNC_H
#define STREAMQ_VIEW_TRUNC_H

#include "postgres.h"

#include "nodes/primnodes.h"

#include "view/window.h"

extern ViewTrunc *view_trunc_create(void);

/*
 * Does an expression cut time into windows?  Then *trunc is filled, and
 * *event_time is the time that it cuts.
 */
extern bool view_trunc_match(Node *expr, ViewTrunc *trunc, Expr **event_time);

/* type of the time */
extern Oid	view_trunc_type(const ViewTrunc *trunc);

/* the start of the window, for a matching expression */
extern Expr *view_trunc_start(const ViewTrunc *trunc, Expr *expr);

/*
 * The window that begins at a time.  Rows without a finite time have one for
 * themselves, which never ends.
 */
extern void view_trunc_window(const ViewTrunc *trunc, Timestamp start, bool isnull,
							  ViewWindow *window);

#endif
