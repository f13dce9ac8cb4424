/*
 * judge.h
 *	  What group_judge() needs during a call of consume().
 */
#ifndef STREAMQ_GROUP_JUDGE_H
#define STREAMQ_GROUP_JUDGE_H

#include "postgres.h"

#include "utils/rel.h"

#include "group/consumer.h"

/*
 * Begin and end an attempt to consume.  Fails with 55000 if the filter of the
 * group cannot be used.
 */
extern GroupJudge *group_judge_begin(Relation rel, const ConsumerGroup *group);
extern void group_judge_end(GroupJudge *judge);

/*
 * Would group_judge() let this message of the consumer's slot be handed out?
 * Nothing is written.  A message that would be buried counts, because consume()
 * has to do that.
 */
extern bool group_judge_may_deliver(const GroupConsumer *consumer, int64 msg_id,
									TimestampTz produced_at);

#endif
