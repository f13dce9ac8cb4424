-- Continuous views: catalog, creation, control.

CREATE TABLE streamq.job (
	job_id pg_catalog.int4 GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	kind pg_catalog.text NOT NULL
		CHECK (kind OPERATOR(pg_catalog.=) ANY (ARRAY['continuous view', 'pipe', 'handler']::pg_catalog.text[])),
	name pg_catalog.text COLLATE pg_catalog."C" UNIQUE,
	target pg_catalog.regclass NOT NULL UNIQUE,
	source pg_catalog.regclass NOT NULL,
	other_source pg_catalog.regclass,
	state_table pg_catalog.regclass,
	result_table pg_catalog.regclass,
	emit_into pg_catalog.regclass,
	late_stream pg_catalog.regclass,
	dead_letter pg_catalog.regclass,
	enabled pg_catalog.bool NOT NULL,
	created_at pg_catalog.timestamptz NOT NULL,
	start_at pg_catalog.text NOT NULL,
	watermark_delay pg_catalog.interval NOT NULL
		CHECK (watermark_delay OPERATOR(pg_catalog.>=) '0'::pg_catalog.interval),
	late_rows_policy pg_catalog.text NOT NULL
		CHECK (late_rows_policy OPERATOR(pg_catalog.=) ANY (ARRAY['update', 'drop', 'route']::pg_catalog.text[])),
	allowed_lateness pg_catalog.interval NOT NULL
		CHECK (allowed_lateness OPERATOR(pg_catalog.>=) '0'::pg_catalog.interval),
	idle_timeout pg_catalog.interval
		CHECK (idle_timeout OPERATOR(pg_catalog.>) '0'::pg_catalog.interval),
	retention pg_catalog.interval
		CHECK (retention OPERATOR(pg_catalog.>=) '0'::pg_catalog.interval),
	job_timeout pg_catalog.interval
		CHECK (job_timeout OPERATOR(pg_catalog.>=) '0'::pg_catalog.interval),
	error_limit pg_catalog.int8
		CHECK (error_limit OPERATOR(pg_catalog.>) 0),
	batch_size pg_catalog.int4
		CHECK (batch_size OPERATOR(pg_catalog.>) 0),
	max_deliveries pg_catalog.int4
		CHECK (max_deliveries OPERATOR(pg_catalog.>) 0),
	retry_backoff pg_catalog.interval
		CHECK (retry_backoff OPERATOR(pg_catalog.>=) '0'::pg_catalog.interval),
	retry_backoff_max pg_catalog.interval
		CHECK (retry_backoff_max OPERATOR(pg_catalog.>=) '0'::pg_catalog.interval),
	format pg_catalog.int4 NOT NULL,
	settings pg_catalog.text[] NOT NULL,
	query pg_catalog.text NOT NULL,
	query_tree pg_catalog.text NOT NULL,
	definition pg_catalog.text,
	restored_done pg_catalog.int8[],
	restored_other_done pg_catalog.int8[],
	restored_events pg_catalog.timestamptz[],
	restored_other_events pg_catalog.timestamptz[],
	restored_watermark pg_catalog.timestamptz
);
COMMENT ON COLUMN streamq.job.kind IS 'what the job is: continuous view, pipe, handler';
COMMENT ON COLUMN streamq.job.name IS 'name of the job; null for a continuous view, which has the name of its view';
COMMENT ON COLUMN streamq.job.target IS 'the view that belongs to the job, and whose owner owns the job';
COMMENT ON COLUMN streamq.job.source IS 'the stream that the job reads';
COMMENT ON COLUMN streamq.job.other_source IS 'the second stream that the job reads; null if there is none';
COMMENT ON COLUMN streamq.job.state_table IS 'table that holds the state of a continuous view';
COMMENT ON COLUMN streamq.job.result_table IS 'table with the results that a continuous view has emitted';
COMMENT ON COLUMN streamq.job.emit_into IS 'stream or table to which the job writes its results';
COMMENT ON COLUMN streamq.job.late_stream IS 'stream to which late rows go';
COMMENT ON COLUMN streamq.job.dead_letter IS 'stream to which a handler writes messages that it could not handle';
COMMENT ON COLUMN streamq.job.start_at IS 'where the job began to read: earliest, latest or a time';
COMMENT ON COLUMN streamq.job.idle_timeout IS 'time after which a quiet partition does not hold the watermark back; null: it always does';
COMMENT ON COLUMN streamq.job.retention IS 'how long closed windows are kept; null: for ever';
COMMENT ON COLUMN streamq.job.error_limit IS 'number of failing messages after which the job pauses; null: no limit';
COMMENT ON COLUMN streamq.job.batch_size IS 'most messages in a call of a handler';
COMMENT ON COLUMN streamq.job.max_deliveries IS 'how often a handler is called for a message that fails';
COMMENT ON COLUMN streamq.job.retry_backoff IS 'time before a handler is called again for a message that failed; doubled each time';
COMMENT ON COLUMN streamq.job.retry_backoff_max IS 'limit of that time; null: no limit';
COMMENT ON COLUMN streamq.job.settings IS 'settings that the query depends on: name, value, name, value, and so on';
COMMENT ON COLUMN streamq.job.format IS 'server and version of streamq that wrote the query tree and the state';
COMMENT ON COLUMN streamq.job.restored_done IS 'for each partition, how many messages a restored job had processed when it was dumped; null once it runs';
COMMENT ON COLUMN streamq.job.restored_other_done IS 'the same for the second stream';
COMMENT ON COLUMN streamq.job.restored_events IS 'for each partition, the latest event time when the job was dumped; null once it runs';
COMMENT ON COLUMN streamq.job.restored_other_events IS 'the same for the second stream';
COMMENT ON COLUMN streamq.job.restored_watermark IS 'watermark of a restored job when it was dumped; null once it runs';
COMMENT ON COLUMN streamq.job.definition IS 'the query as in a dump; null for a job that was not restored';
COMMENT ON COLUMN streamq.job.job_timeout IS 'longest time that a batch may take; null: the setting streamq.job_timeout; zero: no limit';
COMMENT ON TABLE streamq.job IS 'jobs; the view streamq.jobs shows them';

