/*
 * compat.h
 *	  Every difference between the supported server versions (15 to 18).
 *
 * No other file tests PG_VERSION_NUM.  The code uses the names of the newest
 * version; this file supplies them for older ones.  Each comment begins with
 * the version that brought the change.
 */
#ifndef STREAMQ_COMPAT_H
#define STREAMQ_COMPAT_H

#include "postgres.h"

#include "storage/smgr.h"
#include "utils/acl.h"
#include "utils/rel.h"

#if PG_VERSION_NUM < 150000 || PG_VERSION_NUM >= 190000
#error "streamq supports PostgreSQL 15 to 18"
#endif

/* the major version, stored with data that depends on it */
#define COMPAT_SERVER_MAJOR	(PG_VERSION_NUM / 10000)

/* 16: relfilenodes have other names, and varlena macros a header of their own */
#if PG_VERSION_NUM < 160000
#include "storage/relfilenode.h"
typedef RelFileNode RelFileLocator;
typedef Oid RelFileNumber;
#define RelFileLocatorEquals(a, b) RelFileNodeEquals(a, b)
#define RelationLocator(rel)	((rel)->rd_node)
#define LocatorRelNumber(l)		((l).relNode)
#define LocatorDatabase(l)		((l).dbNode)
#else
#include "storage/relfilelocator.h"
#include "varatt.h"
#define RelationLocator(rel)	((rel)->rd_locator)
#define LocatorRelNumber(l)		((l).relNumber)
#define LocatorDatabase(l)		((l).dbOid)
#endif

/* 16: renamed; the caller includes utils/relcache.h */
#if PG_VERSION_NUM < 160000
#define COMPAT_SET_NEW_RELATION_FILE(rel, persistence)	RelationSetNewRelfilenode(rel, persistence)
#else
#define COMPAT_SET_NEW_RELATION_FILE(rel, persistence)	RelationSetNewRelfilenumber(rel, persistence)
#endif

/* 17: the local transaction id is in a struct */
#if PG_VERSION_NUM < 170000
#define COMPAT_PROC_LXID(proc)	((proc)->lxid)
#else
#define COMPAT_PROC_LXID(proc)	((proc)->vxid.lxid)
#endif
#define COMPAT_MY_LXID	COMPAT_PROC_LXID(MyProc)

/* 18: an argument for counting index searches; the caller includes access/genam.h */
#if PG_VERSION_NUM < 180000
#define COMPAT_INDEX_BEGINSCAN(heap, index, snapshot, nkeys) \
	index_beginscan(heap, index, snapshot, nkeys, 0)
#else
#define COMPAT_INDEX_BEGINSCAN(heap, index, snapshot, nkeys) \
	index_beginscan(heap, index, snapshot, NULL, nkeys, 0)
#endif

/* 18: an argument says whether a deferrable primary key counts */
#if PG_VERSION_NUM < 180000
#define COMPAT_PRIMARY_KEY_INDEX(rel)	RelationGetPrimaryKeyIndex(rel)
#else
#define COMPAT_PRIMARY_KEY_INDEX(rel)	RelationGetPrimaryKeyIndex(rel, false)
#endif

/* 18: base64 functions take unsigned bytes */
#if PG_VERSION_NUM < 180000
#define COMPAT_B64_ENCODE(src, len, dst, dstlen) \
	pg_b64_encode((const char *) (src), len, dst, dstlen)
#else
#define COMPAT_B64_ENCODE(src, len, dst, dstlen) \
	pg_b64_encode((const uint8 *) (src), len, dst, dstlen)
#endif

/* 18: generated columns that are computed when they are read */
#if PG_VERSION_NUM < 180000
#define COMPAT_IS_VIRTUAL_COLUMN(att)	false
#else
#define COMPAT_IS_VIRTUAL_COLUMN(att) \
	((att)->attgenerated == ATTRIBUTE_GENERATED_VIRTUAL)
#endif

/* 17: intervals can be infinite */
#if PG_VERSION_NUM < 170000
#define INTERVAL_NOT_FINITE(i)	false
#endif

