-- Results, corrections, late rows and counters do not depend on where batches end.
CREATE SCHEMA view_emit_batches;
SET search_path = view_emit_batches;
SET TIME ZONE 'UTC';
SET DateStyle TO ISO;
-- three partitions, disorder, NULLs, rows that raise errors
SELECT streamq.create_stream('s', 'at timestamptz, k int, v int', partitions => 3, partition_by => 'k');
INSERT INTO s SELECT CASE WHEN i % 97 = 0 THEN NULL ELSE '2026-03-01'::timestamptz + (i + hashint4(i) % 46) * interval '1 s' END,
	nullif(i % 11, 10), CASE WHEN i % 101 = 0 THEN 0 ELSE (i * 7) % 13 + 1 END
FROM generate_series(1, 2000) i;
CREATE TABLE sizes (size int, batch int);
INSERT INTO sizes VALUES (1, 1), (2, 3), (3, 1000), (4, 100000);
CREATE TABLE options (n int, late_rows text, lateness interval, delay interval, retention interval);
INSERT INTO options VALUES
	(1, 'update', '0', '0', NULL), (2, 'drop', '0', '5 s', NULL), (3, 'route', '15 s', '0', NULL), (4, 'drop', '30 s', '0', NULL),
	(5, 'update', '0', '0', '20 s'), (6, 'route', '10 s', '2 s', '0');
DO $$
DECLARE
	o options; b sizes; name text;
BEGIN
	FOR o IN SELECT * FROM options LOOP
		FOR b IN SELECT * FROM sizes LOOP
			name := format('v_%s_%s', o.n, b.size);
			EXECUTE format('CREATE TABLE %I (window_end timestamptz, k int, c bigint, s numeric, revision int, deleted bool) USING streamq', name || '_out');
			EXECUTE format('CREATE TABLE %I (at timestamptz, k int, v int) USING streamq', name || '_late');
			PERFORM streamq.create_continuous_view(name, 'SELECT w.window_end, k, count(*) AS c, sum(12 / v) AS s
				FROM s, streamq.tumble(at, ''20 s'') w GROUP BY w.window_end, k HAVING count(*) <> 3',
				late_rows => o.late_rows, allowed_lateness => o.lateness, watermark_delay => o.delay, retention => o.retention,
				late_stream => CASE WHEN o.late_rows = 'route' THEN to_regclass(name || '_late') END, emit_into => name || '_out');
			PERFORM streamq.pause(name);
		END LOOP;
	END LOOP;
END $$;
SELECT count(*) AS jobs, count(DISTINCT processed) AS figures FROM (
	SELECT streamq.run_job(format('v_%s_%s', n, size), batch) AS processed FROM options, sizes) r;
-- what a view shows, its last emitted revisions, late rows and counters, as one value
CREATE FUNCTION look(name text, OUT emitted bigint, OUT results text, OUT last text, OUT late text, OUT counters text) LANGUAGE plpgsql AS $$
BEGIN
	EXECUTE format('SELECT count(*), md5(string_agg(r::text, '';'' ORDER BY r)) FROM (SELECT DISTINCT ON (window_end, k) window_end, k, c, s, deleted
		FROM %I ORDER BY window_end, k, revision DESC) r WHERE NOT deleted', name || '_out') INTO emitted, last;
	EXECUTE format('SELECT md5(string_agg(v::text, '';'' ORDER BY v)) FROM %I v', name) INTO results;
	EXECUTE format('SELECT md5(string_agg(l::text, '';'' ORDER BY l)) FROM %I l', name || '_late') INTO late;
	SELECT concat_ws(' ', rows_processed, late_rows, errors, watermark) INTO counters FROM streamq.jobs j WHERE j.name = look.name;
END $$;
SELECT n, count(DISTINCT results) AS results, count(DISTINCT last) AS last, count(DISTINCT late) AS late, count(DISTINCT counters) AS counters, min(emitted) > 100 AS emitted
FROM options, sizes, look(format('v_%s_%s', n, size)) GROUP BY n ORDER BY n;
-- which rows are late depends on how the partitions were written
SELECT n, rows_processed, j.late_rows > 100 AS late, errors > 0 AS errors FROM options JOIN streamq.jobs j ON name = format('v_%s_1', n) ORDER BY n;
-- the last revisions are what the view shows of closed windows
CREATE FUNCTION different(name text) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
	result bigint;
BEGIN
	EXECUTE format('SELECT count(*) FROM (SELECT DISTINCT ON (window_end, k) * FROM %I ORDER BY window_end, k, revision DESC) o
		FULL JOIN (SELECT * FROM %I WHERE window_end <= streamq.watermark(%L)) v ON o.window_end = v.window_end AND o.k IS NOT DISTINCT FROM v.k AND NOT o.deleted
		WHERE (v.window_end IS NULL AND NOT o.deleted) OR (v.window_end IS NOT NULL AND (o.c, o.s) IS DISTINCT FROM (v.c, v.s))',
		name || '_out', name, name) INTO result;
	RETURN result;
END $$;
SELECT n, size, different(format('v_%s_%s', n, size)) FROM options, sizes WHERE retention IS NULL ORDER BY 1, 2;
-- every revision is there once
CREATE FUNCTION wrong_revisions(name text) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
	result bigint;
BEGIN
	EXECUTE format('SELECT count(*) FROM (SELECT 1 FROM %I GROUP BY window_end, k
		HAVING max(revision) <> count(*) - 1 OR count(DISTINCT revision) <> count(*)) w', name || '_out') INTO result;
	RETURN result;
END $$;
SELECT sum(wrong_revisions(format('v_%s_%s', n, size))) FROM options, sizes WHERE retention IS NULL;
-- with late_rows => 'update' and all windows kept, the view is its query
SELECT count(*) FROM (SELECT w.window_end, k, count(*) AS c, sum(12 / v) AS s FROM s, streamq.tumble(at, '20 s') w
	WHERE v <> 0 GROUP BY w.window_end, k HAVING count(*) <> 3 EXCEPT ALL SELECT * FROM v_1_1) d;
SET client_min_messages = warning;
DROP SCHEMA view_emit_batches CASCADE;
