-- Messages: their form, their identity, reading them without a group.

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
COMMENT ON TYPE streamq.message IS 'a message as consumers get it';
