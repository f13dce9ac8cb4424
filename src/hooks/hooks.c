/*
 * hooks.c
 *	  The hooks of PostgreSQL that streamq uses, one function for each: it calls
 *	  the parts that have to see a query, a command or an object.
 *
 * With one chain the order of the parts is written down here, and does not
 * depend on the order in which they are initialized.  Only the planner's hook
 * that makes paths is elsewhere (plan/plan.c): nobody else needs it.
 */
#include "postgres.h"

#include "access/parallel.h"
#include "executor/executor.h"
#include "optimizer/planner.h"
#include "parser/analyze.h"

#include "capture/capture.h"
#include "group/roles.h"
#include "hooks/hooks.h"
#include "hooks/hooks_internal.h"
#include "state/state.h"
#include "view/view_guard.h"
#include "worker/guard.h"

static post_parse_analyze_hook_type prev_post_parse = NULL;
static planner_hook_type prev_planner = NULL;
static ExecutorStart_hook_type prev_executor_start = NULL;
static ProcessUtility_hook_type prev_process_utility = NULL;
static object_access_hook_type prev_object_access = NULL;

static void
hooks_post_parse(ParseState *pstate, Query *query, JumbleState *jstate)
{
	if (prev_post_parse)
		prev_post_parse(pstate, query, jstate);
	view_guard_query(query);
}

static PlannedStmt *
hooks_planner(Query *parse, const char *query_string, int cursor_options,
			  ParamListInfo params)
{
	hooks_check_query(parse);
	if (prev_planner)
		return prev_planner(parse, query_string, cursor_options, params);
	return standard_planner(parse, query_string, cursor_options, params);
}

static void
hooks_executor_start(QueryDesc *queryDesc, int eflags)
{
	PlannedStmt *plan = queryDesc->plannedstmt;

	/* a parallel worker runs part of a plan that was looked at */
	if ((plan->resultRelations != NIL || plan->rowMarks != NIL) && !IsParallelWorker())
	{
		view_guard_plan(plan);
		hooks_check_plan(plan);
	}
	state_note_plan(queryDesc->plannedstmt, queryDesc->snapshot);
	if (prev_executor_start)
		prev_executor_start(queryDesc, eflags);
	else
		standard_ExecutorStart(queryDesc, eflags);
}

static void
run_command(const HooksCommand *command)
{
	WorkerCommand worker;
	GroupCommand group;

	worker_guard_begin_command(command->pstmt->utilityStmt, command->context, &worker);
	group_roles_begin_command(command->pstmt->utilityStmt, &group);
	if (prev_process_utility)
		prev_process_utility(command->pstmt, command->query_string, command->read_only_tree,
							 command->context, command->params, command->query_env,
							 command->dest, command->qc);
	else
		standard_ProcessUtility(command->pstmt, command->query_string,
								command->read_only_tree, command->context,
								command->params, command->query_env, command->dest,
								command->qc);
	group_roles_end_command(&group);
	worker_guard_end_command(&worker);
}

static void
hooks_process_utility(PlannedStmt *pstmt, const char *queryString, bool readOnlyTree,
					  ProcessUtilityContext context, ParamListInfo params,
					  QueryEnvironment *queryEnv, DestReceiver *dest, QueryCompletion *qc)
{
	HooksCommand command = {pstmt, queryString, readOnlyTree, context, params,
	queryEnv, dest, qc};
	Node	   *stmt = pstmt->utilityStmt;

	/*
	 * only a publication's statement is looked at after it ran; others may be
	 * gone
	 */
	bool		publication = IsA(stmt, CreatePublicationStmt) ||
		IsA(stmt, AlterPublicationStmt);

	view_guard_command(stmt);
	if (!hooks_before_stream_command(stmt))
		return;
	if (IsA(stmt, VacuumStmt))
		hooks_run_vacuum(&command, run_command);
	else
		run_command(&command);
	if (publication)
		hooks_after_stream_command(stmt);
	capture_end_command();
}

static void
hooks_object_access(ObjectAccessType access, Oid classId, Oid objectId, int subId, void *arg)
{
	if (prev_object_access)
		prev_object_access(access, classId, objectId, subId, arg);
	worker_guard_object(access, classId, objectId);
	hooks_stream_object(access, classId, objectId, subId, arg);
	view_object(access, classId, objectId, subId);
	capture_object(access, classId, objectId, subId, arg);
}

void
hooks_init(void)
{
	prev_post_parse = post_parse_analyze_hook;
	post_parse_analyze_hook = hooks_post_parse;
	prev_planner = planner_hook;
	planner_hook = hooks_planner;
	prev_executor_start = ExecutorStart_hook;
	ExecutorStart_hook = hooks_executor_start;
	prev_process_utility = ProcessUtility_hook;
	ProcessUtility_hook = hooks_process_utility;
	prev_object_access = object_access_hook;
	object_access_hook = hooks_object_access;
}
