-- Capture of changes of ordinary tables.

-- columns: numbers of columns of the source; null: all.  condition: with
-- qualified names.
CREATE TABLE streamq.capture (
	source pg_catalog.oid NOT NULL,
	capture_id pg_catalog.int4 NOT NULL,
	stream pg_catalog.oid NOT NULL,
	columns pg_catalog.int2[],
	condition pg_catalog.text,
	since pg_catalog.timestamptz NOT NULL,
	PRIMARY KEY (source, capture_id)
);
COMMENT ON TABLE streamq.capture IS 'tables whose changes are captured into streams';

-- Each process counts in a row of its own; slot is its number.
CREATE TABLE streamq.capture_count (
	source pg_catalog.oid NOT NULL,
	capture_id pg_catalog.int4 NOT NULL,
	slot pg_catalog.int4 NOT NULL,
	messages pg_catalog.int8 NOT NULL
) WITH (fillfactor = 50);
CREATE INDEX capture_count_slot ON streamq.capture_count (source, capture_id, slot);
COMMENT ON TABLE streamq.capture_count IS 'messages of captures, as counted by processes';

CREATE FUNCTION streamq.capture(
	source pg_catalog.regclass,
	into_stream pg_catalog.regclass,
	snapshot pg_catalog.bool DEFAULT false,
	columns pg_catalog.text[] DEFAULT NULL,
	condition pg_catalog.text DEFAULT NULL
) RETURNS pg_catalog.void
LANGUAGE C VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'streamq_capture';
COMMENT ON FUNCTION streamq.capture(pg_catalog.regclass, pg_catalog.regclass, pg_catalog.bool, pg_catalog.text[], pg_catalog.text)
IS 'write every change of a table into a stream, in the transaction of the change';

CREATE FUNCTION streamq.stop_capture(source pg_catalog.regclass, into_stream pg_catalog.regclass)
RETURNS pg_catalog.void
LANGUAGE C VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'streamq_stop_capture';
COMMENT ON FUNCTION streamq.stop_capture(pg_catalog.regclass, pg_catalog.regclass)
IS 'end the capture of a table into a stream';

CREATE FUNCTION streamq.capture_change() RETURNS pg_catalog.trigger
LANGUAGE C VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'streamq_capture_change';
COMMENT ON FUNCTION streamq.capture_change() IS 'trigger of captured tables: writes changes into the stream';

CREATE VIEW streamq.captures WITH (security_barrier = true) AS
SELECT c.source::pg_catalog.regclass AS source,
	c.stream::pg_catalog.regclass AS stream,
	COALESCE((SELECT pg_catalog.sum(n.messages) FROM streamq.capture_count n
		WHERE n.source OPERATOR(pg_catalog.=) c.source
		  AND n.capture_id OPERATOR(pg_catalog.=) c.capture_id), 0)::pg_catalog.int8 AS messages,
	c.since,
	(SELECT pg_catalog.array_agg(a.attname ORDER BY a.attnum) FROM pg_catalog.pg_attribute a
		WHERE a.attrelid OPERATOR(pg_catalog.=) c.source
		  AND a.attnum OPERATOR(pg_catalog.=) ANY (c.columns)
		  AND NOT a.attisdropped) AS columns,
	c.condition
FROM streamq.capture c
WHERE pg_catalog.has_table_privilege(c.source, 'SELECT')
   OR pg_catalog.pg_has_role('pg_read_all_stats', 'USAGE');
COMMENT ON VIEW streamq.captures IS 'tables whose changes are captured into streams';
COMMENT ON COLUMN streamq.captures.source IS 'the captured table';
COMMENT ON COLUMN streamq.captures.stream IS 'the stream into which changes are written';
COMMENT ON COLUMN streamq.captures.messages IS 'messages that were written, with those of the snapshot';
COMMENT ON COLUMN streamq.captures.since IS 'when the capture began';
COMMENT ON COLUMN streamq.captures.columns IS 'the columns in before and after; null: all columns';
COMMENT ON COLUMN streamq.captures.condition IS 'the condition on rows; null: all rows';
GRANT SELECT ON streamq.captures TO PUBLIC;

-- Captures in a logical dump.

-- This table is always empty.  pg_dump reads rows with the captures from it, and
-- a restore that inserts these rows creates the captures.
CREATE TABLE streamq.capture_dump (
	source pg_catalog.text NOT NULL,
	stream pg_catalog.text NOT NULL,
	capture_id pg_catalog.int4 NOT NULL,
	columns pg_catalog.text[],
	condition pg_catalog.text,
	since pg_catalog.timestamptz NOT NULL,
	messages pg_catalog.int8 NOT NULL
);
COMMENT ON TABLE streamq.capture_dump IS 'captures on their way through a dump; always empty';

