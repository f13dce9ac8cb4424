/*
 * floor.c
 *	  bench_wal_floor(records, bytes): that many bare WAL records with so many
 *	  bytes of data each, and no page: the least that anything which is logged
 *	  can cost.  Replay takes no notice of them.
 */
#include "postgres.h"

#include "access/xact.h"
#include "access/xloginsert.h"
#include "catalog/pg_control.h"
#include "fmgr.h"
#include "miscadmin.h"

PG_MODULE_MAGIC;

PG_FUNCTION_INFO_V1(bench_wal_floor);
Datum
bench_wal_floor(PG_FUNCTION_ARGS)
{
	int64		records = PG_GETARG_INT64(0);
	int32		bytes = PG_GETARG_INT32(1);
	char	   *data = palloc0(bytes);

	/* commits as a transaction that has written something */
	(void) GetCurrentTransactionId();
	for (int64 i = 0; i < records; i++)
	{
		CHECK_FOR_INTERRUPTS();
		XLogBeginInsert();
		XLogRegisterData(data, bytes);
		XLogInsert(RM_XLOG_ID, XLOG_NOOP);
	}
	PG_RETURN_VOID();
}
