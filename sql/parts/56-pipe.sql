-- Pipes.

-- No SET here: the query is analyzed with the caller's search_path.
CREATE FUNCTION streamq.create_pipe(
	name pg_catalog.text,
	query pg_catalog.text,
	into_stream pg_catalog.regclass,
	start_at pg_catalog.text DEFAULT 'earliest',
	if_not_exists pg_catalog.bool DEFAULT false,
	error_limit pg_catalog.int8 DEFAULT NULL,
	job_timeout pg_catalog.interval DEFAULT NULL,
	grace pg_catalog.interval DEFAULT NULL,
	watermark_delay pg_catalog.interval DEFAULT NULL,
	idle_timeout pg_catalog.interval DEFAULT NULL)
RETURNS pg_catalog.void
LANGUAGE C VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'streamq_create_pipe';
COMMENT ON FUNCTION streamq.create_pipe(pg_catalog.text, pg_catalog.text, pg_catalog.regclass, pg_catalog.text, pg_catalog.bool, pg_catalog.int8, pg_catalog.interval, pg_catalog.interval, pg_catalog.interval, pg_catalog.interval)
IS 'create a job that writes the results of a query over the rows of one stream or two into another stream or a table';

CREATE FUNCTION streamq.drop_pipe(name pg_catalog.text, if_exists pg_catalog.bool DEFAULT false)
RETURNS pg_catalog.void
LANGUAGE C VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'streamq_drop_pipe';
COMMENT ON FUNCTION streamq.drop_pipe(pg_catalog.text, pg_catalog.bool)
IS 'drop a pipe; what it has written stays';
