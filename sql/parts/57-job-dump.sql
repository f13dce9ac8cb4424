-- Continuous views in a logical dump.

-- This table is always empty.  pg_dump reads rows with the current jobs from
-- it, and a restore that inserts these rows creates the jobs.
CREATE TABLE streamq.job_dump (
	target pg_catalog.text NOT NULL,
	source pg_catalog.text NOT NULL,
	other_source pg_catalog.text,
	state_table pg_catalog.text,
	result_table pg_catalog.text,
	emit_into pg_catalog.text,
	late_stream pg_catalog.text,
	dead_letter pg_catalog.text,
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

-- Null if the relation does not exist.
CREATE FUNCTION streamq.relation_name(relation pg_catalog.oid) RETURNS pg_catalog.text
LANGUAGE sql STABLE STRICT PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
SELECT pg_catalog.format('%I.%I', n.nspname, c.relname)
FROM pg_catalog.pg_class c
JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) c.relnamespace
WHERE c.oid OPERATOR(pg_catalog.=) relation
$$;
COMMENT ON FUNCTION streamq.relation_name(pg_catalog.oid) IS 'name of a relation with its schema; null if there is none';

CREATE FUNCTION streamq.messages_before(stream pg_catalog.regclass, partition pg_catalog.int4, msg_offset pg_catalog.int8)
RETURNS pg_catalog.int8
LANGUAGE C STABLE STRICT PARALLEL RESTRICTED
AS 'MODULE_PATHNAME', 'streamq_messages_before';
REVOKE ALL ON FUNCTION streamq.messages_before(pg_catalog.regclass, pg_catalog.int4, pg_catalog.int8) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION streamq.messages_before(pg_catalog.regclass, pg_catalog.int4, pg_catalog.int8) TO pg_read_all_data;
COMMENT ON FUNCTION streamq.messages_before(pg_catalog.regclass, pg_catalog.int4, pg_catalog.int8)
IS 'number of messages of a partition below an offset';

-- How many messages of each partition a job has processed.
CREATE FUNCTION streamq.job_done(job_id pg_catalog.int4, stream pg_catalog.regclass) RETURNS pg_catalog.int8[]
LANGUAGE sql STABLE STRICT PARALLEL RESTRICTED
SET search_path = pg_catalog, pg_temp
AS $$
SELECT pg_catalog.array_agg(CASE WHEN p.job_id IS NULL THEN 0 ELSE
	streamq.messages_before(stream, i.n, GREATEST(p.next_offset, p.replay_to)) END ORDER BY i.n)
FROM pg_catalog.generate_series(0, (SELECT pg_catalog.max(q.partition) FROM streamq.job_progress q
	WHERE q.job_id OPERATOR(pg_catalog.=) job_done.job_id AND q.partition OPERATOR(pg_catalog.<) 256)) i(n)
LEFT JOIN streamq.job_progress p ON p.job_id OPERATOR(pg_catalog.=) job_done.job_id
	AND p.partition OPERATOR(pg_catalog.=) i.n
$$;
REVOKE ALL ON FUNCTION streamq.job_done(pg_catalog.int4, pg_catalog.regclass) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION streamq.job_done(pg_catalog.int4, pg_catalog.regclass) TO pg_read_all_data;
COMMENT ON FUNCTION streamq.job_done(pg_catalog.int4, pg_catalog.regclass)
IS 'for each partition, how many messages a job has processed';

-- Pipes and handlers are paused after a restore.  While messages are being
-- restored into several partitions, they may not be in their places yet, and a
-- job would take them twice.
CREATE FUNCTION streamq.dump_jobs() RETURNS SETOF streamq.job_dump
LANGUAGE sql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $$
SELECT streamq.relation_name(j.target),
	streamq.relation_name(j.source),
	streamq.relation_name(j.other_source),
	streamq.relation_name(j.state_table),
	streamq.relation_name(j.result_table),
	streamq.relation_name(j.emit_into),
	streamq.relation_name(j.late_stream),
	streamq.relation_name(j.dead_letter),
	pg_catalog.to_jsonb(j) OPERATOR(pg_catalog.-)
		ARRAY['job_id', 'target', 'source', 'other_source', 'state_table', 'result_table', 'emit_into', 'late_stream',
			  'dead_letter', 'format', 'query_tree']::pg_catalog.text[]
		OPERATOR(pg_catalog.||) pg_catalog.jsonb_build_object('definition', streamq.job_definition(j.job_id),
			'enabled', j.enabled AND j.name IS NULL)
		OPERATOR(pg_catalog.||) CASE WHEN j.format OPERATOR(pg_catalog.=) 0
				OR (COALESCE(j.emit_into, j.late_stream) IS NULL AND j.name IS NULL) THEN '{}'::pg_catalog.jsonb
			ELSE pg_catalog.jsonb_build_object('restored_done', streamq.job_done(j.job_id, j.source),
				'restored_watermark', GREATEST(s.watermark, s.emitted_until)) END
FROM streamq.job j
LEFT JOIN streamq.job_stats s ON s.job_id OPERATOR(pg_catalog.=) j.job_id
WHERE streamq.relation_name(j.target) IS NOT NULL
  AND streamq.relation_name(j.source) IS NOT NULL
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
		'target', t.oid, 'source', s.oid,
		'other_source', pg_catalog.to_regclass(j.other_source)::pg_catalog.oid,
		'state_table', pg_catalog.to_regclass(j.state_table)::pg_catalog.oid,
		'result_table', pg_catalog.to_regclass(j.result_table)::pg_catalog.oid,
		'emit_into', pg_catalog.to_regclass(j.emit_into)::pg_catalog.oid,
		'late_stream', pg_catalog.to_regclass(j.late_stream)::pg_catalog.oid,
		'dead_letter', pg_catalog.to_regclass(j.dead_letter)::pg_catalog.oid,
		'format', 0, 'query_tree', ''))).*
FROM pg_catalog.pg_class t, pg_catalog.pg_class s, pg_catalog.pg_am a
WHERE t.oid OPERATOR(pg_catalog.=) pg_catalog.to_regclass(j.target)::pg_catalog.oid
  AND t.relkind OPERATOR(pg_catalog.=) 'v'
  AND s.oid OPERATOR(pg_catalog.=) pg_catalog.to_regclass(j.source)::pg_catalog.oid
  AND a.oid OPERATOR(pg_catalog.=) s.relam
  AND a.amname OPERATOR(pg_catalog.=) 'streamq'
  AND (j.other_source IS NULL OR pg_catalog.to_regclass(j.other_source) IS NOT NULL)
  AND (j.state_table IS NULL OR pg_catalog.to_regclass(j.state_table) IS NOT NULL)
  AND (j.result_table IS NULL OR pg_catalog.to_regclass(j.result_table) IS NOT NULL)
  AND (j.emit_into IS NULL OR pg_catalog.to_regclass(j.emit_into) IS NOT NULL)
  AND (j.late_stream IS NULL OR pg_catalog.to_regclass(j.late_stream) IS NOT NULL)
  AND (j.dead_letter IS NULL OR pg_catalog.to_regclass(j.dead_letter) IS NOT NULL)
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
