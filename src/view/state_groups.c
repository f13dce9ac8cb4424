/*
 * state_groups.c
 *	  The groups of a round in memory.
 *
 * Each row of a batch looks up its group, so the hash table is laid out for
 * few cache misses: a place has the hash beside the pointer, and a group, its
 * keys and its states are in one piece of memory.
 */
#include "postgres.h"

#include "common/hashfn.h"
#include "utils/memutils.h"

#include "view/state_internal.h"

#define FIRST_PLACES	256

/* memory is taken in pieces of this size for several groups */
#define GROUPS_SIZE		8192

void
view_state_init_groups(ViewStateTable *state)
{
	state->nplaces = FIRST_PLACES;
	state->groups = MemoryContextAllocZero(state->mcxt,
										   sizeof(ViewStateEntry) * state->nplaces);
	state->last_window_hash = 0;
}

/*
 * Neighbouring rows are mostly in the same window, so its hash is kept.  A hash
 * of zero means that there is none; a window may have it, too, and is hashed
 * each time then.
 */
static inline uint64
window_hash(ViewStateTable *state, const ViewWindow *window, Timestamp counts_after)
{
	Timestamp	times[3] = {window->start, window->end, counts_after};

	if (state->last_window_hash == 0 || state->last_window.start != window->start ||
		state->last_window.end != window->end || state->last_counts_after != counts_after)
	{
		state->last_window = *window;
		state->last_counts_after = counts_after;
		state->last_window_hash = hash_bytes_extended((unsigned char *) times, sizeof(times), 0);
	}
	return state->last_window_hash;
}

/* the place of a group that is not in the table */
static ViewStateEntry *
free_place(ViewStateTable *state, uint64 bucket_hash)
{
	uint32		mask = state->nplaces - 1;
	uint32		i = (uint32) bucket_hash & mask;

	while (state->groups[i].group)
		i = (i + 1) & mask;
	return &state->groups[i];
}

static void
grow(ViewStateTable *state)
{
	ViewStateEntry *old = state->groups;
	uint32		nold = state->nplaces;

	if (nold > PG_UINT32_MAX / 2)
		elog(ERROR, "too many groups in a round");
	state->nplaces = nold * 2;
	state->groups = MemoryContextAllocExtended(state->mcxt,
											   sizeof(ViewStateEntry) * (Size) state->nplaces,
											   MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO);
	for (uint32 i = 0; i < nold; i++)
	{
		if (old[i].group)
			*free_place(state, old[i].bucket_hash) = old[i];
	}
	pfree(old);
}

/* memory for a group, its keys and states; zeroed */
static ViewStateGroup *
allocate_group(ViewStateTable *state)
{
	Size		aggs = MAXALIGN(sizeof(ViewStateGroup));
	Size		keys = aggs + MAXALIGN(sizeof(ViewAggValue) * state->aggs->ncalls);
	Size		nulls = keys + sizeof(Datum) * state->nkeys;
	Size		size = MAXALIGN(nulls + sizeof(bool) * state->nkeys);
	char	   *space;
	ViewStateGroup *group;

	if (size > GROUPS_SIZE / 4)
		space = MemoryContextAllocZero(state->mcxt, size);
	else
	{
		if (size > state->free_bytes)
		{
			state->free_space = MemoryContextAllocZero(state->mcxt, GROUPS_SIZE);
			state->free_bytes = GROUPS_SIZE;
		}
		space = state->free_space;
		state->free_space += size;
		state->free_bytes -= size;
	}
	group = (ViewStateGroup *) space;
	group->aggs = (ViewAggValue *) (space + aggs);
	group->keys = (Datum *) (space + keys);
	group->nulls = (bool *) (space + nulls);
	return group;
}

ViewStateGroup *
view_state_find_group(ViewStateTable *state, const ViewWindow *window, Timestamp counts_after,
					  Datum *keys, bool *nulls)
{
	uint64		hash = view_state_hash_keys(state, keys, nulls);
	uint64		bucket_hash = hash_combine64(hash, window_hash(state, window, counts_after));
	uint32		mask = state->nplaces - 1;
	ViewStateGroup *group;
	ViewStateEntry *place;

	for (uint32 i = (uint32) bucket_hash & mask; state->groups[i].group; i = (i + 1) & mask)
	{
		if (state->groups[i].bucket_hash != bucket_hash)
			continue;
		group = state->groups[i].group;
		if (group->hash == hash && group->window_start == window->start &&
			group->window_end == window->end && group->counts_after == counts_after &&
			view_state_keys_equal(state, group->keys, group->nulls, keys, nulls))
			return group;
	}

	group = allocate_group(state);
	group->hash = hash;
	group->bucket_hash = bucket_hash;
	group->window_start = window->start;
	group->window_end = window->end;
	group->counts_after = counts_after;
	view_state_copy_key_values(state, keys, nulls, group->keys, group->nulls);

	if (!state->partial)
		view_state_load_group(state, group);
	if (!group->stored)
		view_agg_init(state->aggs, group->aggs);

	if (state->ngroups >= state->nplaces / 4 * 3)
		grow(state);
	place = free_place(state, bucket_hash);
	place->bucket_hash = bucket_hash;
	place->group = group;
	state->ngroups++;
	return group;
}

/* the order of the index: window_start, group_hash */
static inline int
compare_entries(const ViewStateEntry *a, const ViewStateEntry *b)
{
	const ViewStateGroup *x = a->group;
	const ViewStateGroup *y = b->group;

	if (x->window_start != y->window_start)
		return x->window_start < y->window_start ? -1 : 1;
	if (x->hash != y->hash)
		return (int64) x->hash < (int64) y->hash ? -1 : 1;
	return 0;
}

#define ST_SORT sort_entries
#define ST_ELEMENT_TYPE ViewStateEntry
#define ST_COMPARE(a, b) compare_entries(a, b)
#define ST_SCOPE static
#define ST_DEFINE
#include "lib/sort_template.h"

void
view_state_sort_groups(ViewStateTable *state)
{
	uint32		n = 0;

	for (uint32 i = 0; i < state->nplaces; i++)
	{
		if (state->groups[i].group)
			state->groups[n++] = state->groups[i];
	}
	Assert(n == state->ngroups);
	sort_entries(state->groups, n);
}
