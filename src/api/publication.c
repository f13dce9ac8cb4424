/*
 * publication.c
 *	  Publications of logical replication, which cannot have streams.
 *
 * Decoding knows the WAL of heap tables only.  A stream in a publication would be copied
 * when a subscription begins, and nothing that is written later would follow, so it is
 * refused like tables that are not in the WAL.  As with those, a publication
 * of all tables or of a schema leaves streams out without a word.
 */
#include "postgres.h"

#include "access/relation.h"
#include "catalog/namespace.h"
#include "catalog/pg_inherits.h"
#include "nodes/parsenodes.h"
#include "storage/lockdefs.h"
#include "tcop/utility.h"

#include "api/api.h"
#include "log/log.h"

static ProcessUtility_hook_type prev_process_utility = NULL;

static void
refuse_stream(Oid relid)
{
	Relation	rel = relation_open(relid, AccessShareLock);

	if (log_is_stream(rel))
		log_refuse(RelationGetRelationName(rel), LOG_REFUSE_PUBLICATION);
	relation_close(rel, NoLock);
}

/* the tables that a publication was given: they and what is below them */
static void
check_tables(List *objects)
{
	ListCell   *lc;
	ListCell   *child;

	foreach(lc, objects)
	{
		PublicationObjSpec *object = lfirst_node(PublicationObjSpec, lc);
		RangeVar   *name;
		Oid			relid;

		if (object->pubobjtype != PUBLICATIONOBJ_TABLE)
			continue;
		name = object->pubtable->relation;
		relid = RangeVarGetRelid(name, NoLock, true);
		if (!OidIsValid(relid))
			continue;
		if (name->inh)
		{
			foreach(child, find_all_inheritors(relid, AccessShareLock, NULL))
				refuse_stream(lfirst_oid(child));
		}
		else
			refuse_stream(relid);
	}
}

static void
publication_process_utility(PlannedStmt *pstmt, const char *queryString, bool readOnlyTree,
							ProcessUtilityContext context, ParamListInfo params,
							QueryEnvironment *queryEnv, DestReceiver *dest,
							QueryCompletion *qc)
{
	Node	   *stmt = pstmt->utilityStmt;
	/* other statements may be gone after execution */
	NodeTag		tag = nodeTag(stmt);

	if (prev_process_utility)
		prev_process_utility(pstmt, queryString, readOnlyTree, context, params,
							 queryEnv, dest, qc);
	else
		standard_ProcessUtility(pstmt, queryString, readOnlyTree, context, params,
								queryEnv, dest, qc);

	/* privileges, and that there are such tables, have been checked by now */
	if (tag == T_CreatePublicationStmt)
		check_tables(((CreatePublicationStmt *) stmt)->pubobjects);
	else if (tag == T_AlterPublicationStmt &&
			 ((AlterPublicationStmt *) stmt)->action != AP_DropObjects)
		check_tables(((AlterPublicationStmt *) stmt)->pubobjects);
}

void
api_publication_init(void)
{
	prev_process_utility = ProcessUtility_hook;
	ProcessUtility_hook = publication_process_utility;
}
