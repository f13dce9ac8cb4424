/*
 * job_kinds.c
 *	  The kinds of jobs, and the functions of the processes that run jobs:
 *	  both are registered by folders above job/.
 */
#include "postgres.h"

#include "job/job.h"
#include "job/job_catalog.h"
#include "job/job_kind.h"
#include "stream/retention.h"

#define MAX_KINDS	16

static const JobKind *kinds[MAX_KINDS];
static int	nkinds = 0;
static const JobProcesses *processes = NULL;

void
job_register_kind(const JobKind *kind)
{
	if (nkinds == MAX_KINDS)
		elog(ERROR, "too many kinds of jobs");
	kinds[nkinds++] = kind;
}

const JobKind *
job_find_kind(const char *name)
{
	for (int i = 0; i < nkinds; i++)
	{
		if (strcmp(kinds[i]->name, name) == 0)
			return kinds[i];
	}
	ereport(ERROR,
			(errcode(ERRCODE_DATA_CORRUPTED),
			 errmsg("unrecognized kind of job \"%s\"", name)));
}

void
job_register_processes(const JobProcesses *functions)
{
	processes = functions;
}

void
job_note_changed(void)
{
	processes->jobs_changed();
}

bool
job_cancel_batch(int32 job_id)
{
	return processes->cancel_batch(job_id);
}

int
job_take_helpers(int most)
{
	return processes->take_helpers(most);
}

void
job_init(void)
{
	stream_register_retention_holder(job_hold_retention);
}