/* 16: one function checks privileges on objects of all classes */
#include "catalog/pg_class.h"
#include "catalog/pg_database.h"
#if PG_VERSION_NUM < 160000
#include "catalog/pg_namespace.h"
#include "catalog/pg_proc.h"
#include "utils/acl.h"
static inline AclResult
object_aclcheck(Oid classid, Oid objectid, Oid roleid, AclMode mode)
{
	switch (classid)
	{
		case ProcedureRelationId:
			return pg_proc_aclcheck(objectid, roleid, mode);
		case NamespaceRelationId:
			return pg_namespace_aclcheck(objectid, roleid, mode);
		default:
			Assert(classid == RelationRelationId);
			return pg_class_aclcheck(objectid, roleid, mode);
	}
}

static inline bool
object_ownercheck(Oid classid, Oid objectid, Oid roleid)
{
	if (classid == DatabaseRelationId)
		return pg_database_ownercheck(objectid, roleid);
	Assert(classid == RelationRelationId);
	return pg_class_ownercheck(objectid, roleid);
}
#endif

/* 18: references to grouping expressions go through a range table entry */
#include "optimizer/optimizer.h"
static inline Node *
flatten_group_vars(Query *query, Node *node)
{
#if PG_VERSION_NUM >= 180000
	if (query->hasGroupRTE && node != NULL)
		return flatten_group_exprs(NULL, query, node);
#endif
	return node;
}

/* 16: an argument tells the planner's state */
#if PG_VERSION_NUM < 160000
#define COMPAT_FLATTEN_JOIN_VARS(query, node)	flatten_join_alias_vars(query, node)
#else
#define COMPAT_FLATTEN_JOIN_VARS(query, node)	flatten_join_alias_vars(NULL, query, node)
#endif

/* 16: an argument says whether the relation is a catalog for logical decoding */
#if PG_VERSION_NUM < 160000
#define COMPAT_RESOLVE_SNAPSHOT_CONFLICT(xid, locator) \
	ResolveRecoveryConflictWithSnapshot(xid, locator)
#else
#define COMPAT_RESOLVE_SNAPSHOT_CONFLICT(xid, locator) \
	ResolveRecoveryConflictWithSnapshot(xid, false, locator)
#endif

/* 16: callbacks of the table access method were renamed */
#if PG_VERSION_NUM < 160000
#define COMPAT_SET_NEW_FILELOCATOR	.relation_set_new_filenode
#define COMPAT_UPDATE_INDEXES		bool
#else
#define COMPAT_SET_NEW_FILELOCATOR	.relation_set_new_filelocator
#define COMPAT_UPDATE_INDEXES		TU_UpdateIndexes
#endif

/* 16: pages that are written past shared buffers should be aligned for I/O */
#if PG_VERSION_NUM < 160000
#define COMPAT_PALLOC_PAGE()	palloc0(BLCKSZ)
#else
#define COMPAT_PALLOC_PAGE()	palloc_aligned(BLCKSZ, PG_IO_ALIGN_SIZE, MCXT_ALLOC_ZERO)
#endif

/*
 * 17: the variables have another name.  The first is the oldest transaction id
 * that may be looked up; a stale value will do.  The second is where the commit
 * log begins; the caller holds XactTruncationLock.
 */
#include "access/transam.h"
#if PG_VERSION_NUM < 170000
#define COMPAT_OLDEST_XID()	(ShmemVariableCache->oldestXid)
#define COMPAT_OLDEST_CLOG_XID()	(ShmemVariableCache->oldestClogXid)
#else
#define COMPAT_OLDEST_XID()	(TransamVariables->oldestXid)
#define COMPAT_OLDEST_CLOG_XID()	(TransamVariables->oldestClogXid)
#endif

/* 16: a function, not a macro; the caller includes storage/buf_internals.h */
#if PG_VERSION_NUM < 160000
#define COMPAT_INIT_BUFFER_TAG(tag, locator, fork, block) \
	INIT_BUFFERTAG(*(tag), locator, fork, block)
#else
#define COMPAT_INIT_BUFFER_TAG(tag, locator, fork, block) \
	do { \
		RelFileLocator tag_locator = (locator); \
			InitBufferTag(tag, &tag_locator, fork, block); \
	} while (0)
#endif

/* 17: ANALYZE reads blocks through a read stream */
#if PG_VERSION_NUM < 170000
#define COMPAT_ANALYZE_STREAM	0
#else
#define COMPAT_ANALYZE_STREAM	1
#include "storage/read_stream.h"
#endif

