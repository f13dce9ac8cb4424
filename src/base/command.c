/*
 * command.c
 *	  Running a utility command from C, and acting as another role.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/xact.h"
#include "catalog/pg_collation.h"
#include "catalog/pg_extension.h"
#include "commands/extension.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "nodes/plannodes.h"
#include "tcop/dest.h"
#include "tcop/utility.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"

#include "base/catalog.h"
#include "base/command.h"
#include "base/loaded.h"

void
base_run_utility(Node *stmt, const char *sql)
{
	PlannedStmt *wrapper = makeNode(PlannedStmt);

	wrapper->commandType = CMD_UTILITY;
	wrapper->canSetTag = false;
	wrapper->utilityStmt = stmt;
	wrapper->stmt_location = -1;
	wrapper->stmt_len = 0;
	ProcessUtility(wrapper, sql, false, PROCESS_UTILITY_QUERY, NULL, NULL,
				   None_Receiver, NULL);
	CommandCounterIncrement();
}

/* ---- identity ---- */

void
base_become_role(Oid role, BaseIdentity *identity)
{
	GetUserIdAndSecContext(&identity->user, &identity->context);
	SetUserIdAndSecContext(role,
						   identity->context | SECURITY_LOCAL_USERID_CHANGE |
						   SECURITY_RESTRICTED_OPERATION);
	identity->nestlevel = NewGUCNestLevel();
}

Oid
base_extension_owner(void)
{
	HeapTuple	tup = base_row_by_oid(ExtensionRelationId, ExtensionOidIndexId,
									  Anum_pg_extension_oid,
									  get_extension_oid(STREAMQ_SCHEMA, false));

	if (!HeapTupleIsValid(tup))
		elog(ERROR, "extension \"%s\" has no owner", STREAMQ_SCHEMA);
	return ((Form_pg_extension) GETSTRUCT(tup))->extowner;
}

void
base_become_extension_owner(BaseIdentity *identity)
{
	base_become_role(base_extension_owner(), identity);
	(void) set_config_option("search_path", "pg_catalog, pg_temp", PGC_USERSET,
							 PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
	(void) set_config_option("default_tablespace", "", PGC_USERSET,
							 PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
}

void
base_become_caller(const BaseIdentity *identity)
{
	AtEOXact_GUC(false, identity->nestlevel);
	SetUserIdAndSecContext(identity->user, identity->context);
}

char *
base_collation_name(Oid collation)
{
	HeapTuple	tup = SearchSysCache1(COLLOID, ObjectIdGetDatum(collation));
	Form_pg_collation form;
	char	   *result;

	if (!HeapTupleIsValid(tup))
		elog(ERROR, "cache lookup failed for collation %u", collation);
	form = (Form_pg_collation) GETSTRUCT(tup);
	result = quote_qualified_identifier(get_namespace_name(form->collnamespace),
										NameStr(form->collname));
	ReleaseSysCache(tup);
	return result;
}
