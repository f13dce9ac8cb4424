/*
 * group_row.h
 *	  Layout and access of streamq.consumer_group, for the files of group/
 *	  that read and write its rows.
 */
#ifndef STREAMQ_GROUP_ROW_H
#define STREAMQ_GROUP_ROW_H

#include "postgres.h"

#include "access/genam.h"
#include "access/htup.h"
#include "access/tupdesc.h"
#include "utils/rel.h"
#include "utils/snapshot.h"

#include "compat.h"
#include "group/group_catalog.h"
#include "group/roles.h"

#define GROUP_CATALOG		"consumer_group"

enum
{
	Anum_consumer_group_group_id = 1,
	Anum_consumer_group_stream,
	Anum_consumer_group_group_name,
	Anum_consumer_group_mode,
	Anum_consumer_group_start_at,
	Anum_consumer_group_lease,
	Anum_consumer_group_max_in_flight,
	Anum_consumer_group_owner,
	Anum_consumer_group_created_at,
	Anum_consumer_group_grantees,
	Anum_consumer_group_max_deliveries,
	Anum_consumer_group_dead_letter,
	Anum_consumer_group_filter,
	Anum_consumer_group_retry_backoff,
	Anum_consumer_group_retry_backoff_max,
	Anum_consumer_group_max_rate,
	Anum_consumer_group_max_per_key,
	Anum_consumer_group_paused,
	Natts_consumer_group = Anum_consumer_group_paused
};

/* open the table; NULL if it does not exist and missing_ok */
extern Relation group_row_open(LOCKMODE lockmode, bool missing_ok);

/*
 * Scan the groups of a stream, or only the one with this name.  Both use the
 * primary key.
 */
extern SysScanDesc group_row_begin_scan(Relation catalog, Oid relid, const char *name,
										Snapshot snapshot);

/* read the roles of a group; the array of grantees has room for one more */
extern void group_row_read_roles(TupleDesc desc, HeapTuple tuple, GroupRoles *roles);

/* set the columns of a group's options; those that are not set become null */
extern void group_row_set_options(const GroupOptions *options, Datum *values, bool *nulls);

/* drop a group; the caller has locked its name */
extern void group_row_remove(Relation rel, const char *name);

extern void group_row_report_missing(Relation rel, const char *name) pg_attribute_noreturn();

#endif