-- These rows change with every batch.  Columns that change are not indexed,
-- and pages keep room for new versions, so that old versions are pruned within
-- their page.
CREATE TABLE streamq.job_progress (
	job_id pg_catalog.int4 NOT NULL,
	partition pg_catalog.int4 NOT NULL,
	next_offset pg_catalog.int8 NOT NULL,
	max_event_time pg_catalog.timestamptz,
	last_message_at pg_catalog.timestamptz,
	replay_to pg_catalog.int8,
	PRIMARY KEY (job_id, partition)
) WITH (fillfactor = 30);
COMMENT ON COLUMN streamq.job_progress.partition IS 'partition of the stream; those of the second stream count from 256';
COMMENT ON COLUMN streamq.job_progress.replay_to IS 'messages below this offset are read again: what the job writes to other streams is there already';
COMMENT ON COLUMN streamq.job_progress.last_message_at IS 'time at which the last message that was read had been appended';
COMMENT ON TABLE streamq.job_progress IS 'position of a job in each partition of its stream';

CREATE TABLE streamq.job_stats (
	job_id pg_catalog.int4 PRIMARY KEY,
	rows_processed pg_catalog.int8 NOT NULL,
	late_rows pg_catalog.int8 NOT NULL,
	errors pg_catalog.int8 NOT NULL,
	errors_before pg_catalog.int8 NOT NULL,
	failing pg_catalog.bool NOT NULL,
	last_error pg_catalog.text,
	watermark pg_catalog.timestamptz,
	expired pg_catalog.int8 NOT NULL,
	rows_written pg_catalog.int8 NOT NULL,
	emitted_until pg_catalog.timestamptz
) WITH (fillfactor = 30);
COMMENT ON COLUMN streamq.job_stats.errors_before IS 'errors that do not count for the limit: those before the job was resumed last';
COMMENT ON COLUMN streamq.job_stats.rows_written IS 'rows that the job has written to emit_into';
COMMENT ON COLUMN streamq.job_stats.emitted_until IS 'windows that end at or before this time were emitted before the state was computed again';
COMMENT ON TABLE streamq.job_stats IS 'counters and watermark of jobs';

