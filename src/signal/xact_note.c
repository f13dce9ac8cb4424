/*
 * xact_note.c
 *	  What a transaction has to tell others when it ends.
 *
 * The notes are a stack in backend-local memory.  Those of the innermost
 * subtransaction are on top: rolling it back pops them, and committing it
 * hands them to its parent in place.  A hash table finds the topmost note for
 * (relation, partition), and each note knows the one it hides.
 *
 * The callbacks at the end of a transaction must not fail.  So memory is
 * allocated only when a note is made.
 *
 * Doorbells are rung after the locks are released, because a process that
 * wakes up may need a lock that the ending transaction held.
 */
#include "postgres.h"

#include "access/xact.h"
#include "common/hashfn.h"
#include "miscadmin.h"
#include "utils/memutils.h"
#include "utils/resowner.h"

#include "log/log.h"
#include "signal/doorbell.h"
#include "signal/news.h"
#include "signal/xact_note.h"

/* partition number of notes about closed windows of a view */
#define NOTE_CLOSED		(-1)

typedef struct Note
{
	Oid			relid;
	int			partition;
	SubTransactionId subid;
	int			hidden;			/* index of the next lower note for the same
								 * key, -1 if none */
	int64		value;			/* last offset, or windows closed */
	TimestampTz watermark;
} Note;

typedef struct NoteSlot
{
	uint64		key;
	int			note;
	char		status;
} NoteSlot;

static inline uint32
hash_note_key(uint64 key)
{
	return hash_combine(murmurhash32((uint32) key), murmurhash32((uint32) (key >> 32)));
}

#define SH_PREFIX notetab
#define SH_ELEMENT_TYPE NoteSlot
#define SH_KEY_TYPE uint64
#define SH_KEY key
#define SH_HASH_KEY(tb, key) (hash_note_key(key))
#define SH_EQUAL(tb, a, b) ((a) == (b))
#define SH_SCOPE static inline
#define SH_DECLARE
#define SH_DEFINE
#include "lib/simplehash.h"

/* if there is room for more notes than this, it is freed at transaction end */
#define NOTES_KEPT	1024

static Note *notes = NULL;
static int	nnotes = 0;
static int	notes_size = 0;
static notetab_hash *note_table = NULL;

/* set between the end of the transaction and the release of its locks */
static enum
{
	ENDING_NOT, ENDING_COMMITTED, ENDING_ABORTED
}			ending = ENDING_NOT;

static inline uint64
note_key(Oid relid, int partition)
{
	return ((uint64) relid << 32) | (uint32) partition;
}

/*
 * The note of the current subtransaction for this key, a new one with value -1
 * if there is none.
 */
static Note *
get_note(Oid relid, int partition)
{
	SubTransactionId subid = GetCurrentSubTransactionId();
	NoteSlot   *slot;
	Note	   *note;
	bool		found;

	/* usually it is the same note as the last time */
	if (nnotes > 0)
	{
		note = &notes[nnotes - 1];
		if (note->relid == relid && note->partition == partition &&
			note->subid == subid)
			return note;
	}

	if (nnotes >= notes_size)
	{
		int			size = Max(notes_size * 2, 64);

		if (notes == NULL)
			notes = MemoryContextAlloc(TopMemoryContext, size * sizeof(Note));
		else
			notes = repalloc_huge(notes, size * sizeof(Note));
		notes_size = size;
	}
	if (note_table == NULL)
		note_table = notetab_create(TopMemoryContext, 64, NULL);

	slot = notetab_insert(note_table, note_key(relid, partition), &found);
	if (found && notes[slot->note].subid == subid)
		return &notes[slot->note];

	note = &notes[nnotes];
	note->relid = relid;
	note->partition = partition;
	note->subid = subid;
	note->hidden = found ? slot->note : -1;
	note->value = -1;
	note->watermark = DT_NOBEGIN;
	slot->note = nnotes++;
	return note;
}

void
signal_note_append(Oid relid, int partition, int64 last_offset)
{
	Note	   *note = get_note(relid, partition);

	if (last_offset > note->value)
		note->value = last_offset;
}

void
signal_note_closed(Oid view, TimestampTz watermark, int64 closed)
{
	Note	   *note = get_note(view, NOTE_CLOSED);

	note->value = Max(note->value, 0) + closed;
	note->watermark = Max(note->watermark, watermark);
}

