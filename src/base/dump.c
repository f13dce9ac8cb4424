/*
 * dump.c
 *	  Restoring rows of the tables that represent other objects in a dump.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "commands/trigger.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "utils/array.h"
#include "utils/timestamp.h"

#include "base/dump.h"
#include "base/loaded.h"

Datum
base_restore_row(FunctionCallInfo fcinfo, const char *name, const char *command, bool *isnull)
{
	TriggerData *data = (TriggerData *) fcinfo->context;
	TupleDesc	desc;
	Datum		row;
	Datum		result;
	Oid			rowtype;
	int			rc;

	base_require_loaded();
	if (!CALLED_AS_TRIGGER(fcinfo) || !TRIGGER_FIRED_BY_INSERT(data->tg_event) ||
		!TRIGGER_FIRED_BEFORE(data->tg_event) || !TRIGGER_FIRED_FOR_ROW(data->tg_event))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("function \"%s\" must be fired BEFORE INSERT for each row", name),
				 errhint("Only the extension's own trigger calls it.")));
	desc = RelationGetDescr(data->tg_relation);
	rowtype = desc->tdtypeid;
	row = heap_copy_tuple_as_datum(data->tg_trigtuple, desc);

	SPI_connect();
	rc = SPI_execute_with_args(command, 1, &rowtype, &row, NULL, false, 0);
	if (rc != SPI_OK_SELECT || SPI_processed != 1)
		elog(ERROR, "function \"%s\" failed: %s", name, SPI_result_code_string(rc));
	result = SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, isnull);
	SPI_finish();
	return result;
}

Datum
base_make_numbers(const int64 *numbers, int n)
{
	Datum	   *elems = palloc(sizeof(Datum) * Max(n, 1));

	for (int i = 0; i < n; i++)
		elems[i] = Int64GetDatum(numbers[i]);
	return PointerGetDatum(construct_array(elems, n, INT8OID, sizeof(int64),
										   FLOAT8PASSBYVAL, TYPALIGN_DOUBLE));
}

int
base_count_numbers(Datum array)
{
	ArrayType  *a = DatumGetArrayTypeP(array);

	return ArrayGetNItems(ARR_NDIM(a), ARR_DIMS(a));
}

int
base_read_numbers(Datum array, int max, int64 *numbers)
{
	Datum	   *elems;
	bool	   *nulls;
	int			n;

	deconstruct_array(DatumGetArrayTypeP(array), INT8OID, sizeof(int64), FLOAT8PASSBYVAL,
					  TYPALIGN_DOUBLE, &elems, &nulls, &n);
	n = Min(n, max);
	for (int i = 0; i < n; i++)
		numbers[i] = nulls[i] ? 0 : DatumGetInt64(elems[i]);
	return n;
}

int
base_read_times(Datum array, int max, Timestamp *times)
{
	Datum	   *elems;
	bool	   *nulls;
	int			n;

	deconstruct_array(DatumGetArrayTypeP(array), TIMESTAMPTZOID, sizeof(int64),
					  FLOAT8PASSBYVAL, TYPALIGN_DOUBLE, &elems, &nulls, &n);
	n = Min(n, max);
	for (int i = 0; i < n; i++)
		times[i] = nulls[i] ? DT_NOBEGIN : DatumGetTimestamp(elems[i]);
	return n;
}
