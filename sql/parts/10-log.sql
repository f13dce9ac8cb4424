-- The log: the table access method.

CREATE FUNCTION streamq.streamq_handler(pg_catalog.internal) RETURNS pg_catalog.table_am_handler
LANGUAGE C VOLATILE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'streamq_handler';

CREATE ACCESS METHOD streamq TYPE TABLE HANDLER streamq.streamq_handler;
COMMENT ON ACCESS METHOD streamq IS 'append-only, partitioned, durable log';

-- CREATE TABLE below makes ordinary tables, whatever the session's default is
SET LOCAL default_table_access_method = heap;
