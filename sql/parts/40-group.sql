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

-- Messages that groups have dead-lettered, which redrive() can bring back.
CREATE TABLE streamq.dead_lettered (
	group_id pg_catalog.int4 NOT NULL,
	msg_id pg_catalog.int8 NOT NULL,
	deliveries pg_catalog.int4 NOT NULL,
	reason pg_catalog.text NOT NULL,
	dead_lettered_at pg_catalog.timestamptz NOT NULL
);
CREATE INDEX dead_lettered_group_id_msg_id_idx ON streamq.dead_lettered (group_id, msg_id);
COMMENT ON TABLE streamq.dead_lettered IS 'messages that consumer groups have dead-lettered';

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

CREATE FUNCTION streamq.alter_group(stream pg_catalog.regclass, group_name pg_catalog.text,
	mode pg_catalog.text DEFAULT NULL, lease pg_catalog.interval DEFAULT NULL,
	max_deliveries pg_catalog.int4 DEFAULT NULL, dead_letter pg_catalog.regclass DEFAULT NULL,
	max_in_flight pg_catalog.int4 DEFAULT NULL, filter pg_catalog.text DEFAULT NULL,
	retry_backoff pg_catalog.interval DEFAULT NULL, retry_backoff_max pg_catalog.interval DEFAULT NULL,
	max_rate pg_catalog.float8 DEFAULT NULL, max_per_key pg_catalog.int4 DEFAULT NULL)
RETURNS pg_catalog.void
LANGUAGE C VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'streamq_alter_group';
COMMENT ON FUNCTION streamq.alter_group(pg_catalog.regclass, pg_catalog.text, pg_catalog.text, pg_catalog.interval, pg_catalog.int4, pg_catalog.regclass, pg_catalog.int4, pg_catalog.text, pg_catalog.interval, pg_catalog.interval, pg_catalog.float8, pg_catalog.int4)
	IS 'change options of a consumer group; only the arguments given change';

CREATE FUNCTION streamq.pause_group(stream pg_catalog.regclass, group_name pg_catalog.text)
RETURNS pg_catalog.void
LANGUAGE C VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'streamq_pause_group';
COMMENT ON FUNCTION streamq.pause_group(pg_catalog.regclass, pg_catalog.text)
	IS 'stop delivering to a consumer group until resume_group';

CREATE FUNCTION streamq.resume_group(stream pg_catalog.regclass, group_name pg_catalog.text)
RETURNS pg_catalog.void
LANGUAGE C VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'streamq_resume_group';
COMMENT ON FUNCTION streamq.resume_group(pg_catalog.regclass, pg_catalog.text)
	IS 'undo pause_group';

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
	auto_ack pg_catalog.bool DEFAULT false, partitions pg_catalog.int4[] DEFAULT NULL)
RETURNS SETOF streamq.message
LANGUAGE C VOLATILE PARALLEL UNSAFE ROWS 100 SUPPORT streamq.message_rows_support
AS 'MODULE_PATHNAME', 'streamq_consume';
COMMENT ON FUNCTION streamq.consume(pg_catalog.regclass, pg_catalog.text, pg_catalog.int4, pg_catalog.interval, pg_catalog.interval, pg_catalog.text, pg_catalog.bool, pg_catalog.int4[])
	IS 'take the next messages of a stream for a consumer group';

CREATE FUNCTION streamq.consume_as(row_type pg_catalog.anyelement, group_name pg_catalog.text,
	max_messages pg_catalog.int4 DEFAULT 100, wait pg_catalog.interval DEFAULT '0',
	lease pg_catalog.interval DEFAULT NULL, consumer pg_catalog.text DEFAULT NULL,
	auto_ack pg_catalog.bool DEFAULT false, partitions pg_catalog.int4[] DEFAULT NULL)
