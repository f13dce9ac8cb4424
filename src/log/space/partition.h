/*
 * partition.h
 *	  The heads of partitions.
 */
#ifndef STREAMQ_LOG_SPACE_PARTITION_H
#define STREAMQ_LOG_SPACE_PARTITION_H

#include "postgres.h"

#include "storage/buf.h"
#include "utils/rel.h"

#include "log/log.h"
#include "log/page/structure.h"

/* Create the meta page and the first head if the file is empty. */
extern void log_create_storage(Relation rel);
extern void log_restore_length(Relation rel);
extern void log_ensure_partitions(Relation rel, int npartitions);

/* The meta page, share-locked; InvalidBuffer if the file is empty. */
extern Buffer log_read_meta(Relation rel);

/* Block of the partition's head, InvalidBlockNumber if it has none. */
extern BlockNumber log_head_block(Relation rel, int partition);

/* Copy of the fixed part of the head; all zero if there is no head yet. */
extern void log_read_head(Relation rel, int partition, LogHead *head);

/*
 * Replace the list of offsets that must be finished before a partition's
 * messages.
 */
extern void log_set_parents(Relation rel, int partition, int nparents,
							const int *parents, const int64 *offsets);

#endif
