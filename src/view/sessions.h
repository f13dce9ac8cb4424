/*
 * sessions.h
 *	  The sessions of a continuous view: windows of a group that merge.
 */
#ifndef STREAMQ_VIEW_SESSIONS_H
#define STREAMQ_VIEW_SESSIONS_H

#include "postgres.h"

#include "view/state_table.h"
#include "view/window.h"

/* a session in memory, in a round */
typedef struct ViewSession
{
	ViewStateGroup row;			/* bounds, keys and states */
	ViewWindow	stored;			/* bounds in the table, if row.stored */
	bool		changed;
	bool		merged;			/* into another session */
	struct ViewSession *next;	/* next of the round */
} ViewSession;

typedef struct ViewSessionGroup ViewSessionGroup;

/* where a row belongs */
typedef struct ViewSessionPlace
{
	ViewSessionGroup *group;
	ViewWindow	bounds;			/* of its session, with this row */
	ViewSession *sessions[2];	/* sessions that it extends or joins, in order */
	int			nsessions;
} ViewSessionPlace;

/* the sessions of a round */
typedef struct ViewSessions ViewSessions;

/*
 * Begin a round.  Sessions that end at or before closed_until are closed
 * already.  Closed sessions are kept as long as the retention says.
 */
extern ViewSessions *view_sessions_begin(ViewStateTable *state, Timestamp closed_until,
										 int64 retention);

/* find out where a row with these keys and this window of its own belongs */
extern void view_session_find(ViewSessions *sessions, Datum *keys, bool *nulls,
							  const ViewWindow *window, ViewSessionPlace *place);

/*
 * Make, extend or merge sessions for a row.  Returns the session, to which the
 * caller adds the row.
 */
extern ViewSession *view_session_enter(ViewSessions *sessions, Datum *keys, bool *nulls,
									   const ViewSessionPlace *place);

/* write the sessions of the round */
extern void view_sessions_flush(ViewSessions *sessions);

/*
 * Look at the sessions that the watermark has reached.  Returns how many it
 * has closed.  Each is counted once, unless a row extends it later.  Sessions
 * that the retention does not keep are removed.
 */
extern int64 view_sessions_close(ViewStateTable *state, Timestamp watermark, int64 retention);

/*
 * Find a time that is not after the end of any open session.  False if no
 * session is open.
 */
extern bool view_sessions_next_end(ViewStateTable *state, Timestamp watermark, Timestamp *end);

#endif
