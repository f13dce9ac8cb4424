/*
 * target.c
 *	  What a writer needs to know about its stream: columns, conversions,
 *	  slots.
 */
#include "postgres.h"

#include "access/tupdesc.h"
#include "catalog/pg_type.h"
#include "commands/trigger.h"
#include "executor/executor.h"
#include "mb/pg_wchar.h"
#include "nodes/makefuncs.h"
#include "parser/parse_coerce.h"
#include "rewrite/rewriteHandler.h"
#include "utils/builtins.h"
#include "utils/hsearch.h"
#include "utils/inval.h"
#include "utils/jsonb.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/syscache.h"

#include "log/options.h"
#include "stream/message.h"
#include "stream/target.h"
#include "stream/writer.h"

/* number of slots kept between calls */
#define KEPT_SLOTS	1024

typedef struct CachedTarget
{
	Oid			relid;			/* hash key */
	StreamTarget *target;
} CachedTarget;

static HTAB *targets = NULL;

/* only mark the target, because a writer may be using it */
static void
target_invalidated(Datum arg, Oid relid)
{
	HASH_SEQ_STATUS status;
	CachedTarget *entry;

	if (OidIsValid(relid))
	{
		entry = hash_search(targets, &relid, HASH_FIND, NULL);
		if (entry != NULL && entry->target != NULL)
			entry->target->valid = false;
		return;
	}
	hash_seq_init(&status, targets);
	while ((entry = hash_seq_search(&status)) != NULL)
	{
		if (entry->target != NULL)
			entry->target->valid = false;
	}
}

/* the default of a domain may have changed: no relcache callback tells that */
static void
type_invalidated(Datum arg, int cacheid, uint32 hashvalue)
{
	HASH_SEQ_STATUS status;
	CachedTarget *entry;

	hash_seq_init(&status, targets);
	while ((entry = hash_seq_search(&status)) != NULL)
	{
		if (entry->target != NULL && entry->target->has_domain)
			entry->target->valid = false;
	}
}

