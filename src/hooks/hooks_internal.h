/*
 * hooks_internal.h
 *	  What the files of hooks/ share.
 */
#ifndef STREAMQ_HOOKS_INTERNAL_H
#define STREAMQ_HOOKS_INTERNAL_H

#include "postgres.h"

#include "catalog/objectaccess.h"
#include "nodes/parsenodes.h"
#include "nodes/plannodes.h"
#include "tcop/utility.h"

/* a call of ProcessUtility */
typedef struct HooksCommand
{
	PlannedStmt *pstmt;
	const char *query_string;
	bool		read_only_tree;
	ProcessUtilityContext context;
	ParamListInfo params;
	QueryEnvironment *query_env;
	DestReceiver *dest;
	QueryCompletion *qc;
} HooksCommand;

/* ---- stream_statements.c ---- */

/* refuse what streams cannot do, before a query is planned and before it runs */
extern void hooks_check_query(Query *query);
extern void hooks_check_plan(PlannedStmt *plan);

/* ---- stream_objects.c ---- */

/* object access hook: refuse objects, clean up after DROP */
extern void hooks_stream_object(ObjectAccessType access, Oid classId, Oid objectId,
								int subId, void *arg);

/* ---- stream_commands.c ---- */

/* refuse a command; false if the command is allowed, but there is nothing to do */
extern bool hooks_before_stream_command(Node *stmt);
extern void hooks_after_stream_command(Node *stmt);

/* ---- vacuum_full.c ---- */

/* run a VACUUM command, in two parts where VACUUM FULL comes across streams */
extern void hooks_run_vacuum(const HooksCommand *command,
							 void (*run) (const HooksCommand *command));

/* ---- extension.c ---- */

/*
 * CREATE EXTENSION is about to run the script of this extension.  If it is
 * streamq or streamq_pgmq, nobody else may have a say in its schema: 42501, 42P06.
 */
extern void hooks_check_extension_schema(Oid extension);

/* true if a statement creates pgmq's extension, which streamq_pgmq replaces */
extern bool hooks_skip_extension(Node *stmt);

#endif
