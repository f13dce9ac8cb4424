/*
 * handler_function.c
 *	  The function of a handler, and the view that holds it.
 *
 * The view of a handler shows the ids of the messages.  Its query names the
 * function, in a condition that is always true, so that PostgreSQL knows that
 * the handler needs the function.  Nothing calls it when the view is read.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/namespace.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "nodes/nodeFuncs.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/regproc.h"
#include "utils/syscache.h"

#include "base/loaded.h"
#include "compat.h"
#include "handler/handler.h"
#include "handler/handler_internal.h"
#include "job/job_define.h"

static Oid
message_type(void)
{
	return GetSysCacheOid2(TYPENAMENSP, Anum_pg_type_oid, CStringGetDatum("message"),
						   ObjectIdGetDatum(get_namespace_oid(STREAMQ_SCHEMA, false)));
}

void
handler_check_function(HandlerFunction *function, Oid funcid)
{
	HeapTuple	tup = SearchSysCache1(PROCOID, ObjectIdGetDatum(funcid));
	Form_pg_proc form;
	Oid			argtype;

	if (!HeapTupleIsValid(tup))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_FUNCTION),
				 errmsg("function with OID %u does not exist", funcid)));
	form = (Form_pg_proc) GETSTRUCT(tup);
	function->funcid = funcid;
	function->message_type = message_type();
	argtype = form->pronargs == 1 ? form->proargtypes.values[0] : InvalidOid;
	function->takes_array = argtype == get_array_type(function->message_type);
	if (argtype != function->message_type && !function->takes_array)
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("function %s cannot handle messages", format_procedure(funcid)),
				 errhint("It must have one argument, of type streamq.message or streamq.message[].")));
	if (form->prokind != PROKIND_FUNCTION || form->proretset)
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("function %s cannot handle messages", format_procedure(funcid)),
				 errhint("It must be an ordinary function that returns no set.")));
	ReleaseSysCache(tup);
}

Query *
handler_make_query(Oid stream, const HandlerFunction *function)
{
	char	   *name = quote_qualified_identifier(get_namespace_name(get_func_namespace(function->funcid)),
												  get_func_name(function->funcid));
	char	   *text;

	text = psprintf("SELECT %s.msg_id(s.tableoid, s.ctid) AS msg_id FROM %s s "
					"WHERE true OR %s(NULL::%s.message%s) IS NULL",
					STREAMQ_SCHEMA,
					quote_qualified_identifier(get_namespace_name(get_rel_namespace(stream)),
											   get_rel_name(stream)),
					name, STREAMQ_SCHEMA, function->takes_array ? "[]" : "");

	return job_parse_query(text, HANDLER_JOB_KIND, "");
}

static bool
find_function_walker(Node *node, void *context)
{
	if (node == NULL)
		return false;
	if (IsA(node, FuncExpr))
	{
		*(Oid *) context = ((FuncExpr *) node)->funcid;
		return true;
	}
	return expression_tree_walker(node, find_function_walker, context);
}

Oid
handler_find_function(Query *query)
{
	Oid			funcid = InvalidOid;

	(void) find_function_walker(query->jointree->quals, &funcid);
	return funcid;
}
