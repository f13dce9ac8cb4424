/*
 * api.h
 *	  What the SQL-callable entry points share.
 */
#ifndef STREAMQ_API_H
#define STREAMQ_API_H

#include "postgres.h"

#include "base/catalog.h"
#include "compat.h"

#include "access/htup.h"
#include "catalog/pg_collation_d.h"
#include "executor/tuptable.h"
#include "nodes/nodes.h"
#include "storage/lockdefs.h"
#include "utils/jsonb.h"
#include "utils/rel.h"
#include "utils/snapshot.h"

/*
 * How rows of one stream become streamq.message rows: which column is the
 * payload, the key, the headers.  Made once per call, lives in the memory context of
 * the call.
 */
typedef struct MessageFormat MessageFormat;

extern MessageFormat *message_format_create(Relation rel);

/*
 * Fill the values of a streamq.message row (8 columns: msg_id, partition,
 * msg_offset, produced_at, deliveries, key, payload, headers) from a slot of
 * the stream.  Results live in the current memory context or in the slot:
 * they are good until the context is reset or the slot gets another row.
 */
#define MESSAGE_NATTS	8

/* columns of a row, counted from 0, as bits; those that are not wanted are null */
#define MESSAGE_COLUMN(i)	((uint32) 1 << (i))
#define MESSAGE_ALL			PG_UINT32_MAX

extern void message_form(MessageFormat *format, TupleTableSlot *slot,
						 int partition, int64 off, TimestampTz produced_at,
						 int deliveries, uint32 wanted, Datum *values, bool *nulls);

/*
 * Not every value can be in a jsonb.  Is it sure, by a quick look, that this one's
 * columns can?  If message_form fails for what the message holds, the error names it.
 */
extern bool message_is_sure(MessageFormat *format, TupleTableSlot *slot, uint32 wanted);

/* is an error of message_form the message's own, so that it comes each time? */
extern bool message_is_own_error(int sqlerrcode);

/* can a column "payload" of this type be written by produce()? */
extern bool message_is_payload_type(Oid type);

/*
 * read(): messages from an id on, one after the other.  Arguments are checked,
 * and the privilege; the stream stays open (locked to the end of the
 * transaction), the snapshot must stay registered.
 */
typedef struct MessageRead MessageRead;

/* args are those of streamq.read(): stream, from_msg_id, max_messages */
extern MessageRead *message_read_begin(const NullableDatum *args, Snapshot snapshot);

/*
 * The next one, its values as message_form leaves them: good until the next call
 * or the reset of the current memory context.
 */
extern bool message_read_next(MessageRead *read, uint32 wanted, Datum *values, bool *nulls);
extern void message_read_end(MessageRead *read);

/*
 * The current user must have INSERT (produce) or SELECT (read, consume) on
 * the stream: ERRCODE_INSUFFICIENT_PRIVILEGE otherwise.  Where row-level
 * security applies to the user, ERRCODE_FEATURE_NOT_SUPPORTED: these paths do
 * not evaluate policies.
 */
extern void api_check_produce(Relation rel);
extern void api_check_read(Relation rel);

/*
 * The input collation of calls of msg_id() and produced_at() about a row that the query has
 * read, see plan/row.c.
 */
#define API_OWN_ROW		C_COLLATION_OID

/* the same as an answer: SELECT, and no policies that hide rows from the user */
extern bool api_may_read(Relation rel);

/*
 * May the current user see the figures of a relation?  With SELECT on it, or as
 * a member of pg_read_all_stats; not if it is gone.
 */
extern bool api_may_see(Oid relid);

/* the part of api_check_produce about row-level security alone */
extern void api_check_produce_rls(Relation rel);

/*
 * The parts of a qualified name, with the parser's NOTICE for those that are too long;
 * the NOTICE alone, for a list of names.
 */
extern List *api_qualified_name(const char *name);
extern void api_note_truncation(const char *list, char separator);

/* ERRCODE_NULL_VALUE_NOT_ALLOWED: argument "name" must not be null */
extern void api_null_argument(const char *name) pg_attribute_noreturn();

/*
 * CREATE EXTENSION is about to run the script of this extension.  If it is streamq: is its
 * schema one in which nobody else has a say?
 */
extern void api_check_extension_schema(Oid extension);

/* run a utility statement as if the caller had sent it; sql is its text */
extern void api_run_utility(Node *stmt, const char *sql);

/* from _PG_init: executor and utility hooks that refuse what streams cannot do,
 * object access hook that cleans up after DROP */
extern void api_init(void);
extern void api_vacuum_init(void);
extern void api_utility_init(void);

#endif
