/*
 * capture_condition.h
 *	  The condition of a capture.
 */
#ifndef STREAMQ_CAPTURE_CONDITION_H
#define STREAMQ_CAPTURE_CONDITION_H

#include "postgres.h"

#include "access/attnum.h"
#include "nodes/nodes.h"
#include "utils/rel.h"

#include "capture/capture_catalog.h"

/* check a condition, and return the text to be stored */
extern char *capture_condition_check(Relation source, const char *text);

/* parse a stored condition; fails with 55000 if it is not valid any more */
extern Node *capture_condition_parse(Relation source, const Capture *capture);

/*
 * A column is about to get another name.  Fails with 2BP01 if a condition uses
 * it, because its text has the name.
 */
extern void capture_condition_column_changed(Oid relid, AttrNumber attnum);

#endif
