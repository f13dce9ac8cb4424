-- Continuous views in a logical dump.

-- This table is always empty.  pg_dump reads rows with the current jobs from
-- it, and a restore that inserts these rows creates the jobs.
CREATE TABLE streamq.job_dump (
	target pg_catalog.text NOT NULL,
	source pg_catalog.text NOT NULL,
	state_table pg_catalog.text NOT NULL,
	options pg_catalog.jsonb NOT NULL
);
COMMENT ON TABLE streamq.job_dump IS 'jobs on their way through a dump; always empty';

-- The query as the user wrote it is not enough: objects may have been renamed
-- since, and the same names may mean other objects where the dump is restored.
CREATE FUNCTION streamq.job_definition(job_id pg_catalog.int4) RETURNS pg_catalog.text
LANGUAGE C VOLATILE STRICT PARALLEL RESTRICTED
SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'streamq_job_definition';
REVOKE ALL ON FUNCTION streamq.job_definition(pg_catalog.int4) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION streamq.job_definition(pg_catalog.int4) TO pg_read_all_data;
COMMENT ON FUNCTION streamq.job_definition(pg_catalog.int4) IS 'query of a job with the current, qualified names of what it reads';

CREATE FUNCTION streamq.dump_jobs() RETURNS SETOF streamq.job_dump
LANGUAGE sql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $$
SELECT pg_catalog.format('%I.%I', tn.nspname, t.relname),
	pg_catalog.format('%I.%I', sn.nspname, s.relname),
	pg_catalog.format('%I.%I', 'streamq', b.relname),
	pg_catalog.to_jsonb(j) OPERATOR(pg_catalog.-)
		ARRAY['job_id', 'target', 'source', 'state_table', 'format', 'query_tree']::pg_catalog.text[]
		OPERATOR(pg_catalog.||) pg_catalog.jsonb_build_object('definition', streamq.job_definition(j.job_id))
FROM streamq.job j
JOIN pg_catalog.pg_class t ON t.oid OPERATOR(pg_catalog.=) j.target
JOIN pg_catalog.pg_namespace tn ON tn.oid OPERATOR(pg_catalog.=) t.relnamespace
JOIN pg_catalog.pg_class s ON s.oid OPERATOR(pg_catalog.=) j.source
JOIN pg_catalog.pg_namespace sn ON sn.oid OPERATOR(pg_catalog.=) s.relnamespace
JOIN pg_catalog.pg_class b ON b.oid OPERATOR(pg_catalog.=) j.state_table
ORDER BY j.job_id
$$;
REVOKE ALL ON FUNCTION streamq.dump_jobs() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION streamq.dump_jobs() TO pg_read_all_data;
COMMENT ON FUNCTION streamq.dump_jobs() IS 'rows that pg_dump writes for jobs';

-- If relations were left out of the restore, the other jobs are still
-- restored.
CREATE FUNCTION streamq.restore_job(j streamq.job_dump) RETURNS pg_catalog.int4
LANGUAGE sql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $$
INSERT INTO streamq.job OVERRIDING SYSTEM VALUE
SELECT (pg_catalog.jsonb_populate_record(NULL::streamq.job,
	j.options OPERATOR(pg_catalog.||) pg_catalog.jsonb_build_object(
		'job_id', pg_catalog.nextval('streamq.job_job_id_seq'::pg_catalog.regclass),
		'target', t.oid, 'source', s.oid, 'state_table', b.oid,
		'format', 0, 'query_tree', ''))).*
FROM pg_catalog.pg_class t, pg_catalog.pg_class s, pg_catalog.pg_am a, pg_catalog.pg_class b
WHERE t.oid OPERATOR(pg_catalog.=) pg_catalog.to_regclass(j.target)::pg_catalog.oid
  AND t.relkind OPERATOR(pg_catalog.=) 'v'
  AND s.oid OPERATOR(pg_catalog.=) pg_catalog.to_regclass(j.source)::pg_catalog.oid
  AND a.oid OPERATOR(pg_catalog.=) s.relam
  AND a.amname OPERATOR(pg_catalog.=) 'streamq'
  AND b.oid OPERATOR(pg_catalog.=) pg_catalog.to_regclass(j.state_table)::pg_catalog.oid
ON CONFLICT DO NOTHING
RETURNING job_id
$$;
REVOKE ALL ON FUNCTION streamq.restore_job(streamq.job_dump) FROM PUBLIC;
COMMENT ON FUNCTION streamq.restore_job(streamq.job_dump) IS 'create the job that a row of a dump describes';

CREATE FUNCTION streamq.job_dump_restored() RETURNS pg_catalog.trigger
LANGUAGE C VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'streamq_job_dump_restored';
REVOKE ALL ON FUNCTION streamq.job_dump_restored() FROM PUBLIC;
COMMENT ON FUNCTION streamq.job_dump_restored() IS 'trigger of streamq.job_dump: creates the job that a restored row describes';
CREATE TRIGGER job_dump_restored BEFORE INSERT ON streamq.job_dump
FOR EACH ROW EXECUTE FUNCTION streamq.job_dump_restored();
ALTER TABLE streamq.job_dump ENABLE ALWAYS TRIGGER job_dump_restored;

-- pg_dump appends this to "SELECT columns FROM table".
SELECT pg_catalog.pg_extension_config_dump('streamq.job_dump',
	'WHERE false UNION ALL SELECT * FROM streamq.dump_jobs()');
