/*
 * worker_kinds.c
 *	  The kinds of background processes, in the order of WorkerKind.
 */
#include "postgres.h"

#include "worker/archive_worker.h"
#include "worker/delivery_worker.h"
#include "worker/maintenance.h"
#include "worker/notifier.h"
#include "worker/pool.h"
#include "worker/worker_shared.h"

#define RESTART_DELAY	1000	/* ms */

const WorkerKindInfo worker_kinds[WORKER_NKINDS] = {
	[WORKER_SCHEDULER] = {
		.name = "streamq scheduler",
		.entry = "streamq_scheduler_main"
	},
	[WORKER_NOTIFIER] = {
		.name = "streamq notifier",
		.entry = "streamq_notifier_main",
		.restart_delay = RESTART_DELAY,
		.wanted = worker_notifier_wanted
	},
	[WORKER_MAINTENANCE] = {
		.name = "streamq maintenance",
		.entry = "streamq_maintenance_main",
		.restart_delay = RESTART_DELAY,
		.look = worker_maintenance_look,
		.wanted = worker_maintenance_wanted
	},
	[WORKER_DELIVERY] = {
		.name = "streamq delivery",
		.entry = "streamq_delivery_main",
		.restart_delay = RESTART_DELAY,
		.look = worker_delivery_look,
		.wanted = worker_delivery_wanted
	},
	[WORKER_ARCHIVE] = {
		.name = "streamq archive",
		.entry = "streamq_archive_main",
		.restart_delay = RESTART_DELAY,
		.look = worker_archive_look,
		.wanted = worker_archive_wanted
	},
	[WORKER_JOB] = {
		.name = "streamq worker",
		.entry = "streamq_job_main",
		.many = true,
		.restart_delay = RESTART_DELAY,
		.look = worker_pool_look,
		.wanted = worker_pool_wanted
	},
};
