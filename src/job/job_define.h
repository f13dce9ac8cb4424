/*
 * job_define.h
 *	  Creating a job: what all kinds of jobs need.
 *
 * Each job has a view, whose owner is the job's owner.  The view's rule
 * depends on everything that the job's query names.  So PostgreSQL itself
 * keeps these objects, follows their renames, and refuses DROP ROLE.  If the
 * view is dropped, by whatever command, the job goes with it.
 *
 * A continuous view has the view that its user sees.  The view of any other
 * job is in schema streamq, and is called like the job, after its kind.
 */
#ifndef STREAMQ_JOB_DEFINE_H
#define STREAMQ_JOB_DEFINE_H

#include "postgres.h"

#include "nodes/parsenodes.h"
#include "utils/array.h"

#include "job/job_catalog.h"

/*
 * Parse and analyze the text as the query of a job, with the session's
 * search_path.  Fails with 42601 unless it is a single SELECT.  `what` is the
 * kind of job in messages.
 */
extern Query *job_parse_query(const char *text, const char *what, const char *hint);

/* analyze one statement; positions of errors refer to its text */
extern Query *job_analyze_statement(const char *text);

/* raise the error that a job of this kind cannot use `what` (0A000) */
extern void job_refuse(const char *kind, const char *what, const char *hint) pg_attribute_noreturn();

/*
 * Check the name of a new job that is not a relation.  Returns false, with a
 * NOTICE, if a job of this kind and name exists and if_not_exists.  Fails with
 * 42710 if a job of this name exists otherwise, and with 22023 or 42622 if the
 * name is unsuitable.
 */
extern bool job_check_new_name(const char *kind, const char *name, bool if_not_exists);

/*
 * Create the view of a job (kind, name and job_id are set) in schema streamq.
 * The current user becomes its owner.
 */
extern Oid	job_create_view(const JobRow *job, Query *query);

/* the query of a job's view */
extern Query *job_view_query(Oid view);

/* record that the job's view depends on a relation or a function */
extern void job_record_dependency(Oid view, Oid classid, Oid objid);
extern bool job_has_dependency(Oid view, Oid classid, Oid objid);

/*
 * Relations that the view's query reads, without `except`; at most max.
 */
extern int	job_view_relations(Oid view, Oid except, Oid *relids, int max);

/* the settings that may influence how a query processes a row */
extern ArrayType *job_collect_settings(void);

/*
 * Where a job starts: earliest, latest or a time.  The check fails with 22023
 * or, if the text is no time either, with 22007.
 */
extern void job_check_start(const char *start_at);
extern void job_set_start(const JobRow *job, const char *start_at);

/*
 * Fail with 42P17 if a job that reads the source and writes to one of the
 * sinks would close a loop of jobs.  InvalidOid among the sinks is ignored.
 * Until the end of the transaction, nobody else can create a job that writes
 * to something.
 */
extern void job_check_loop(const char *kind, const char *name, Oid source,
						   const Oid *sinks, int nsinks);

#endif
