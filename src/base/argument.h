/*
 * argument.h
 *	  Checks and conversions of arguments of SQL functions.
 */
#ifndef STREAMQ_BASE_ARGUMENT_H
#define STREAMQ_BASE_ARGUMENT_H

#include "postgres.h"

#include "nodes/pg_list.h"

#include "compat.h"

/* raise the error that an argument must not be null (22004) */
extern void base_null_argument(const char *name) pg_attribute_noreturn();

/*
 * Split a qualified name into a list of String.  Names that are too long are
 * truncated, with the parser's NOTICE.
 */
extern List *base_qualified_name(const char *name);

/*
 * Raise only that NOTICE, for each name in a list of names with this
 * separator.  Text that is not a name is ignored.
 */
extern void base_note_truncation(const char *list, char separator);

#endif