CREATE FUNCTION streamq.dump_captures() RETURNS SETOF streamq.capture_dump
LANGUAGE sql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $$
SELECT streamq.relation_name(c.source), streamq.relation_name(c.stream), c.capture_id,
	CASE WHEN c.columns IS NOT NULL THEN
		ARRAY(SELECT a.attname::pg_catalog.text FROM pg_catalog.pg_attribute a
			WHERE a.attrelid OPERATOR(pg_catalog.=) c.source
			  AND a.attnum OPERATOR(pg_catalog.=) ANY (c.columns)
			  AND NOT a.attisdropped
			ORDER BY a.attnum) END,
	c.condition, c.since,
	COALESCE((SELECT pg_catalog.sum(n.messages) FROM streamq.capture_count n
		WHERE n.source OPERATOR(pg_catalog.=) c.source
		  AND n.capture_id OPERATOR(pg_catalog.=) c.capture_id), 0)::pg_catalog.int8
FROM streamq.capture c
WHERE streamq.relation_name(c.source) IS NOT NULL
  AND streamq.relation_name(c.stream) IS NOT NULL
ORDER BY c.capture_id, c.source
$$;
REVOKE ALL ON FUNCTION streamq.dump_captures() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION streamq.dump_captures() TO pg_read_all_data;
COMMENT ON FUNCTION streamq.dump_captures() IS 'rows that pg_dump writes for captures';

-- If the table or the stream was left out of the restore, the other captures
-- are still restored.
CREATE FUNCTION streamq.restore_capture(c streamq.capture_dump) RETURNS pg_catalog.bool
LANGUAGE sql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $$
WITH restored AS (
	INSERT INTO streamq.capture
	SELECT t.oid, c.capture_id, s.oid,
		CASE WHEN c.columns IS NOT NULL THEN
			ARRAY(SELECT a.attnum FROM pg_catalog.pg_attribute a
				WHERE a.attrelid OPERATOR(pg_catalog.=) t.oid
				  AND a.attname::pg_catalog.text OPERATOR(pg_catalog.=) ANY (c.columns)
				  AND NOT a.attisdropped
				ORDER BY a.attnum) END,
		c.condition, c.since
	FROM pg_catalog.pg_class t, pg_catalog.pg_class s, pg_catalog.pg_am m
	WHERE t.oid OPERATOR(pg_catalog.=) pg_catalog.to_regclass(c.source)::pg_catalog.oid
	  AND s.oid OPERATOR(pg_catalog.=) pg_catalog.to_regclass(c.stream)::pg_catalog.oid
	  AND m.oid OPERATOR(pg_catalog.=) s.relam
	  AND m.amname OPERATOR(pg_catalog.=) 'streamq'
	ON CONFLICT DO NOTHING
	RETURNING source, capture_id
), counted AS (
	INSERT INTO streamq.capture_count
	SELECT r.source, r.capture_id, -1, c.messages FROM restored r
	RETURNING source
)
SELECT EXISTS (SELECT FROM counted)
$$;
REVOKE ALL ON FUNCTION streamq.restore_capture(streamq.capture_dump) FROM PUBLIC;
COMMENT ON FUNCTION streamq.restore_capture(streamq.capture_dump) IS 'create the capture that a row of a dump describes';

CREATE FUNCTION streamq.capture_dump_restored() RETURNS pg_catalog.trigger
LANGUAGE C VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'streamq_capture_dump_restored';
REVOKE ALL ON FUNCTION streamq.capture_dump_restored() FROM PUBLIC;
COMMENT ON FUNCTION streamq.capture_dump_restored() IS 'trigger of streamq.capture_dump: creates the capture that a restored row describes';
CREATE TRIGGER capture_dump_restored BEFORE INSERT ON streamq.capture_dump
FOR EACH ROW EXECUTE FUNCTION streamq.capture_dump_restored();
ALTER TABLE streamq.capture_dump ENABLE ALWAYS TRIGGER capture_dump_restored;

-- pg_dump appends this to "SELECT columns FROM table".
SELECT pg_catalog.pg_extension_config_dump('streamq.capture_dump',
	'WHERE false UNION ALL SELECT * FROM streamq.dump_captures()');
