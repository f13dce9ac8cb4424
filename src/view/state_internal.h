/*
 * state_internal.h
 *	  Rows of the state table, for the files that look them up and write
 *	  them.
 */
#ifndef STREAMQ_VIEW_STATE_INTERNAL_H
#define STREAMQ_VIEW_STATE_INTERNAL_H

#include "postgres.h"

#include "access/htup.h"

#include "state/state.h"
#include "view/state_table.h"

extern uint64 view_state_hash_keys(ViewStateTable *state, Datum *keys, bool *nulls);
extern bool view_state_keys_equal(ViewStateTable *state, Datum *akeys, bool *anulls,
								  Datum *bkeys, bool *bnulls);

/* copy the keys into the memory of the round, detoasted */
extern void view_state_copy_keys(ViewStateTable *state, Datum *keys, bool *nulls,
								 Datum **keys_copy, bool **nulls_copy);

extern void view_state_copy_key_values(ViewStateTable *state, Datum *keys, bool *nulls,
									   Datum *keys_copy, bool *nulls_copy);

/* load the states of a group from the table, if it has a row there */
extern void view_state_load_group(ViewStateTable *state, ViewStateGroup *group);

/* groups in memory (state_groups.c) */
extern void view_state_init_groups(ViewStateTable *state);

/*
 * Sort the groups in memory as the index of the table sorts them.  After that
 * view_state_find_group() must not be called.
 */
extern void view_state_sort_groups(ViewStateTable *state);

/*
 * Remember TOAST pointers of stored keys.  Updates write the pointers again,
 * instead of storing the values in the TOAST table with every batch.
 */
extern void view_state_note_toasted(ViewStateTable *state, ViewStateGroup *group, Datum *keys);

/* load the aggregate states of a row, which is given by all its columns */
extern void view_state_load_aggs(ViewStateTable *state, ViewStateGroup *group,
								 Datum *values, bool *nulls);

/* move collected input of a group into chunks if it is large */
extern void view_state_spill(ViewStateTable *state, ViewStateGroup *group,
							 StateWriter *writer);

/* form the row of a group; values and nulls are work space for all columns */
extern HeapTuple view_state_form_row(ViewStateTable *state, ViewStateGroup *group,
									 Datum *values, bool *nulls);

/*
 * Insert the row of a group, or update it if it is stored.  group->tid is set
 * when the writer ends.
 */
extern void view_state_write_row(StateWriter *writer, ViewStateGroup *group, HeapTuple tup);

#endif