CREATE TABLE streamq.job_error_log (
	job_id pg_catalog.int4 NOT NULL,
	stream pg_catalog.regclass NOT NULL,
	msg_id pg_catalog.int8 NOT NULL,
	at pg_catalog.timestamptz NOT NULL,
	sqlstate pg_catalog.text NOT NULL,
	message pg_catalog.text NOT NULL
);
CREATE INDEX job_error_log_job_id_idx ON streamq.job_error_log (job_id);
COMMENT ON TABLE streamq.job_error_log IS 'messages that jobs left out because of an error; the view streamq.job_errors shows them';

-- The messages after it in its partition wait for a message that is tried again.
CREATE TABLE streamq.job_retry (
	job_id pg_catalog.int4 NOT NULL,
	partition pg_catalog.int4 NOT NULL,
	msg_offset pg_catalog.int8 NOT NULL,
	deliveries pg_catalog.int4 NOT NULL,
	retry_at pg_catalog.timestamptz NOT NULL,
	message pg_catalog.text NOT NULL,
	PRIMARY KEY (job_id, partition)
);
COMMENT ON TABLE streamq.job_retry IS 'messages that handlers failed for and try again';

-- Serialized states of aggregates with transition type internal.  Only streamq
-- can make values of this type.

CREATE TYPE streamq.aggregate_state;

CREATE FUNCTION streamq.aggregate_state_in(pg_catalog.cstring) RETURNS streamq.aggregate_state
LANGUAGE C STABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'streamq_aggregate_state_in';

CREATE FUNCTION streamq.aggregate_state_out(streamq.aggregate_state) RETURNS pg_catalog.cstring
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'streamq_aggregate_state_out';

CREATE TYPE streamq.aggregate_state (
	INPUT = streamq.aggregate_state_in,
	OUTPUT = streamq.aggregate_state_out,
	INTERNALLENGTH = VARIABLE,
	STORAGE = extended
);
COMMENT ON TYPE streamq.aggregate_state IS 'state of an aggregate in a continuous view';

-- This may call the final function of any aggregate, so it runs in the leader
-- of a parallel query only.
CREATE FUNCTION streamq.aggregate_result(aggregate pg_catalog.regprocedure, argument_types pg_catalog.regtype[],
										 state pg_catalog."any", result pg_catalog.anyelement)
RETURNS pg_catalog.anyelement
LANGUAGE C STABLE PARALLEL RESTRICTED
AS 'MODULE_PATHNAME', 'streamq_aggregate_result';
COMMENT ON FUNCTION streamq.aggregate_result(pg_catalog.regprocedure, pg_catalog.regtype[], pg_catalog."any", pg_catalog.anyelement)
IS 'value of an aggregate for a stored state; the last argument names its type';

-- A group may have several rows in a state table.  The view's query merges
-- their states.  The aggregate's combine function may be anything, so this
-- runs in the leader of a parallel query, too.
CREATE FUNCTION streamq.aggregate_merge_add(state pg_catalog.internal, aggregate pg_catalog.regprocedure, argument_types pg_catalog.regtype[],
											stored pg_catalog.anyelement, sealed pg_catalog.bytea, n pg_catalog.int4, collated pg_catalog.text)
RETURNS pg_catalog.internal
LANGUAGE C STABLE PARALLEL RESTRICTED
AS 'MODULE_PATHNAME', 'streamq_aggregate_merge_add';
COMMENT ON FUNCTION streamq.aggregate_merge_add(pg_catalog.internal, pg_catalog.regprocedure, pg_catalog.regtype[], pg_catalog.anyelement, pg_catalog.bytea, pg_catalog.int4, pg_catalog.text)
IS 'transition function of aggregate_merge()';

CREATE FUNCTION streamq.aggregate_merge_final(state pg_catalog.internal, aggregate pg_catalog.regprocedure, argument_types pg_catalog.regtype[],
											  stored pg_catalog.anyelement, sealed pg_catalog.bytea, n pg_catalog.int4, collated pg_catalog.text)
RETURNS pg_catalog.anyelement
LANGUAGE C STABLE PARALLEL RESTRICTED
AS 'MODULE_PATHNAME', 'streamq_aggregate_merge_final';
COMMENT ON FUNCTION streamq.aggregate_merge_final(pg_catalog.internal, pg_catalog.regprocedure, pg_catalog.regtype[], pg_catalog.anyelement, pg_catalog.bytea, pg_catalog.int4, pg_catalog.text)
IS 'final function of aggregate_merge()';

