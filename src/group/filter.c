/*
 * filter.c
 *	  The filter of a group: an SQL condition on the columns of its stream.
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/sysattr.h"
#include "access/table.h"
#include "catalog/pg_attribute.h"
#include "catalog/pg_type.h"
#include "executor/executor.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "parser/parse_coerce.h"
#include "parser/parse_collate.h"
#include "parser/parse_expr.h"
#include "parser/parse_relation.h"
#include "parser/parser.h"
#include "utils/fmgroids.h"
#include "utils/guc.h"
#include "utils/hsearch.h"
#include "utils/inval.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/ruleutils.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"

#include "base/try.h"
#include "compat.h"
#include "group/filter.h"
#include "group/group.h"
#include "group/as_owner.h"
#include "log/log.h"
#include "stream/message.h"

/* a planned filter, kept by this session */
typedef struct CachedFilter
{
	int32		group_id;		/* key */
	Oid			relid;
	bool		valid;
	MemoryContext context;
	char	   *text;
	Expr	   *expr;
} CachedFilter;

struct GroupFilter
{
	const ConsumerGroup *group;
	const Expr *expr;
	MemoryContext context;		/* parent of the next one */
	MemoryContext state_context;	/* of the fields below; NULL: they have to
									 * be prepared */
	ExprContext *econtext;
	ExprState  *state;
};

/* ---- checks ---- */

/* an error position refers to the text of the filter, not to the SQL call */
static void
parse_error_callback(void *arg)
{
	int			position = geterrposition();

	if (position > 0)
	{
		errposition(0);
		internalerrposition(position);
		internalerrquery((const char *) arg);
	}
}

static void
refuse_syntax(void)
{
	ereport(ERROR,
			(errcode(ERRCODE_SYNTAX_ERROR),
			 errmsg("filter of a consumer group must be one condition"),
			 errhint("Write what would follow WHERE, such as payload->>'kind' = 'order'.")));
}

/* parse the text as one expression, without looking at names */
static Node *
parse_expression(const char *text)
{
	List	   *raw = raw_parser(text, RAW_PARSE_PLPGSQL_EXPR);
	SelectStmt *stmt;
	ResTarget  *target;

	/* the grammar allows everything that may follow SELECT */
	stmt = castNode(SelectStmt, linitial_node(RawStmt, raw)->stmt);
	if (list_length(stmt->targetList) != 1 || stmt->distinctClause || stmt->intoClause ||
		stmt->fromClause || stmt->whereClause || stmt->groupClause || stmt->havingClause ||
		stmt->windowClause || stmt->valuesLists || stmt->sortClause || stmt->limitOffset ||
		stmt->limitCount || stmt->lockingClause || stmt->withClause ||
		stmt->op != SETOP_NONE)
		refuse_syntax();
	target = linitial_node(ResTarget, stmt->targetList);
	if (target->name != NULL || target->indirection != NIL ||
		(IsA(target->val, ColumnRef) &&
		 IsA(linitial(((ColumnRef *) target->val)->fields), A_Star)))
		refuse_syntax();
	return target->val;
}

static void
refuse_part(const char *what)
{
	ereport(ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg("cannot use %s in the filter of a consumer group", what)));
}

static bool
check_walker(Node *node, void *rel)
{
	if (node == NULL)
		return false;
	if (IsA(node, SubLink))
		refuse_part("a subquery");
	if (IsA(node, Var))
	{
		AttrNumber	attnum = ((Var *) node)->varattno;

		if (attnum < 0)
			refuse_part("a system column");
		/* its text would have the name of the stream, which may change */
		if (attnum == InvalidAttrNumber)
			refuse_part("a whole row");
		if (COMPAT_IS_VIRTUAL_COLUMN(TupleDescAttr(RelationGetDescr((Relation) rel), attnum - 1)))
			refuse_part("a virtual generated column");
		return false;
	}
	return expression_tree_walker(node, check_walker, rel);
}

