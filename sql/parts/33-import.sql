-- Queues of other extensions: copying what is in them into streams.

-- What was copied from a table of such a queue into a stream, so that no
-- message is copied twice: all up to last_id that were visible to the snapshot
-- or written by the importing transaction (those of PgQ; null for pgmq).
CREATE TABLE streamq.imported (
	stream pg_catalog.regclass NOT NULL,
	source pg_catalog.regclass NOT NULL,
	last_id pg_catalog.int8 NOT NULL,
	snapshot pg_catalog.text,
	txid pg_catalog.int8,
	PRIMARY KEY (stream, source)
);
COMMENT ON TABLE streamq.imported IS 'what was copied into streams by import_pgmq() and import_pgq()';
SELECT pg_catalog.pg_extension_config_dump('streamq.imported',
	'WHERE EXISTS (SELECT FROM pg_catalog.pg_class c WHERE c.oid OPERATOR(pg_catalog.=) stream)'
	' AND EXISTS (SELECT FROM pg_catalog.pg_class c WHERE c.oid OPERATOR(pg_catalog.=) source)');

CREATE FUNCTION streamq.import_pgmq(queue pg_catalog.text, into_stream pg_catalog.regclass DEFAULT NULL)
RETURNS pg_catalog.int8
LANGUAGE C VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'streamq_import_pgmq';
COMMENT ON FUNCTION streamq.import_pgmq(pg_catalog.text, pg_catalog.regclass)
IS 'copy the messages of a queue of pgmq that were not copied before into a stream (made if null); returns how many';

CREATE FUNCTION streamq.import_pgq(queue pg_catalog.text, into_stream pg_catalog.regclass DEFAULT NULL)
RETURNS pg_catalog.int8
LANGUAGE C VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'streamq_import_pgq';
COMMENT ON FUNCTION streamq.import_pgq(pg_catalog.text, pg_catalog.regclass)
IS 'copy the events of a queue of PgQ that were not copied before into a stream (made if null); returns how many';

CREATE FUNCTION streamq.event_payload(data pg_catalog.text) RETURNS pg_catalog.jsonb
LANGUAGE C IMMUTABLE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'streamq_event_payload';
COMMENT ON FUNCTION streamq.event_payload(pg_catalog.text)
IS 'a text as jsonb: the object or array that it is, or else a string';
