-- Producing messages, like INSERT or COPY, with the message ids as the result.
--
-- A null argument means the default of the column.  If a trigger suppresses a
-- row, or the message waits for deliver_at, the result is null instead of its
-- msg_id.  If a message with the same dedup_id was produced before, the result
-- is the msg_id of that one.  An untyped payload is taken
-- as text, the preferred type of its category.

CREATE FUNCTION streamq.produce(
    stream pg_catalog.regclass,
    payload pg_catalog.jsonb,
    key pg_catalog.text DEFAULT NULL,
    headers pg_catalog.jsonb DEFAULT NULL,
    dedup_id pg_catalog.text DEFAULT NULL,
    deliver_at pg_catalog.timestamptz DEFAULT NULL,
    partition pg_catalog.int4 DEFAULT NULL)
RETURNS pg_catalog.int8
LANGUAGE C VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'streamq_produce_jsonb';
COMMENT ON FUNCTION streamq.produce(pg_catalog.regclass, pg_catalog.jsonb, pg_catalog.text, pg_catalog.jsonb, pg_catalog.text, pg_catalog.timestamptz, pg_catalog.int4)
IS 'append a message to a stream, return its msg_id (null if a trigger left it out, or if it waits for deliver_at)';

CREATE FUNCTION streamq.produce(
    stream pg_catalog.regclass,
    payload pg_catalog.json,
    key pg_catalog.text DEFAULT NULL,
    headers pg_catalog.jsonb DEFAULT NULL,
    dedup_id pg_catalog.text DEFAULT NULL,
    deliver_at pg_catalog.timestamptz DEFAULT NULL,
    partition pg_catalog.int4 DEFAULT NULL)
RETURNS pg_catalog.int8
LANGUAGE C VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'streamq_produce_json';
COMMENT ON FUNCTION streamq.produce(pg_catalog.regclass, pg_catalog.json, pg_catalog.text, pg_catalog.jsonb, pg_catalog.text, pg_catalog.timestamptz, pg_catalog.int4)
IS 'append a message, given as json, to a stream, return its msg_id';

CREATE FUNCTION streamq.produce(
    stream pg_catalog.regclass,
    payload pg_catalog.text,
    key pg_catalog.text DEFAULT NULL,
    headers pg_catalog.jsonb DEFAULT NULL,
    dedup_id pg_catalog.text DEFAULT NULL,
    deliver_at pg_catalog.timestamptz DEFAULT NULL,
    partition pg_catalog.int4 DEFAULT NULL)
RETURNS pg_catalog.int8
LANGUAGE C VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'streamq_produce_text';
COMMENT ON FUNCTION streamq.produce(pg_catalog.regclass, pg_catalog.text, pg_catalog.text, pg_catalog.jsonb, pg_catalog.text, pg_catalog.timestamptz, pg_catalog.int4)
IS 'append a message, given in its text form, to a stream, return its msg_id';

CREATE FUNCTION streamq.produce(
    stream pg_catalog.regclass,
    payload pg_catalog.bytea,
    key pg_catalog.text DEFAULT NULL,
    headers pg_catalog.jsonb DEFAULT NULL,
    dedup_id pg_catalog.text DEFAULT NULL,
    deliver_at pg_catalog.timestamptz DEFAULT NULL,
    partition pg_catalog.int4 DEFAULT NULL)
RETURNS pg_catalog.int8
LANGUAGE C VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'streamq_produce_bytea';
COMMENT ON FUNCTION streamq.produce(pg_catalog.regclass, pg_catalog.bytea, pg_catalog.text, pg_catalog.jsonb, pg_catalog.text, pg_catalog.timestamptz, pg_catalog.int4)
IS 'append a message of bytes to a stream, return its msg_id';

CREATE FUNCTION streamq.produce_batch(
    stream pg_catalog.regclass,
    payloads pg_catalog.text[],
    keys pg_catalog.text[] DEFAULT NULL,
    headers pg_catalog.jsonb[] DEFAULT NULL,
    dedup_ids pg_catalog.text[] DEFAULT NULL,
    partition pg_catalog.int4 DEFAULT NULL)
RETURNS pg_catalog.int8[]
LANGUAGE C VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'streamq_produce_batch_text';
COMMENT ON FUNCTION streamq.produce_batch(pg_catalog.regclass, pg_catalog.text[], pg_catalog.text[], pg_catalog.jsonb[], pg_catalog.text[], pg_catalog.int4)
IS 'append messages, given in their text form, to a stream, return their msg_ids in input order';

CREATE FUNCTION streamq.produce_batch_jsonb(
    stream pg_catalog.regclass,
    payloads pg_catalog.jsonb[],
    keys pg_catalog.text[] DEFAULT NULL,
    headers pg_catalog.jsonb[] DEFAULT NULL,
    dedup_ids pg_catalog.text[] DEFAULT NULL,
    partition pg_catalog.int4 DEFAULT NULL)
RETURNS pg_catalog.int8[]
LANGUAGE C VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'streamq_produce_batch_jsonb';
COMMENT ON FUNCTION streamq.produce_batch_jsonb(pg_catalog.regclass, pg_catalog.jsonb[], pg_catalog.text[], pg_catalog.jsonb[], pg_catalog.text[], pg_catalog.int4)
IS 'append messages to a stream, return their msg_ids in input order';

CREATE FUNCTION streamq.produce_batch_bytea(
    stream pg_catalog.regclass,
    payloads pg_catalog.bytea[],
    keys pg_catalog.text[] DEFAULT NULL,
    headers pg_catalog.jsonb[] DEFAULT NULL,
    dedup_ids pg_catalog.text[] DEFAULT NULL,
    partition pg_catalog.int4 DEFAULT NULL)
RETURNS pg_catalog.int8[]
LANGUAGE C VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'streamq_produce_batch_bytea';
COMMENT ON FUNCTION streamq.produce_batch_bytea(pg_catalog.regclass, pg_catalog.bytea[], pg_catalog.text[], pg_catalog.jsonb[], pg_catalog.text[], pg_catalog.int4)
IS 'append messages of bytes to a stream, return their msg_ids in input order';
