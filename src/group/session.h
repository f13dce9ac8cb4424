/*
 * session.h
 *	  Sessions as consumers: their default names, and their end.
 */
#ifndef STREAMQ_GROUP_SESSION_H
#define STREAMQ_GROUP_SESSION_H

#include "postgres.h"

#include "datatype/timestamp.h"

/*
 * The name of this session as a consumer, which does not change while the
 * session lives.  `name` has room for GROUP_CONSUMER_MAX + 1 bytes.
 */
extern void group_session_name(char *name);

/* is this the name of a session, of this or any other? */
extern bool group_session_is_name(const char *name);

/*
 * Is this the name of a session that is gone?  Then nobody will acknowledge
 * what it took, and its leases may be ended.  False for names that an
 * application chose, because it may use such a name in another session, and on
 * a standby.
 */
extern bool group_session_is_gone(const char *name);

/*
 * Is the session with this process id and start time gone?  False on a standby,
 * where nobody can tell.
 */
extern bool group_session_has_ended(int pid, TimestampTz start);

/*
 * This session may hold leases in the stream: ring its doorbell when the
 * session ends.
 */
extern void group_session_note_stream(Oid relid);

extern void group_session_shmem_request(void);
extern void group_session_shmem_startup(void);

#endif