CREATE AGGREGATE streamq.aggregate_merge(aggregate pg_catalog.regprocedure, argument_types pg_catalog.regtype[], stored pg_catalog.anyelement,
										 sealed pg_catalog.bytea, n pg_catalog.int4, collated pg_catalog.text) (
	SFUNC = streamq.aggregate_merge_add,
	STYPE = pg_catalog.internal,
	FINALFUNC = streamq.aggregate_merge_final,
	FINALFUNC_EXTRA,
	PARALLEL = RESTRICTED
);
COMMENT ON AGGREGATE streamq.aggregate_merge(pg_catalog.regprocedure, pg_catalog.regtype[], pg_catalog.anyelement, pg_catalog.bytea, pg_catalog.int4, pg_catalog.text)
IS 'one stored state from those of several rows of a group; the collation of the last argument is that of the aggregate''s input';

-- Input of aggregates that keep it instead of a state.  Only streamq can make
-- values of this type.

CREATE TYPE streamq.aggregate_input;

CREATE FUNCTION streamq.aggregate_input_in(pg_catalog.cstring) RETURNS streamq.aggregate_input
LANGUAGE C STABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'streamq_aggregate_input_in';

CREATE FUNCTION streamq.aggregate_input_out(streamq.aggregate_input) RETURNS pg_catalog.cstring
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'streamq_aggregate_input_out';

-- Compressing chunks takes more time than writing them.
CREATE TYPE streamq.aggregate_input (
	INPUT = streamq.aggregate_input_in,
	OUTPUT = streamq.aggregate_input_out,
	INTERNALLENGTH = VARIABLE,
	STORAGE = external
);
COMMENT ON TYPE streamq.aggregate_input IS 'input of an aggregate in a continuous view';

CREATE FUNCTION streamq.aggregate_inputs(state_table pg_catalog.regclass, inputs streamq.aggregate_input)
RETURNS SETOF pg_catalog.record
LANGUAGE C STABLE PARALLEL RESTRICTED
AS 'MODULE_PATHNAME', 'streamq_aggregate_inputs';
COMMENT ON FUNCTION streamq.aggregate_inputs(pg_catalog.regclass, streamq.aggregate_input)
IS 'rows of the input of an aggregate in a continuous view';

CREATE FUNCTION streamq.aggregate_input_merge_add(state pg_catalog.internal, inputs streamq.aggregate_input)
RETURNS pg_catalog.internal
LANGUAGE C IMMUTABLE PARALLEL SAFE
AS 'MODULE_PATHNAME', 'streamq_aggregate_input_merge_add';
COMMENT ON FUNCTION streamq.aggregate_input_merge_add(pg_catalog.internal, streamq.aggregate_input)
IS 'transition function of aggregate_input_merge()';

CREATE FUNCTION streamq.aggregate_input_merge_final(state pg_catalog.internal)
RETURNS streamq.aggregate_input
LANGUAGE C IMMUTABLE PARALLEL SAFE
AS 'MODULE_PATHNAME', 'streamq_aggregate_input_merge_final';
COMMENT ON FUNCTION streamq.aggregate_input_merge_final(pg_catalog.internal)
IS 'final function of aggregate_input_merge()';

CREATE AGGREGATE streamq.aggregate_input_merge(inputs streamq.aggregate_input) (
	SFUNC = streamq.aggregate_input_merge_add,
	STYPE = pg_catalog.internal,
	FINALFUNC = streamq.aggregate_input_merge_final,
	PARALLEL = SAFE
);
COMMENT ON AGGREGATE streamq.aggregate_input_merge(streamq.aggregate_input)
IS 'the input of several rows of a group';

CREATE FUNCTION streamq.refuse_state_change() RETURNS pg_catalog.trigger
LANGUAGE C VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'streamq_refuse_state_change';
COMMENT ON FUNCTION streamq.refuse_state_change() IS 'trigger of the state tables of continuous views: refuses changes by users';

-- The last value: for the latest message of each key.

CREATE FUNCTION streamq.latest_accum(state pg_catalog.anyelement, value pg_catalog.anyelement) RETURNS pg_catalog.anyelement
LANGUAGE C IMMUTABLE PARALLEL SAFE
AS 'MODULE_PATHNAME', 'streamq_latest_accum';
COMMENT ON FUNCTION streamq.latest_accum(pg_catalog.anyelement, pg_catalog.anyelement) IS 'transition function of latest()';

