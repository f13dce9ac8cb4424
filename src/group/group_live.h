/*
 * group_live.h
 *	  What all consumers of a group share in memory: the token bucket of
 *	  max_rate, and the last error of its dead letter.
 *
 * This is neither transactional nor kept over a restart.  An error that lasts
 * is found again, and a bucket is full at the start.
 */
#ifndef STREAMQ_GROUP_LIVE_H
#define STREAMQ_GROUP_LIVE_H

#include "postgres.h"

#include "datatype/timestamp.h"

#include "group/group_catalog.h"

#define GROUP_ERROR_MAX		400 /* bytes of an error, longer ones are cut */

/*
 * Take up to n tokens, one for each message.  If there is none, *wake_at is
 * lowered to the time of the next one.  Unlimited without max_rate.
 */
extern int	group_live_take(const ConsumerGroup *group, int n, TimestampTz *wake_at);

/* give back tokens for which there were no messages */
extern void group_live_return(const ConsumerGroup *group, int n);

/* note an error; true if it is not the one noted last */
extern bool group_live_set_error(int32 group_id, const char *error);
extern void group_live_clear_error(int32 group_id);

/* copy the last error (GROUP_ERROR_MAX + 1 bytes); false if there is none */
extern bool group_live_get_error(int32 group_id, char *error, TimestampTz *at);

extern void group_live_shmem_request(void);
extern void group_live_shmem_startup(void);

/* the group was dropped */
extern void group_live_forget(int32 group_id);

#endif
