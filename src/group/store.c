/*
 * store.c
 *	  The state pages of consumer groups.
 */
#include "postgres.h"

#include "group/group_catalog.h"
#include "group/mode.h"
#include "group/store.h"
#include "log/state_page.h"

bool
group_store_read(Relation rel, const ConsumerGroup *group, int partition,
				 char *data, int *len)
{
	return log_state_read(rel, (uint32) group->group_id, partition, data, len);
}

void
group_store_write(Relation rel, const ConsumerGroup *group, int partition,
				  const char *data, int len)
{
	log_state_write(rel, (uint32) group->group_id, partition, data, len);
}

typedef struct KeepGroups
{
	bool		(*keep) (int32 group_id, void *arg);
	void	   *arg;
} KeepGroups;

static bool
keep_owner(uint32 owner, void *arg)
{
	KeepGroups *groups = arg;

	return groups->keep((int32) owner, groups->arg);
}

void
group_store_free(Relation rel, bool (*keep) (int32 group_id, void *arg), void *arg)
{
	KeepGroups	groups = {keep, arg};

	log_state_free(rel, keep_owner, &groups);
}

int
group_store_list_length(Relation rel)
{
	return log_state_directory_pages(rel);
}

void
group_store_init(void)
{
	for (int i = 0; group_modes[i] != NULL; i++)
		log_register_state_callbacks(group_modes[i]->pages);
}
