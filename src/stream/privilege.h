/*
 * privilege.h
 *	  Checks of what the current user may do with a stream.
 */
#ifndef STREAMQ_STREAM_PRIVILEGE_H
#define STREAMQ_STREAM_PRIVILEGE_H

#include "postgres.h"

#include "catalog/pg_collation_d.h"
#include "utils/rel.h"

/*
 * Fail with 42501 unless the current user has INSERT (produce) or SELECT
 * (read, consume) on the stream.  INSERT on the columns that messages set
 * (STREAM_WRITE_* of stream/writer.h) is enough.  Fail with 0A000 if row-level
 * security applies to the user, because these functions do not evaluate
 * policies.
 */
extern void stream_check_produce(Relation rel, int columns);
extern void stream_check_read(Relation rel);

/* Would stream_check_read succeed? */
extern bool stream_may_read(Relation rel);

/*
 * May the current user see the figures of a relation?  True with SELECT on it,
 * or as a member of pg_read_all_stats; false if the relation is gone.
 */
extern bool stream_may_see(Oid relid);

/*
 * msg_id() and produced_at() skip the privilege check if they are called for a
 * row that the query has read.  The planner marks these calls with this input
 * collation (plan/row.c).
 */
#define STREAM_OWN_ROW		C_COLLATION_OID

#endif
