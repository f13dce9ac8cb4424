-- Messages: their type, their ids, and reading them without a group.

CREATE TYPE streamq.message AS (
    msg_id pg_catalog.int8,
    partition pg_catalog.int4,
    msg_offset pg_catalog.int8,
    produced_at pg_catalog.timestamptz,
    deliveries pg_catalog.int4,
    key pg_catalog.text,
    payload pg_catalog.jsonb,
    headers pg_catalog.jsonb
);
COMMENT ON TYPE streamq.message IS 'a message as consumers receive it';

CREATE FUNCTION streamq.msg_partition(msg_id pg_catalog.int8) RETURNS pg_catalog.int4
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'streamq_msg_partition';
COMMENT ON FUNCTION streamq.msg_partition(pg_catalog.int8) IS 'partition of a message';

CREATE FUNCTION streamq.msg_offset(msg_id pg_catalog.int8) RETURNS pg_catalog.int8
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'streamq_msg_offset';
COMMENT ON FUNCTION streamq.msg_offset(pg_catalog.int8) IS 'offset of a message in its partition';

CREATE FUNCTION streamq.make_msg_id(partition pg_catalog.int4, msg_offset pg_catalog.int8) RETURNS pg_catalog.int8
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'streamq_make_msg_id';
COMMENT ON FUNCTION streamq.make_msg_id(pg_catalog.int4, pg_catalog.int8)
IS 'id of a message, partition * 2^48 + msg_offset';

CREATE FUNCTION streamq.msg_id(tableoid pg_catalog.oid, ctid pg_catalog.tid) RETURNS pg_catalog.int8
LANGUAGE C STABLE STRICT PARALLEL SAFE SUPPORT streamq.row_identity_support
AS 'MODULE_PATHNAME', 'streamq_msg_id';
COMMENT ON FUNCTION streamq.msg_id(pg_catalog.oid, pg_catalog.tid)
IS 'msg_id of a row of a stream';

CREATE FUNCTION streamq.produced_at(tableoid pg_catalog.oid, ctid pg_catalog.tid) RETURNS pg_catalog.timestamptz
LANGUAGE C STABLE STRICT PARALLEL SAFE COST 10 SUPPORT streamq.row_identity_support
AS 'MODULE_PATHNAME', 'streamq_produced_at';
COMMENT ON FUNCTION streamq.produced_at(pg_catalog.oid, pg_catalog.tid)
IS 'time at which a row of a stream was appended';

CREATE FUNCTION streamq.read(
    stream pg_catalog.regclass,
    from_msg_id pg_catalog.int8 DEFAULT 0,
    max_messages pg_catalog.int4 DEFAULT 100)
RETURNS SETOF streamq.message
LANGUAGE C STABLE PARALLEL RESTRICTED ROWS 100 SUPPORT streamq.message_rows_support
AS 'MODULE_PATHNAME', 'streamq_read';
COMMENT ON FUNCTION streamq.read(pg_catalog.regclass, pg_catalog.int8, pg_catalog.int4)
IS 'read messages from a msg_id on, partition after partition, without a group or state';
