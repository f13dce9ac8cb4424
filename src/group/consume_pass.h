/*
 * consume_pass.h
 *	  Looking for messages in all partitions of a stream, once.
 */
#ifndef STREAMQ_GROUP_CONSUME_PASS_H
#define STREAMQ_GROUP_CONSUME_PASS_H

#include "postgres.h"

#include "datatype/timestamp.h"

#include "group/mode.h"

/*
 * Take what the partitions have.  Looks again at once if what was acknowledged
 * on the way was what another partition waited for.  *busy is set if another
 * transaction had locked a partition, *wake_at is lowered to the time at which
 * something may change by itself.
 */
extern void group_consume_partitions(const GroupConsumer *consumer, bool *busy,
									 TimestampTz *wake_at);

#endif
