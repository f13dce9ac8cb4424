/*
 * condition.c
 *	  SQL conditions on the columns of a relation, given as text.
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/sysattr.h"
#include "access/table.h"
#include "catalog/pg_attribute.h"
#include "nodes/nodeFuncs.h"
#include "parser/parse_coerce.h"
#include "parser/parse_collate.h"
#include "parser/parse_expr.h"
#include "parser/parse_relation.h"
#include "parser/parser.h"
#include "utils/fmgroids.h"
#include "utils/guc.h"
#include "utils/rel.h"
#include "utils/ruleutils.h"
#include "utils/snapmgr.h"

#include "base/condition.h"
#include "compat.h"

/* an error position refers to the text of the condition, not to the SQL call */
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
refuse_syntax(const char *what)
{
	ereport(ERROR,
			(errcode(ERRCODE_SYNTAX_ERROR),
			 errmsg("%s must be one condition", what),
			 errhint("Write what would follow WHERE, such as payload->>'kind' = 'order'.")));
}

/* parse the text as one expression, without looking at names */
static Node *
parse_expression(const char *text, const char *what)
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
		refuse_syntax(what);
	target = linitial_node(ResTarget, stmt->targetList);
	if (target->name != NULL || target->indirection != NIL ||
		(IsA(target->val, ColumnRef) &&
		 IsA(linitial(((ColumnRef *) target->val)->fields), A_Star)))
		refuse_syntax(what);
	return target->val;
}

/* what check_walker() looks at */
typedef struct ConditionCheck
{
	Relation	rel;
	const char *what;
} ConditionCheck;

static void
refuse_part(const ConditionCheck *check, const char *part)
{
	ereport(ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg("cannot use %s in %s", part, check->what)));
}

static bool
check_walker(Node *node, void *arg)
{
	ConditionCheck *check = arg;

	if (node == NULL)
		return false;
	if (IsA(node, SubLink))
		refuse_part(check, "a subquery");
	if (IsA(node, Var))
	{
		AttrNumber	attnum = ((Var *) node)->varattno;

		if (attnum < 0)
			refuse_part(check, "a system column");
		/* its text would have the name of the relation, which may change */
		if (attnum == InvalidAttrNumber)
			refuse_part(check, "a whole row");
		if (COMPAT_IS_VIRTUAL_COLUMN(TupleDescAttr(RelationGetDescr(check->rel), attnum - 1)))
			refuse_part(check, "a virtual generated column");
		return false;
	}
	return expression_tree_walker(node, check_walker, arg);
}

Node *
base_parse_condition(Relation rel, const char *text, const char *what)
{
	ConditionCheck check = {rel, what};
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
	expr = transformExpr(pstate, parse_expression(text, what), EXPR_KIND_WHERE);
	(void) check_walker(expr, &check);
	expr = coerce_to_boolean(pstate, expr, "condition");
	assign_expr_collations(pstate, expr);
	error_context_stack = callback.previous;

	free_parsestate(pstate);
	return expr;
}

void
base_set_safe_path(void)
{
	(void) set_config_option("search_path", "pg_catalog, pg_temp", PGC_USERSET, PGC_S_SESSION,
							 GUC_ACTION_SAVE, true, 0, false);
}

char *
base_condition_text(Relation rel, Node *condition)
{
	int			nestlevel = NewGUCNestLevel();
	char	   *result;

	base_set_safe_path();
	result = deparse_expression(condition,
								deparse_context_for(RelationGetRelationName(rel),
													RelationGetRelid(rel)),
								false, false);
	AtEOXact_GUC(false, nestlevel);
	return result;
}

/* ---- columns ---- */

static bool
use_walker(Node *node, void *attnum)
{
	if (node == NULL)
		return false;
	if (IsA(node, Var))
		return ((Var *) node)->varattno == *(AttrNumber *) attnum;
	return expression_tree_walker(node, use_walker, attnum);
}

bool
base_condition_uses(Node *condition, AttrNumber attnum)
{
	return use_walker(condition, &attnum);
}

bool
base_column_is_redefined(Relation rel, AttrNumber attnum)
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
