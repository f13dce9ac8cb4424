/*
 * keyhash.h
 *	  Hash values of grouping keys, as they are stored.
 */
#ifndef STREAMQ_VIEW_KEYHASH_H
#define STREAMQ_VIEW_KEYHASH_H

#include "postgres.h"

typedef struct ViewKeyHash ViewKeyHash;

/* NULL if the type has none */
extern ViewKeyHash *view_key_hash_create(Oid type, Oid collation);
extern uint64 view_key_hash(ViewKeyHash *hash, Datum value);

/* is the rowtype the type, or in it? */
extern bool view_key_type_contains(Oid type, Oid rowtype);

#endif
