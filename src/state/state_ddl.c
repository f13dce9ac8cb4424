/*
 * state_ddl.c
 *	  New, moved and rewritten files of state tables.
 */
#include "postgres.h"

#include "access/multixact.h"
#include "access/tableam.h"
#include "catalog/namespace.h"
#include "catalog/storage.h"
#include "catalog/storage_xlog.h"
#include "miscadmin.h"
#include "storage/bufmgr.h"
#include "storage/smgr.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#include "base/loaded.h"
#include "compat.h"
#include "state/state_am.h"
#include "state/state.h"

void
state_set_new_filelocator(Relation rel, const RelFileLocator *locator, char persistence,
						  TransactionId *freezeXid, MultiXactId *minmulti)
{
	RelFileLocator new = *locator;
	SMgrRelation smgr;

	base_require_loaded();

	/* rows of other tables could be inserted, but never changed */
	if (RelationGetNamespace(rel) != get_namespace_oid(STREAMQ_SCHEMA, true))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("cannot use access method \"%s\" for table \"%s\"",
						STATE_ACCESS_METHOD, RelationGetRelationName(rel)),
				 errdetail("It is for tables that streamq creates.")));

	*freezeXid = RecentXmin;
	*minmulti = GetOldestMultiXactId();
	smgr = RelationCreateStorage(new, persistence, true);
	if (persistence == RELPERSISTENCE_UNLOGGED)
	{
		smgrcreate(smgr, INIT_FORKNUM, false);
		log_smgrcreate(&new, INIT_FORKNUM);
		smgrimmedsync(smgr, INIT_FORKNUM);
	}
	smgrclose(smgr);
}

void
state_nontransactional_truncate(Relation rel)
{
	RelationTruncate(rel, 0);
}

/* ALTER TABLE ... SET TABLESPACE */
void
state_copy_data(Relation rel, const RelFileLocator *locator)
{
	char		persistence = rel->rd_rel->relpersistence;
	RelFileLocator new = *locator;
	SMgrRelation to;

	/* the copy is made from the file, not from shared buffers */
	FlushRelationBuffers(rel);
	to = RelationCreateStorage(new, persistence, true);
	RelationCopyStorage(RelationGetSmgr(rel), to, MAIN_FORKNUM, persistence);
	for (ForkNumber fork = MAIN_FORKNUM + 1; fork <= MAX_FORKNUM; fork++)
	{
		if (!smgrexists(RelationGetSmgr(rel), fork))
			continue;
		smgrcreate(to, fork, false);
		if (RelationIsPermanent(rel) ||
			(persistence == RELPERSISTENCE_UNLOGGED && fork == INIT_FORKNUM))
			log_smgrcreate(&new, fork);
		RelationCopyStorage(RelationGetSmgr(rel), to, fork, persistence);
	}
	RelationDropStorage(rel);
	smgrclose(to);
}

/*
 * A rewritten row would have to keep its versions, and their values out of
 * line.  VACUUM FULL of a database leaves state tables out
 * (hooks/vacuum_full.c).
 */
void
state_copy_for_cluster(Relation rel, Relation newrel, Relation index, bool use_sort,
					   TransactionId oldest_xmin, TransactionId *xid_cutoff,
					   MultiXactId *multi_cutoff, double *num_tuples,
					   double *tups_vacuumed, double *tups_recently_dead)
{
	ereport(ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg("cannot rewrite state table \"%s\"", RelationGetRelationName(rel)),
			 errhint("Use VACUUM without FULL.")));
}
