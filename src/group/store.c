/*
 * store.c
 *	  The state pages of consumer groups.
 */
#include "postgres.h"

#include "storage/bufmgr.h"

#include "group/floor.h"
#include "group/group_catalog.h"
#include "group/mode.h"
#include "group/registry.h"
#include "group/store.h"
#include "log/state_page.h"

static LogStateKey
page_key(const ConsumerGroup *group, int partition)
{
	return log_state_key(group->mode->page_kind, (uint32) group->group_id, partition, 0);
}

bool
group_store_read(Relation rel, const ConsumerGroup *group, int partition,
				 char *data, int *len)
{
	return log_state_read(rel, page_key(group, partition), data, len);
}

void
group_store_write(Relation rel, const ConsumerGroup *group, int partition,
				  const char *data, int len)
{
	log_state_write(rel, page_key(group, partition), data, len);
}

LogStateKey
group_store_key(uint8 page_kind, const ConsumerGroup *group, int partition, uint32 number)
{
	return log_state_key(page_kind, (uint32) group->group_id, partition, number);
}

bool
group_store_read_page(Relation rel, LogStateKey key, char *data, int *len)
{
	return log_state_read(rel, key, data, len);
}

bool
group_store_lock_page(Relation rel, LogStateKey key, LogStatePage *page)
{
	return log_state_lock(rel, key, BUFFER_LOCK_EXCLUSIVE, page);
}

void
group_store_replace_page(Relation rel, LogStatePage *page, const char *data, int len)
{
	log_state_replace(rel, page, data, len);
}

void
group_store_unlock_page(LogStatePage *page)
{
	log_state_unlock(page);
}

void
group_store_create_pages(Relation rel, const LogStateKey *keys, int n)
{
	log_state_create(rel, keys, n);
}

typedef struct KeepNumbers
{
	LogStateKey key;
	bool		(*keep) (uint32 number, void *arg);
	void	   *arg;
} KeepNumbers;

static bool
keep_number(const LogStateKey *key, void *arg)
{
	KeepNumbers *numbers = arg;

	return key->partition != numbers->key.partition ||
		numbers->keep(key->number, numbers->arg);
}

void
group_store_free_pages(Relation rel, LogStateKey key,
					   bool (*keep) (uint32 number, void *arg), void *arg)
{
	KeepNumbers numbers = {key, keep, arg};

	log_state_free(rel, key.kind, key.owner, keep_number, &numbers);
}

typedef struct KeepGroups
{
	bool		(*keep) (int32 group_id, void *arg);
	void	   *arg;
} KeepGroups;

static bool
keep_owner(const LogStateKey *key, void *arg)
{
	KeepGroups *groups = arg;

	return groups->keep((int32) key->owner, groups->arg);
}

void
group_store_free(Relation rel, bool (*keep) (int32 group_id, void *arg), void *arg)
{
	KeepGroups	groups = {keep, arg};

	for (int i = 0; group_modes[i] != NULL; i++)
		log_state_free(rel, group_modes[i]->page_kind, 0, keep_owner, &groups);
	log_state_free(rel, GROUP_REGISTRY_PAGE_KIND, 0, keep_owner, &groups);
	log_state_free(rel, GROUP_FLOOR_PAGE_KIND, 0, keep_owner, &groups);
}

uint32
group_store_count(Relation rel)
{
	return log_state_count(rel);
}

void
group_store_init(void)
{
	for (int i = 0; group_modes[i] != NULL; i++)
		log_register_state_kind(group_modes[i]->page_kind, group_modes[i]->pages);
	log_register_state_kind(GROUP_REGISTRY_PAGE_KIND, &group_registry_pages);
	log_register_state_kind(GROUP_FLOOR_PAGE_KIND, &group_floor_pages);
}