static void
reset_notes(void)
{
	nnotes = 0;
	if (note_table != NULL)
	{
		if (note_table->size > NOTES_KEPT)
		{
			notetab_destroy(note_table);
			note_table = NULL;
		}
		else if (note_table->members > 0)
			notetab_reset(note_table);
	}
	if (notes_size > NOTES_KEPT)
	{
		pfree(notes);
		notes = NULL;
		notes_size = 0;
	}
}

static void
ring_for_note(const Note *note)
{
	if (note->partition != NOTE_CLOSED)
		signal_ring(note->relid);
}

/* enter news for the notifier about relations that somebody listens to */
static void
post_notes(void)
{
	bool		posted = false;

	for (int i = 0; i < nnotes; i++)
	{
		Note	   *note = &notes[i];

		if (signal_listeners(note->relid) == 0)
			continue;
		if (note->partition == NOTE_CLOSED)
			signal_post_view(note->relid, note->watermark, note->value);
		else
			signal_post_stream(note->relid,
							   LOG_MSG_ID(note->partition, note->value));
		posted = true;
	}
	if (posted)
		signal_wake_notifier();
}

static void
end_transaction(void)
{
	Oid			last = InvalidOid;

	for (int i = 0; i < nnotes; i++)
	{
		/* partitions of one stream mostly follow each other */
		if (notes[i].relid == last)
			continue;
		ring_for_note(&notes[i]);
		last = notes[i].partition == NOTE_CLOSED ? InvalidOid : notes[i].relid;
	}
	if (ending == ENDING_COMMITTED)
		post_notes();
	reset_notes();
}

static void
xact_callback(XactEvent event, void *arg)
{
	if (nnotes == 0)
		return;

	switch (event)
	{
		case XACT_EVENT_COMMIT:
			ending = ENDING_COMMITTED;
			break;
		case XACT_EVENT_ABORT:
			ending = ENDING_ABORTED;
			break;
		case XACT_EVENT_PREPARE:

			/*
			 * The session that runs COMMIT PREPARED, perhaps after a restart,
			 * will not know these notes.
			 */
			signal_note_prepared();
			reset_notes();
			break;
		default:
			break;
	}
}

static void
release_callback(ResourceReleasePhase phase, bool isCommit, bool isTopLevel, void *arg)
{
	if (ending == ENDING_NOT || !isTopLevel || phase != RESOURCE_RELEASE_AFTER_LOCKS)
		return;
	end_transaction();
	ending = ENDING_NOT;
}

/* subtransaction end: ring and forget its notes, or hand them to its parent */
static void
subxact_callback(SubXactEvent event, SubTransactionId mySubid,
				 SubTransactionId parentSubid, void *arg)
{
	if (event == SUBXACT_EVENT_ABORT_SUB)
	{
		/* its xid is aborted now, so readers may go past its rows */
		while (nnotes > 0 && notes[nnotes - 1].subid == mySubid)
		{
			Note	   *note = &notes[--nnotes];
			uint64		key = note_key(note->relid, note->partition);

			ring_for_note(note);
			if (note->hidden >= 0)
				notetab_lookup(note_table, key)->note = note->hidden;
			else
				notetab_delete(note_table, key);
		}
	}
	else if (event == SUBXACT_EVENT_COMMIT_SUB)
	{
		int			first = nnotes;
		int			kept;

		while (first > 0 && notes[first - 1].subid == mySubid)
			first--;

		kept = first;
		for (int i = first; i < nnotes; i++)
		{
			Note		note = notes[i];
			NoteSlot   *slot = notetab_lookup(note_table,
											  note_key(note.relid, note.partition));

			if (note.hidden >= 0 && notes[note.hidden].subid == parentSubid)
			{
				Note	   *into = &notes[note.hidden];

				if (note.partition == NOTE_CLOSED)
					into->value += note.value;
				else
					into->value = Max(into->value, note.value);
				into->watermark = Max(into->watermark, note.watermark);
				slot->note = note.hidden;
			}
			else
			{
				note.subid = parentSubid;
				notes[kept] = note;
				slot->note = kept++;
			}
		}
		nnotes = kept;
	}
}

void
signal_note_commit_prepared(void)
{
	if (!signal_was_prepared())
		return;
	signal_ring_all();
	signal_lost(MyDatabaseId);
	signal_wake_notifier();
}

void
signal_note_init(void)
{
	static bool registered = false;

	if (registered)
		return;
	RegisterXactCallback(xact_callback, NULL);
	RegisterSubXactCallback(subxact_callback, NULL);
	RegisterResourceReleaseCallback(release_callback, NULL);
	registered = true;
}
