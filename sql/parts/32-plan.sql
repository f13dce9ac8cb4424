-- What the planner asks.

CREATE FUNCTION streamq.message_rows(pg_catalog.internal) RETURNS pg_catalog.internal
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'streamq_message_rows';
COMMENT ON FUNCTION streamq.message_rows(pg_catalog.internal)
IS 'planner support: how many messages a call of read, consume or consume_as returns at most';
