/*
 * capture_condition.c
 *	  The condition of a capture.
 *
 * It is stored as text, which means the same on every version of the server.
 * What it uses cannot be dropped, because the triggers depend on it.
 */
#include "postgres.h"

#include "access/relation.h"
#include "utils/guc.h"
#include "utils/rel.h"

#include "base/condition.h"
#include "base/try.h"
#include "capture/capture_condition.h"

#define CONDITION	"the condition of a capture"

char *
capture_condition_check(Relation source, const char *text)
{
	return base_condition_text(source, base_parse_condition(source, text, CONDITION));
}

typedef struct ConditionParse
{
	Relation	source;
	const char *text;
	MemoryContext context;		/* of the result */
	Node	   *condition;
} ConditionParse;

static void
parse_stored(void *arg)
{
	ConditionParse *parse = arg;
	int			nestlevel = NewGUCNestLevel();
	Node	   *condition;

	base_set_safe_path();
	condition = base_parse_condition(parse->source, parse->text, CONDITION);
	AtEOXact_GUC(false, nestlevel);
	MemoryContextSwitchTo(parse->context);
	parse->condition = copyObject(condition);
}

Node *
capture_condition_parse(Relation source, const Capture *capture)
{
	ConditionParse parse = {source, capture->condition, CurrentMemoryContext, NULL};

	parse_stored(&parse);
	return parse.condition;
}

void
capture_condition_column_changed(Oid relid, AttrNumber attnum)
{
	List	   *captures = capture_list(relid);
	Relation	rel;
	ListCell   *lc;

	if (captures == NIL)
		return;
	rel = relation_open(relid, NoLock);
	/* a column that is being added is not in the relation cache yet */
	if (attnum >= 1 && attnum <= RelationGetDescr(rel)->natts &&
		base_column_is_redefined(rel, attnum))
	{
		foreach(lc, captures)
		{
			Capture    *capture = lfirst(lc);
			ConditionParse parse = {rel, capture->condition, CurrentMemoryContext, NULL};

			/* a condition that is not valid any more does not count */
			if (capture->condition == NULL ||
				base_try(parse_stored, &parse, BASE_TRY_KEEP, base_try_is_any) != NULL)
				continue;
			if (base_condition_uses(parse.condition, attnum))
				ereport(ERROR,
						(errcode(ERRCODE_DEPENDENT_OBJECTS_STILL_EXIST),
						 errmsg("cannot change column \"%s\" of table \"%s\"",
								NameStr(TupleDescAttr(RelationGetDescr(rel), attnum - 1)->attname),
								RelationGetRelationName(rel)),
						 errdetail("The condition of a capture uses it."),
						 errhint("Call streamq.stop_capture() first, and streamq.capture() with the new condition afterwards.")));
		}
	}
	relation_close(rel, NoLock);
}
