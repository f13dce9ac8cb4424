/*
 * view_guard.h
 *	  Refusing changes of continuous views by users.
 */
#ifndef STREAMQ_VIEW_GUARD_H
#define STREAMQ_VIEW_GUARD_H

#include "postgres.h"

#include "access/attnum.h"
#include "catalog/objectaccess.h"
#include "nodes/parsenodes.h"
#include "nodes/plannodes.h"

#include "compat.h"
#include "job/job_catalog.h"

/* called before an attribute of a table or composite type is dropped */
extern void view_guard_drop_attribute(Oid relid, AttrNumber attno);

/* called before a relation is dropped while this session runs a job */
extern void view_guard_drop_while_running(Oid relid);

/* called after the running command altered a view, before others see it */
extern void view_guard_view_options(const JobRow *job);

/* raise the error that a continuous view cannot be changed (0A000) */
extern void view_guard_refuse_change(Oid view) pg_attribute_noreturn();

/*
 * Refuse changes in a query after parsing, in a plan before it runs, or in a
 * utility command before it runs.
 */
extern void view_guard_query(Query *query);
extern void view_guard_plan(PlannedStmt *plan);
extern void view_guard_command(Node *stmt);

/* object access hook: drops the job with its view, follows a new owner */
extern void view_object(ObjectAccessType access, Oid classId, Oid objectId, int subId);

#endif
