/*
 * fault.h
 *	  Whose error is it: the row's, on which the query raised it, or the system's?
 */
#ifndef STREAMQ_FAULT_H
#define STREAMQ_FAULT_H

#include "postgres.h"

typedef enum Fault
{
	FAULT_ROW,					/* it comes again whenever the row is read */
	FAULT_SYSTEM,				/* the same row may do later, or on another
								 * day */
	FAULT_DOUBTFUL				/* the row's if other rows get through */
} Fault;

/* of an error that came while the query was evaluated for a row */
extern Fault job_fault_of_row(const ErrorData *edata);

/* do two errors say the same? */
extern bool job_fault_is_same(const ErrorData *a, const ErrorData *b);

#endif
