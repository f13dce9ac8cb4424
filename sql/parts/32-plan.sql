-- Planner support functions.

CREATE FUNCTION streamq.message_rows_support(pg_catalog.internal) RETURNS pg_catalog.internal
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'streamq_message_rows_support';
COMMENT ON FUNCTION streamq.message_rows_support(pg_catalog.internal)
IS 'planner support: number of messages that read(), consume() or consume_as() can return';

CREATE FUNCTION streamq.row_identity_support(pg_catalog.internal) RETURNS pg_catalog.internal
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'streamq_row_identity_support';
COMMENT ON FUNCTION streamq.row_identity_support(pg_catalog.internal)
IS 'planner support: finds calls of msg_id() and produced_at() on a row of the query';
