/*
 * capture_dependency.h
 *	  The triggers of captures, and what they depend on.
 */
#ifndef STREAMQ_CAPTURE_DEPENDENCY_H
#define STREAMQ_CAPTURE_DEPENDENCY_H

#include "postgres.h"

#include "nodes/nodes.h"
#include "nodes/pg_list.h"
#include "utils/rel.h"

#include "capture/capture_catalog.h"

/* a trigger of a capture */
typedef struct CaptureTrigger
{
	Oid			oid;
	Oid			relid;
	int32		number;
	bool		is_clone;		/* PostgreSQL made it for a partition */
} CaptureTrigger;

/* is this trigger, as this command sees it, one of a capture? */
extern bool capture_trigger_by_oid(Oid triggerid, CaptureTrigger *trigger);

/* the triggers of captures that a table has, as this command sees them */
extern List *capture_triggers(Oid relid);

/* create or drop the triggers for a capture on one table */
extern void capture_create_triggers(Relation rel, int32 number);
extern void capture_drop_triggers(Oid relid, int32 number);

/*
 * ALTER TABLE ENABLE TRIGGER ALL, which pg_restore uses, makes all triggers of a
 * table fire as ordinary ones do.  Let triggers that should fire in other cases
 * do that again.
 */
extern void capture_restore_firing(Oid relid);

/*
 * Make the triggers of a table depend on the stream and on what the condition
 * uses, unless they do.  A dump has the triggers without these dependencies.
 */
extern void capture_record_dependencies(Relation rel, const Capture *capture,
										Relation source, Node *condition);

/* the number in the argument of a trigger; 0 if there is none */
extern int32 capture_trigger_number(int nargs, char **args);

#endif
