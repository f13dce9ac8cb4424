/*
 * capture.h
 *	  Capture of changes of ordinary tables: the interface for other folders.
 *	  The other entry points are SQL functions.
 */
#ifndef STREAMQ_CAPTURE_H
#define STREAMQ_CAPTURE_H

#include "postgres.h"

#include "catalog/objectaccess.h"

/* called by _PG_init */
extern void capture_init(void);

/* object access hook: follows changes of captured tables and their triggers */
extern void capture_object(ObjectAccessType access, Oid classId, Oid objectId, int subId,
						   void *arg);

/*
 * A utility command has ended.  If it has made tables partitions or children,
 * or has detached them, they get the triggers of their parents' captures, or
 * lose them.
 */
extern void capture_end_command(void);

#endif
