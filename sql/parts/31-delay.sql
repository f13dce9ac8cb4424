-- Messages that wait for their deliver_at.

-- payload is the text form of a value of the stream's column.  due_at is
-- deliver_at, or a later time after a failure.  after_messages and restored_at:
-- the message comes from a dump in which the stream had so many messages, and
-- waits until these are restored.
CREATE SEQUENCE streamq.delayed_message_id AS pg_catalog.int8;
CREATE TABLE streamq.delayed_message (
	stream pg_catalog.regclass NOT NULL,
	delayed_id pg_catalog.int8 NOT NULL,
	due_at pg_catalog.timestamptz NOT NULL,
	deliver_at pg_catalog.timestamptz NOT NULL,
	partition pg_catalog.int4,
	key pg_catalog.text,
	payload pg_catalog.text,
	payload_type pg_catalog.text NOT NULL,
	headers pg_catalog.jsonb,
	dedup_id pg_catalog.text,
	attempts pg_catalog.int4 NOT NULL,
	last_error pg_catalog.text,
	after_messages pg_catalog.int8,
	restored_at pg_catalog.timestamptz,
	PRIMARY KEY (stream, delayed_id)
);
CREATE INDEX delayed_message_due ON streamq.delayed_message (due_at, delayed_id);
COMMENT ON TABLE streamq.delayed_message IS 'messages that wait until they are appended to their stream';

CREATE VIEW streamq.delayed_messages WITH (security_barrier = true) AS
SELECT d.stream, d.delayed_id, d.deliver_at, d.key,
	CASE d.payload_type
		WHEN 'jsonb' THEN d.payload::pg_catalog.jsonb
		WHEN 'bytea' THEN pg_catalog.to_jsonb(pg_catalog.translate(
			pg_catalog.encode(d.payload::pg_catalog.bytea, 'base64'), E'\n', ''))
		ELSE pg_catalog.to_jsonb(d.payload)
	END AS payload,
	d.headers, d.partition, d.dedup_id, d.attempts, d.last_error,
	CASE WHEN d.attempts OPERATOR(pg_catalog.>) 0 THEN d.due_at END AS next_attempt_at
FROM streamq.delayed_message d
WHERE pg_catalog.has_table_privilege(d.stream::pg_catalog.oid, 'SELECT')
  AND NOT pg_catalog.row_security_active(d.stream::pg_catalog.oid);
COMMENT ON VIEW streamq.delayed_messages IS 'messages that were produced with a deliver_at in the future and wait for it';
COMMENT ON COLUMN streamq.delayed_messages.stream IS 'the stream';
COMMENT ON COLUMN streamq.delayed_messages.delayed_id IS 'number of the message, for cancel_delayed()';
COMMENT ON COLUMN streamq.delayed_messages.deliver_at IS 'time at which the message is to be appended';
COMMENT ON COLUMN streamq.delayed_messages.key IS 'the key';
COMMENT ON COLUMN streamq.delayed_messages.payload IS 'the payload, as consumers would receive it';
COMMENT ON COLUMN streamq.delayed_messages.headers IS 'the headers';
COMMENT ON COLUMN streamq.delayed_messages.partition IS 'the partition that was asked for; null: by the key';
COMMENT ON COLUMN streamq.delayed_messages.dedup_id IS 'the dedup_id';
COMMENT ON COLUMN streamq.delayed_messages.attempts IS 'how often appending the message has failed';
COMMENT ON COLUMN streamq.delayed_messages.last_error IS 'why it has failed the last time; null: it has not';
COMMENT ON COLUMN streamq.delayed_messages.next_attempt_at IS 'time of the next attempt; null: it has not failed';
GRANT SELECT ON streamq.delayed_messages TO PUBLIC;

CREATE FUNCTION streamq.cancel_delayed(stream pg_catalog.regclass, delayed_id pg_catalog.int8)
RETURNS pg_catalog.bool
LANGUAGE C VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'streamq_cancel_delayed';
COMMENT ON FUNCTION streamq.cancel_delayed(pg_catalog.regclass, pg_catalog.int8)
IS 'take back a message that waits for its deliver_at; false if it does not wait any more';

-- Messages that wait, in a logical dump.

