/* development only: weak definitions so that a part links without the others */
#include "postgres.h"
#include "api/api.h"
#include "group/group.h"
#include "log/log.h"
#include "log/options.h"
#include "query/job.h"
#include "worker/doorbell.h"
#include "worker/notify.h"
#include "worker/worker.h"
#include "fmgr.h"
#define W __attribute__((weak))
W void log_init(void) {}
W void log_shmem_request(void) {}
W void log_shmem_startup(void) {}
W void log_register_state_callbacks(const LogStateCallbacks *c) {}
W void log_append(Relation rel, TupleTableSlot **slots, int nslots, CommandId cid, int partition) { elog(ERROR, "weak"); }
W bool log_is_stream(Relation rel) { return false; }
W Relation log_open_stream(Oid relid, LOCKMODE l) { elog(ERROR, "weak"); }
W int log_tid_partition(ItemPointer tid) { return 0; }
W int64 log_tid_offset(Relation rel, ItemPointer tid) { return 0; }
W int64 log_tid_msg_id(Relation rel, ItemPointer tid) { return 0; }
W void log_make_tid(int p, int64 off, ItemPointer tid) {}
W int log_partition_count(Relation rel) { return 1; }
W void log_get_bounds(Relation rel, int p, LogBounds *b) { memset(b, 0, sizeof(*b)); }
W int64 log_first_offset(Relation rel, int p) { return 0; }
W int64 log_next_offset(Relation rel, int p) { return 0; }
W int log_get_parents(Relation rel, int p, int *a, int64 *b) { return 0; }
W void log_add_partitions(Relation rel, int n) {}
W TimestampTz log_produced_at(Relation rel, int p, int64 off) { return 0; }
W int64 log_offset_at_time(Relation rel, int p, TimestampTz t) { return 0; }
W LogReader *log_reader_begin(Relation rel, int p, int64 from, int64 to, Snapshot s, bool o) { return NULL; }
W bool log_reader_next(LogReader *r, TupleTableSlot *s) { return false; }
W int64 log_reader_offset(LogReader *r) { return 0; }
W TimestampTz log_reader_produced_at(LogReader *r) { return 0; }
W int64 log_reader_position(LogReader *r) { return 0; }
W TransactionId log_reader_blocked_by(LogReader *r) { return 0; }
W TimestampTz log_reader_blocked_since(LogReader *r) { return 0; }
W void log_reader_end(LogReader *r) {}
W TupleTableSlot *log_slot_create(Relation rel) { return NULL; }
W bool log_state_read(Relation rel, uint32 o, int p, char *d, int *l) { return false; }
W void log_state_write(Relation rel, uint32 o, int p, const char *d, int l) {}
W void log_state_free(Relation rel, bool (*keep) (uint32, void *), void *arg) {}
W void options_get(Relation rel, StreamOptions *o) { memset(o, 0, sizeof(*o)); o->npartitions = 1; }
W char *options_partition_by(Relation rel, const StreamOptions *o) { return NULL; }
W void doorbell_note_append(Oid relid, int p, int64 o) {}
W uint64 doorbell_count(Oid relid) { return 0; }
W void doorbell_wait(Oid relid, uint64 seen, long t) { pg_usleep(10000L); }
W void doorbell_ring(Oid relid) {}
W void doorbell_shmem_request(void) {}
W void doorbell_shmem_startup(void) {}
W void doorbell_init(void) {}
W void notify_note_closed(Oid v, TimestampTz w, int64 c) {}
W char *notify_channel(Oid relid) { return pstrdup("weak"); }
W void worker_init(void) {}
W void worker_shmem_request(void) {}
W void worker_shmem_startup(void) {}
W void worker_note_jobs_changed(void) {}
W void worker_note_extension_created(void) {}
W int worker_job_pid(int32 j) { return 0; }
W void worker_wait_progress(int32 j, long t) { pg_usleep(10000L); }
W void worker_signal_progress(int32 j) {}
W List *job_list(void) { return NIL; }
W JobBatchResult job_run_batch(int32 j) { return JOB_GONE; }
W bool job_is_view(Oid relid) { return false; }
W void job_note_error(int32 j, int s, const char *m) {}
W void group_init(void) {}
W void group_stream_dropped(Oid relid) {}
W void api_init(void) {}
W MessageFormat *message_format_create(Relation rel) { elog(ERROR, "weak"); }
W void message_form(MessageFormat *f, TupleTableSlot *s, int p, int64 o, TimestampTz t, int d, Datum *v, bool *n) {}
W void api_check_produce(Relation rel) {}
W void api_check_read(Relation rel) {}
W Oid api_catalog_oid(const char *relname, bool missing_ok) { return InvalidOid; }
