/*
 * keyhash.h
 *	  Hash values of grouping keys that may be stored.
 */
#ifndef STREAMQ_VIEW_KEYHASH_H
#define STREAMQ_VIEW_KEYHASH_H

#include "postgres.h"

typedef struct ViewKeyHash ViewKeyHash;

/* create the hash function for a type; NULL if there is none */
extern ViewKeyHash *view_key_hash_create(Oid type, Oid collation);
extern uint64 view_key_hash(ViewKeyHash *hash, Datum value);

/*
 * does the type contain the row type, or is it that?  InvalidOid means any row
 * type
 */
extern bool view_key_type_contains(Oid type, Oid rowtype);

#endif
