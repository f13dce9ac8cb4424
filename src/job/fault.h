/*
 * fault.h
 *	  Deciding whether an error was caused by the row that a job was
 *	  processing, or by the system.
 */
#ifndef STREAMQ_FAULT_H
#define STREAMQ_FAULT_H

#include "postgres.h"

/* cause of an error */
typedef enum JobFault
{
	FAULT_ROW,					/* the row will raise the error again */
	FAULT_SYSTEM,				/* the row may succeed later */
	FAULT_DOUBTFUL				/* caused by the row if other rows succeed */
} JobFault;

/* the cause of an error raised while a row was processed */
extern JobFault job_fault_of_row(const ErrorData *edata);

/* are two errors the same? */
extern bool job_fault_is_same(const ErrorData *a, const ErrorData *b);

#endif