/* parse a filter; names are looked up with the current search_path */
static Node *
parse_filter(Relation rel, const char *text)
{
	ParseState *pstate = make_parsestate(NULL);
	ErrorContextCallback callback;
	ParseNamespaceItem *item;
	Node	   *expr;

	callback.callback = parse_error_callback;
	callback.arg = unconstify(char *, text);
	callback.previous = error_context_stack;
	error_context_stack = &callback;

	pstate->p_sourcetext = text;

	item = addRangeTableEntryForRelation(pstate, rel, AccessShareLock, NULL, false, true);
	addNSItemToQuery(pstate, item, true, true, true);
	expr = transformExpr(pstate, parse_expression(text), EXPR_KIND_WHERE);
	(void) check_walker(expr, rel);
	expr = coerce_to_boolean(pstate, expr, "filter");
	assign_expr_collations(pstate, expr);
	error_context_stack = callback.previous;

	free_parsestate(pstate);
	return expr;
}

char *
group_filter_check(Relation rel, const char *text)
{
	Node	   *expr = parse_filter(rel, text);
	Node	   *planned = (Node *) expression_planner((Expr *) copyObject(expr));
	int			nestlevel;
	char	   *result;

	if (contain_volatile_functions(planned))
		refuse_part("a volatile function");

	nestlevel = NewGUCNestLevel();
	group_set_safe_path();
	result = deparse_expression(expr,
								deparse_context_for(RelationGetRelationName(rel),
													RelationGetRelid(rel)),
								false, false);
	AtEOXact_GUC(false, nestlevel);
	return result;
}

/* ---- the cache ---- */

#define CACHE_MAX	1000

static HTAB *cache = NULL;

static void
invalidate(Oid relid)
{
	HASH_SEQ_STATUS status;
	CachedFilter *cached;

	if (cache == NULL)
		return;
	hash_seq_init(&status, cache);
	while ((cached = hash_seq_search(&status)) != NULL)
		if (!OidIsValid(relid) || cached->relid == relid)
			cached->valid = false;
}

static void
relcache_callback(Datum arg, Oid relid)
{
	invalidate(relid);
}

static void
syscache_callback(Datum arg, int cacheid, uint32 hashvalue)
{
	invalidate(InvalidOid);
}

static void
create_cache(void)
{
	static bool registered = false;
	HASHCTL		ctl;

	ctl.keysize = sizeof(int32);
	ctl.entrysize = sizeof(CachedFilter);
	ctl.hcxt = TopMemoryContext;
	cache = hash_create("streamq filters of groups", 16, &ctl, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	if (registered)
		return;
	registered = true;
	CacheRegisterRelcacheCallback(relcache_callback, (Datum) 0);

	/* functions may be inlined, and constants folded */
	CacheRegisterSyscacheCallback(PROCOID, syscache_callback, (Datum) 0);
	CacheRegisterSyscacheCallback(OPEROID, syscache_callback, (Datum) 0);
	CacheRegisterSyscacheCallback(TYPEOID, syscache_callback, (Datum) 0);
}

static void
forget_all(void)
{
	HASH_SEQ_STATUS status;
	CachedFilter *cached;

	hash_seq_init(&status, cache);
	while ((cached = hash_seq_search(&status)) != NULL)
		if (cached->context != NULL)
			MemoryContextDelete(cached->context);
	hash_destroy(cache);
	cache = NULL;
}

/* what planning a filter needs, and its result */
typedef struct Planning
{
	Relation	rel;
	const ConsumerGroup *group;
	MemoryContext context;		/* of the result */
	Expr	   *expr;
} Planning;

static void
plan_filter(void *arg)
{
	Planning   *planning = arg;
	int			nestlevel = NewGUCNestLevel();
	Expr	   *expr;
	MemoryContext old;

	group_set_safe_path();
	expr = expression_planner((Expr *) parse_filter(planning->rel, planning->group->filter));
	AtEOXact_GUC(false, nestlevel);
	old = MemoryContextSwitchTo(planning->context);
	planning->expr = copyObject(expr);
	MemoryContextSwitchTo(old);
}

/*
 * Plan the filter.  It may not be valid any more, because a function was
 * dropped; the error must say so.
 */
static Expr *
plan_or_report(Relation rel, const ConsumerGroup *group, MemoryContext context)
{
	Planning	planning = {rel, group, context, NULL};
	GroupIdentity identity;
	ErrorData  *error;

	group_become_owner(group, &identity);
	error = base_try(plan_filter, &planning, BASE_TRY_KEEP, base_try_is_any);
	group_become_caller(&identity);
	if (error == NULL)
		return planning.expr;
	if (!stream_message_is_own_error(error->sqlerrcode))
		ReThrowError(error);
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("the filter of consumer group \"%s\" of stream \"%s\" is not valid any more",
					group->name, RelationGetRelationName(rel)),
			 errdetail("%s", error->message),
			 errhint("Set another filter with streamq.alter_group().")));
	return NULL;
}

