/*
 * imported.h
 *	  What was copied from the queues of other extensions into streams: rows of
 *	  streamq.imported.
 */
#ifndef STREAMQ_STREAM_IMPORTED_H
#define STREAMQ_STREAM_IMPORTED_H

#include "postgres.h"

/*
 * From a relation that has a queue's messages: those up to last_id that the
 * snapshot saw, or that the transaction txid wrote.  Without a snapshot, all
 * up to last_id.
 */
typedef struct StreamImported
{
	int64		last_id;
	char	   *snapshot;
	int64		txid;
} StreamImported;

/* keep others from importing until the end of the transaction */
extern void stream_imported_lock(void);

/* false if nothing was copied yet */
extern bool stream_imported_find(Oid stream, Oid source, StreamImported *done);
extern void stream_imported_store(Oid stream, Oid source, const StreamImported *done);

/* a stream is dropped */
extern void stream_imported_forget(Oid stream);

#endif
