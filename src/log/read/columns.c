/*
 * columns.c
 *	  Some columns of the rows of a page, decoded without a slot.
 *
 * The columns asked for are compiled into a few steps over a row's body.  The
 * steps know only the usual row, which has all attributes asked for and ends
 * on its page.  Any other row, and a damaged one, is left to a slot.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/sysattr.h"
#include "utils/timestamp.h"

#include "log/log.h"
#include "log/page/page.h"
#include "log/page/row_codec.h"
#include "log/read/pagescan.h"
#include "log/read/slot.h"
#include "log/scan.h"
#include "log/space/tid.h"

typedef enum StepKind
{
	STEP_SKIP,					/* len bytes */
	STEP_BYVAL,					/* len bytes */
	STEP_FIXED,					/* len bytes, aligned, by reference */
	STEP_SKIP_FIXED,
	STEP_VARLENA,
	STEP_SKIP_VARLENA
} StepKind;

typedef struct ColumnStep
{
	uint8		kind;
	char		align;			/* for STEP_FIXED */
	uint16		len;
	uint16		target;			/* index of the value */
} ColumnStep;

/* ctid, tableoid, msg_id and append time */
#define N_IDENTITIES	4

struct LogColumns
{
	int			nvalues;
	int			natts;			/* number of attributes that a row must have */
	AttrNumber *attnums;		/* of the values */
	/* values that are not in the row, and their attnums */
	int			nidentities;
	int			identities[N_IDENTITIES];
	AttrNumber	kinds[N_IDENTITIES];
	ItemPointerData tid;		/* target of the value of ctid */
	ColumnStep *atts;			/* one step for each attribute */
	/* fewer steps, for rows without nulls */
	int			nsteps;
	ColumnStep	steps[FLEXIBLE_ARRAY_MEMBER];
};

LogColumns *
log_columns_create(TupleDesc desc, const AttrNumber *attnums, int nvalues)
{
	LogColumns *columns;
	int			targets[MaxTupleAttributeNumber];
	AttrNumber	kinds[N_IDENTITIES] = {0};
	int			identities[N_IDENTITIES] = {0};
	int			nidentities = 0;
	int			natts = 0;

	for (int i = 0; i < desc->natts; i++)
		targets[i] = -1;
	for (int i = 0; i < nvalues; i++)
	{
		AttrNumber	attnum = attnums[i];

		if (attnum > 0)
		{
			if (targets[attnum - 1] >= 0)
				return NULL;
			targets[attnum - 1] = i;
			natts = Max(natts, attnum);
			continue;
		}
		if (attnum != SelfItemPointerAttributeNumber && attnum != TableOidAttributeNumber &&
			attnum != LOG_COLUMN_MSG_ID && attnum != LOG_COLUMN_PRODUCED_AT)
			return NULL;
		for (int k = 0; k < nidentities; k++)
			if (kinds[k] == attnum)
				return NULL;
		kinds[nidentities] = attnum;
		identities[nidentities++] = i;
	}

	columns = palloc0(offsetof(LogColumns, steps) + natts * sizeof(ColumnStep));
	columns->nvalues = nvalues;
	columns->natts = natts;
	columns->nidentities = nidentities;
	memcpy(columns->kinds, kinds, sizeof(kinds));
	memcpy(columns->identities, identities, sizeof(identities));
	columns->attnums = palloc(Max(nvalues, 1) * sizeof(AttrNumber));
	memcpy(columns->attnums, attnums, nvalues * sizeof(AttrNumber));
	columns->atts = palloc(Max(natts, 1) * sizeof(ColumnStep));
	for (int i = 0; i < natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(desc, i);
		bool		wanted = targets[i] >= 0;
		ColumnStep *step = &columns->atts[i];
		ColumnStep *last = columns->nsteps > 0 ? &columns->steps[columns->nsteps - 1] : NULL;

		if (att->attlen == -1)
			step->kind = wanted ? STEP_VARLENA : STEP_SKIP_VARLENA;
		else if (log_row_must_align(att))
			step->kind = wanted ? STEP_FIXED : STEP_SKIP_FIXED;
		else if (!wanted)
			step->kind = STEP_SKIP;
		else
			step->kind = att->attbyval ? STEP_BYVAL : STEP_FIXED;
		step->align = log_row_must_align(att) ? att->attalign : TYPALIGN_CHAR;
		step->len = Max(att->attlen, 0);
		step->target = Max(targets[i], 0);
		if (step->kind == STEP_SKIP && last != NULL && last->kind == STEP_SKIP &&
			last->len + step->len <= BLCKSZ)
			last->len += step->len;
		else
			columns->steps[columns->nsteps++] = *step;
	}
	return columns;
}

static inline bool
is_wanted(const ColumnStep *step)
{
	return step->kind == STEP_BYVAL || step->kind == STEP_FIXED || step->kind == STEP_VARLENA;
}

/*
 * Decode a body that begins with a null bitmap of `nulls` bytes.  Returns the
 * position after the attributes, or NULL if they do not fit the body.
 */
