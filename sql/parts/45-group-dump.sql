-- Consumer groups in a logical dump.

-- This table is always empty.  pg_dump reads rows with the current state of
-- the groups from it, and a restore that inserts these rows creates the
-- groups.
--
-- options: the columns of streamq.consumer_group; dead_letter is the name of
--   the stream, or empty if it was dropped.
-- messages, done, prints: for each partition the number of messages, how many
--   of them are done from the first one on, and a fingerprint of all.
-- islands: messages done out of order, as triples: partition, number of
--   messages before the island, number with it.
CREATE TABLE streamq.group_dump (
	stream pg_catalog.text NOT NULL,
	group_name pg_catalog.text NOT NULL,
	owner pg_catalog.text NOT NULL,
	grantees pg_catalog.text[] NOT NULL,
	options pg_catalog.jsonb NOT NULL,
	messages pg_catalog.int8[] NOT NULL,
	done pg_catalog.int8[] NOT NULL,
	prints pg_catalog.int8[] NOT NULL,
	islands pg_catalog.int8[] NOT NULL
);
COMMENT ON TABLE streamq.group_dump IS 'consumer groups on their way through a dump; always empty';

-- What the dump says about restored groups.  It is kept until a group has its
-- own state in each partition.
CREATE TABLE streamq.restored_group (
	group_id pg_catalog.int4 PRIMARY KEY,
	messages pg_catalog.int8[] NOT NULL,
	done pg_catalog.int8[] NOT NULL,
	prints pg_catalog.int8[] NOT NULL,
	islands pg_catalog.int8[] NOT NULL
);
COMMENT ON TABLE streamq.restored_group IS 'positions of restored consumer groups in the dump';

CREATE FUNCTION streamq.group_progress(stream pg_catalog.oid, group_id pg_catalog.int4,
	OUT messages pg_catalog.int8[], OUT done pg_catalog.int8[], OUT prints pg_catalog.int8[],
	OUT islands pg_catalog.int8[])
RETURNS pg_catalog.record
LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'streamq_group_progress';
REVOKE ALL ON FUNCTION streamq.group_progress(pg_catalog.oid, pg_catalog.int4) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION streamq.group_progress(pg_catalog.oid, pg_catalog.int4) TO pg_read_all_data;
COMMENT ON FUNCTION streamq.group_progress(pg_catalog.oid, pg_catalog.int4)
	IS 'messages in each partition as the caller''s snapshot sees them, how many of them a group has done, and what they are recognized by';

CREATE FUNCTION streamq.dump_groups() RETURNS SETOF streamq.group_dump
LANGUAGE sql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $$
SELECT pg_catalog.format('%I.%I', n.nspname, c.relname),
	g.group_name::pg_catalog.text,
	pg_catalog.pg_get_userbyid(g.owner)::pg_catalog.text,
	ARRAY(SELECT CASE WHEN r OPERATOR(pg_catalog.=) 0::pg_catalog.oid THEN ''
					  ELSE pg_catalog.pg_get_userbyid(r)::pg_catalog.text END
		  FROM pg_catalog.unnest(g.grantees) r),
	(pg_catalog.to_jsonb(g) OPERATOR(pg_catalog.-)
		ARRAY['group_id', 'stream', 'group_name', 'owner', 'grantees', 'dead_letter']::pg_catalog.text[])
	OPERATOR(pg_catalog.||)
	CASE WHEN g.dead_letter IS NULL THEN '{}'::pg_catalog.jsonb
		 ELSE pg_catalog.jsonb_build_object('dead_letter',
			COALESCE((SELECT pg_catalog.format('%I.%I', dn.nspname, dc.relname)
					  FROM pg_catalog.pg_class dc
					  JOIN pg_catalog.pg_namespace dn ON dn.oid OPERATOR(pg_catalog.=) dc.relnamespace
					  WHERE dc.oid OPERATOR(pg_catalog.=) g.dead_letter), ''))
	END,
	p.messages, p.done, p.prints, p.islands
