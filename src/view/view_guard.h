/*
 * view_guard.h
 *	  What users cannot do with a continuous view.
 */
#ifndef STREAMQ_VIEW_GUARD_H
#define STREAMQ_VIEW_GUARD_H

#include "postgres.h"

#include "access/attnum.h"
#include "catalog/objectaccess.h"
#include "nodes/parsenodes.h"
#include "nodes/plannodes.h"

#include "compat.h"

/* an attribute of a table or composite type is about to be dropped */
extern void view_guard_drop_attribute(Oid relid, AttrNumber attno);

/* a relation is about to be dropped while this session runs a job */
extern void view_guard_drop_while_running(Oid relid);

/* the view was altered by the running command, which others do not see yet */
extern void view_guard_view_options(Oid view);

/* ERRCODE_FEATURE_NOT_SUPPORTED: cannot change continuous view "name" */
extern void view_guard_refuse_change(Oid view) pg_attribute_noreturn();

/*
 * Refuse what users cannot do: a query after it was parsed, a plan before it
 * runs, a utility command before it runs.
 */
extern void view_guard_query(Query *query);
extern void view_guard_plan(PlannedStmt *plan);
extern void view_guard_command(Node *stmt);

/* object access hook: remove the job with its view, follow a change of owner */
extern void view_object(ObjectAccessType access, Oid classId, Oid objectId, int subId);

#endif
