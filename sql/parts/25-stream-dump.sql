-- Options of streams, and partitions of their messages, in a logical dump.

-- This table is always empty.  pg_dump reads rows with the current options
-- from it, and a restore that inserts these rows sets the options of the
-- restored streams.
--
-- messages, firsts, prints: for each partition the number of messages, a
--   fingerprint of the first one, and one of all (empty for a stream with
--   one partition).
-- barriers: what must be finished before messages of a partition, as triples:
--   partition, another partition, number of its messages; for a change of
--   partition_by: partition, negative number of the change, number of
--   messages before it.
CREATE TABLE streamq.stream_dump (
	stream pg_catalog.text NOT NULL,
	options pg_catalog.jsonb NOT NULL,
	messages pg_catalog.int8[] NOT NULL,
	firsts pg_catalog.int8[] NOT NULL,
	prints pg_catalog.int8[] NOT NULL,
	barriers pg_catalog.int8[] NOT NULL
);
COMMENT ON TABLE streamq.stream_dump IS 'options of streams on their way through a dump; always empty';

-- What a dump says about messages that are not restored yet.
CREATE TABLE streamq.restored_stream (
	stream pg_catalog.regclass PRIMARY KEY,
	messages pg_catalog.int8[] NOT NULL,
	firsts pg_catalog.int8[] NOT NULL,
	prints pg_catalog.int8[] NOT NULL,
	barriers pg_catalog.int8[] NOT NULL
);
COMMENT ON TABLE streamq.restored_stream IS 'partitions of the messages of a dump, kept until the messages are restored';

-- Messages that were restored before their partitions are known: for a
-- sequence of messages that begins with this number, the partition into which
-- each was put.
CREATE TABLE streamq.restored_order (
	stream pg_catalog.regclass,
	number pg_catalog.int8,
	partitions pg_catalog.bytea NOT NULL,
	PRIMARY KEY (stream, number)
);
COMMENT ON TABLE streamq.restored_order IS 'order in which messages of a dump were restored, kept until their partitions are known';

CREATE FUNCTION streamq.stream_progress(stream pg_catalog.oid,
	OUT messages pg_catalog.int8[], OUT firsts pg_catalog.int8[],
	OUT prints pg_catalog.int8[], OUT barriers pg_catalog.int8[])
RETURNS pg_catalog.record
LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'streamq_stream_progress';
REVOKE ALL ON FUNCTION streamq.stream_progress(pg_catalog.oid) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION streamq.stream_progress(pg_catalog.oid) TO pg_read_all_data;
COMMENT ON FUNCTION streamq.stream_progress(pg_catalog.oid)
	IS 'messages in each partition as the caller''s snapshot sees them, and what they are recognized by';

CREATE FUNCTION streamq.dump_streams() RETURNS SETOF streamq.stream_dump
LANGUAGE sql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $$
SELECT pg_catalog.format('%I.%I', n.nspname, c.relname),
	pg_catalog.to_jsonb(o) OPERATOR(pg_catalog.-) 'stream'::pg_catalog.text,
	p.messages, p.firsts, p.prints, p.barriers
FROM streamq.stream_options o
JOIN pg_catalog.pg_class c ON c.oid OPERATOR(pg_catalog.=) o.stream::pg_catalog.oid
JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) c.relnamespace
CROSS JOIN LATERAL streamq.stream_progress(c.oid) p
ORDER BY n.nspname, c.relname
$$;
REVOKE ALL ON FUNCTION streamq.dump_streams() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION streamq.dump_streams() TO pg_read_all_data;
COMMENT ON FUNCTION streamq.dump_streams() IS 'rows that pg_dump writes for the options of streams';

CREATE FUNCTION streamq.place_messages(stream pg_catalog.oid,
	messages pg_catalog.int8[], firsts pg_catalog.int8[],
	prints pg_catalog.int8[], barriers pg_catalog.int8[])
RETURNS pg_catalog.void
LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'streamq_place_messages';
REVOKE ALL ON FUNCTION streamq.place_messages(pg_catalog.oid, pg_catalog.int8[], pg_catalog.int8[], pg_catalog.int8[], pg_catalog.int8[]) FROM PUBLIC;
COMMENT ON FUNCTION streamq.place_messages(pg_catalog.oid, pg_catalog.int8[], pg_catalog.int8[], pg_catalog.int8[], pg_catalog.int8[])
	IS 'move the messages of a dump into their partitions, now or when they are restored';

-- If a stream was left out of the restore, the other streams still get their
-- options.  If a stream has options already, the partitions of the dump are
-- right only if both partition by the same columns in the same way.
CREATE FUNCTION streamq.restore_stream(s streamq.stream_dump) RETURNS pg_catalog.void
LANGUAGE sql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $$
INSERT INTO streamq.stream_options
SELECT (pg_catalog.jsonb_populate_record(NULL::streamq.stream_options,
	s.options OPERATOR(pg_catalog.||) pg_catalog.jsonb_build_object('stream', c.oid))).*
FROM pg_catalog.pg_class c
JOIN pg_catalog.pg_am a ON a.oid OPERATOR(pg_catalog.=) c.relam
WHERE c.oid OPERATOR(pg_catalog.=) pg_catalog.to_regclass(s.stream)::pg_catalog.oid
  AND a.amname OPERATOR(pg_catalog.=) 'streamq'
ON CONFLICT DO NOTHING;
SELECT streamq.place_messages(o.stream::pg_catalog.oid, s.messages, s.firsts, s.prints, s.barriers)
FROM streamq.stream_options o
WHERE o.stream::pg_catalog.oid OPERATOR(pg_catalog.=) pg_catalog.to_regclass(s.stream)::pg_catalog.oid
  AND pg_catalog.to_jsonb(o.partition_history) OPERATOR(pg_catalog.=) (s.options OPERATOR(pg_catalog.->) 'partition_history')
  AND COALESCE(pg_catalog.to_jsonb(o.partition_by), 'null'::pg_catalog.jsonb)
	OPERATOR(pg_catalog.=) (s.options OPERATOR(pg_catalog.->) 'partition_by')
$$;
REVOKE ALL ON FUNCTION streamq.restore_stream(streamq.stream_dump) FROM PUBLIC;
COMMENT ON FUNCTION streamq.restore_stream(streamq.stream_dump) IS 'set the options of a stream, and the partitions of its messages, as in a dump';

CREATE FUNCTION streamq.stream_dump_restored() RETURNS pg_catalog.trigger
LANGUAGE C VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'streamq_stream_dump_restored';
REVOKE ALL ON FUNCTION streamq.stream_dump_restored() FROM PUBLIC;
COMMENT ON FUNCTION streamq.stream_dump_restored() IS 'trigger of streamq.stream_dump: sets the options that a restored row describes';
CREATE TRIGGER stream_dump_restored BEFORE INSERT ON streamq.stream_dump
FOR EACH ROW EXECUTE FUNCTION streamq.stream_dump_restored();
ALTER TABLE streamq.stream_dump ENABLE ALWAYS TRIGGER stream_dump_restored;

-- pg_dump appends this to "SELECT columns FROM table".
SELECT pg_catalog.pg_extension_config_dump('streamq.stream_dump',
	'WHERE false UNION ALL SELECT * FROM streamq.dump_streams()');