static void
targets_init(void)
{
	HASHCTL		ctl;

	ctl.keysize = sizeof(Oid);
	ctl.entrysize = sizeof(CachedTarget);
	ctl.hcxt = TopMemoryContext;
	targets = hash_create("streamq writer targets", 32, &ctl,
						  HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	CacheRegisterRelcacheCallback(target_invalidated, (Datum) 0);
	CacheRegisterSyscacheCallback(TYPEOID, type_invalidated, (Datum) 0);
}

/* free targets of streams that changed or are gone */
static void
targets_sweep(void)
{
	HASH_SEQ_STATUS status;
	CachedTarget *entry;

	hash_seq_init(&status, targets);
	while ((entry = hash_seq_search(&status)) != NULL)
	{
		if (entry->target != NULL && (entry->target->valid || entry->target->busy))
			continue;
		if (entry->target != NULL)
			MemoryContextDelete(entry->target->context);
		hash_search(targets, &entry->relid, HASH_REMOVE, NULL);
	}
}

static void
init_column(StreamTargetColumn *column, Form_pg_attribute att)
{
	Oid			input;

	column->attnum = att->attnum;
	column->type = att->atttypid;
	column->basetype = getBaseType(att->atttypid);
	column->typmod = att->atttypmod;
	getTypeInputInfo(att->atttypid, &input, &column->ioparam);
	fmgr_info(input, &column->input);
}

/*
 * The default of a column; NULL means null.  A domain without a default may
 * refuse null.  Not planned, because a plan depends on more than this
 * relation.
 */
static Expr *
column_default(Relation rel, Form_pg_attribute att)
{
	Node	   *expr = build_column_default(rel, att->attnum);

	if (expr == NULL && get_typtype(att->atttypid) == TYPTYPE_DOMAIN)
	{
		int32		basetypmod = att->atttypmod;
		Oid			basetype = getBaseTypeAndTypmod(att->atttypid, &basetypmod);

		expr = coerce_to_domain((Node *) makeNullConst(basetype, basetypmod,
													   att->attcollation),
								basetype, basetypmod, att->atttypid,
								COERCION_IMPLICIT, COERCE_IMPLICIT_CAST, -1, false);
	}
	return (Expr *) expr;
}

static bool
has_insert_triggers(const TriggerDesc *trigdesc)
{
	return trigdesc != NULL &&
		(trigdesc->trig_insert_before_row || trigdesc->trig_insert_after_row ||
		 trigdesc->trig_insert_before_statement ||
		 trigdesc->trig_insert_after_statement ||
		 trigdesc->trig_insert_new_table);
}

/* fill in the columns, and find out whether rows can skip the executor */
static void
fill_target(StreamTarget *target, Relation rel)
{
	TupleDesc	desc = RelationGetDescr(rel);
	StreamOptions options;

	target->relid = RelationGetRelid(rel);
	target->desc = CreateTupleDescCopyConstr(desc);
	target->default_attnums = palloc(desc->natts * sizeof(AttrNumber));
	target->default_exprs = palloc(desc->natts * sizeof(Expr *));
	target->notnull = palloc(desc->natts * sizeof(AttrNumber));

	log_options_get(rel, &options);
	target->npartitions = options.npartitions;

	for (int i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(desc, i);
		const char *name = NameStr(att->attname);
		Expr	   *expr;

		if (att->attisdropped)
			continue;
		target->has_domain |= get_typtype(att->atttypid) == TYPTYPE_DOMAIN;
		if (att->attnotnull)
			target->notnull[target->nnotnull++] = att->attnum;
		if (att->attgenerated)
		{
			target->needs_executor = true;
			continue;
		}

		if (strcmp(name, "payload") == 0 && stream_is_payload_type(att->atttypid))
		{
			init_column(&target->payload, att);
			continue;
		}
		if (strcmp(name, "key") == 0)
			init_column(&target->key, att);
		else if (strcmp(name, "headers") == 0)
			init_column(&target->headers, att);

		expr = column_default(rel, att);
		if (expr != NULL)
		{
			target->default_attnums[target->ndefaults] = att->attnum;
			target->default_exprs[target->ndefaults++] = expr;
		}
	}

	if (has_insert_triggers(rel->trigdesc) || rel->rd_rel->relispartition ||
		(desc->constr != NULL && desc->constr->num_check > 0))
		target->needs_executor = true;
	target->row_by_row = rel->trigdesc != NULL && rel->trigdesc->trig_insert_before_row;
	target->valid = true;
}

/* make a target in its own context; after an error, parent owns the rest */
static StreamTarget *
make_target(Relation rel, MemoryContext parent)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext,
												  "streamq writer target",
												  ALLOCSET_SMALL_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	StreamTarget *target = palloc0(sizeof(StreamTarget));

	target->context = context;
	fill_target(target, rel);
	MemoryContextSwitchTo(old);
	MemoryContextSetParent(context, parent);
	return target;
}

/* called when the writer's memory context goes */
static void
release_target(void *arg)
{
	StreamTarget *target = arg;

	for (int i = 0; i < target->nslots; i++)
		ExecClearTuple(target->slots[i]);
	while (target->nslots > KEPT_SLOTS)
		ExecDropSingleTupleTableSlot(target->slots[--target->nslots]);
	target->busy = false;
}

static StreamTarget *
take_target(StreamTarget *target)
{
	target->busy = true;
	target->release.func = release_target;
	target->release.arg = target;
	MemoryContextRegisterResetCallback(CurrentMemoryContext, &target->release);
	return target;
}

StreamTarget *
stream_target_get(Relation rel)
{
	Oid			relid = RelationGetRelid(rel);
	CachedTarget *entry;
	StreamTarget *target;
	bool		found;

	if (targets == NULL)
		targets_init();

	entry = hash_search(targets, &relid, HASH_FIND, NULL);
	if (entry != NULL && entry->target != NULL)
	{
		/*
		 * Another writer of this stream is active, perhaps the one that fired
		 * the trigger in which we are.  Make a separate target.
		 */
		if (entry->target->busy)
			return make_target(rel, CurrentMemoryContext);
		if (entry->target->valid)
			return take_target(entry->target);
	}

	target = make_target(rel, TopMemoryContext);
	targets_sweep();
	entry = hash_search(targets, &relid, HASH_ENTER, &found);
	entry->target = target;
	return take_target(target);
}

