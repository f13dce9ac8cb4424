-- The log: the table access method.

CREATE FUNCTION streamq.streamq_handler(pg_catalog.internal) RETURNS pg_catalog.table_am_handler
LANGUAGE C VOLATILE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'streamq_handler';

CREATE ACCESS METHOD streamq TYPE TABLE HANDLER streamq.streamq_handler;
COMMENT ON ACCESS METHOD streamq IS 'append-only, partitioned, durable log';

-- Tables of jobs, whose rows are updated in place.
CREATE FUNCTION streamq.streamq_state_handler(pg_catalog.internal) RETURNS pg_catalog.table_am_handler
LANGUAGE C VOLATILE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'streamq_state_handler';
COMMENT ON FUNCTION streamq.streamq_state_handler(pg_catalog.internal) IS 'handler of the table access method streamq_state';

CREATE ACCESS METHOD streamq_state TYPE TABLE HANDLER streamq.streamq_state_handler;
COMMENT ON ACCESS METHOD streamq_state IS 'state of continuous views: rows are updated in place';

-- CREATE TABLE below makes ordinary tables, whatever the session's default is
SET LOCAL default_table_access_method = heap;