RETURNS TABLE (msg_id pg_catalog.int8, partition pg_catalog.int4, msg_offset pg_catalog.int8,
	produced_at pg_catalog.timestamptz, deliveries pg_catalog.int4, message pg_catalog.anyelement)
LANGUAGE C VOLATILE PARALLEL UNSAFE ROWS 100 SUPPORT streamq.message_rows_support
AS 'MODULE_PATHNAME', 'streamq_consume_as';
COMMENT ON FUNCTION streamq.consume_as(pg_catalog.anyelement, pg_catalog.text, pg_catalog.int4, pg_catalog.interval, pg_catalog.interval, pg_catalog.text, pg_catalog.bool, pg_catalog.int4[])
	IS 'take the next messages of a stream as rows of its own type: consume_as(NULL::stream, group_name)';

CREATE PROCEDURE streamq.wait_for_messages(stream pg_catalog.regclass, group_name pg_catalog.text,
	timeout pg_catalog.interval, INOUT found pg_catalog.bool DEFAULT NULL)
LANGUAGE C
AS 'MODULE_PATHNAME', 'streamq_wait_for_messages';
COMMENT ON PROCEDURE streamq.wait_for_messages(pg_catalog.regclass, pg_catalog.text, pg_catalog.interval, pg_catalog.bool)
	IS 'wait until consume() would find a message, without a snapshot and between transactions';

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
	retry_after pg_catalog.interval DEFAULT NULL, reason pg_catalog.text DEFAULT NULL)
RETURNS pg_catalog.bool
LANGUAGE C VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'streamq_nack';
COMMENT ON FUNCTION streamq.nack(pg_catalog.regclass, pg_catalog.text, pg_catalog.int8, pg_catalog.interval, pg_catalog.text)
	IS 'give back a message that could not be processed: it is delivered again, or goes to the group''s dead letter';

CREATE FUNCTION streamq.nack_batch(stream pg_catalog.regclass, group_name pg_catalog.text, msg_ids pg_catalog.int8[],
	retry_after pg_catalog.interval DEFAULT NULL, reason pg_catalog.text DEFAULT NULL)
RETURNS pg_catalog.int8
LANGUAGE C VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'streamq_nack_batch';
COMMENT ON FUNCTION streamq.nack_batch(pg_catalog.regclass, pg_catalog.text, pg_catalog.int8[], pg_catalog.interval, pg_catalog.text)
	IS 'give back messages that could not be processed; returns how many';

CREATE FUNCTION streamq.reject(stream pg_catalog.regclass, group_name pg_catalog.text, msg_id pg_catalog.int8,
	reason pg_catalog.text DEFAULT NULL)
RETURNS pg_catalog.bool
LANGUAGE C VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'streamq_reject';
COMMENT ON FUNCTION streamq.reject(pg_catalog.regclass, pg_catalog.text, pg_catalog.int8, pg_catalog.text)
	IS 'send a message to the group''s dead letter at once; the group never gets it again';

CREATE FUNCTION streamq.reject_batch(stream pg_catalog.regclass, group_name pg_catalog.text, msg_ids pg_catalog.int8[],
	reason pg_catalog.text DEFAULT NULL)
RETURNS pg_catalog.int8
LANGUAGE C VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'streamq_reject_batch';
COMMENT ON FUNCTION streamq.reject_batch(pg_catalog.regclass, pg_catalog.text, pg_catalog.int8[], pg_catalog.text)
	IS 'send messages to the group''s dead letter at once; returns how many';

CREATE FUNCTION streamq.redrive(stream pg_catalog.regclass, group_name pg_catalog.text,
	msg_ids pg_catalog.int8[] DEFAULT NULL)
RETURNS pg_catalog.int8
LANGUAGE C VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'streamq_redrive';
COMMENT ON FUNCTION streamq.redrive(pg_catalog.regclass, pg_catalog.text, pg_catalog.int8[])
	IS 'deliver messages again that the group has dead-lettered: these, or all; returns how many';

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