static void
refuse_payload(Relation rel)
{
	TupleDesc	desc = RelationGetDescr(rel);

	for (int i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(desc, i);

		if (!att->attisdropped && strcmp(NameStr(att->attname), "payload") == 0)
			ereport(ERROR,
					(errcode(ERRCODE_DATATYPE_MISMATCH),
					 errmsg("column \"payload\" of stream \"%s\" has type %s",
							RelationGetRelationName(rel), format_type_be(att->atttypid)),
					 errdetail("Messages are produced to columns of type jsonb, text or bytea."),
					 errhint("Use INSERT or COPY for streams with other columns.")));
	}
	ereport(ERROR,
			(errcode(ERRCODE_UNDEFINED_COLUMN),
			 errmsg("stream \"%s\" has no column \"payload\" to write to",
					RelationGetRelationName(rel)),
			 errhint("Use INSERT or COPY for streams with other columns.")));
}

static void
refuse_missing_column(Relation rel, const char *name)
{
	ereport(ERROR,
			(errcode(ERRCODE_UNDEFINED_COLUMN),
			 errmsg("stream \"%s\" has no column \"%s\" to write to",
					RelationGetRelationName(rel), name),
			 errhint("Leave the argument out, or add the column to the stream.")));
}

void
stream_target_check(const StreamTarget *target, Relation rel, int partition, int columns)
{
	if ((columns & STREAM_WRITE_PAYLOAD) && !AttributeNumberIsValid(target->payload.attnum))
		refuse_payload(rel);
	if ((columns & STREAM_WRITE_KEY) && !AttributeNumberIsValid(target->key.attnum))
		refuse_missing_column(rel, "key");
	if ((columns & STREAM_WRITE_HEADERS) && !AttributeNumberIsValid(target->headers.attnum))
		refuse_missing_column(rel, "headers");
	if (partition != STREAM_ANY_PARTITION &&
		(partition < 0 || partition >= target->npartitions))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("partition %d of stream \"%s\" does not exist",
						partition, RelationGetRelationName(rel)),
				 errhint("Its partitions are numbered from 0 to %d.",
						 target->npartitions - 1)));
}

TupleTableSlot **
stream_target_slots(StreamTarget *target, int n)
{
	if (n > target->nslots)
	{
		MemoryContext old = MemoryContextSwitchTo(target->context);

		if (target->slots == NULL)
			target->slots = palloc(n * sizeof(TupleTableSlot *));
		else
			target->slots = repalloc(target->slots, n * sizeof(TupleTableSlot *));
		while (target->nslots < n)
			target->slots[target->nslots++] =
				MakeSingleTupleTableSlot(target->desc, &TTSOpsVirtual);
		MemoryContextSwitchTo(old);
	}
	return target->slots;
}

/* can text be stored in the column unchanged? */
static bool
takes_text(const StreamTargetColumn *column)
{
	return (column->type == TEXTOID || column->type == VARCHAROID) &&
		column->typmod < 0;
}

Datum
stream_target_convert(StreamTargetColumn *column, Oid argtype, Datum value, bool isnull)
{
	char	   *str;

	if (isnull)
	{
		if (column->type != column->basetype)
			(void) InputFunctionCall(&column->input, NULL, column->ioparam, column->typmod);
		return (Datum) 0;
	}
	if (argtype == column->type)
		return value;

	switch (argtype)
	{
		case TEXTOID:
			if (takes_text(column))
				return value;
			str = TextDatumGetCString(value);
			break;
		case JSONOID:
		case JSONBOID:
			{
				if (argtype == JSONOID)
					str = TextDatumGetCString(value);
				else
				{
					Jsonb	   *json = DatumGetJsonbP(value);

					str = JsonbToCString(NULL, &json->root, VARSIZE(json));
				}
				if (column->basetype == BYTEAOID)
				{
					Datum		bytes = PointerGetDatum(cstring_to_text(str));

					if (column->type == BYTEAOID)
						return bytes;
					str = DatumGetCString(DirectFunctionCall1(byteaout, bytes));
				}
				break;
			}
		case BYTEAOID:
			if (column->basetype == BYTEAOID)
				str = DatumGetCString(DirectFunctionCall1(byteaout, value));
			else
			{
				bytea	   *bytes = DatumGetByteaPP(value);

				/* this also refuses zero bytes, which text cannot contain */
				pg_verifymbstr(VARDATA_ANY(bytes), VARSIZE_ANY_EXHDR(bytes), false);
				if (takes_text(column))
					return PointerGetDatum(bytes);
				str = text_to_cstring((text *) bytes);
			}
			break;
		default:
			elog(ERROR, "unexpected argument type %u", argtype);
	}

	value = InputFunctionCall(&column->input, str, column->ioparam, column->typmod);
	pfree(str);
	return value;
}
