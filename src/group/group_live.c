/*
 * group_live.c
 *	  What all consumers of a group share in memory.
 *
 * A group has an entry only after it was given max_rate, or after its dead
 * letter could not be written.
 */
#include "postgres.h"

#include <math.h>

#include "lib/dshash.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "storage/ipc.h"
#include "storage/lwlock.h"
#include "storage/shmem.h"
#include "utils/dsa.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "compat.h"
#include "group/group_live.h"

typedef struct LiveKey
{
	Oid			database;
	int32		group_id;
} LiveKey;

typedef struct LiveGroup
{
	LiveKey		key;

	/* the bucket of max_rate */
	double		rate;			/* as of the last call; 0: none yet */
	double		tokens;
	TimestampTz filled_at;

	TimestampTz error_at;		/* 0: no error */
	char		error[GROUP_ERROR_MAX + 1];
} LiveGroup;

typedef struct LiveControl
{
	int			tranche;
	dshash_table_handle table;
	char		area[FLEXIBLE_ARRAY_MEMBER];
} LiveControl;

#define AREA_SIZE	(256 * 1024)
#define LIVE_SIZE	MAXALIGN(offsetof(LiveControl, area) + AREA_SIZE)

static LiveControl *control = NULL;
static dshash_table *table = NULL;

static dshash_parameters
table_parameters(void)
{
	dshash_parameters params = {
		.key_size = sizeof(LiveKey),
		.entry_size = sizeof(LiveGroup),
		.compare_function = dshash_memcmp,
		.hash_function = dshash_memhash,
		COMPAT_DSHASH_COPY
		.tranche_id = control->tranche
	};

	return params;
}

void
group_live_shmem_request(void)
{
	RequestAddinShmemSpace(LIVE_SIZE);
}

void
group_live_shmem_startup(void)
{
	bool		found;

	LWLockAcquire(AddinShmemInitLock, LW_EXCLUSIVE);
	control = ShmemInitStruct("streamq groups", LIVE_SIZE, &found);
	if (!found)
	{
		dshash_parameters params;
		dsa_area   *area;
		dshash_table *new_table;

		control->tranche = LWLockNewTrancheId();
		area = dsa_create_in_place(control->area, AREA_SIZE, control->tranche, NULL);
		dsa_pin(area);
		params = table_parameters();
		new_table = dshash_create(area, &params, NULL);
		control->table = dshash_get_hash_table_handle(new_table);
		dshash_detach(new_table);
		dsa_detach(area);
	}
	LWLockRegisterTranche(control->tranche, "StreamqGroupLive");
	LWLockRelease(AddinShmemInitLock);
}

/*
 * The entry of a group, locked until dshash_release_lock(); NULL if there is
 * none.  With create, a new one is added.
 */
static LiveGroup *
lock_group(int32 group_id, bool create)
{
	LiveKey		key;
	LiveGroup  *live;
	bool		found;

	if (table == NULL)
	{
		MemoryContext old = MemoryContextSwitchTo(TopMemoryContext);
		dsa_area   *area = dsa_attach_in_place(control->area, NULL);
		dshash_parameters params = table_parameters();

		dsa_pin_mapping(area);
		table = dshash_attach(area, &params, control->table, NULL);
		MemoryContextSwitchTo(old);
	}
	key.database = MyDatabaseId;
	key.group_id = group_id;
	if (!create)
		return dshash_find(table, &key, true);
	live = dshash_find_or_insert(table, &key, &found);
	if (!found)
	{
		live->rate = 0;
		live->error_at = 0;
		live->error[0] = '\0';
	}
	return live;
}

/* ---- max_rate ---- */

/* the bucket holds the messages of a second, and at least one */
static double
bucket_size(double rate)
{
	return Max(rate, 1.0);
}

int
group_live_take(const ConsumerGroup *group, int n, TimestampTz *wake_at)
{
	LiveGroup  *live;
	double		rate = group->max_rate;
	TimestampTz now;
	int			taken;

	if (rate <= 0)
		return n;
	now = GetCurrentTimestamp();
	live = lock_group(group->group_id, true);
	if (live->rate == 0)
		live->tokens = bucket_size(rate);
	else if (now > live->filled_at)
		live->tokens += (double) (now - live->filled_at) / USECS_PER_SEC * live->rate;
	live->tokens = Min(live->tokens, bucket_size(rate));
	live->rate = rate;
	live->filled_at = now;

	taken = live->tokens >= n ? n : (int) floor(live->tokens);
	live->tokens -= taken;
	if (taken == 0)
	{
		/* a rate may be so low that the next token never comes */
		double		wait = ceil((1.0 - live->tokens) / rate * USECS_PER_SEC);

		if (wait < (double) GROUP_MAX_BACKOFF)
			*wake_at = Min(*wake_at, now + (int64) wait);
	}
	dshash_release_lock(table, live);
	return taken;
}

void
group_live_return(const ConsumerGroup *group, int n)
{
	LiveGroup  *live;

	if (group->max_rate <= 0 || n <= 0 ||
		(live = lock_group(group->group_id, false)) == NULL)
		return;
	live->tokens = Min(live->tokens + n, bucket_size(live->rate));
	dshash_release_lock(table, live);
}

/* ---- errors ---- */

bool
group_live_set_error(int32 group_id, const char *error)
{
	LiveGroup  *live;
	char		cut[GROUP_ERROR_MAX + 1];
	int			len = pg_mbcliplen(error, strlen(error), GROUP_ERROR_MAX);
	bool		is_new;

	memcpy(cut, error, len);
	cut[len] = '\0';
	live = lock_group(group_id, true);
	is_new = live->error_at == 0 || strcmp(live->error, cut) != 0;
	strcpy(live->error, cut);
	live->error_at = GetCurrentTimestamp();
	dshash_release_lock(table, live);
	return is_new;
}

void
group_live_clear_error(int32 group_id)
{
	LiveGroup  *live = lock_group(group_id, false);

	if (live == NULL)
		return;
	live->error_at = 0;
	dshash_release_lock(table, live);
}

bool
group_live_get_error(int32 group_id, char *error, TimestampTz *at)
{
	LiveGroup  *live = lock_group(group_id, false);
	bool		found;

	if (live == NULL)
		return false;
	found = live->error_at != 0;
	*at = live->error_at;
	strcpy(error, live->error);
	dshash_release_lock(table, live);
	return found;
}

void
group_live_forget(int32 group_id)
{
	LiveGroup  *live = lock_group(group_id, false);

	if (live != NULL)
		dshash_delete_entry(table, live);
}
