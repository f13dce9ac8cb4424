/*
 * fault.h
 *	  Was an error caused by the row that a job was processing, or by the system?
 */
#ifndef STREAMQ_FAULT_H
#define STREAMQ_FAULT_H

#include "postgres.h"

typedef enum JobFault
{
	FAULT_ROW,					/* the row raises it whenever it is read */
	FAULT_SYSTEM,				/* the row may go through later */
	FAULT_DOUBTFUL				/* the row's, if other rows go through */
} JobFault;

/* the cause of an error that was raised while a row was processed */
extern JobFault job_fault_of_row(const ErrorData *edata);

/* do two errors say the same? */
extern bool job_fault_is_same(const ErrorData *a, const ErrorData *b);

#endif
