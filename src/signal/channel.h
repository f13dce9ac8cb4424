/*
 * channel.h
 *	  Names of notification channels.
 */
#ifndef STREAMQ_SIGNAL_CHANNEL_H
#define STREAMQ_SIGNAL_CHANNEL_H

#include "postgres.h"

/*
 * Name of the channel of a stream or continuous view: a valid identifier under
 * 64 bytes, the same for the life of the relation.  Result is palloc'd.
 */
extern char *signal_channel_name(Oid relid);

/* the relation whose channel this is, InvalidOid if it is none of ours */
extern Oid	signal_channel_relation(const char *channel);

#endif
