/*
 * api.h
 *	  What the SQL-callable entry points share.
 */
#ifndef STREAMQ_API_H
#define STREAMQ_API_H

#include "postgres.h"

#include "access/htup.h"
#include "executor/tuptable.h"
#include "utils/jsonb.h"
#include "utils/rel.h"

/*
 * How rows of one stream become streamq.message rows: which column is the
 * payload, the key, the headers.  Made once per call, lives in the memory context of
 * the call.
 */
typedef struct MessageFormat MessageFormat;

extern MessageFormat *message_format_create(Relation rel);

/*
 * Fill the values of a streamq.message row (8 columns: msg_id, partition,
 * msg_offset, produced_at, deliveries, key, payload, headers) from a slot.
 * Results live in the current memory context.
 */
extern void message_form(MessageFormat *format, TupleTableSlot *slot,
						 int partition, int64 off, TimestampTz produced_at,
						 int deliveries, Datum *values, bool *nulls);

/*
 * The current user must have INSERT (produce) or SELECT (read, consume) on
 * the stream: ERRCODE_INSUFFICIENT_PRIVILEGE otherwise.
 */
extern void api_check_produce(Relation rel);
extern void api_check_read(Relation rel);

/*
 * Catalog helpers: OIDs of streamq's own tables by name, cached per backend
 * and looked up again when the extension was dropped or re-created.  Error
 * 55000 when the extension is not there, unless missing_ok (InvalidOid).
 */
extern Oid	api_catalog_oid(const char *relname, bool missing_ok);

/* from _PG_init: executor and utility hooks that refuse what streams cannot do,
 * object access hook that cleans up after DROP */
extern void api_init(void);

#endif