/* 18: functions of VACUUM have other arguments */
#if PG_VERSION_NUM < 180000
#define COMPAT_VACUUM_DELAY_POINT()	vacuum_delay_point()
#define COMPAT_UPDATE_RELSTATS(rel, npages, ntuples, hasindex, frozenxid, minmulti) \
	vac_update_relstats(rel, npages, ntuples, 0, hasindex, frozenxid, minmulti, NULL, NULL, false)
#define COMPAT_REPORT_VACUUM(rel, live, start) \
	((void) (start), pgstat_report_vacuum(RelationGetRelid(rel), (rel)->rd_rel->relisshared, live, 0))
#else
#define COMPAT_VACUUM_DELAY_POINT()	vacuum_delay_point(false)
#define COMPAT_UPDATE_RELSTATS(rel, npages, ntuples, hasindex, frozenxid, minmulti) \
	vac_update_relstats(rel, npages, ntuples, 0, 0, hasindex, frozenxid, minmulti, NULL, NULL, false)
#define COMPAT_REPORT_VACUUM(rel, live, start) \
	pgstat_report_vacuum(RelationGetRelid(rel), (rel)->rd_rel->relisshared, live, 0, start)
#endif

/* 17: the error code went, with the setting old_snapshot_threshold */
#if PG_VERSION_NUM >= 170000
#define ERRCODE_SNAPSHOT_TOO_OLD	MAKE_SQLSTATE('7', '2', '0', '0', '0')
#endif

/* 16: VACUUM of an index knows the table */
#if PG_VERSION_NUM < 160000
#define COMPAT_SET_INDEX_VACUUM_TABLE(info, rel)	((void) 0)
#else
#define COMPAT_SET_INDEX_VACUUM_TABLE(info, rel)	((info)->heaprel = (rel))
#endif

/* 16: an argument asks for a copy; before, there always was one */
#if PG_VERSION_NUM < 160000
#define COMPAT_TUPLESORT_GETDATUM(sort, value, isnull) \
	tuplesort_getdatum(sort, true, value, isnull, NULL)
#else
#define COMPAT_TUPLESORT_GETDATUM(sort, value, isnull) \
	tuplesort_getdatum(sort, true, false, value, isnull, NULL)
#endif

/* 16: an argument says whether the new version is on another page */
#if PG_VERSION_NUM < 160000
#define COMPAT_COUNT_UPDATE(rel)	pgstat_count_heap_update(rel, true)
#else
#define COMPAT_COUNT_UPDATE(rel)	pgstat_count_heap_update(rel, true, false)
#endif

/* 16: roles other than the owner may vacuum */
#if PG_VERSION_NUM < 160000
#define vacuum_is_permitted_for_relation(relid, form, options) \
	vacuum_is_relation_owner(relid, form, options)
#endif

/* 18: VACUUM of a table includes inheritance children, unless ONLY is given */
#if PG_VERSION_NUM < 180000
#define COMPAT_VACUUM_CHILDREN(relkind, inh)	((relkind) == RELKIND_PARTITIONED_TABLE)
#else
#define COMPAT_VACUUM_CHILDREN(relkind, inh)	(inh)
#endif

/* 16: the storage manager can extend a file by many blocks at once */
#if PG_VERSION_NUM < 160000
#define COMPAT_HAS_ZEROEXTEND	0
#else
#define COMPAT_HAS_ZEROEXTEND	1
#endif

/* 17: dshash copies its keys with a function that the caller gives */
#if PG_VERSION_NUM < 170000
#define COMPAT_DSHASH_COPY
#else
#define COMPAT_DSHASH_COPY	.copy_function = dshash_memcpy,
#endif

/* 18: an argument asks for room in front of a minimal tuple */
#if PG_VERSION_NUM < 180000
#define COMPAT_MINIMAL_TUPLE_EXTRA
#define COMPAT_FORM_MINIMAL_TUPLE(slot) \
	heap_form_minimal_tuple((slot)->tts_tupleDescriptor, (slot)->tts_values, (slot)->tts_isnull)
#else
#define COMPAT_MINIMAL_TUPLE_EXTRA	, Size extra
#define COMPAT_FORM_MINIMAL_TUPLE(slot) \
	heap_form_minimal_tuple((slot)->tts_tupleDescriptor, (slot)->tts_values, (slot)->tts_isnull, extra)
#endif

