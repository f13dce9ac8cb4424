/*
 * guard.c
 *	  What the background processes have to know of commands and objects.
 *
 * DROP DATABASE, and a few other commands, fail while other sessions use the
 * database, and they do not stop background workers by themselves.  So our
 * processes leave the database before such a command, and stay away until its
 * transaction ends.
 *
 * When files of a database are moved or removed, what shared memory knows about
 * them is forgotten.
 *
 * LISTEN is counted, so that commits take notes only for streams that somebody
 * listens to.
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/objectaccess.h"
#include "catalog/pg_database.h"
#include "catalog/pg_extension.h"
#include "commands/dbcommands.h"
#include "commands/defrem.h"
#include "commands/extension.h"
#include "miscadmin.h"
#include "nodes/parsenodes.h"
#include "storage/ipc.h"
#include "tcop/utility.h"
#include "utils/acl.h"
#include "utils/hsearch.h"

#include "compat.h"
#include "log/log.h"
#include "signal/channel.h"
#include "signal/doorbell.h"
#include "signal/xact_note.h"
#include "stream/flow.h"
#include "worker/delivery_worker.h"
#include "worker/guard.h"
#include "worker/worker.h"
#include "worker/worker_shared.h"

/* the database whose files the running command moves */
static Oid	moving_database = InvalidOid;

/* channels this session has listened on, counted in their doorbells */
static HTAB *channels = NULL;

/*
 * The database that a command needs for itself.  InvalidOid if there is none, or
 * if the user may not run the command: then it must not stop our processes.
 */
static Oid
database_wanted(Node *parsetree)
{
	const char *name = NULL;
	Oid			dboid;

	switch (nodeTag(parsetree))
	{
		case T_DropdbStmt:
			name = ((DropdbStmt *) parsetree)->dbname;
			break;
		case T_CreatedbStmt:
			{
				ListCell   *lc;

				name = "template1";
				foreach(lc, ((CreatedbStmt *) parsetree)->options)
				{
					DefElem    *option = lfirst_node(DefElem, lc);

					if (strcmp(option->defname, "template") == 0 && option->arg != NULL)
						name = defGetString(option);
				}
				break;
			}
		case T_RenameStmt:
			if (((RenameStmt *) parsetree)->renameType == OBJECT_DATABASE)
				name = ((RenameStmt *) parsetree)->subname;
			break;
		case T_AlterDatabaseStmt:
			{
				ListCell   *lc;

				foreach(lc, ((AlterDatabaseStmt *) parsetree)->options)
				{
					if (strcmp(lfirst_node(DefElem, lc)->defname, "tablespace") == 0)
						name = ((AlterDatabaseStmt *) parsetree)->dbname;
				}
				break;
			}
		default:
			break;
	}

	if (name == NULL)
		return InvalidOid;
	dboid = get_database_oid(name, true);
	if (!OidIsValid(dboid) || !object_ownercheck(DatabaseRelationId, dboid, GetUserId()))
		return InvalidOid;
	return dboid;
}

static void
forget_channels(int code, Datum arg)
{
	HASH_SEQ_STATUS status;
	Oid		   *relid;

	hash_seq_init(&status, channels);
	while ((relid = hash_seq_search(&status)) != NULL)
		signal_add_listener(*relid, -1);
}

/*
 * A session counts once for each channel, until it ends.  UNLISTEN and rollback
 * are not followed, because a listener too many costs little.
 */
static void
count_listener(const char *channel)
{
	Oid			relid = signal_channel_relation(channel);
	bool		found;

	if (!OidIsValid(relid))
		return;
	if (channels == NULL)
	{
		HASHCTL		ctl = {.keysize = sizeof(Oid), .entrysize = sizeof(Oid)};

		channels = hash_create("streamq channels", 16, &ctl, HASH_ELEM | HASH_BLOBS);
		before_shmem_exit(forget_channels, (Datum) 0);
	}
	(void) hash_search(channels, &relid, HASH_ENTER, &found);
	if (!found)
		signal_add_listener(relid, 1);
}

void
worker_guard_begin_command(Node *parsetree, ProcessUtilityContext context,
						   WorkerCommand *command)
{
	/* the tree may be gone after execution */
	command->tag = nodeTag(parsetree);
	command->commit_prepared = command->rollback_prepared = false;
	if (command->tag == T_TransactionStmt)
	{
		TransactionStmtKind kind = ((TransactionStmt *) parsetree)->kind;

		command->commit_prepared = kind == TRANS_STMT_COMMIT_PREPARED;
		command->rollback_prepared = kind == TRANS_STMT_ROLLBACK_PREPARED;
	}
	command->listen = command->tag == T_ListenStmt ?
		pstrdup(((ListenStmt *) parsetree)->conditionname) : NULL;
	command->dboid = InvalidOid;

	if (context == PROCESS_UTILITY_TOPLEVEL && !IsTransactionBlock())
	{
		command->dboid = database_wanted(parsetree);
		if (OidIsValid(command->dboid))
			worker_hold_database(command->dboid);
	}
	moving_database = command->tag == T_AlterDatabaseStmt ? command->dboid : InvalidOid;
}

void
worker_guard_end_command(const WorkerCommand *command)
{
	if (command->tag == T_DropdbStmt && OidIsValid(command->dboid))
		log_forget_database(command->dboid);

	if (command->commit_prepared)
	{
		/* the mark first: whoever wakes up looks at it */
		stream_flow_commit_prepared();
		signal_note_commit_prepared();
		worker_delivery_look_again();
	}
	else if (command->rollback_prepared)
		worker_delivery_look_again();
	else if (command->listen != NULL)
		count_listener(command->listen);
	else if (command->tag == T_CreatedbStmt || command->tag == T_AlterDatabaseStmt)
		worker_note_look(InvalidOid);
}

void
worker_guard_object(ObjectAccessType access, Oid classId, Oid objectId)
{
	/* the files have moved, and nobody can connect to the database yet */
	if (classId == DatabaseRelationId && access == OAT_POST_ALTER &&
		OidIsValid(moving_database) && objectId == moving_database)
		log_forget_database(objectId);

	if (classId != ExtensionRelationId)
		return;

	/*
	 * This is done for every extension, since a look is cheap, and the name
	 * of a dropped extension is not known at commit.
	 */
	if (access == OAT_POST_CREATE)
		worker_note_extension_created();
	else if (access == OAT_DROP)
		worker_note_jobs_changed();
}