/* the planned filter of a group, from the cache */
static const Expr *
get_planned(Relation rel, const ConsumerGroup *group)
{
	CachedFilter *cached;
	MemoryContext context;
	Expr	   *expr;
	bool		found;

	if (cache != NULL && hash_get_num_entries(cache) >= CACHE_MAX)
		forget_all();
	if (cache == NULL)
		create_cache();
	cached = hash_search(cache, &group->group_id, HASH_ENTER, &found);
	if (found && cached->valid && strcmp(cached->text, group->filter) == 0)
		return cached->expr;
	if (found && cached->context != NULL)
		MemoryContextDelete(cached->context);
	cached->context = NULL;
	cached->valid = false;

	/* anything may happen to the cache while the filter is planned */
	context = AllocSetContextCreate(CurrentMemoryContext, "streamq filter", ALLOCSET_SMALL_SIZES);
	expr = plan_or_report(rel, group, context);
	cached = hash_search(cache, &group->group_id, HASH_ENTER, &found);
	cached->relid = RelationGetRelid(rel);
	cached->text = MemoryContextStrdup(context, group->filter);
	cached->expr = expr;
	cached->context = context;
	cached->valid = true;
	MemoryContextSetParent(context, TopMemoryContext);
	return expr;
}

/* ---- evaluation ---- */

GroupFilter *
group_filter_begin(Relation rel, const ConsumerGroup *group)
{
	GroupFilter *filter = palloc0(sizeof(GroupFilter));

	filter->group = group;

	/* the cached expression may be replaced while this one is in use */
	filter->expr = copyObject(get_planned(rel, group));
	filter->context = CurrentMemoryContext;
	return filter;
}

/* one evaluation */
typedef struct Evaluation
{
	GroupFilter *filter;
	TupleTableSlot *slot;
	bool		matches;
} Evaluation;

static void
evaluate(void *arg)
{
	Evaluation *evaluation = arg;
	GroupFilter *filter = evaluation->filter;
	GroupIdentity identity;
	bool		isnull;
	Datum		result;

	group_become_owner(filter->group, &identity);
	if (filter->state_context == NULL)
	{
		MemoryContext old;

		filter->state_context = AllocSetContextCreate(filter->context, "streamq filter state",
													  ALLOCSET_SMALL_SIZES);
		old = MemoryContextSwitchTo(filter->state_context);
		filter->econtext = CreateStandaloneExprContext();
		filter->state = ExecInitExpr(unconstify(Expr *, filter->expr), NULL);
		MemoryContextSwitchTo(old);
	}
	filter->econtext->ecxt_scantuple = evaluation->slot;
	result = ExecEvalExprSwitchContext(filter->state, filter->econtext, &isnull);
	evaluation->matches = !isnull && DatumGetBool(result);
	ResetExprContext(filter->econtext);
	group_become_caller(&identity);
}

/*
 * Is it an error of the row?  The owner's privileges, and what other sessions
 * do, are not.
 */
static bool
is_row_error(const ErrorData *error)
{
	switch (error->sqlerrcode)
	{
		case ERRCODE_INSUFFICIENT_PRIVILEGE:
		case ERRCODE_OBJECT_IN_USE:
		case ERRCODE_LOCK_NOT_AVAILABLE:
			return false;
		default:
			return stream_message_is_own_error(error->sqlerrcode);
	}
}

