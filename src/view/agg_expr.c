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

/*
 * A dump prints the query, and a restore parses the text.  So the collation
 * must follow from the arguments, also if the state has none.
 */
Aggref *
view_agg_merge_expression(ViewAgg *agg, int n, Expr *state, Expr *sealed)
{
	Oid			argtypes[] = {REGPROCEDUREOID, REGTYPEARRAYOID, ANYELEMENTOID, BYTEAOID,
	INT4OID, TEXTOID};
	Aggref	   *merge = makeNode(Aggref);
	Expr	   *collated = (Expr *) makeNullConst(TEXTOID, -1, DEFAULT_COLLATION_OID);
	List	   *args;
	ListCell   *lc;

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

	merge->aggfnoid = LookupFuncName(list_make2(makeString(STREAMQ_SCHEMA),
												makeString("aggregate_merge")),
									 lengthof(argtypes), argtypes, false);
	merge->aggtype = agg->storedtype;
	merge->aggcollid = agg->storedcollation;
	merge->inputcollid = agg->aggref->inputcollid;
	foreach(lc, args)
	{
		merge->args = lappend(merge->args,
							  makeTargetEntry(lfirst(lc), foreach_current_index(lc) + 1,
											  NULL, false));
		merge->aggargtypes = lappend_oid(merge->aggargtypes, exprType(lfirst(lc)));
	}
	merge->aggkind = AGGKIND_NORMAL;
	merge->aggsplit = AGGSPLIT_SIMPLE;
	merge->aggno = -1;
	merge->aggtransno = -1;
	merge->location = -1;
	return merge;
}
