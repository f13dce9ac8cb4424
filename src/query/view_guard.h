/*
 * view_guard.h
 *	  What users cannot do with a continuous view.
 */
#ifndef STREAMQ_VIEW_GUARD_H
#define STREAMQ_VIEW_GUARD_H

#include "postgres.h"

#include "compat.h"

#include "query/query.h"

/* an attribute of a table or composite type is about to be dropped */
extern void view_guard_drop_attribute(Oid relid, AttrNumber attno);

/* a relation is about to be dropped while this session runs a job */
extern void view_guard_drop_while_running(Oid relid);

/* the view was altered by the running command, which others do not see yet */
extern void view_guard_view_options(Oid view);

/* ERRCODE_FEATURE_NOT_SUPPORTED: cannot change continuous view "name" */
extern void view_guard_refuse_change(Oid view) pg_attribute_noreturn();

extern void view_guard_init(void);

#endif