bool
group_filter_matches(GroupFilter *filter, TupleTableSlot *slot, ErrorData **error)
{
	Evaluation	evaluation = {filter, slot, false};

	*error = base_try(evaluate, &evaluation, BASE_TRY_KEEP, is_row_error);
	if (*error != NULL)
	{
		/* functions may have left anything in the state */
		if (filter->state_context != NULL)
			MemoryContextDelete(filter->state_context);
		filter->state_context = NULL;
	}
	return evaluation.matches;
}

void
group_filter_end(GroupFilter *filter)
{
	if (filter->state_context == NULL)
		return;
	FreeExprContext(filter->econtext, true);
	MemoryContextDelete(filter->state_context);
}

/* ---- columns ---- */

static bool
uses_column(Node *node, void *attnum)
{
	if (node == NULL)
		return false;
	if (IsA(node, Var))
		return ((Var *) node)->varattno == *(AttrNumber *) attnum;
	return expression_tree_walker(node, uses_column, attnum);
}

/* does the running command change the name or the type of the column? */
static bool
is_redefined(Relation rel, AttrNumber attnum)
{
	Form_pg_attribute before = TupleDescAttr(RelationGetDescr(rel), attnum - 1);
	Relation	pg_attribute = table_open(AttributeRelationId, AccessShareLock);
	ScanKeyData keys[2];
	SysScanDesc scan;
	HeapTuple	tuple;
	bool		redefined = true;

	/* the caches do not have the change yet */
	ScanKeyInit(&keys[0], Anum_pg_attribute_attrelid, BTEqualStrategyNumber,
				F_OIDEQ, ObjectIdGetDatum(RelationGetRelid(rel)));
	ScanKeyInit(&keys[1], Anum_pg_attribute_attnum, BTEqualStrategyNumber,
				F_INT2EQ, Int16GetDatum(attnum));
	scan = systable_beginscan(pg_attribute, AttributeRelidNumIndexId, true, SnapshotSelf, 2, keys);
	tuple = systable_getnext(scan);
	if (HeapTupleIsValid(tuple))
	{
		Form_pg_attribute now = (Form_pg_attribute) GETSTRUCT(tuple);

		redefined = strcmp(NameStr(now->attname), NameStr(before->attname)) != 0 ||
			now->atttypid != before->atttypid || now->atttypmod != before->atttypmod ||
			now->attcollation != before->attcollation;
	}
	systable_endscan(scan);
	table_close(pg_attribute, AccessShareLock);
	return redefined;
}

static void
parse_stored(void *arg)
{
	Planning   *planning = arg;
	int			nestlevel = NewGUCNestLevel();

	group_set_safe_path();
	planning->expr = (Expr *) parse_filter(planning->rel, planning->group->filter);
	AtEOXact_GUC(false, nestlevel);
}

void
group_column_changed(Relation rel, AttrNumber attnum, bool dropped)
{
	ListCell   *lc;

	/* a column that is being added is not in the relation cache yet */
	if (attnum < 1 || attnum > RelationGetDescr(rel)->natts)
		return;
	foreach(lc, group_list(rel))
	{
		ConsumerGroup *group = lfirst(lc);
		Planning	planning = {rel, group, NULL, NULL};

		/* a filter that is not valid any more does not count */
		if (group->filter == NULL || (!dropped && !is_redefined(rel, attnum)) ||
			base_try(parse_stored, &planning, BASE_TRY_KEEP, base_try_is_any) != NULL)
			continue;
		if (uses_column((Node *) planning.expr, &attnum))
			ereport(ERROR,
					(errcode(ERRCODE_DEPENDENT_OBJECTS_STILL_EXIST),
					 errmsg("cannot change column \"%s\" of stream \"%s\"",
							NameStr(TupleDescAttr(RelationGetDescr(rel), attnum - 1)->attname),
							RelationGetRelationName(rel)),
					 errdetail("The filter of consumer group \"%s\" uses it.", group->name),
					 errhint("Change the filter with streamq.alter_group() first.")));
	}
}
