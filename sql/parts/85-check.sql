-- Checking the file of a stream.  The check uses subtransactions, which a
-- parallel query cannot start.

CREATE FUNCTION streamq.check_stream(
    stream pg_catalog.regclass,
    OUT partition pg_catalog.int4,
    OUT block pg_catalog.int8,
    OUT msg_offset pg_catalog.int8,
    OUT problem pg_catalog.text)
RETURNS SETOF pg_catalog.record
LANGUAGE C VOLATILE PARALLEL UNSAFE ROWS 10
AS 'MODULE_PATHNAME', 'streamq_check_stream';
COMMENT ON FUNCTION streamq.check_stream(pg_catalog.regclass)
IS 'read the whole file of a stream and return a row for each problem found; no row if it is sound';
