/*
 * privilege.h
 *	  What the current user may do with a stream.
 */
#ifndef STREAMQ_STREAM_PRIVILEGE_H
#define STREAMQ_STREAM_PRIVILEGE_H

#include "postgres.h"

#include "catalog/pg_collation_d.h"
#include "utils/rel.h"

/*
 * The current user must have INSERT (produce) or SELECT (read, consume) on
 * the stream: ERRCODE_INSUFFICIENT_PRIVILEGE otherwise.  INSERT on the columns
 * that messages set (STREAM_WRITE_* of stream/writer.h) is enough.  Where row-level
 * security applies to the user, ERRCODE_FEATURE_NOT_SUPPORTED: these paths do
 * not evaluate policies.
 */
extern void stream_check_produce(Relation rel, int columns);
extern void stream_check_read(Relation rel);

/*
 * Would stream_check_read succeed?  True with SELECT, and no policies that
 * hide rows from the user.
 */
extern bool stream_may_read(Relation rel);

/*
 * May the current user see the figures of a relation?  With SELECT on it, or as
 * a member of pg_read_all_stats; not if it is gone.
 */
extern bool stream_may_see(Oid relid);

/*
 * The input collation of calls of msg_id() and produced_at() about a row that the query has
 * read, see plan/row.c.
 */
#define STREAM_OWN_ROW		C_COLLATION_OID

#endif
