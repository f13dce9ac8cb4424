-- What flows where, as the caller may see it.

CREATE FUNCTION streamq.graph_name(name pg_catalog.text) RETURNS pg_catalog.text
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
SELECT '"' OPERATOR(pg_catalog.||)
	pg_catalog.replace(pg_catalog.replace(name, '\', '\\'), '"', '\"')
	OPERATOR(pg_catalog.||) '"'
$$;
COMMENT ON FUNCTION streamq.graph_name(pg_catalog.text) IS 'a text as a quoted name in DOT';

CREATE FUNCTION streamq.job_graph() RETURNS pg_catalog.text
LANGUAGE sql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $$
WITH job AS (
	SELECT j.kind, j.name, j.source, j.other_source, j.emit_into, j.late_stream, j.dead_letter
	FROM streamq.jobs j
), flow AS (
	SELECT j.kind, j.name, f.relation, f.reads, f.label
	FROM job j
	CROSS JOIN LATERAL (VALUES (j.source, true, NULL), (j.other_source, true, NULL),
		(j.emit_into, false, NULL), (j.late_stream, false, 'late rows'),
		(j.dead_letter, false, 'dead letters')) f (relation, reads, label)
	WHERE f.relation IS NOT NULL
), relation AS (
	SELECT flow.relation::pg_catalog.oid AS oid FROM flow
	UNION
	SELECT s.stream::pg_catalog.oid FROM streamq.streams s
), line AS (
	SELECT 1 AS part,
		   pg_catalog.format('%s [shape=%s]', streamq.graph_name(streamq.relation_name(r.oid)),
							 CASE WHEN a.amname OPERATOR(pg_catalog.=) 'streamq' THEN 'cylinder'
								  ELSE 'folder' END) AS text
	FROM relation r
	JOIN pg_catalog.pg_class c ON c.oid OPERATOR(pg_catalog.=) r.oid
	LEFT JOIN pg_catalog.pg_am a ON a.oid OPERATOR(pg_catalog.=) c.relam
	UNION ALL
	SELECT 2, pg_catalog.format('%s [label=%s, shape=%s]',
		streamq.graph_name(job.kind OPERATOR(pg_catalog.||) ' ' OPERATOR(pg_catalog.||) job.name),
		streamq.graph_name(job.name),
		CASE job.kind WHEN 'continuous view' THEN 'tab' WHEN 'pipe' THEN 'box' ELSE 'component' END)
	FROM job
	UNION ALL
	SELECT 3, pg_catalog.format(CASE WHEN flow.reads THEN '%1$s -> %2$s%3$s' ELSE '%2$s -> %1$s%3$s' END,
		streamq.graph_name(streamq.relation_name(flow.relation)),
		streamq.graph_name(flow.kind OPERATOR(pg_catalog.||) ' ' OPERATOR(pg_catalog.||) flow.name),
		CASE WHEN flow.label IS NULL THEN ''
			 ELSE ' [label=' OPERATOR(pg_catalog.||) streamq.graph_name(flow.label)
				  OPERATOR(pg_catalog.||) ']' END)
	FROM flow
)
SELECT pg_catalog.concat('digraph streamq {', E'\n', E'\trankdir=LR;\n',
	pg_catalog.string_agg(E'\t' OPERATOR(pg_catalog.||) line.text OPERATOR(pg_catalog.||) E';\n', ''
						  ORDER BY line.part, line.text COLLATE pg_catalog."C"),
	'}')
FROM line
$$;
COMMENT ON FUNCTION streamq.job_graph() IS 'streams and jobs, and what flows where, as a graph in DOT';
