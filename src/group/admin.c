/*
 * admin.c
 *	  SQL functions that drop and share groups; initialization of group/.
 *	  group_options.c has those that create and change groups.
 */
#include "postgres.h"

#include "access/table.h"
#include "fmgr.h"
#include "utils/acl.h"
#include "utils/builtins.h"

#include "group/args.h"
#include "group/group.h"
#include "group/group_catalog.h"
#include "group/group_grant.h"
#include "group/group_live.h"
#include "group/group_ring.h"
#include "group/group_shmem.h"
#include "group/memory.h"
#include "group/redrive.h"
#include "group/session.h"
#include "group/store.h"
#include "stream/retention.h"

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
	stream_register_retention_follower(group_forget_expired);
}

void
group_shmem_request(void)
{
	group_state_shmem_request();
	group_session_shmem_request();
	group_live_shmem_request();
}

void
group_shmem_startup(void)
{
	group_state_shmem_startup();
	group_session_shmem_startup();
	group_live_shmem_startup();
}
