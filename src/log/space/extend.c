/*
 * extend.c
 *	  Extending a stream's file.
 */
#include "postgres.h"

#include <fcntl.h>
#include <unistd.h>

#include "catalog/pg_tablespace_d.h"
#include "common/relpath.h"
#include "storage/fd.h"
#include "storage/smgr.h"
#include "utils/rel.h"

#include "compat.h"
#include "log/space/blocks.h"

#if COMPAT_HAS_ZEROEXTEND

static void
extend_fork(Relation rel, BlockNumber from, BlockNumber to)
{
	smgrzeroextend(RelationGetSmgr(rel), MAIN_FORKNUM, from, to - from, false);
}

#else

/*
 * Allocate space in one segment file without writing zeroes.  False if the
 * file system cannot do that.
 */
static bool
allocate_in_segment(Relation rel, BlockNumber from, BlockNumber to)
{
	BlockNumber segment = from / RELSEG_SIZE;
	char	   *path = relpathbackend(RelationLocator(rel), rel->rd_backend, MAIN_FORKNUM);
	char	   *file = segment > 0 ? psprintf("%s.%u", path, segment) : path;
	int			fd = OpenTransientFile(file, O_RDWR | PG_BINARY);
	int			err;

	if (fd < 0)
		ereport(ERROR,
				(errcode_for_file_access(),
				 errmsg("could not open file \"%s\": %m", file)));
	do
	{
		err = posix_fallocate(fd, (off_t) (from % RELSEG_SIZE) * BLCKSZ,
							  (off_t) (to - from) * BLCKSZ);
	} while (err == EINTR);
	CloseTransientFile(fd);
	if (err == EINVAL || err == EOPNOTSUPP)
		return false;
	if (err != 0)
	{
		errno = err;
		ereport(ERROR,
				(errcode_for_file_access(),
				 errmsg("could not extend file \"%s\": %m", file),
				 errhint("Check free disk space.")));
	}
	return true;
}

/* Extend segment by segment, without writing zeroes where that is possible. */
static void
extend_fork(Relation rel, BlockNumber from, BlockNumber to)
{
	PGAlignedBlock zero;

	memset(zero.data, 0, BLCKSZ);
	while (from < to)
	{
		BlockNumber end = (from / RELSEG_SIZE + 1) * RELSEG_SIZE;
		BlockNumber stop = Min(to, end);
		BlockNumber allocated = stop;

		/*
		 * The storage manager must create the segment file.  An existing one
		 * is synced together with what will be written to it.
		 */
		if (from % RELSEG_SIZE == 0)
		{
			smgrextend(RelationGetSmgr(rel), MAIN_FORKNUM, from, zero.data, false);
			from++;
		}

		/*
		 * Write the last block of a full segment, so that this segment is
		 * synced although another one may follow.  If it was too short after
		 * a system crash, recovery would write empty blocks over those of the
		 * next segment.
		 */
		if (stop == end)
			allocated--;
		if (from < allocated && allocate_in_segment(rel, from, allocated))
			from = allocated;
		for (; from < stop; from++)
			smgrextend(RelationGetSmgr(rel), MAIN_FORKNUM, from, zero.data, false);
	}
}

#endif

/*
 * Extend the file to at least nblocks.  The caller holds the extension lock.
 * New blocks read as zero pages.
 *
 * Space is allocated without writing where the file system can do that,
 * because writing zeroes took 15 to 30 % of COPY's time.
 */
void
log_extend_file(Relation rel, BlockNumber nblocks)
{
	BlockNumber have = RelationGetNumberOfBlocks(rel);

	if (have < nblocks)
		extend_fork(rel, have, nblocks);
}
