/*
 * message_json.c
 *	  Converting values of a stream's columns to JSON.
 */
#include "postgres.h"

#include "access/detoast.h"
#include "access/transam.h"
#include "catalog/pg_type.h"
#include "common/base64.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "parser/parse_coerce.h"
#include "utils/builtins.h"
#include "utils/datetime.h"
#include "utils/fmgroids.h"
#include "utils/fmgrprotos.h"
#include "utils/json.h"
#include "utils/jsonb.h"
#include "utils/lsyscache.h"
#include "utils/numeric.h"
#include "utils/typcache.h"

#include "compat.h"
#include "stream/message_json.h"

/* does to_jsonb() call a user-defined function for this type? */
static bool
has_json_cast(Oid type)
{
	Oid			castfunc;

	return type >= FirstNormalObjectId &&
		find_coercion_pathway(JSONOID, type, COERCION_EXPLICIT, &castfunc) ==
		COERCION_PATH_FUNC;
}

bool
stream_json_may_fail(Oid type)
{
	Oid			element;

	check_stack_depth();
	type = getBaseType(type);
	if (type == JSONOID)
		return true;
	element = get_element_type(type);
	if (OidIsValid(element))
		return stream_json_may_fail(element);
	if (get_typtype(type) == TYPTYPE_ENUM)
		return has_json_cast(type);
	if (get_typtype(type) == TYPTYPE_COMPOSITE)
	{
		TupleDesc	desc = lookup_rowtype_tupdesc(type, -1);
		bool		result = has_json_cast(type);

		for (int i = 0; i < desc->natts && !result; i++)
			result = !TupleDescAttr(desc, i)->attisdropped &&
				stream_json_may_fail(TupleDescAttr(desc, i)->atttypid);
		ReleaseTupleDesc(desc);
		return result;
	}
	return type >= FirstNormalObjectId;
}

void
stream_json_column_init(StreamJsonColumn *column, Form_pg_attribute att)
{
	Oid			basetype = getBaseType(att->atttypid);

	column->is_varlena = att->attlen == -1;
	column->attnum = att->attnum;
	column->basetype = basetype;
	column->name = pstrdup(NameStr(att->attname));
	column->namelen = strlen(column->name);
	switch (basetype)
	{
		case JSONBOID:
			column->form = JSON_AS_IS;
			break;
		case TEXTOID:
		case VARCHAROID:
			column->form = JSON_STRING;
			break;
		case BOOLOID:
			column->form = JSON_BOOL;
			break;
		case INT2OID:
			column->form = JSON_INT2;
			break;
		case INT4OID:
			column->form = JSON_INT4;
			break;
		case INT8OID:
			column->form = JSON_INT8;
			break;
		case NUMERICOID:
			column->form = JSON_NUMERIC;
			break;
		case DATEOID:
		case TIMESTAMPOID:
		case TIMESTAMPTZOID:
			column->form = JSON_DATETIME;
			break;
		default:
			column->form = JSON_CONVERTED;
			column->may_fail = stream_json_may_fail(basetype);
			fmgr_info(F_TO_JSONB, &column->to_jsonb);
			/* to_jsonb() looks up the type of its argument */
			fmgr_info_set_expr((Node *) makeFuncExpr(F_TO_JSONB, JSONBOID,
													 list_make1(makeNullConst(att->atttypid,
																			  att->atttypmod,
																			  att->attcollation)),
													 InvalidOid, InvalidOid,
													 COERCE_EXPLICIT_CALL),
							   &column->to_jsonb);
			break;
	}
}

/* longest string in a jsonb; PostgreSQL has no name for this limit */
#define JSON_STRING_MAX		JENTRY_OFFLENMASK

void
stream_json_string(JsonbValue *result, char *data, int len)
{
	if (len > JSON_STRING_MAX)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("value is too large to be returned as jsonb"),
				 errdetail("Strings in jsonb cannot exceed %d bytes.", JSON_STRING_MAX)));
	result->type = jbvString;
	result->val.string.val = data;
	result->val.string.len = len;
}

