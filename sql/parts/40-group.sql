-- Consumer groups.

-- Rows are written when a group is created, changed, shared or dropped, never
-- by consuming: positions and leases are in pages of the stream.
CREATE TABLE streamq.consumer_group (
	group_id pg_catalog.int4 NOT NULL UNIQUE,
	stream pg_catalog.regclass NOT NULL,
	group_name pg_catalog.text COLLATE pg_catalog."C" NOT NULL,
	mode pg_catalog.text NOT NULL
		CHECK (mode OPERATOR(pg_catalog.=) 'ordered' OR mode OPERATOR(pg_catalog.=) 'shared'
			OR mode OPERATOR(pg_catalog.=) 'key_shared'),
	start_at pg_catalog.text NOT NULL
		CHECK (start_at OPERATOR(pg_catalog.=) 'earliest' OR start_at OPERATOR(pg_catalog.=) 'latest'),
	lease pg_catalog.interval NOT NULL
		CHECK (lease OPERATOR(pg_catalog.>) '0'::pg_catalog.interval),
	max_in_flight pg_catalog.int4 NOT NULL
		CHECK (max_in_flight OPERATOR(pg_catalog.>) 0),
	owner pg_catalog.oid NOT NULL,
	created_at pg_catalog.timestamptz NOT NULL,
	grantees pg_catalog.oid[] NOT NULL,
	max_deliveries pg_catalog.int4 CHECK (max_deliveries OPERATOR(pg_catalog.>) 0),
	dead_letter pg_catalog.regclass,
	filter pg_catalog.text,
	retry_backoff pg_catalog.interval
		CHECK (retry_backoff OPERATOR(pg_catalog.>) '0'::pg_catalog.interval),
	retry_backoff_max pg_catalog.interval
		CHECK (retry_backoff_max OPERATOR(pg_catalog.>) '0'::pg_catalog.interval),
	max_rate pg_catalog.float8 CHECK (max_rate OPERATOR(pg_catalog.>) 0),
	max_per_key pg_catalog.int4 CHECK (max_per_key OPERATOR(pg_catalog.>) 0),
	paused pg_catalog.bool NOT NULL DEFAULT false,
	PRIMARY KEY (stream, group_name)
);
COMMENT ON TABLE streamq.consumer_group IS 'consumer groups of streams';

CREATE SEQUENCE streamq.consumer_group_id AS pg_catalog.int4;

CREATE FUNCTION streamq.consumer_group_restored() RETURNS pg_catalog.trigger
LANGUAGE C VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'streamq_consumer_group_restored';
REVOKE ALL ON FUNCTION streamq.consumer_group_restored() FROM PUBLIC;
COMMENT ON FUNCTION streamq.consumer_group_restored() IS 'trigger of streamq.consumer_group: records the roles that a restored group depends on';
CREATE TRIGGER consumer_group_restored AFTER INSERT ON streamq.consumer_group
FOR EACH ROW EXECUTE FUNCTION streamq.consumer_group_restored();

CREATE FUNCTION streamq.create_group(stream pg_catalog.regclass, group_name pg_catalog.text,
	mode pg_catalog.text DEFAULT 'ordered', start_at pg_catalog.text DEFAULT 'earliest',
	lease pg_catalog.interval DEFAULT '30 s', max_deliveries pg_catalog.int4 DEFAULT NULL,
	dead_letter pg_catalog.regclass DEFAULT NULL, max_in_flight pg_catalog.int4 DEFAULT 1000,
	filter pg_catalog.text DEFAULT NULL, if_not_exists pg_catalog.bool DEFAULT false,
	retry_backoff pg_catalog.interval DEFAULT NULL, retry_backoff_max pg_catalog.interval DEFAULT NULL,
	max_rate pg_catalog.float8 DEFAULT NULL, max_per_key pg_catalog.int4 DEFAULT NULL)
RETURNS pg_catalog.void
LANGUAGE C VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'streamq_create_group';
COMMENT ON FUNCTION streamq.create_group(pg_catalog.regclass, pg_catalog.text, pg_catalog.text, pg_catalog.text, pg_catalog.interval, pg_catalog.int4, pg_catalog.regclass, pg_catalog.int4, pg_catalog.text, pg_catalog.bool, pg_catalog.interval, pg_catalog.interval, pg_catalog.float8, pg_catalog.int4)
	IS 'create a consumer group on a stream';

CREATE FUNCTION streamq.drop_group(stream pg_catalog.regclass, group_name pg_catalog.text)
RETURNS pg_catalog.void
LANGUAGE C VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'streamq_drop_group';
COMMENT ON FUNCTION streamq.drop_group(pg_catalog.regclass, pg_catalog.text)
	IS 'drop a consumer group';

CREATE FUNCTION streamq.grant_group(stream pg_catalog.regclass, group_name pg_catalog.text, grantee pg_catalog.name)
RETURNS pg_catalog.void
LANGUAGE C VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'streamq_grant_group';
COMMENT ON FUNCTION streamq.grant_group(pg_catalog.regclass, pg_catalog.text, pg_catalog.name)
	IS 'let a role (or "public") use a consumer group';

