-- Streams: their options, creating, altering and dropping them.

-- A stream has a row only if an option differs from the defaults.  The
-- defaults are one partition, partition_by null (by the column "key" if there
-- is one; an empty list spreads all rows), and no limits (retention,
-- max_bytes, max_messages null), and ids remembered for a day (dedup_window
-- null).  partition_history has all numbers of
-- partitions that the stream has had, the current one last.  message_ttl,
-- backlog_messages and max_rate are null if there is no such limit.
CREATE TABLE streamq.stream_options (
    stream pg_catalog.regclass NOT NULL,
    partitions pg_catalog.int4 NOT NULL
        CHECK (partitions OPERATOR(pg_catalog.>=) 1 AND partitions OPERATOR(pg_catalog.<=) 256),
    partition_history pg_catalog.int2[] NOT NULL
        CHECK (partition_history[pg_catalog.array_upper(partition_history, 1)] OPERATOR(pg_catalog.=) partitions),
    partition_by pg_catalog.text[],
    retention pg_catalog.interval
        CHECK (retention OPERATOR(pg_catalog.>) '0'::pg_catalog.interval),
    max_bytes pg_catalog.int8 CHECK (max_bytes OPERATOR(pg_catalog.>) 0),
    max_messages pg_catalog.int8 CHECK (max_messages OPERATOR(pg_catalog.>) 0),
    keep_unacked pg_catalog.bool NOT NULL DEFAULT false,
    dedup_window pg_catalog.interval
        CHECK (dedup_window OPERATOR(pg_catalog.>) '0'::pg_catalog.interval),
    message_ttl pg_catalog.interval
        CHECK (message_ttl OPERATOR(pg_catalog.>) '0'::pg_catalog.interval),
    backlog_messages pg_catalog.int8 CHECK (backlog_messages OPERATOR(pg_catalog.>) 0),
    backlog_policy pg_catalog.text NOT NULL DEFAULT 'none'
        CHECK (backlog_policy OPERATOR(pg_catalog.=) ANY ('{none,reject,block,evict}'::pg_catalog.text[])),
    max_rate pg_catalog.float8
        CHECK (max_rate OPERATOR(pg_catalog.>) 0 AND max_rate OPERATOR(pg_catalog.<) 'infinity'::pg_catalog.float8),
    PRIMARY KEY (stream)
);
COMMENT ON TABLE streamq.stream_options IS 'options of streams that differ from the defaults; alter_stream() changes them';

-- A restored dump inserts rows by SQL.  The trigger makes them take effect as
-- alter_stream() does, whether the messages are restored before or after.
CREATE FUNCTION streamq.stream_options_restored() RETURNS pg_catalog.trigger
LANGUAGE C VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'streamq_stream_options_restored';
COMMENT ON FUNCTION streamq.stream_options_restored() IS 'trigger of streamq.stream_options: puts options that were written by SQL into effect';
CREATE TRIGGER stream_options_restored BEFORE INSERT OR UPDATE ON streamq.stream_options
FOR EACH ROW EXECUTE FUNCTION streamq.stream_options_restored();
ALTER TABLE streamq.stream_options ENABLE ALWAYS TRIGGER stream_options_restored;

CREATE FUNCTION streamq.create_stream(
    name pg_catalog.text,
    columns pg_catalog.text DEFAULT NULL,
    partitions pg_catalog.int4 DEFAULT 1,
    partition_by pg_catalog.text DEFAULT NULL,
    retention pg_catalog.interval DEFAULT NULL,
    max_bytes pg_catalog.int8 DEFAULT NULL,
    if_not_exists pg_catalog.bool DEFAULT false)
RETURNS pg_catalog.regclass
LANGUAGE C VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'streamq_create_stream';
COMMENT ON FUNCTION streamq.create_stream(pg_catalog.text, pg_catalog.text, pg_catalog.int4, pg_catalog.text, pg_catalog.interval, pg_catalog.int8, pg_catalog.bool)
IS 'create a stream; columns as in CREATE TABLE (default: key text, payload jsonb NOT NULL, headers jsonb)';

CREATE FUNCTION streamq.alter_stream(
    stream pg_catalog.regclass,
    partitions pg_catalog.int4 DEFAULT NULL,
    partition_by pg_catalog.text DEFAULT NULL,
    retention pg_catalog.interval DEFAULT NULL,
    max_bytes pg_catalog.int8 DEFAULT NULL,
    max_messages pg_catalog.int8 DEFAULT NULL,
    message_ttl pg_catalog.interval DEFAULT NULL,
    dedup_window pg_catalog.interval DEFAULT NULL,
    keep_unacked pg_catalog.bool DEFAULT NULL,
    backlog_messages pg_catalog.int8 DEFAULT NULL,
    backlog_policy pg_catalog.text DEFAULT NULL,
    max_rate pg_catalog.float8 DEFAULT NULL)
RETURNS pg_catalog.void
LANGUAGE C VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'streamq_alter_stream';
COMMENT ON FUNCTION streamq.alter_stream(pg_catalog.regclass, pg_catalog.int4, pg_catalog.text, pg_catalog.interval, pg_catalog.int8, pg_catalog.int8, pg_catalog.interval, pg_catalog.interval, pg_catalog.bool, pg_catalog.int8, pg_catalog.text, pg_catalog.float8)
IS 'change options of a stream; what is not given stays; partition_by is a list of columns, empty to spread all messages; a limit of zero is none';

CREATE FUNCTION streamq.drop_stream(stream pg_catalog.regclass)
RETURNS pg_catalog.void
LANGUAGE C VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'streamq_drop_stream';
COMMENT ON FUNCTION streamq.drop_stream(pg_catalog.regclass)
IS 'drop a stream with its groups and options, as DROP TABLE does';
