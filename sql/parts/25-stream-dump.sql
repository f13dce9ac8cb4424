-- Options of streams in a logical dump.

-- Always empty: pg_dump reads there what the options are at that moment, and what a
-- restore writes there becomes options of the streams that were restored.
CREATE TABLE streamq.stream_dump (
	stream pg_catalog.text NOT NULL,
	options pg_catalog.jsonb NOT NULL
);
COMMENT ON TABLE streamq.stream_dump IS 'options of streams on their way through a dump; always empty';

CREATE FUNCTION streamq.dump_streams() RETURNS SETOF streamq.stream_dump
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
SELECT pg_catalog.format('%I.%I', n.nspname, c.relname),
	pg_catalog.to_jsonb(o) OPERATOR(pg_catalog.-) 'relid'::pg_catalog.text
FROM streamq.stream_options o
JOIN pg_catalog.pg_class c ON c.oid OPERATOR(pg_catalog.=) o.relid::pg_catalog.oid
JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) c.relnamespace
ORDER BY n.nspname, c.relname
$$;
REVOKE ALL ON FUNCTION streamq.dump_streams() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION streamq.dump_streams() TO pg_read_all_data;
COMMENT ON FUNCTION streamq.dump_streams() IS 'what pg_dump writes about the options of streams';

-- Streams that are not there, because they were left out of the restore, must not
-- keep the others from getting their options.
CREATE FUNCTION streamq.restore_stream(s streamq.stream_dump) RETURNS pg_catalog.void
LANGUAGE sql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
INSERT INTO streamq.stream_options
SELECT (pg_catalog.jsonb_populate_record(NULL::streamq.stream_options,
	s.options OPERATOR(pg_catalog.||) pg_catalog.jsonb_build_object('relid', c.oid))).*
FROM pg_catalog.pg_class c
JOIN pg_catalog.pg_am a ON a.oid OPERATOR(pg_catalog.=) c.relam
WHERE c.oid OPERATOR(pg_catalog.=) pg_catalog.to_regclass(s.stream)::pg_catalog.oid
  AND a.amname OPERATOR(pg_catalog.=) 'streamq'
ON CONFLICT DO NOTHING
$$;
REVOKE ALL ON FUNCTION streamq.restore_stream(streamq.stream_dump) FROM PUBLIC;
COMMENT ON FUNCTION streamq.restore_stream(streamq.stream_dump) IS 'gives a stream the options that a dump says';

CREATE FUNCTION streamq.stream_dump_restored() RETURNS pg_catalog.trigger
LANGUAGE C VOLATILE
AS 'MODULE_PATHNAME', 'streamq_stream_dump_restored';
REVOKE ALL ON FUNCTION streamq.stream_dump_restored() FROM PUBLIC;
COMMENT ON FUNCTION streamq.stream_dump_restored() IS 'makes options of the rows of a restored dump';
CREATE TRIGGER stream_dump_restored BEFORE INSERT ON streamq.stream_dump
FOR EACH ROW EXECUTE FUNCTION streamq.stream_dump_restored();

-- pg_dump reads "SELECT columns FROM table" with this behind it.
SELECT pg_catalog.pg_extension_config_dump('streamq.stream_dump',
	'WHERE false UNION ALL SELECT * FROM streamq.dump_streams()');