void
stream_json_element(StreamJsonColumn *column, Datum value, JsonbValue *result)
{
	switch (column->form)
	{
		case JSON_STRING:
			{
				struct varlena *data = PG_DETOAST_DATUM_PACKED(value);

				stream_json_string(result, VARDATA_ANY(data), VARSIZE_ANY_EXHDR(data));
				break;
			}
		case JSON_BASE64:
			{
				struct varlena *data = PG_DETOAST_DATUM_PACKED(value);
				int			room;
				char	   *text;
				int			len;

				/* the length of the text may overflow an int */
				if (VARSIZE_ANY_EXHDR(data) > JSON_STRING_MAX / 4 * 3)
					stream_json_string(result, NULL, INT_MAX);
				room = pg_b64_enc_len(VARSIZE_ANY_EXHDR(data));
				text = palloc(Max(room, 1));

				len = COMPAT_B64_ENCODE(VARDATA_ANY(data), VARSIZE_ANY_EXHDR(data),
										text, room);
				if (len < 0)
					elog(ERROR, "could not encode %d bytes as base64",
						 (int) VARSIZE_ANY_EXHDR(data));
				stream_json_string(result, text, len);
				break;
			}
		case JSON_BOOL:
			result->type = jbvBool;
			result->val.boolean = DatumGetBool(value);
			break;
		case JSON_INT2:
			result->type = jbvNumeric;
			result->val.numeric = int64_to_numeric(DatumGetInt16(value));
			break;
		case JSON_INT4:
			result->type = jbvNumeric;
			result->val.numeric = int64_to_numeric(DatumGetInt32(value));
			break;
		case JSON_INT8:
			result->type = jbvNumeric;
			result->val.numeric = int64_to_numeric(DatumGetInt64(value));
			break;
		case JSON_NUMERIC:
			{
				Numeric		number = DatumGetNumeric(value);

				/* JSON has no such numbers */
				if (numeric_is_nan(number) || numeric_is_inf(number))
				{
					char	   *text = DatumGetCString(DirectFunctionCall1(numeric_out,
																		   NumericGetDatum(number)));

					stream_json_string(result, text, strlen(text));
				}
				else
				{
					result->type = jbvNumeric;
					result->val.numeric = number;
				}
				break;
			}
		case JSON_DATETIME:
			{
				char	   *text = palloc(MAXDATELEN + 1);

				JsonEncodeDateTime(text, value, column->basetype, NULL);
				stream_json_string(result, text, strlen(text));
				break;
			}
		case JSON_CONVERTED:
			value = FunctionCall1(&column->to_jsonb, value);
			/* FALLTHROUGH */
		case JSON_AS_IS:
			{
				Jsonb	   *json = DatumGetJsonbP(value);

				if (!JB_ROOT_IS_SCALAR(json) ||
					!JsonbExtractScalar(&json->root, result))
				{
					result->type = jbvBinary;
					result->val.binary.data = &json->root;
					result->val.binary.len = VARSIZE(json) - VARHDRSZ;
				}
				break;
			}
	}
}

Datum
stream_json_document(StreamJsonColumn *column, Datum value)
{
	JsonbValue	json;

	if (column->form == JSON_AS_IS)
		return value;
	if (column->form == JSON_CONVERTED)
		return FunctionCall1(&column->to_jsonb, value);
	stream_json_element(column, value, &json);
	return JsonbPGetDatum(JsonbValueToJsonb(&json));
}

/* ---- values that may not be converted ---- */

#define SURE_DEPTH	64

/*
 * Can this value of type json certainly be converted to jsonb?  Returns false
 * for escapes of characters, for numbers with exponents or many digits, and
 * for deep nesting; such values may still be valid.
 */
static bool
json_is_sure(Datum value)
{
	struct varlena *json = PG_DETOAST_DATUM_PACKED(value);
	const char *p = VARDATA_ANY(json);
	const char *end = p + VARSIZE_ANY_EXHDR(json);
	const char *number = NULL;	/* start of a sequence of digits */
	bool		in_string = false;
	int			depth = 0;

	for (; p < end; p++)
	{
		if (in_string)
		{
			if (*p == '"')
				in_string = false;
			else if (*p == '\\' && ++p < end && *p == 'u')
				break;
			continue;
		}
		if (*p >= '0' && *p <= '9')
		{
			if (number == NULL)
				number = p;
			else if (p - number > 1000)
				break;
			continue;
		}
		if (number != NULL && (*p == 'e' || *p == 'E'))
			break;
		number = NULL;
		if (*p == '"')
			in_string = true;
		else if (*p == '[' || *p == '{')
		{
			if (++depth > SURE_DEPTH)
				break;
		}
		else if (*p == ']' || *p == '}')
			depth--;
	}
	if (PointerGetDatum(json) != value)
		pfree(json);
	return p >= end;
}

bool
stream_json_is_sure(const StreamJsonColumn *column, TupleTableSlot *slot, Size *size)
{
	bool		isnull;
	Datum		value = slot_getattr(slot, column->attnum, &isnull);

	if (isnull)
		return true;
	if (column->is_varlena)
		*size += toast_raw_datum_size(value);
	if (*size > STREAM_JSON_SURE_SIZE)
		return false;
	return !column->may_fail || (column->basetype == JSONOID && json_is_sure(value));
}