CREATE FUNCTION streamq.revoke_group(stream pg_catalog.regclass, group_name pg_catalog.text, grantee pg_catalog.name)
RETURNS pg_catalog.void
LANGUAGE C VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'streamq_revoke_group';
COMMENT ON FUNCTION streamq.revoke_group(pg_catalog.regclass, pg_catalog.text, pg_catalog.name)
	IS 'undo grant_group';

CREATE FUNCTION streamq.consume(stream pg_catalog.regclass, group_name pg_catalog.text,
	max_messages pg_catalog.int4 DEFAULT 100, wait pg_catalog.interval DEFAULT '0',
	lease pg_catalog.interval DEFAULT NULL, consumer pg_catalog.text DEFAULT NULL,
	auto_ack pg_catalog.bool DEFAULT false)
RETURNS SETOF streamq.message
LANGUAGE C VOLATILE PARALLEL UNSAFE ROWS 100 SUPPORT streamq.message_rows_support
AS 'MODULE_PATHNAME', 'streamq_consume';
COMMENT ON FUNCTION streamq.consume(pg_catalog.regclass, pg_catalog.text, pg_catalog.int4, pg_catalog.interval, pg_catalog.interval, pg_catalog.text, pg_catalog.bool)
	IS 'take the next messages of a stream for a consumer group';

CREATE FUNCTION streamq.consume_as(row_type pg_catalog.anyelement, group_name pg_catalog.text,
	max_messages pg_catalog.int4 DEFAULT 100, wait pg_catalog.interval DEFAULT '0',
	lease pg_catalog.interval DEFAULT NULL, consumer pg_catalog.text DEFAULT NULL,
	auto_ack pg_catalog.bool DEFAULT false)
RETURNS TABLE (msg_id pg_catalog.int8, partition pg_catalog.int4, msg_offset pg_catalog.int8,
	produced_at pg_catalog.timestamptz, deliveries pg_catalog.int4, message pg_catalog.anyelement)
LANGUAGE C VOLATILE PARALLEL UNSAFE ROWS 100 SUPPORT streamq.message_rows_support
AS 'MODULE_PATHNAME', 'streamq_consume_as';
COMMENT ON FUNCTION streamq.consume_as(pg_catalog.anyelement, pg_catalog.text, pg_catalog.int4, pg_catalog.interval, pg_catalog.interval, pg_catalog.text, pg_catalog.bool)
	IS 'take the next messages of a stream as rows of its own type: consume_as(NULL::stream, group_name)';

CREATE FUNCTION streamq.ack(stream pg_catalog.regclass, group_name pg_catalog.text, msg_id pg_catalog.int8)
RETURNS pg_catalog.bool
LANGUAGE C VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'streamq_ack';
COMMENT ON FUNCTION streamq.ack(pg_catalog.regclass, pg_catalog.text, pg_catalog.int8)
	IS 'acknowledge a message; false if there was nothing to acknowledge';

CREATE FUNCTION streamq.ack_batch(stream pg_catalog.regclass, group_name pg_catalog.text, msg_ids pg_catalog.int8[])
RETURNS pg_catalog.int8
LANGUAGE C VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'streamq_ack_batch';
COMMENT ON FUNCTION streamq.ack_batch(pg_catalog.regclass, pg_catalog.text, pg_catalog.int8[])
	IS 'acknowledge messages; returns how many were acknowledged';

CREATE FUNCTION streamq.ack_through(stream pg_catalog.regclass, group_name pg_catalog.text, msg_id pg_catalog.int8)
RETURNS pg_catalog.int8
LANGUAGE C VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'streamq_ack_through';
COMMENT ON FUNCTION streamq.ack_through(pg_catalog.regclass, pg_catalog.text, pg_catalog.int8)
	IS 'acknowledge a message and everything delivered before it in its partition; returns how many were acknowledged';

CREATE FUNCTION streamq.nack(stream pg_catalog.regclass, group_name pg_catalog.text, msg_id pg_catalog.int8,
	retry_after pg_catalog.interval DEFAULT '0')
RETURNS pg_catalog.bool
LANGUAGE C VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'streamq_nack';
COMMENT ON FUNCTION streamq.nack(pg_catalog.regclass, pg_catalog.text, pg_catalog.int8, pg_catalog.interval)
	IS 'give back a message and those delivered after it in its partition';

CREATE FUNCTION streamq.extend_lease(stream pg_catalog.regclass, group_name pg_catalog.text,
	msg_ids pg_catalog.int8[], lease pg_catalog.interval)
RETURNS pg_catalog.int8
LANGUAGE C VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'streamq_extend_lease';
COMMENT ON FUNCTION streamq.extend_lease(pg_catalog.regclass, pg_catalog.text, pg_catalog.int8[], pg_catalog.interval)
	IS 'hold messages for at least this time from now; returns how many are still held';

CREATE FUNCTION streamq.seek(stream pg_catalog.regclass, group_name pg_catalog.text,
	to_position pg_catalog.text DEFAULT NULL, to_msg_id pg_catalog.int8 DEFAULT NULL, to_time pg_catalog.timestamptz DEFAULT NULL)
RETURNS pg_catalog.void
LANGUAGE C VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'streamq_seek';
COMMENT ON FUNCTION streamq.seek(pg_catalog.regclass, pg_catalog.text, pg_catalog.text, pg_catalog.int8, pg_catalog.timestamptz)
	IS 'move a consumer group to another place in the stream';
