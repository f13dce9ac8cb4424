/*
 * admin.c
 *	  SQL functions that create, drop and share groups; initialization of
 *	  group/.
 */
#include "postgres.h"

#include "access/table.h"
#include "fmgr.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "group/args.h"
#include "group/group.h"
#include "group/group_catalog.h"
#include "group/group_grant.h"
#include "group/group_ring.h"
#include "group/memory.h"
#include "group/mode.h"
#include "group/seek.h"
#include "group/session.h"
#include "group/store.h"
#include "stream/privilege.h"
#include "stream/retention.h"

static const GroupMode *
get_mode(const char *name)
{
	const GroupMode *mode = group_mode_find(name);

	if (mode != NULL)
		return mode;
	if (strcmp(name, "shared") == 0 || strcmp(name, "key_shared") == 0)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("consumer groups with mode \"%s\" are not supported", name),
				 errhint("Use %s.", group_mode_list())));
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("invalid value for argument \"%s\": \"%s\"", "mode", name),
			 errhint("Use %s.", group_mode_list())));
}

/*
 * create_group(stream regclass, group_name text, mode text, start_at text,
 *			 lease interval, max_in_flight int4, if_not_exists bool)
 *
 * 42710 if the group exists and if_not_exists is false, 42501 if the caller
 * may not read the stream, 0A000 for a mode that is not supported yet, 22023
 * for invalid options.
 */
PG_FUNCTION_INFO_V1(streamq_create_group);
Datum
streamq_create_group(PG_FUNCTION_ARGS)
{
	static const char *const argnames[] = {
		"stream", "group_name", "mode", "start_at", "lease", "max_in_flight",
		"if_not_exists"
	};
	char	   *name;
	Relation	rel;
	GroupOptions options;
	const GroupMode *mode;
	GroupPlace	start;
	ConsumerGroup group;

	group_begin_change("create_group()");
	for (int i = 0; i < lengthof(argnames); i++)
		group_require_arg(fcinfo, i, argnames[i]);

	name = group_get_name_arg(fcinfo);
	mode = get_mode(text_to_cstring(PG_GETARG_TEXT_PP(2)));
	options.mode = mode->name;
	options.start_at = text_to_cstring(PG_GETARG_TEXT_PP(3));
	group_parse_start(options.start_at, "start_at", &start);
	options.lease = *PG_GETARG_INTERVAL_P(4);
	(void) group_add_interval(GetCurrentTimestamp(), &options.lease, "lease", false);
	options.max_in_flight = PG_GETARG_INT32(5);
	if (options.max_in_flight < 1 || options.max_in_flight > mode->max_in_flight)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("argument \"%s\" must be between 1 and %d",
						"max_in_flight", mode->max_in_flight)));

	rel = group_open_stream(fcinfo);
	stream_check_read(rel);
	if (group_create(rel, name, &options, true, &group) == GROUP_CREATED)
		group_start(rel, &group, &start);
	else if (PG_GETARG_BOOL(6))
		ereport(NOTICE,
				(errcode(ERRCODE_DUPLICATE_OBJECT),
				 errmsg("consumer group \"%s\" of stream \"%s\" already exists, skipping",
						name, RelationGetRelationName(rel))));
	else
		ereport(ERROR,
				(errcode(ERRCODE_DUPLICATE_OBJECT),
				 errmsg("consumer group \"%s\" of stream \"%s\" already exists",
						name, RelationGetRelationName(rel))));
	table_close(rel, NoLock);
	PG_RETURN_VOID();
}

/*
 * drop_group(stream regclass, group_name text)
 *
 * 42704 if the group does not exist, 42501 unless the caller may use it or
 * owns the stream.
 */
PG_FUNCTION_INFO_V1(streamq_drop_group);
Datum
streamq_drop_group(PG_FUNCTION_ARGS)
{
	char	   *name;
	Relation	rel;

	group_begin_change("drop_group()");
	group_require_arg(fcinfo, 0, "stream");
	name = group_get_name_arg(fcinfo);
	rel = group_open_stream(fcinfo);
	group_drop(rel, name);
	group_ring_at_end(RelationGetRelid(rel), true);
	table_close(rel, NoLock);
	PG_RETURN_VOID();
}

static void
set_grant(FunctionCallInfo fcinfo, bool grant)
{
	char	   *name;
	char	   *grantee;
	Relation	rel;

	group_require_arg(fcinfo, 0, "stream");
	group_require_arg(fcinfo, 2, "grantee");
	name = group_get_name_arg(fcinfo);
	grantee = NameStr(*PG_GETARG_NAME(2));
	rel = group_open_stream(fcinfo);
	group_set_grant(rel, name,
					strcmp(grantee, "public") == 0 ? InvalidOid :
					get_role_oid(grantee, false), grant);
	table_close(rel, NoLock);
}

/*
 * grant_group(stream regclass, group_name text, grantee name)
 *
 * 42501 unless the caller owns the group.
 */
PG_FUNCTION_INFO_V1(streamq_grant_group);
Datum
streamq_grant_group(PG_FUNCTION_ARGS)
{
	group_begin_change("grant_group()");
	set_grant(fcinfo, true);
	PG_RETURN_VOID();
}

/*
 * revoke_group(stream regclass, group_name text, grantee name)
 *
 * 42501 unless the caller owns the group.
 */
PG_FUNCTION_INFO_V1(streamq_revoke_group);
Datum
streamq_revoke_group(PG_FUNCTION_ARGS)
{
	group_begin_change("revoke_group()");
	set_grant(fcinfo, false);
	PG_RETURN_VOID();
}

void
group_init(void)
{
	group_store_init();
	group_ring_init();
	group_memory_init();
	stream_register_retention_holder(group_hold_retention);
}

void
group_shmem_request(void)
{
	group_session_shmem_request();
}

void
group_shmem_startup(void)
{
	group_session_shmem_startup();
}
