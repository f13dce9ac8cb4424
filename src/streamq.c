/*
 * streamq.c
 *	  Loading of the library, settings, shared memory.
 */
#include "postgres.h"

#include <limits.h>

#include "fmgr.h"
#include "miscadmin.h"
#include "storage/ipc.h"
#include "utils/builtins.h"
#include "utils/guc.h"

#include "base/loaded.h"
#include "capture/capture.h"
#include "group/group.h"
#include "handler/handler.h"
#include "hooks/hooks.h"
#include "job/job.h"
#include "log/admission.h"
#include "log/log.h"
#include "log/space.h"
#include "pipe/pipe.h"
#include "plan/plan.h"
#include "query/query.h"
#include "signal/doorbell.h"
#include "signal/xact_note.h"
#include "sql/sql.h"
#include "state/state.h"
#include "stream/delay.h"
#include "stream/flow.h"
#include "stream/retention.h"
#include "view/view.h"
#include "worker/worker.h"

PG_MODULE_MAGIC;

static shmem_request_hook_type prev_shmem_request_hook = NULL;
static shmem_startup_hook_type prev_shmem_startup_hook = NULL;

void		_PG_init(void);

static void
streamq_shmem_request(void)
{
	if (prev_shmem_request_hook)
		prev_shmem_request_hook();
	log_shmem_request();
	state_shmem_request();
	signal_shmem_request();
	stream_shmem_request();
	group_shmem_request();
	worker_shmem_request();
}

static void
streamq_shmem_startup(void)
{
	if (prev_shmem_startup_hook)
		prev_shmem_startup_hook();
	log_shmem_startup();
	state_shmem_startup();
	signal_shmem_startup();
	stream_shmem_startup();
	group_shmem_startup();
	worker_shmem_startup();
}

/* all settings; the variables belong to the parts that use them */
static void
define_settings(void)
{
	DefineCustomIntVariable("streamq.naptime",
							"Sets the time between two rounds of background work.",
							NULL,
							&worker_naptime,
							1000, 10, 3600 * 1000,
							PGC_SIGHUP, GUC_UNIT_MS,
							NULL, NULL, NULL);
	DefineCustomIntVariable("streamq.notify_interval",
							"Sets the minimum time between two notifications on one channel.",
							NULL,
							&worker_notify_interval,
							10, 0, 3600 * 1000,
							PGC_SIGHUP, GUC_UNIT_MS,
							NULL, NULL, NULL);
	DefineCustomIntVariable("streamq.max_workers_per_database",
							"Sets the maximum number of job workers at a time in one database.",
							NULL,
							&worker_max_per_database,
							8, 0, 256,
							PGC_SIGHUP, 0,
							NULL, NULL, NULL);
	DefineCustomIntVariable("streamq.job_timeout",
							"Sets the maximum time that a batch of a job may take.",
							"Zero means no limit. A job can have a limit of its own, set with alter_job().",
							&worker_job_timeout,
							0, 0, INT_MAX,
							PGC_SIGHUP, GUC_UNIT_MS,
							NULL, NULL, NULL);

	DefineCustomIntVariable("streamq.work_mem",
							"Sets the memory in which a job keeps results before it writes them.",
							"If a batch needs more, it writes its results several times.",
							&job_work_mem,
							65536, 1024, MAX_KILOBYTES,
							PGC_USERSET, GUC_UNIT_KB,
							NULL, NULL, NULL);

	DefineCustomIntVariable("streamq.extend_size",
							"Sets the maximum space by which a stream's file is extended in advance.",
							"A large stream reserves space in steps of up to this size.",
							&log_extend_size,
							128, 8, 1024,
							PGC_SUSET, GUC_UNIT_BLOCKS,
							NULL, NULL, NULL);

	DefineCustomBoolVariable("streamq.enable_stream_scan",
							 "Lets the planner use scans made for streams.",
							 NULL,
							 &plan_enable_stream_scan,
							 true,
							 PGC_USERSET, GUC_EXPLAIN,
							 NULL, NULL, NULL);
	MarkGUCPrefixReserved("streamq");
}

/* SQL functions that the planner knows */
static const PGFunction plan_functions_table[PLAN_NFUNCTIONS] = {
	[PLAN_MSG_ID] = streamq_msg_id,
	[PLAN_PRODUCED_AT] = streamq_produced_at,
	[PLAN_READ] = streamq_read,
	[PLAN_CONSUME] = streamq_consume,
	[PLAN_CONSUME_AS] = streamq_consume_as
};

void
_PG_init(void)
{
	if (!process_shared_preload_libraries_in_progress)
		return;

	define_settings();

	log_init();
	log_append_hook = signal_note_append;
	log_space_hook = stream_retention_make_room;
	log_enter_hook = group_backlog_enter;
	log_leave_hook = group_backlog_leave;
	log_room_hook = group_backlog_room;
	signal_init();
	stream_flow_init();
	stream_delay_init();
	group_init();
	job_init();
	view_init();
	pipe_init();
	handler_init();
	capture_init();
	worker_init();
	plan_init(plan_functions_table);
	query_init();
	hooks_init();

	prev_shmem_request_hook = shmem_request_hook;
	shmem_request_hook = streamq_shmem_request;
	prev_shmem_startup_hook = shmem_startup_hook;
	shmem_startup_hook = streamq_shmem_startup;

	base_loaded = true;
}

PG_FUNCTION_INFO_V1(streamq_is_loaded);
Datum
streamq_is_loaded(PG_FUNCTION_ARGS)
{
	base_require_loaded();
	PG_RETURN_BOOL(true);
}

PG_FUNCTION_INFO_V1(streamq_version);
Datum
streamq_version(PG_FUNCTION_ARGS)
{
	base_require_loaded();
	PG_RETURN_TEXT_P(cstring_to_text(STREAMQ_VERSION));
}
