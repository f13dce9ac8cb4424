-- What the planner asks.

CREATE FUNCTION streamq.message_rows(pg_catalog.internal) RETURNS pg_catalog.internal
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'streamq_message_rows';
COMMENT ON FUNCTION streamq.message_rows(pg_catalog.internal)
IS 'planner support: how many messages a call of read, consume or consume_as returns at most';

CREATE FUNCTION streamq.row_identity(pg_catalog.internal) RETURNS pg_catalog.internal
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'streamq_row_identity';
COMMENT ON FUNCTION streamq.row_identity(pg_catalog.internal)
IS 'planner support: is a call of msg_id or produced_at about a row of the query';
