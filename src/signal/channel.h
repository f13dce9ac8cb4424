/*
 * channel.h
 *	  Names of notification channels.
 */
#ifndef STREAMQ_SIGNAL_CHANNEL_H
#define STREAMQ_SIGNAL_CHANNEL_H

#include "postgres.h"

/*
 * Name of the channel of a stream or continuous view, palloc'd.  It is a valid
 * identifier and stays the same for the life of the relation.
 */
extern char *signal_channel_name(Oid relid);

/* the relation of a channel, InvalidOid if it is not a channel of streamq */
extern Oid	signal_channel_relation(const char *channel);

#endif
