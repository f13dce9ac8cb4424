-- Archives: messages are written to files before retention drops them.

-- prefix begins the names of the files.  identity says which stream writes
-- them, so that no other one writes to the same files.  restored: the row comes
-- from a dump, and nothing is written.
CREATE TABLE streamq.archive (
	stream pg_catalog.regclass PRIMARY KEY,
	destination pg_catalog.text NOT NULL,
	format pg_catalog.text NOT NULL
		CHECK (format OPERATOR(pg_catalog.=) ANY ('{jsonl,csv,binary}'::pg_catalog.text[])),
	compression pg_catalog.text NOT NULL
		CHECK (compression OPERATOR(pg_catalog.=) ANY ('{none,gzip,lz4,zstd}'::pg_catalog.text[])),
	command pg_catalog.text,
	owner pg_catalog.oid NOT NULL,
	prefix pg_catalog.text NOT NULL,
	identity pg_catalog.text NOT NULL,
	started_at pg_catalog.timestamptz NOT NULL,
	restored pg_catalog.bool NOT NULL,
	last_error pg_catalog.text
);
COMMENT ON TABLE streamq.archive IS 'streams that are archived; archive_stream() and stop_archive() change them';

-- Everything below next_offset is archived.  pending_from, pending_to: the
-- range that is being written; a restart writes the same range again.
CREATE TABLE streamq.archive_progress (
	stream pg_catalog.regclass,
	partition pg_catalog.int4,
	next_offset pg_catalog.int8,
	pending_from pg_catalog.int8,
	pending_to pg_catalog.int8,
	files pg_catalog.int8 NOT NULL,
	bytes pg_catalog.int8 NOT NULL,
	PRIMARY KEY (stream, partition)
);
COMMENT ON TABLE streamq.archive_progress IS 'how far each partition of a stream is archived';

CREATE FUNCTION streamq.archive_stream(
	stream pg_catalog.regclass,
	destination pg_catalog.text,
	format pg_catalog.text DEFAULT 'jsonl',
	compression pg_catalog.text DEFAULT 'gzip',
	command pg_catalog.text DEFAULT NULL)
RETURNS pg_catalog.void
LANGUAGE C VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'streamq_archive_stream';
COMMENT ON FUNCTION streamq.archive_stream(pg_catalog.regclass, pg_catalog.text, pg_catalog.text, pg_catalog.text, pg_catalog.text)
IS 'write the messages of a stream to files of the server before retention drops them; command is run for each file (%p: its path, %f: its name)';

CREATE FUNCTION streamq.stop_archive(stream pg_catalog.regclass)
RETURNS pg_catalog.void
LANGUAGE C VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'streamq_stop_archive';
COMMENT ON FUNCTION streamq.stop_archive(pg_catalog.regclass)
IS 'stop archiving a stream; the files stay, and retention waits for them no longer';

CREATE FUNCTION streamq.read_archive(destination pg_catalog.text, row_type anyelement)
RETURNS SETOF anyelement
LANGUAGE C VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'streamq_read_archive';
COMMENT ON FUNCTION streamq.read_archive(pg_catalog.text, anyelement)
IS 'messages in the files of an archive, in offset order; row_type is a null of the type of the rows, such as NULL::clicks';

-- Archives in a logical dump.

-- This table is always empty.  pg_dump reads rows with the archives from it,
-- and a restore that inserts these rows creates the archives, which write
-- nothing: the messages get new offsets, so files of the same names would have
-- other messages.
CREATE TABLE streamq.archive_dump (
	stream pg_catalog.text NOT NULL,
	archive pg_catalog.jsonb NOT NULL
);
COMMENT ON TABLE streamq.archive_dump IS 'archives on their way through a dump; always empty';

CREATE FUNCTION streamq.dump_archives() RETURNS SETOF streamq.archive_dump
LANGUAGE sql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $$
SELECT pg_catalog.format('%I.%I', n.nspname, c.relname),
	pg_catalog.to_jsonb(a) OPERATOR(pg_catalog.-)
		ARRAY['stream', 'owner', 'identity', 'restored', 'last_error']::pg_catalog.text[]
FROM streamq.archive a
JOIN pg_catalog.pg_class c ON c.oid OPERATOR(pg_catalog.=) a.stream::pg_catalog.oid
JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) c.relnamespace
ORDER BY n.nspname, c.relname
$$;
REVOKE ALL ON FUNCTION streamq.dump_archives() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION streamq.dump_archives() TO pg_read_all_data;
COMMENT ON FUNCTION streamq.dump_archives() IS 'rows that pg_dump writes for archives';

CREATE FUNCTION streamq.restore_archive(d streamq.archive_dump) RETURNS pg_catalog.bool
LANGUAGE sql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $$
INSERT INTO streamq.archive
SELECT (pg_catalog.jsonb_populate_record(NULL::streamq.archive,
	d.archive OPERATOR(pg_catalog.||) pg_catalog.jsonb_build_object('stream', c.oid,
		'owner', c.relowner, 'identity', '', 'restored', true,
		'last_error', 'the archive was restored from a dump and writes nothing until archive_stream() is called'))).*
FROM pg_catalog.pg_class c
JOIN pg_catalog.pg_am a ON a.oid OPERATOR(pg_catalog.=) c.relam
WHERE c.oid OPERATOR(pg_catalog.=) pg_catalog.to_regclass(d.stream)::pg_catalog.oid
  AND a.amname OPERATOR(pg_catalog.=) 'streamq'
ON CONFLICT DO NOTHING;
SELECT true
$$;
REVOKE ALL ON FUNCTION streamq.restore_archive(streamq.archive_dump) FROM PUBLIC;
COMMENT ON FUNCTION streamq.restore_archive(streamq.archive_dump) IS 'create the archive that a row of a dump describes';

CREATE FUNCTION streamq.archive_dump_restored() RETURNS pg_catalog.trigger
LANGUAGE C VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'streamq_archive_dump_restored';
REVOKE ALL ON FUNCTION streamq.archive_dump_restored() FROM PUBLIC;
COMMENT ON FUNCTION streamq.archive_dump_restored() IS 'trigger of streamq.archive_dump: creates the archive that a restored row describes';
CREATE TRIGGER archive_dump_restored BEFORE INSERT ON streamq.archive_dump
FOR EACH ROW EXECUTE FUNCTION streamq.archive_dump_restored();
ALTER TABLE streamq.archive_dump ENABLE ALWAYS TRIGGER archive_dump_restored;

-- pg_dump appends this to "SELECT columns FROM table".
SELECT pg_catalog.pg_extension_config_dump('streamq.archive_dump',
	'WHERE false UNION ALL SELECT * FROM streamq.dump_archives()');
