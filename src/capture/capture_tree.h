/*
 * capture_tree.h
 *	  Captures of tables with partitions and children.
 */
#ifndef STREAMQ_CAPTURE_TREE_H
#define STREAMQ_CAPTURE_TREE_H

#include "postgres.h"

#include "utils/rel.h"

#include "capture/capture_catalog.h"

/*
 * Give a table the triggers of the captures of itself and of its ancestors, and
 * drop those of other captures.
 */
extern void capture_follow(Oid relid);

/* record what the triggers on the source and on its descendants depend on */
extern void capture_tie(Relation source, const Capture *capture);

#endif
