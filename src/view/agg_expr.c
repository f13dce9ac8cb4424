/*
 * agg_expr.c
 *	  Expressions over state columns, for the query of a continuous view.
 */
#include "postgres.h"

#include "catalog/pg_aggregate.h"
#include "catalog/pg_collation.h"
#include "catalog/pg_type.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "parser/parse_func.h"
#include "utils/array.h"
#include "utils/lsyscache.h"

#include "base/loaded.h"
#include "compat.h"
#include "view/agg.h"
#include "view/analyze.h"
#include "view/view_define.h"

Const *
view_agg_argument_types(Aggref *aggref)
{
	Datum	   *types = palloc(sizeof(Datum) * Max(1, list_length(aggref->aggargtypes)));
	int			ntypes = 0;
	ListCell   *lc;

	foreach(lc, aggref->aggargtypes)
		types[ntypes++] = ObjectIdGetDatum(lfirst_oid(lc));
	return makeConst(REGTYPEARRAYOID, -1, InvalidOid, -1,
					 PointerGetDatum(construct_array(types, ntypes, REGTYPEOID, sizeof(Oid),
													 true, TYPALIGN_INT)),
					 false, false);
}

/* an aggregate call without DISTINCT, ORDER BY and FILTER */
static Aggref *
make_call(Oid aggregate, List *args)
{
	Aggref	   *aggref = makeNode(Aggref);
	ListCell   *lc;

	aggref->aggfnoid = aggregate;
	foreach(lc, args)
	{
		aggref->args = lappend(aggref->args,
							   makeTargetEntry(lfirst(lc), foreach_current_index(lc) + 1,
											   NULL, false));
		aggref->aggargtypes = lappend_oid(aggref->aggargtypes, exprType(lfirst(lc)));
	}
	aggref->aggkind = AGGKIND_NORMAL;
	aggref->aggsplit = AGGSPLIT_SIMPLE;
	aggref->aggno = -1;
	aggref->aggtransno = -1;
	aggref->location = -1;
	return aggref;
}

/* merge collected input */
static Aggref *
input_merge_expression(ViewAgg *agg, Expr *input)
{
	Oid			argtypes[] = {agg->storedtype};
	List	   *name = list_make2(makeString(STREAMQ_SCHEMA), makeString("aggregate_input_merge"));
	Aggref	   *merge = make_call(LookupFuncName(name, 1, argtypes, false), list_make1(input));

	merge->aggtype = agg->storedtype;
	return merge;
}

/*
 * A dump prints the query, and a restore parses the text.  So the collation
 * must follow from the arguments, also if the state has none.
 */
Aggref *
view_agg_merge_expression(ViewAgg *agg, int n, Expr *state, Expr *sealed)
{
	Oid			argtypes[] = {REGPROCEDUREOID, REGTYPEARRAYOID, ANYELEMENTOID, BYTEAOID,
	INT4OID, TEXTOID};
	List	   *name = list_make2(makeString(STREAMQ_SCHEMA), makeString("aggregate_merge"));
	Aggref	   *merge;
	Expr	   *collated = (Expr *) makeNullConst(TEXTOID, -1, DEFAULT_COLLATION_OID);
	List	   *args;

	if (agg->collected)
		return input_merge_expression(agg, state);
	if (OidIsValid(agg->aggref->inputcollid))
	{
		CollateExpr *collate = makeNode(CollateExpr);

		collate->arg = collated;
		collate->collOid = agg->aggref->inputcollid;
		collate->location = -1;
		collated = (Expr *) collate;
	}
	args = list_make5(makeConst(REGPROCEDUREOID, -1, InvalidOid, sizeof(Oid),
								ObjectIdGetDatum(agg->aggref->aggfnoid), false, true),
					  view_agg_argument_types(agg->aggref), state, sealed,
					  makeConst(INT4OID, -1, InvalidOid, sizeof(int32), Int32GetDatum(n),
								false, true));
	args = lappend(args, collated);

	merge = make_call(LookupFuncName(name, lengthof(argtypes), argtypes, false), args);
	merge->aggtype = agg->storedtype;
	merge->aggcollid = agg->storedcollation;
	merge->inputcollid = agg->aggref->inputcollid;
	return merge;
}