static pg_attribute_always_inline const char *
decode_columns(const LogColumns *columns, const char *body, uint32 len, uint32 nulls,
			   Datum *values, bool *isnull)
{
	const ColumnStep *steps = nulls > 0 ? columns->atts : columns->steps;
	int			nsteps = nulls > 0 ? columns->natts : columns->nsteps;
	const char *p = body + nulls;
	const char *end = body + len;

	if (unlikely(nulls > len))
		return NULL;
	for (int i = 0; i < nsteps; i++)
	{
		const ColumnStep *step = &steps[i];

		if (nulls > 0 && att_isnull(i, (const bits8 *) body))
		{
			if (is_wanted(step))
			{
				values[step->target] = (Datum) 0;
				isnull[step->target] = true;
			}
			continue;
		}
		switch ((StepKind) step->kind)
		{
			case STEP_SKIP:
				if (unlikely(end - p < step->len))
					return NULL;
				p += step->len;
				continue;
			case STEP_SKIP_VARLENA:
				if (unlikely((p = log_row_varlena(body, p, end, NULL)) == NULL))
					return NULL;
				continue;
			case STEP_VARLENA:
				if (unlikely((p = log_row_varlena(body, p, end, &values[step->target])) == NULL))
					return NULL;
				break;
			case STEP_BYVAL:
				if (unlikely(end - p < step->len))
					return NULL;
				values[step->target] = log_row_byval(p, step->len);
				p += step->len;
				break;
			case STEP_SKIP_FIXED:
			case STEP_FIXED:
				p = body + att_align_nominal((Size) (p - body), step->align);
				if (unlikely(end - p < step->len))
					return NULL;
				if (step->kind == STEP_FIXED)
				{
					values[step->target] = PointerGetDatum(p);
					isnull[step->target] = false;
				}
				p += step->len;
				continue;
		}
		isnull[step->target] = false;
	}
	return p;
}

/* Fill in the values that the row does not hold. */
static inline void
fill_identity(const LogPageScan *ps, LogColumns *columns, Datum *values, bool *isnull)
{
	for (int i = 0; i < columns->nidentities; i++)
	{
		Datum	   *value = &values[columns->identities[i]];

		switch (columns->kinds[i])
		{
			case SelfItemPointerAttributeNumber:
				log_set_tid(ps->partition, ps->off, &columns->tid);
				*value = PointerGetDatum(&columns->tid);
				break;
			case TableOidAttributeNumber:
				*value = ObjectIdGetDatum(RelationGetRelid(ps->rel));
				break;
			case LOG_COLUMN_MSG_ID:
				*value = Int64GetDatum(LOG_MSG_ID(ps->partition, ps->off));
				break;
			case LOG_COLUMN_PRODUCED_AT:
				*value = TimestampTzGetDatum(ps->time);
				break;
		}
		isnull[columns->identities[i]] = false;
	}
}

bool
log_page_scan_take(LogPageScan *ps, LogColumns *columns, Datum *values, bool *isnull)
{
	const char *page;
	uint32		end;
	uint32		body;
	uint32		len;
	uint16		flags;

	if (unlikely(ps->left <= 1) && !log_page_scan_on_page(ps))
		return false;
	if (columns->natts == 0)
		ps->skip++;
	else
	{
		if (unlikely(ps->natts < columns->natts))
			return false;
		if (unlikely(ps->skip > 0))
			log_page_scan_walk(ps);
		page = BufferGetPage(ps->buffer);
		end = log_row_header(page, ps->pos, &body, &len, &flags);
		if (unlikely(end == 0 || body + len > end))
			return false;
		if (likely((flags & LOG_ROW_NULLS) == 0) ?
			decode_columns(columns, page + body, len, 0, values, isnull) == NULL :
			decode_columns(columns, page + body, len, BITMAPLEN(ps->natts), values, isnull) == NULL)
			return false;
		ps->pos = end;
	}
	ps->left--;
	ps->off++;
	fill_identity(ps, columns, values, isnull);
	return true;
}

void
log_page_scan_columns(const LogPageScan *ps, LogColumns *columns,
					  TupleTableSlot *slot, Datum *values, bool *isnull)
{
	slot_getsomeattrs(slot, columns->natts);
	for (int i = 0; i < columns->nvalues; i++)
	{
		AttrNumber	attnum = columns->attnums[i];

		if (attnum <= 0)
			continue;
		values[i] = slot->tts_values[attnum - 1];
		isnull[i] = slot->tts_isnull[attnum - 1];
	}
	fill_identity(ps, columns, values, isnull);
}

void
log_slot_decode(TupleTableSlot *slot, const LogColumns *columns)
{
	LogSlot    *ls = (LogSlot *) slot;
	const char *page = ls->page;
	const char *p;
	uint32		end;
	uint32		body;
	uint32		len;
	uint16		flags;

	/* leave anything unusual to the slot */
	if (unlikely(page == NULL || ls->skip > 0 || ls->natts < columns->natts))
		return;
	end = log_row_header(page, ls->pos, &body, &len, &flags);
	if (unlikely(end == 0 || body + len > end || (flags & LOG_ROW_NULLS)))
		return;
	p = decode_columns(columns, page + body, len, 0, slot->tts_values, slot->tts_isnull);
	if (unlikely(p == NULL))
		return;
	ls->body = page + body;
	ls->page = NULL;
	ls->len = len;
	ls->flags = flags;
	ls->end = end;
	ls->off = (uint32) (p - ls->body);
	slot->tts_nvalid = columns->natts;
}
