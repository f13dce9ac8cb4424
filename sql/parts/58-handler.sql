-- Handlers.

CREATE FUNCTION streamq.create_handler(
	name pg_catalog.text,
	stream pg_catalog.regclass,
	function pg_catalog.regprocedure,
	batch_size pg_catalog.int4 DEFAULT 100,
	max_deliveries pg_catalog.int4 DEFAULT 5,
	dead_letter pg_catalog.regclass DEFAULT NULL,
	start_at pg_catalog.text DEFAULT 'earliest',
	retry_backoff pg_catalog.interval DEFAULT '100 ms',
	retry_backoff_max pg_catalog.interval DEFAULT '1 minute',
	if_not_exists pg_catalog.bool DEFAULT false,
	error_limit pg_catalog.int8 DEFAULT NULL,
	job_timeout pg_catalog.interval DEFAULT NULL)
RETURNS pg_catalog.void
LANGUAGE C VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'streamq_create_handler';
COMMENT ON FUNCTION streamq.create_handler(pg_catalog.text, pg_catalog.regclass, pg_catalog.regprocedure, pg_catalog.int4, pg_catalog.int4, pg_catalog.regclass, pg_catalog.text, pg_catalog.interval, pg_catalog.interval, pg_catalog.bool, pg_catalog.int8, pg_catalog.interval)
IS 'create a job that calls a function for every message of a stream';

CREATE FUNCTION streamq.drop_handler(name pg_catalog.text, if_exists pg_catalog.bool DEFAULT false)
RETURNS pg_catalog.void
LANGUAGE C VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'streamq_drop_handler';
COMMENT ON FUNCTION streamq.drop_handler(pg_catalog.text, pg_catalog.bool)
IS 'drop a handler; what its function has done stays';
