/*
 * streamq.c
 *	  Loading of the library, settings, shared memory.
 */
#include "streamq.h"

#include "fmgr.h"
#include "miscadmin.h"
#include "storage/ipc.h"
#include "utils/builtins.h"
#include "utils/guc.h"

#include "api/api.h"
#include "api/retention.h"
#include "group/group.h"
#include "log/log.h"
#include "plan/plan.h"
#include "query/job.h"
#include "worker/doorbell.h"
#include "worker/worker.h"

PG_MODULE_MAGIC;

int			streamq_naptime = 1000;
int			streamq_notify_interval = 10;
int			streamq_max_workers = 8;
int			streamq_job_timeout = 0;

bool		streamq_loaded = false;

static shmem_request_hook_type prev_shmem_request_hook = NULL;
static shmem_startup_hook_type prev_shmem_startup_hook = NULL;

void		_PG_init(void);

void
streamq_require_loaded(void)
{
	if (!streamq_loaded)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("streamq must be loaded through \"shared_preload_libraries\""),
				 errhint("Add the line shared_preload_libraries = 'streamq' to postgresql.conf and restart the server.")));
}

static void
streamq_shmem_request(void)
{
	if (prev_shmem_request_hook)
		prev_shmem_request_hook();
	log_shmem_request();
	doorbell_shmem_request();
	worker_shmem_request();
}

static void
streamq_shmem_startup(void)
{
	if (prev_shmem_startup_hook)
		prev_shmem_startup_hook();
	log_shmem_startup();
	doorbell_shmem_startup();
	worker_shmem_startup();
}

void
_PG_init(void)
{
	if (!process_shared_preload_libraries_in_progress)
		return;

	DefineCustomIntVariable("streamq.naptime",
							"Time between two rounds of background work.",
							NULL,
							&streamq_naptime,
							1000, 10, 3600 * 1000,
							PGC_SIGHUP, GUC_UNIT_MS,
							NULL, NULL, NULL);
	DefineCustomIntVariable("streamq.notify_interval",
							"Least time between two notifications on one channel.",
							NULL,
							&streamq_notify_interval,
							10, 0, 3600 * 1000,
							PGC_SIGHUP, GUC_UNIT_MS,
							NULL, NULL, NULL);
	DefineCustomIntVariable("streamq.max_workers",
							"Most job workers at a time in one database.",
							NULL,
							&streamq_max_workers,
							8, 0, 256,
							PGC_SIGHUP, 0,
							NULL, NULL, NULL);
	DefineCustomIntVariable("streamq.job_timeout",
							"Most time that a batch of a continuous job may take.",
							"Zero turns this off. A job can have a limit of its own.",
							&streamq_job_timeout,
							0, 0, INT_MAX,
							PGC_SIGHUP, GUC_UNIT_MS,
							NULL, NULL, NULL);

	DefineCustomIntVariable("streamq.extend_size",
							"Most space that a stream's file is extended by in advance.",
							"What a large stream needs next is reserved in steps of up to this size.",
							&log_extend_size,
							128, 8, 1024,
							PGC_SUSET, GUC_UNIT_BLOCKS,
							NULL, NULL, NULL);

	log_init();
	log_append_hook = doorbell_note_append;
	log_space_hook = retention_make_room;
	doorbell_init();
	group_init();
	worker_init();
	api_init();
	job_init();
	plan_init();

	MarkGUCPrefixReserved("streamq");

	prev_shmem_request_hook = shmem_request_hook;
	shmem_request_hook = streamq_shmem_request;
	prev_shmem_startup_hook = shmem_startup_hook;
	shmem_startup_hook = streamq_shmem_startup;

	streamq_loaded = true;
}

PG_FUNCTION_INFO_V1(streamq_is_loaded);
Datum
streamq_is_loaded(PG_FUNCTION_ARGS)
{
	streamq_require_loaded();
	PG_RETURN_BOOL(true);
}

PG_FUNCTION_INFO_V1(streamq_version);
Datum
streamq_version(PG_FUNCTION_ARGS)
{
	streamq_require_loaded();
	PG_RETURN_TEXT_P(cstring_to_text(STREAMQ_VERSION));
}
