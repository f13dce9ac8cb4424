\echo Use "CREATE EXTENSION streamq_pgmq" to load this file. \quit

-- The tables and types that clients of pgmq know.

-- ordinary tables, whatever the session's default access method is
SET LOCAL default_table_access_method = heap;
COMMENT ON SCHEMA pgmq IS 'queues with the interface of pgmq, made of streams';

CREATE TABLE pgmq.meta (
	queue_name pg_catalog.varchar UNIQUE NOT NULL,
	is_partitioned pg_catalog.bool NOT NULL,
	is_unlogged pg_catalog.bool NOT NULL,
	created_at pg_catalog.timestamptz NOT NULL DEFAULT pg_catalog.now()
);
COMMENT ON TABLE pgmq.meta IS 'queues';

-- Rows change with notifications, at most once in an interval.
CREATE TABLE pgmq.notify_insert_throttle (
	queue_name pg_catalog.varchar UNIQUE NOT NULL
		REFERENCES pgmq.meta (queue_name) ON DELETE CASCADE,
	throttle_interval_ms pg_catalog.int4 NOT NULL DEFAULT 0,
	last_notified_at pg_catalog.timestamptz NOT NULL DEFAULT pg_catalog.to_timestamp(0)
);
COMMENT ON TABLE pgmq.notify_insert_throttle IS 'queues that notify listeners of new messages, and how often at most';

-- In a pattern, * is one segment of a routing key, and # is anything.
CREATE TABLE pgmq.topic_bindings (
	pattern pg_catalog.text NOT NULL,
	queue_name pg_catalog.text NOT NULL
		REFERENCES pgmq.meta (queue_name) ON DELETE CASCADE,
	bound_at pg_catalog.timestamptz NOT NULL DEFAULT pg_catalog.now(),
	compiled_regex pg_catalog.text GENERATED ALWAYS AS (
		'^' OPERATOR(pg_catalog.||) pg_catalog.replace(pg_catalog.replace(
			pg_catalog.regexp_replace(pattern, '([^a-zA-Z0-9_*#-])', '\\\1', 'g'),
			'*', '[^.]+'), '#', '.*') OPERATOR(pg_catalog.||) '$') STORED,
	UNIQUE (pattern, queue_name)
);
COMMENT ON TABLE pgmq.topic_bindings IS 'which queues get the messages of a topic';

SELECT pg_catalog.pg_extension_config_dump('pgmq.meta', '');
SELECT pg_catalog.pg_extension_config_dump('pgmq.notify_insert_throttle', '');
SELECT pg_catalog.pg_extension_config_dump('pgmq.topic_bindings', '');

GRANT USAGE ON SCHEMA pgmq TO pg_monitor;
GRANT SELECT ON pgmq.meta, pgmq.notify_insert_throttle, pgmq.topic_bindings TO pg_monitor;

CREATE TYPE pgmq.message_record AS (
	msg_id pg_catalog.int8,
	read_ct pg_catalog.int4,
	enqueued_at pg_catalog.timestamptz,
	last_read_at pg_catalog.timestamptz,
	vt pg_catalog.timestamptz,
	message pg_catalog.jsonb,
	headers pg_catalog.jsonb
);
COMMENT ON TYPE pgmq.message_record IS 'a message of a queue';

CREATE TYPE pgmq.queue_record AS (
	queue_name pg_catalog.varchar,
	is_partitioned pg_catalog.bool,
	is_unlogged pg_catalog.bool,
	created_at pg_catalog.timestamptz
);
COMMENT ON TYPE pgmq.queue_record IS 'a queue';

CREATE TYPE pgmq.metrics_result AS (
	queue_name pg_catalog.text,
	queue_length pg_catalog.int8,
	newest_msg_age_sec pg_catalog.int4,
	oldest_msg_age_sec pg_catalog.int4,
	total_messages pg_catalog.int8,
	scrape_time pg_catalog.timestamptz,
	queue_visible_length pg_catalog.int8,
	default_partition_length pg_catalog.int8
);
COMMENT ON TYPE pgmq.metrics_result IS 'figures of a queue';

-- ---- the library ----

CREATE FUNCTION pgmq._consume(stream pg_catalog.regclass, group_name pg_catalog.text,
	max_messages pg_catalog.int4, wait pg_catalog.interval, lease pg_catalog.interval,
	auto_ack pg_catalog.bool)
RETURNS SETOF streamq.message
LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'streamq_queue_consume';
COMMENT ON FUNCTION pgmq._consume IS 'internal: take the next messages of a queue';

CREATE FUNCTION pgmq._change(stream pg_catalog.regclass, group_name pg_catalog.text,
	msg_ids pg_catalog.int8[], change pg_catalog.text, at pg_catalog.timestamptz)
RETURNS TABLE (msg_id pg_catalog.int8, deliveries pg_catalog.int4,
	vt pg_catalog.timestamptz, last_read_at pg_catalog.timestamptz)
LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'streamq_queue_change';
COMMENT ON FUNCTION pgmq._change IS 'internal: take, postpone or finish messages of a queue';

CREATE FUNCTION pgmq._messages(stream pg_catalog.regclass, group_name pg_catalog.text)
RETURNS TABLE (msg_id pg_catalog.int8, deliveries pg_catalog.int4,
	vt pg_catalog.timestamptz, last_read_at pg_catalog.timestamptz)
LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'streamq_queue_messages';
COMMENT ON FUNCTION pgmq._messages IS 'internal: messages that are in a queue';
