/*
 * channel.c
 *	  Names of notification channels: a prefix and the OID of the stream or
 *	  continuous view, so that a rename does not change them.
 */
#include "postgres.h"

#include <limits.h>

#include "signal/channel.h"

#define CHANNEL_PREFIX	"streamq_"

char *
signal_channel_name(Oid relid)
{
	return psprintf(CHANNEL_PREFIX "%u", relid);
}

Oid
signal_channel_relation(const char *channel)
{
	const size_t len = strlen(CHANNEL_PREFIX);
	char	   *end;
	unsigned long oid;

	if (strncmp(channel, CHANNEL_PREFIX, len) != 0 ||
		channel[len] < '1' || channel[len] > '9')
		return InvalidOid;
	errno = 0;
	oid = strtoul(channel + len, &end, 10);
	if (errno != 0 || *end != '\0' || oid > OID_MAX)
		return InvalidOid;
	return (Oid) oid;
}
