/*
 * argument.h
 *	  Arguments of SQL functions.
 */
#ifndef STREAMQ_BASE_ARGUMENT_H
#define STREAMQ_BASE_ARGUMENT_H

#include "postgres.h"

#include "nodes/pg_list.h"

#include "compat.h"

/* ERRCODE_NULL_VALUE_NOT_ALLOWED: argument "name" must not be null */
extern void base_null_argument(const char *name) pg_attribute_noreturn();

/*
 * The parts of a qualified name, as a list of String.  Names that are too long
 * are truncated with the parser's NOTICE.
 */
extern List *base_qualified_name(const char *name);

/*
 * Only the NOTICE, for each name of a list whose names are separated by the
 * character.  Text that is no name is ignored.
 */
extern void base_note_truncation(const char *list, char separator);

#endif