CREATE AGGREGATE streamq.latest(value pg_catalog.anyelement) (
	SFUNC = streamq.latest_accum,
	STYPE = pg_catalog.anyelement
);
COMMENT ON AGGREGATE streamq.latest(pg_catalog.anyelement)
IS 'value of the last row, null or not; of a stream, the message that was appended last';

-- No SET here: the query is analyzed with the caller's search_path.
CREATE FUNCTION streamq.create_continuous_view(
	name pg_catalog.text,
	query pg_catalog.text,
	watermark_delay pg_catalog.interval DEFAULT '0',
	late_rows pg_catalog.text DEFAULT 'update',
	allowed_lateness pg_catalog.interval DEFAULT '0',
	late_stream pg_catalog.regclass DEFAULT NULL,
	emit_into pg_catalog.regclass DEFAULT NULL,
	idle_timeout pg_catalog.interval DEFAULT NULL,
	start_at pg_catalog.text DEFAULT 'earliest',
	retention pg_catalog.interval DEFAULT NULL,
	if_not_exists pg_catalog.bool DEFAULT false,
	job_timeout pg_catalog.interval DEFAULT NULL)
RETURNS pg_catalog.regclass
LANGUAGE C VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'streamq_create_continuous_view';
COMMENT ON FUNCTION streamq.create_continuous_view(pg_catalog.text, pg_catalog.text, pg_catalog.interval, pg_catalog.text, pg_catalog.interval, pg_catalog.regclass, pg_catalog.regclass, pg_catalog.interval, pg_catalog.text, pg_catalog.interval, pg_catalog.bool, pg_catalog.interval)
IS 'create a view that is kept up to date with a query over a stream';

CREATE FUNCTION streamq.create_latest_view(name pg_catalog.text, stream pg_catalog.regclass, if_not_exists pg_catalog.bool DEFAULT false)
RETURNS pg_catalog.regclass
LANGUAGE C VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'streamq_create_latest_view';
COMMENT ON FUNCTION streamq.create_latest_view(pg_catalog.text, pg_catalog.regclass, pg_catalog.bool)
IS 'creates a continuous view of the latest message of each key';

CREATE FUNCTION streamq.drop_continuous_view(name pg_catalog.text, if_exists pg_catalog.bool DEFAULT false)
RETURNS pg_catalog.void
LANGUAGE C VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'streamq_drop_continuous_view';
COMMENT ON FUNCTION streamq.drop_continuous_view(pg_catalog.text, pg_catalog.bool)
IS 'drop a continuous view, as DROP VIEW does';

CREATE FUNCTION streamq.pause(job pg_catalog.text) RETURNS pg_catalog.void
LANGUAGE C VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'streamq_pause';
COMMENT ON FUNCTION streamq.pause(pg_catalog.text) IS 'stop a job; resume() lets it go on where it stopped';

CREATE FUNCTION streamq.resume(job pg_catalog.text) RETURNS pg_catalog.void
LANGUAGE C VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'streamq_resume';
COMMENT ON FUNCTION streamq.resume(pg_catalog.text) IS 'let a paused job go on';

CREATE FUNCTION streamq.cancel_job(job pg_catalog.text) RETURNS pg_catalog.bool
LANGUAGE C VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'streamq_cancel_job';
COMMENT ON FUNCTION streamq.cancel_job(pg_catalog.text)
IS 'cancel the batch of a job that a worker is running, which is tried again later; false if there is none';

CREATE FUNCTION streamq.alter_job(
	job pg_catalog.text,
	job_timeout pg_catalog.interval DEFAULT NULL,
	error_limit pg_catalog.int8 DEFAULT NULL,
	watermark_delay pg_catalog.interval DEFAULT NULL,
	allowed_lateness pg_catalog.interval DEFAULT NULL,
	idle_timeout pg_catalog.interval DEFAULT NULL,
	retention pg_catalog.interval DEFAULT NULL,
	batch_size pg_catalog.int4 DEFAULT NULL,
	max_deliveries pg_catalog.int4 DEFAULT NULL,
	dead_letter pg_catalog.regclass DEFAULT NULL,
	retry_backoff pg_catalog.interval DEFAULT NULL,
	retry_backoff_max pg_catalog.interval DEFAULT NULL,
	default_job_timeout pg_catalog.bool DEFAULT false)
