/*
 * guard.h
 *	  What the background processes have to know of commands and objects.
 */
#ifndef STREAMQ_WORKER_GUARD_H
#define STREAMQ_WORKER_GUARD_H

#include "postgres.h"

#include "catalog/objectaccess.h"
#include "nodes/nodes.h"
#include "tcop/utility.h"

typedef struct WorkerCommand
{
	NodeTag		tag;
	bool		commit_prepared;
	bool		rollback_prepared;
	char	   *listen;			/* channel of a LISTEN */
	Oid			dboid;			/* the database that the command wants for
								 * itself */
} WorkerCommand;

/* around a utility command; the second is not called when the command fails */
extern void worker_guard_begin_command(Node *parsetree, ProcessUtilityContext context,
									   WorkerCommand *command);
extern void worker_guard_end_command(const WorkerCommand *command);

/* object access hook */
extern void worker_guard_object(ObjectAccessType access, Oid classId, Oid objectId);

#endif
