/*
 * delivery.h
 *	  Appending messages that waited for their deliver_at.
 */
#ifndef STREAMQ_STREAM_DELIVERY_H
#define STREAMQ_STREAM_DELIVERY_H

#include "postgres.h"

#include "datatype/timestamp.h"

typedef struct StreamDelivery
{
	/*
	 * Nothing is due before this time, as far as the process knows.  It need
	 * not look there, where old row versions may be many.
	 */
	TimestampTz from;

	/* results */
	bool		more;			/* call again at once */
	TimestampTz next;			/* when the next message is due; DT_NOEND:
								 * none */
} StreamDelivery;

/*
 * Append messages that are due, in the order of their time, and remove them
 * from the table, in the current transaction.  A message that cannot be
 * appended is put off.  Called in a background process, without a snapshot.
 */
extern void stream_delivery_run(StreamDelivery *delivery);

#endif