FROM streamq.consumer_group g
JOIN pg_catalog.pg_class c ON c.oid OPERATOR(pg_catalog.=) g.stream
JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) c.relnamespace
CROSS JOIN LATERAL streamq.group_progress(g.stream, g.group_id) p
ORDER BY g.group_id
$$;
REVOKE ALL ON FUNCTION streamq.dump_groups() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION streamq.dump_groups() TO pg_read_all_data;
COMMENT ON FUNCTION streamq.dump_groups() IS 'rows that pg_dump writes for consumer groups';

-- If roles or streams were left out of the restore, the other groups are still
-- restored.  A dead letter that was left out, or was dropped before the dump,
-- becomes zero: the group has one, but it cannot be written to.
CREATE FUNCTION streamq.restore_group(g streamq.group_dump) RETURNS pg_catalog.void
LANGUAGE sql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $$
WITH made AS (
	INSERT INTO streamq.consumer_group
	SELECT (pg_catalog.jsonb_populate_record(NULL::streamq.consumer_group,
		g.options OPERATOR(pg_catalog.||) pg_catalog.jsonb_build_object(
			'group_id', pg_catalog.nextval('streamq.consumer_group_id'::pg_catalog.regclass),
			'stream', c.oid,
			'group_name', g.group_name,
			'owner', COALESCE((SELECT r.oid FROM pg_catalog.pg_roles r
							   WHERE r.rolname::pg_catalog.text OPERATOR(pg_catalog.=) g.owner), c.relowner),
			'grantees', ARRAY(SELECT CASE WHEN name OPERATOR(pg_catalog.=) '' THEN 0::pg_catalog.oid ELSE r.oid END
							  FROM pg_catalog.unnest(g.grantees) name
							  LEFT JOIN pg_catalog.pg_roles r ON r.rolname::pg_catalog.text OPERATOR(pg_catalog.=) name
							  WHERE r.oid IS NOT NULL OR name OPERATOR(pg_catalog.=) ''))
		OPERATOR(pg_catalog.||)
		CASE WHEN g.options OPERATOR(pg_catalog.->>) 'dead_letter' IS NULL THEN '{}'::pg_catalog.jsonb
			 ELSE pg_catalog.jsonb_build_object('dead_letter',
				COALESCE(CASE WHEN g.options OPERATOR(pg_catalog.->>) 'dead_letter' OPERATOR(pg_catalog.<>) ''
							  THEN pg_catalog.to_regclass(g.options OPERATOR(pg_catalog.->>) 'dead_letter') END,
						 0::pg_catalog.regclass)) END)).*
	FROM pg_catalog.pg_class c
	JOIN pg_catalog.pg_am a ON a.oid OPERATOR(pg_catalog.=) c.relam
	WHERE c.oid OPERATOR(pg_catalog.=) pg_catalog.to_regclass(g.stream)::pg_catalog.oid
	  AND a.amname OPERATOR(pg_catalog.=) 'streamq'
	ON CONFLICT DO NOTHING
	RETURNING group_id)
INSERT INTO streamq.restored_group
SELECT made.group_id, g.messages, g.done, g.prints, g.islands FROM made
$$;
REVOKE ALL ON FUNCTION streamq.restore_group(streamq.group_dump) FROM PUBLIC;
COMMENT ON FUNCTION streamq.restore_group(streamq.group_dump) IS 'create the consumer group that a row of a dump describes';

CREATE FUNCTION streamq.group_dump_restored() RETURNS pg_catalog.trigger
LANGUAGE C VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'streamq_group_dump_restored';
REVOKE ALL ON FUNCTION streamq.group_dump_restored() FROM PUBLIC;
COMMENT ON FUNCTION streamq.group_dump_restored() IS 'trigger of streamq.group_dump: creates the group that a restored row describes';
CREATE TRIGGER group_dump_restored BEFORE INSERT ON streamq.group_dump
FOR EACH ROW EXECUTE FUNCTION streamq.group_dump_restored();
ALTER TABLE streamq.group_dump ENABLE ALWAYS TRIGGER group_dump_restored;

-- pg_dump appends this to "SELECT columns FROM table".
SELECT pg_catalog.pg_extension_config_dump('streamq.group_dump',
	'WHERE false UNION ALL SELECT * FROM streamq.dump_groups()');