RETURNS pg_catalog.void
LANGUAGE C VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'streamq_alter_job';
COMMENT ON FUNCTION streamq.alter_job(pg_catalog.text, pg_catalog.interval, pg_catalog.int8, pg_catalog.interval, pg_catalog.interval, pg_catalog.interval, pg_catalog.interval, pg_catalog.int4, pg_catalog.int4, pg_catalog.regclass, pg_catalog.interval, pg_catalog.interval, pg_catalog.bool)
IS 'change options of a job; null: as it is; zero: without the limit';

CREATE FUNCTION streamq.watermark(view pg_catalog.regclass) RETURNS pg_catalog.timestamptz
LANGUAGE C VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'streamq_watermark';
COMMENT ON FUNCTION streamq.watermark(pg_catalog.regclass) IS 'watermark of a continuous view: all windows that end at or before it are closed';

CREATE FUNCTION streamq.view_batch_query(view pg_catalog.regclass) RETURNS pg_catalog.text
LANGUAGE C STABLE STRICT PARALLEL RESTRICTED
AS 'MODULE_PATHNAME', 'streamq_view_batch_query';
COMMENT ON FUNCTION streamq.view_batch_query(pg_catalog.regclass) IS 'ordinary query over the stream that gives what the continuous view shows';

-- The job has processed a message if its offset is below the position of its
-- partition, and the message did not fail.  Low cost: expressions that fail must
-- not see other messages.
CREATE FUNCTION streamq.job_has_processed(ctid pg_catalog.tid, positions pg_catalog.int8[], failed pg_catalog.int8[])
RETURNS pg_catalog.bool
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 0.0001
AS 'MODULE_PATHNAME', 'streamq_job_has_processed';
COMMENT ON FUNCTION streamq.job_has_processed(pg_catalog.tid, pg_catalog.int8[], pg_catalog.int8[])
IS 'is a message below the position of its partition, and not among those that failed?';

CREATE FUNCTION streamq.verify_continuous_view(view pg_catalog.regclass) RETURNS pg_catalog.int8
LANGUAGE C STABLE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'streamq_verify_continuous_view';
COMMENT ON FUNCTION streamq.verify_continuous_view(pg_catalog.regclass)
IS 'number of rows in which a continuous view differs from its query over the messages that it has processed';

CREATE FUNCTION streamq.wait_until_caught_up(job pg_catalog.text, timeout pg_catalog.interval DEFAULT '1 minute')
RETURNS pg_catalog.bool
LANGUAGE C VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'streamq_wait_until_caught_up';
COMMENT ON FUNCTION streamq.wait_until_caught_up(pg_catalog.text, pg_catalog.interval)
IS 'wait until a job has processed everything that was committed before the call; false if the timeout is over first';

CREATE FUNCTION streamq.run_job(job pg_catalog.text, batch_rows pg_catalog.int4 DEFAULT NULL)
RETURNS pg_catalog.int8
LANGUAGE C VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'streamq_run_job';
COMMENT ON FUNCTION streamq.run_job(pg_catalog.text, pg_catalog.int4)
IS 'run a job in this session and transaction until it has caught up; returns the rows processed';

CREATE FUNCTION streamq.job_lag(job_id pg_catalog.int4) RETURNS pg_catalog.int8
LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'streamq_job_lag';
COMMENT ON FUNCTION streamq.job_lag(pg_catalog.int4) IS 'messages that a job has not processed yet';

CREATE FUNCTION streamq.job_waits_for(job_id pg_catalog.int4) RETURNS pg_catalog.text
LANGUAGE C VOLATILE STRICT PARALLEL RESTRICTED
AS 'MODULE_PATHNAME', 'streamq_job_waits_for';
COMMENT ON FUNCTION streamq.job_waits_for(pg_catalog.int4) IS 'reason why no process can run a job now; null if one runs it or soon will';

CREATE FUNCTION streamq.job_worker_pid(job_id pg_catalog.int4) RETURNS pg_catalog.int4
LANGUAGE C VOLATILE STRICT PARALLEL RESTRICTED
AS 'MODULE_PATHNAME', 'streamq_job_worker_pid';
COMMENT ON FUNCTION streamq.job_worker_pid(pg_catalog.int4) IS 'process that runs a job now; null: none';