/* 18: ExecutorRun() does not ask whether a query runs only once */
#if PG_VERSION_NUM < 180000
#define COMPAT_EXECUTOR_RUN(desc)	ExecutorRun(desc, ForwardScanDirection, 0, true)
#else
#define COMPAT_EXECUTOR_RUN(desc)	ExecutorRun(desc, ForwardScanDirection, 0)
#endif

/* 18: an iterator is needed to see the members of an equivalence class */
#include "optimizer/paths.h"
#if PG_VERSION_NUM < 180000
typedef struct
{
	EquivalenceClass *ec;
	int			next;
} EquivalenceMemberIterator;

static inline void
setup_eclass_member_iterator(EquivalenceMemberIterator *it, EquivalenceClass *ec,
							 Relids child_relids)
{
	it->ec = ec;
	it->next = 0;
}

static inline EquivalenceMember *
eclass_member_iterator_next(EquivalenceMemberIterator *it)
{
	if (it->next >= list_length(it->ec->ec_members))
		return NULL;
	return list_nth_node(EquivalenceMember, it->ec->ec_members, it->next++);
}
#endif

/* 18: an argument says whether to log that a lock was not available */
#if PG_VERSION_NUM < 180000
#define COMPAT_TRY_LOCK_TUPLE(rel, tid, mode)	ConditionalLockTuple(rel, tid, mode)
#else
#define COMPAT_TRY_LOCK_TUPLE(rel, tid, mode)	ConditionalLockTuple(rel, tid, mode, false)
#endif

/* 16: columns tell which outer joins may turn them into nulls */
#if PG_VERSION_NUM < 160000
#define COMPAT_SET_NULLING_JOIN(var, join)	((void) 0)
#else
#define COMPAT_SET_NULLING_JOIN(var, join) \
	((var)->varnullingrels = bms_make_singleton(join))
#endif

/* 18: grouping expressions are in a range table entry of their own */
#include "nodes/parsenodes.h"
#if PG_VERSION_NUM < 180000
#define COMPAT_RTE_IS_GROUP(rte)		false
#define COMPAT_GROUP_EXPR(rte, attno)	NULL
#else
#define COMPAT_RTE_IS_GROUP(rte)		((rte)->rtekind == RTE_GROUP)
#define COMPAT_GROUP_EXPR(rte, attno)	((Node *) list_nth((rte)->groupexprs, (attno) - 1))
#endif

/*
 * 16: privileges to check are in a list of their own; 18: grouping expressions
 * are in a range table entry.  For a query whose relations were all replaced.
 */
#if PG_VERSION_NUM >= 180000
#define COMPAT_FORGET_RELATIONS(query)	((query)->rteperminfos = NIL, (query)->hasGroupRTE = false)
#elif PG_VERSION_NUM >= 160000
#define COMPAT_FORGET_RELATIONS(query)	((query)->rteperminfos = NIL)
#else
#define COMPAT_FORGET_RELATIONS(query)	((void) 0)
#endif

/* 18: a query knows whether it has a range table entry for GROUP BY */
#if PG_VERSION_NUM >= 180000
#define COMPAT_FORGET_GROUP(query)	((query)->hasGroupRTE = false)
#else
#define COMPAT_FORGET_GROUP(query)	((void) 0)
#endif

/* 18: a path key has a comparison type in place of a strategy number */
#if PG_VERSION_NUM < 180000
#include "access/stratnum.h"
#define COMPAT_PATHKEY_IS_ASCENDING(pk) ((pk)->pk_strategy == BTLessStrategyNumber)
#define COMPAT_ASCENDING				BTLessStrategyNumber
#else
#define COMPAT_PATHKEY_IS_ASCENDING(pk) ((pk)->pk_cmptype == COMPARE_LT)
#define COMPAT_ASCENDING				COMPARE_LT
#endif

/*
 * 16: a custom scan chooses the kind of its slot when its state is created.  In
 * 15 the slot is virtual, so BeginCustomScan replaces it, and the expressions
 * that were compiled for it.
 */
#if PG_VERSION_NUM < 160000
#define COMPAT_SET_CUSTOM_SLOT_OPS(css, ops)	((void) 0)
#define COMPAT_BEGIN_CUSTOM_SLOT(css, ops) \
	do { \
		Scan	   *scan_ = (Scan *) (css)->ss.ps.plan; \
			ExecInitScanTupleSlot((css)->ss.ps.state, &(css)->ss, \
								  RelationGetDescr((css)->ss.ss_currentRelation), ops); \
			(css)->ss.ps.subPlan = NIL; \
			ExecAssignScanProjectionInfoWithVarno(&(css)->ss, scan_->scanrelid); \
			(css)->ss.ps.qual = ExecInitQual(scan_->plan.qual, (PlanState *) (css)); \
	} while (0)