-- This table is always empty.  pg_dump reads rows with the messages that wait
-- from it, and a restore that inserts these rows makes them wait again.
-- messages: how many messages the stream had.
CREATE TABLE streamq.delayed_dump (
	stream pg_catalog.text NOT NULL,
	message pg_catalog.jsonb NOT NULL,
	messages pg_catalog.int8 NOT NULL
);
COMMENT ON TABLE streamq.delayed_dump IS 'messages that wait, on their way through a dump; always empty';

CREATE FUNCTION streamq.count_messages(stream pg_catalog.oid) RETURNS pg_catalog.int8
LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'streamq_count_messages';
REVOKE ALL ON FUNCTION streamq.count_messages(pg_catalog.oid) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION streamq.count_messages(pg_catalog.oid) TO pg_read_all_data;
COMMENT ON FUNCTION streamq.count_messages(pg_catalog.oid) IS 'number of messages in a stream as the caller''s snapshot sees it';

CREATE FUNCTION streamq.dump_delayed() RETURNS SETOF streamq.delayed_dump
LANGUAGE sql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $$
SELECT pg_catalog.format('%I.%I', n.nspname, c.relname),
	pg_catalog.to_jsonb(d) OPERATOR(pg_catalog.-)
		ARRAY['stream', 'delayed_id', 'after_messages', 'restored_at']::pg_catalog.text[],
	p.messages
FROM streamq.delayed_message d
JOIN pg_catalog.pg_class c ON c.oid OPERATOR(pg_catalog.=) d.stream::pg_catalog.oid
JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) c.relnamespace
JOIN (SELECT w.stream, streamq.count_messages(w.stream) AS messages
	  FROM (SELECT DISTINCT stream::pg_catalog.oid FROM streamq.delayed_message) w) p
ON p.stream OPERATOR(pg_catalog.=) c.oid
ORDER BY d.due_at, d.delayed_id
$$;
REVOKE ALL ON FUNCTION streamq.dump_delayed() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION streamq.dump_delayed() TO pg_read_all_data;
COMMENT ON FUNCTION streamq.dump_delayed() IS 'rows that pg_dump writes for messages that wait';

-- If the stream was left out of the restore, so are its messages.
CREATE FUNCTION streamq.restore_delayed(d streamq.delayed_dump) RETURNS pg_catalog.void
LANGUAGE sql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $$
INSERT INTO streamq.delayed_message
SELECT (pg_catalog.jsonb_populate_record(NULL::streamq.delayed_message,
	d.message OPERATOR(pg_catalog.||) pg_catalog.jsonb_build_object('stream', c.oid,
		'delayed_id', pg_catalog.nextval('streamq.delayed_message_id'::pg_catalog.regclass),
		'after_messages', d.messages, 'restored_at', pg_catalog.now()))).*
FROM pg_catalog.pg_class c
JOIN pg_catalog.pg_am a ON a.oid OPERATOR(pg_catalog.=) c.relam
WHERE c.oid OPERATOR(pg_catalog.=) pg_catalog.to_regclass(d.stream)::pg_catalog.oid
  AND a.amname OPERATOR(pg_catalog.=) 'streamq'
$$;
REVOKE ALL ON FUNCTION streamq.restore_delayed(streamq.delayed_dump) FROM PUBLIC;
COMMENT ON FUNCTION streamq.restore_delayed(streamq.delayed_dump) IS 'make a message of a dump wait again';

CREATE FUNCTION streamq.delayed_dump_restored() RETURNS pg_catalog.trigger
LANGUAGE C VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'streamq_delayed_dump_restored';
REVOKE ALL ON FUNCTION streamq.delayed_dump_restored() FROM PUBLIC;
COMMENT ON FUNCTION streamq.delayed_dump_restored() IS 'trigger of streamq.delayed_dump: makes the message of a restored row wait again';
CREATE TRIGGER delayed_dump_restored BEFORE INSERT ON streamq.delayed_dump
FOR EACH ROW EXECUTE FUNCTION streamq.delayed_dump_restored();
ALTER TABLE streamq.delayed_dump ENABLE ALWAYS TRIGGER delayed_dump_restored;

-- pg_dump appends this to "SELECT columns FROM table".
SELECT pg_catalog.pg_extension_config_dump('streamq.delayed_dump',
	'WHERE false UNION ALL SELECT * FROM streamq.dump_delayed()');
