/*
 * filter.c
 *	  The filter of a group: an SQL condition on the columns of its stream.
 */
#include "postgres.h"

#include "executor/executor.h"
#include "optimizer/optimizer.h"
#include "utils/guc.h"
#include "utils/hsearch.h"
#include "utils/inval.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/syscache.h"

#include "base/condition.h"
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

#define FILTER	"the filter of a consumer group"

char *
group_filter_check(Relation rel, const char *text)
{
	Node	   *expr = base_parse_condition(rel, text, FILTER);
	Node	   *planned = (Node *) expression_planner((Expr *) copyObject(expr));

	if (contain_volatile_functions(planned))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("cannot use %s in %s", "a volatile function", FILTER)));
	return base_condition_text(rel, expr);
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

	base_set_safe_path();
	expr = expression_planner((Expr *) base_parse_condition(planning->rel, planning->group->filter, FILTER));
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

static void
parse_stored(void *arg)
{
	Planning   *planning = arg;
	int			nestlevel = NewGUCNestLevel();

	base_set_safe_path();
	planning->expr = (Expr *) base_parse_condition(planning->rel, planning->group->filter, FILTER);
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
		if (group->filter == NULL || (!dropped && !base_column_is_redefined(rel, attnum)) ||
			base_try(parse_stored, &planning, BASE_TRY_KEEP, base_try_is_any) != NULL)
			continue;
		if (base_condition_uses((Node *) planning.expr, attnum))
			ereport(ERROR,
					(errcode(ERRCODE_DEPENDENT_OBJECTS_STILL_EXIST),
					 errmsg("cannot change column \"%s\" of stream \"%s\"",
							NameStr(TupleDescAttr(RelationGetDescr(rel), attnum - 1)->attname),
							RelationGetRelationName(rel)),
					 errdetail("The filter of consumer group \"%s\" uses it.", group->name),
					 errhint("Change the filter with streamq.alter_group() first.")));
	}
}