#else
#define COMPAT_SET_CUSTOM_SLOT_OPS(css, ops)	((css)->slotOps = (ops))
#define COMPAT_BEGIN_CUSTOM_SLOT(css, ops)		((void) 0)
#endif

/* 18: as for ExecutorRun(), in the hook that is called in its place */
#if PG_VERSION_NUM < 180000
#define COMPAT_EXECUTOR_RUN_EXTRA	, bool execute_once
#define COMPAT_EXECUTOR_RUN_ARG		, execute_once
#else
#define COMPAT_EXECUTOR_RUN_EXTRA
#define COMPAT_EXECUTOR_RUN_ARG
#endif

/* 16: privileges to check are in a list of their own */
#if PG_VERSION_NUM < 160000
#define COMPAT_CHECK_PERMISSIONS(plan)	ExecCheckRTPerms((plan)->rtable, true)
#else
#define COMPAT_CHECK_PERMISSIONS(plan)	ExecCheckPermissions((plan)->rtable, (plan)->permInfos, true)
#endif

/* 16: the same for the relations of a query, of which one has changed */
#if PG_VERSION_NUM < 160000
#define COMPAT_CLEAR_PRIVILEGES(query, rte)	((void) (query), (rte)->requiredPerms = 0)
#else
#define COMPAT_CLEAR_PRIVILEGES(query, rte)	\
	do { \
		RTEPermissionInfo *info_ = list_nth_node(RTEPermissionInfo, (query)->rteperminfos, \
												 (rte)->perminfoindex - 1); \
			info_->relid = (rte)->relid; \
			info_->requiredPerms = 0; \
	} while (0)
#endif

/* 18: functions that write EXPLAIN's properties have headers of their own */
#if PG_VERSION_NUM >= 180000
#include "commands/explain_format.h"
#include "commands/explain_state.h"
#endif

/* 18: the macro was removed */
#if PG_VERSION_NUM >= 180000
#define pg_attribute_noreturn() __attribute__((noreturn))
#endif

/*
 * 16: some aggregates can be serialized whose state is all of their input; the
 * caller includes utils/fmgroids.h
 */
#if PG_VERSION_NUM < 160000
#define COMPAT_STATE_IS_INPUT(serialfn)	false
#else
#define COMPAT_STATE_IS_INPUT(serialfn) \
	((serialfn) == F_ARRAY_AGG_SERIALIZE || (serialfn) == F_ARRAY_AGG_ARRAY_SERIALIZE || \
	 (serialfn) == F_STRING_AGG_SERIALIZE)
#endif

/*
 * 16: JSON_ARRAYAGG and JSON_OBJECTAGG are a node around the aggregate; if
 * there is a cast, its argument is a CaseTestExpr
 */
#if PG_VERSION_NUM < 160000
#define COMPAT_JSON_AGGREGATE(node)	NULL
#define COMPAT_JSON_AGG_CAST(node)	NULL
#else
#define COMPAT_JSON_AGGREGATE(node) \
	(IsA(node, JsonConstructorExpr) && ((JsonConstructorExpr *) (node))->func && \
	 IsA(((JsonConstructorExpr *) (node))->func, Aggref) ? \
	 (Node *) ((JsonConstructorExpr *) (node))->func : NULL)
#define COMPAT_JSON_AGG_CAST(node)	((Node *) ((JsonConstructorExpr *) (node))->coercion)
#endif

/* 16: an argument allows columns without a counterpart; the caller includes access/attmap.h */
#if PG_VERSION_NUM < 160000
#define COMPAT_BUILD_ATTRMAP(in, out)	build_attrmap_by_name(in, out)
#else
#define COMPAT_BUILD_ATTRMAP(in, out)	build_attrmap_by_name(in, out, false)
#endif

/* 17: a backend has a number in the array of processes */
#if PG_VERSION_NUM < 170000
#define COMPAT_MY_PROC_NUMBER	(MyProc->pgprocno)
#else
#define COMPAT_MY_PROC_NUMBER	MyProcNumber
#endif

#endif
