/*
 * condition.h
 *	  SQL conditions on the columns of a relation, given as text.
 */
#ifndef STREAMQ_BASE_CONDITION_H
#define STREAMQ_BASE_CONDITION_H

#include "postgres.h"

#include "access/attnum.h"
#include "nodes/nodes.h"
#include "utils/rel.h"

/*
 * Parse a condition; names are looked up with the current search_path.  `what`
 * names the condition in messages, such as "the filter of a consumer group".
 * Fails with 42601, 42703, 42804, 0A000 and other errors of expressions.
 * Subqueries, system columns, whole rows and virtual generated columns are
 * refused.
 */
extern Node *base_parse_condition(Relation rel, const char *text, const char *what);

/* its text with qualified names, which means the same with every search_path */
extern char *base_condition_text(Relation rel, Node *condition);

/* until the end of the GUC nest level, look up only names of such a text */
extern void base_set_safe_path(void);

/* does a parsed condition use the column? */
extern bool base_condition_uses(Node *condition, AttrNumber attnum);

/*
 * The running command changed a column, and the caches have it as it was
 * before.  Has it another name, type or collation now?
 */
extern bool base_column_is_redefined(Relation rel, AttrNumber attnum);

#endif
