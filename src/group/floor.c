/*
 * floor.c
 *	  The first messages that groups may still get.
 *
 * The floors of a group are in one state page, one number for each partition.
 * Streams with another policy have no floors, so reading costs nothing there.
 */
#include "postgres.h"

#include "group/floor.h"
#include "group/group_catalog.h"
#include "log/log.h"
#include "log/options.h"
#include "log/space.h"
#include "log/state_page.h"

typedef union FloorPage
{
	char		data[LOG_STATE_MAX];
	int64		floors[LOG_MAX_PARTITIONS];
} FloorPage;

StaticAssertDecl(sizeof(int64) * LOG_MAX_PARTITIONS <= LOG_STATE_MAX,
				 "a page must hold all floors");

/* read the page; returns for how many partitions it has a floor */
static int
read_floors(Relation rel, const ConsumerGroup *group, FloorPage *page)
{
	int			len;

	if (!log_state_read(rel, log_state_key(GROUP_FLOOR_PAGE_KIND, (uint32) group->group_id, 0, 0),
						page->data, &len))
		return 0;
	return (int) (len / sizeof(int64));
}

static int64
get_floor(Relation rel, const ConsumerGroup *group, int partition)
{
	FloorPage	page;

	if (log_options_flow(rel).backlog_policy != LOG_BACKLOG_EVICT ||
		partition >= read_floors(rel, group, &page))
		return 0;
	return page.floors[partition];
}

int64
group_first_offset(Relation rel, const ConsumerGroup *group, int partition)
{
	return Max(log_first_offset(rel, partition), get_floor(rel, group, partition));
}

int64
group_expired_offset(Relation rel, const ConsumerGroup *group, int partition)
{
	return Max(log_expired_offset(rel, partition), get_floor(rel, group, partition));
}

bool
group_is_evicted(Relation rel, const ConsumerGroup *group, int64 msg_id)
{
	return LOG_MSG_OFFSET(msg_id) < get_floor(rel, group, LOG_MSG_PARTITION(msg_id));
}

void
group_raise_floor(Relation rel, const ConsumerGroup *group, int partition, int64 floor)
{
	FloorPage	page;
	int			n = read_floors(rel, group, &page);

	while (n <= partition)
		page.floors[n++] = 0;
	page.floors[partition] = Max(page.floors[partition], floor);
	log_state_write(rel, log_state_key(GROUP_FLOOR_PAGE_KIND, (uint32) group->group_id, 0, 0),
					page.data, n * sizeof(int64));
}

/* ---- callbacks of the log ---- */

/* the pages have no transaction ids */
static TransactionId
settle_floors(const LogStateKey *key, char *data, int *len, TransactionId cutoff, bool *changed)
{
	return InvalidTransactionId;
}

/* floors below the first offset do no harm */
static bool
carry_floors(const LogStateKey *key, char *data, int *len, int64 first_offset)
{
	return true;
}

static const char *
verify_floors(const LogStateKey *key, const char *data, int len, int64 next_offset)
{
	int64		floor;

	if (len == 0 || len % sizeof(int64) != 0 || len > (int) sizeof(int64) * LOG_MAX_PARTITIONS)
		return "its length is wrong";
	if (key->partition != 0 || key->number != 0)
		return "its key is wrong";
	memcpy(&floor, data, sizeof(floor));
	if (floor < 0 || floor > next_offset)
		return "it evicts messages that are not there yet";
	return NULL;
}

const LogStateKind group_floor_pages = {
	.name = "a list of a group's first offsets",
	.settle = settle_floors,
	.carry = carry_floors,
	.verify = verify_floors
};
