/*
 * place.h
 *	  Finding a page with room for a row.
 */
#ifndef STREAMQ_STATE_PLACE_H
#define STREAMQ_STATE_PLACE_H

#include "postgres.h"

#include "storage/buf.h"
#include "utils/rel.h"

/*
 * Return an exclusively locked page with room for a row of this size and
 * `spare` more bytes; an empty page will do in any case.  The page may be
 * new, and is then to be initialized together with the row.
 */
extern Buffer state_find_page(Relation rel, Size size, Size spare);

/* Free space of a page for rows, which may be new. */
extern Size state_page_room(Page page);

/* Space to be left free on a page when new rows are inserted. */
extern Size state_spare_room(Relation rel);

#endif
