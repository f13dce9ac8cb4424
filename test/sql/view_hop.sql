-- continuous views over windows that overlap equal their queries
CREATE SCHEMA hop_test;
SET search_path = hop_test;
SET TIME ZONE 'UTC';
CREATE TABLE s (at timestamptz, local timestamp, day date, k text COLLATE "C", n int, v numeric, f float8) USING streamq;
CREATE TABLE queries (id serial, name text, query text);
CREATE FUNCTION differences(name text, query text) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
	result bigint;
BEGIN
	EXECUTE format('SELECT (SELECT count(*) FROM (SELECT * FROM %1$I EXCEPT ALL (%2$s)) x) +
		(SELECT count(*) FROM ((%2$s) EXCEPT ALL SELECT * FROM %1$I) x)', name, query) INTO result;
	RETURN result;
END $$;
CREATE FUNCTION rows_of(name text) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
	result bigint;
BEGIN
	EXECUTE format('SELECT count(*) FROM %I', name) INTO result;
	RETURN result;
END $$;
CREATE FUNCTION run_all() RETURNS void LANGUAGE sql AS $$
	SELECT streamq.run_job(name, 7 + id) FROM queries ORDER BY id $$;
INSERT INTO queries (name, query) VALUES
('hop', $$SELECT window_start, window_end, k, count(*) AS n, sum(n) AS total, avg(v) AS mean, min(k) AS least
	FROM s, streamq.hop(at, '5 minutes', '1 hour') GROUP BY window_start, window_end, k$$),
('hop_odd', $$SELECT window_start, k, sum(v) AS v, max(n) AS n
	FROM s, streamq.hop(at, '7 minutes', '60 minutes', '2024-01-01 00:03') GROUP BY k, window_start$$),
('hop_gaps', $$SELECT window_end, count(*) AS n, variance(v) AS v
	FROM s, streamq.hop(at, '1 hour', '10 minutes') WHERE n <> 3 GROUP BY window_end$$),
('hop_months', $$SELECT window_start, window_end, count(*) FILTER (WHERE n > 50) AS n, bool_or(n = 7) AS any7
	FROM s, streamq.hop(local, '1 month', '3 months') GROUP BY 1, 2$$),
('hop_months_odd', $$SELECT window_start, window_end, sum(n) AS n
	FROM s, streamq.hop(local, '2 months', '5 months', '2020-01-31 12:00') GROUP BY 1, 2$$),
('hop_date', $$SELECT window_start, k, count(*) AS n
	FROM s, streamq.hop(day, '1 day', '7 days') GROUP BY 1, 2 HAVING count(*) > 1$$),
('hop_as_tumble', $$SELECT window_start, window_end, count(*) AS n
	FROM s, streamq.hop(at, '5 minutes', '5 minutes') GROUP BY 1, 2$$),
('tumble_date', $$SELECT window_start, window_end, count(*) AS n, sum(v) AS v
	FROM s, streamq.tumble(day, '1 month') GROUP BY 1, 2$$),
('cumulate', $$SELECT window_start, window_end, k, count(*) AS n, sum(n) AS total, avg(v) AS mean
	FROM s, streamq.cumulate(at, '10 minutes', '1 hour') GROUP BY window_start, window_end, k$$),
('cumulate_month', $$SELECT window_start, window_end, count(*) AS n, sum(v) AS v
	FROM s, streamq.cumulate(local, '1 day', '1 month') GROUP BY window_start, window_end$$),
('cumulate_ends', $$SELECT window_end, max(v) AS v
	FROM s, streamq.cumulate(at, '1 hour', '1 day') GROUP BY window_end$$),
-- what follows from the window, what is of no window, what needs no aggregate
('hop_expr', $$SELECT date_trunc('hour', window_start) AS h, window_end - interval '1 s' AS last, upper(k) AS k,
	sum(n) * 2 AS n2, count(*) + 1 AS n1
	FROM s, streamq.hop(at, '20 minutes', '1 hour') GROUP BY window_start, date_trunc('hour', window_start), window_end, upper(k)
	HAVING window_start > '2024-01-01 02:00' AND count(*) > 0$$),
('hop_nulls', $$SELECT window_start, sum(nullif(n, n)) AS s0, sum(CASE WHEN n % 5 = 0 THEN n END) AS s5, max(nullif(n, n)) AS m0,
	bool_and(CASE WHEN n % 7 = 0 THEN n > 50 END) AS b, avg(CASE WHEN n % 11 = 0 THEN n END) AS a
	FROM s, streamq.hop(at, '5 minutes', '20 minutes') GROUP BY 1$$),
('hop_keys', $$SELECT window_start, k FROM s, streamq.hop(at, '20 minutes', '1 hour') GROUP BY 1, 2$$),
-- the window within expressions over rows: each row is taken into each window
('hop_inside', $$SELECT window_start, at - window_start > '30 minutes' AS second_half, count(*) AS n,
	max(at - window_start) AS latest
	FROM s, streamq.hop(at, '20 minutes', '1 hour') WHERE extract(minute FROM window_end) <> 20 OR n > 3
	GROUP BY window_start, at - window_start > '30 minutes'$$),
('cumulate_inside', $$SELECT window_end, avg(extract(epoch FROM window_end - at)) AS age
	FROM s, streamq.cumulate(at, '20 minutes', '1 hour') GROUP BY window_end$$);
SELECT name, streamq.create_continuous_view(name, query) FROM queries ORDER BY id;
SELECT count(streamq.pause(name)) FROM queries;

-- NULL, infinities and disorder are in the input
INSERT INTO s SELECT at, at, at, 'k' || g % 3, g % 100, g / 7.0, g
FROM generate_series(1, 200) g, LATERAL (SELECT '2024-01-01'::timestamptz + (g * 77 % 211) * '97 s'::interval AS at) x;
INSERT INTO s SELECT at, at, at, 'k' || g % 3, g % 100, g / 7.0, g
FROM generate_series(1, 100) g, LATERAL (SELECT '2023-11-11'::timestamptz + (g * 37 % 101) * '31 h'::interval AS at) x;
INSERT INTO s VALUES (NULL, NULL, NULL, 'k1', 1, 1, 1), ('infinity', 'infinity', 'infinity', 'k1', 1, 1, 1),
	('2024-01-01', '2024-01-01', '2024-01-01', NULL, NULL, NULL, NULL), ('-infinity', '-infinity', '-infinity', 'k1', 1, 1, 1);
SELECT run_all();
SELECT name, rows_of(name), differences(name, query) FROM queries ORDER BY id;
-- late rows correct every window that they are in
INSERT INTO s SELECT at, at, at, 'k' || g % 4, g % 100, g / 7.0, g
FROM generate_series(1, 50) g, LATERAL (SELECT '2023-12-31'::timestamptz + (g * 77 % 211) * '797 s'::interval AS at) x;
SELECT run_all();
SELECT name, rows_of(name), differences(name, query) FROM queries ORDER BY id;
SELECT name, watermark, rows_processed, late_rows, errors FROM streamq.jobs WHERE name LIKE 'hop%' ORDER BY 1;


-- late_rows => 'drop': a row counts in the windows that it is not late for
CREATE TABLE d (at timestamptz, k int) USING streamq;
CREATE TABLE dropping (name text, query text, delay interval, lateness interval);
INSERT INTO dropping VALUES
('drop_hop', 'streamq.hop(at, ''5 minutes'', ''20 minutes'')', '0', '0'),
('drop_hop_late', 'streamq.hop(at, ''5 minutes'', ''23 minutes'')', '3 minutes', '4 minutes'),
('drop_gaps', 'streamq.hop(at, ''10 minutes'', ''4 minutes'')', '1 minute', '0'),
('drop_cumulate', 'streamq.cumulate(at, ''5 minutes'', ''30 minutes'')', '0', '2 minutes'),
('drop_tumble', 'streamq.tumble(at, ''20 minutes'')', '3 minutes', '0');
SELECT streamq.create_continuous_view(name, format('SELECT window_start, window_end, k, count(*) AS n, max(at) AS latest FROM d, %s GROUP BY 1, 2, 3', query),
	late_rows => 'drop', watermark_delay => delay, allowed_lateness => lateness) FROM dropping;
SELECT count(streamq.pause(name)) FROM dropping;
INSERT INTO d SELECT '2024-01-01'::timestamptz + g * '7 s'::interval - (g * 7919 % 1009) * '2 s'::interval, g % 2
FROM generate_series(1, 1000) g;
INSERT INTO d VALUES (NULL, 1), ('infinity', 1);
CREATE FUNCTION drop_differences(name text, query text, delay interval, lateness interval) RETURNS TABLE (n bigint, late bigint)
LANGUAGE plpgsql AS $$
BEGIN
	EXECUTE format('CREATE TEMP VIEW expected AS
		SELECT window_start, window_end, k, id, at, watermark IS NOT NULL AND watermark >= window_end + %L::interval AS late
		FROM (SELECT *, streamq.msg_id(tableoid, ctid) AS id,
				max(at) FILTER (WHERE isfinite(at)) OVER (ORDER BY streamq.msg_id(tableoid, ctid)
					ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) - %L::interval AS watermark
			FROM d) d, %s', lateness, delay, query);
	n := differences(name, 'SELECT window_start, window_end, k, count(*), max(at) FROM expected WHERE NOT late GROUP BY 1, 2, 3');
	SELECT count(DISTINCT id) INTO late FROM expected e WHERE e.late;
	DROP VIEW expected;
	RETURN NEXT;
END $$;
SELECT name, streamq.run_job(name, 30) FROM dropping;
SELECT dropping.name, n AS differences, rows_of(dropping.name) > 10 AS many, j.late_rows > 50 AS many_late, j.late_rows - late AS late
FROM dropping, drop_differences(dropping.name, dropping.query, delay, lateness), streamq.jobs j WHERE j.name = dropping.name;
-- in batches of other sizes, and again
INSERT INTO d SELECT '2024-01-01 01:30'::timestamptz + g * '7 s'::interval - (g * 7919 % 1009) * '3 s'::interval, g % 2
FROM generate_series(1, 500) g;
SELECT name, streamq.run_job(name, 77) FROM dropping;
SELECT dropping.name, n AS differences, j.late_rows - late AS late
FROM dropping, drop_differences(dropping.name, dropping.query, delay, lateness), streamq.jobs j WHERE j.name = dropping.name;

-- what is emitted, and what is corrected afterwards: the last revisions are the view's rows of closed windows
CREATE TABLE out_hop (window_start timestamptz, window_end timestamptz, k int, n bigint, latest timestamptz,
	revision int, deleted bool) USING streamq;
CREATE TABLE out_cumulate (LIKE out_hop) USING streamq;
CREATE TABLE out_drop (LIKE out_hop) USING streamq;
CREATE TABLE emitting (name text, query text, target regclass, late text);
INSERT INTO emitting VALUES ('emit_hop', 'streamq.hop(at, ''5 minutes'', ''23 minutes'')', 'out_hop', 'update'),
	('emit_cumulate', 'streamq.cumulate(at, ''5 minutes'', ''30 minutes'')', 'out_cumulate', 'update'),
	('emit_drop', 'streamq.hop(at, ''5 minutes'', ''20 minutes'')', 'out_drop', 'drop');
BEGIN;
SELECT streamq.create_continuous_view(name, format('SELECT window_start, window_end, k, count(*) AS n, max(at) AS latest FROM d, %s GROUP BY 1, 2, 3
		HAVING count(*) %% 10 <> 3', query),
	late_rows => late, emit_into => target, watermark_delay => '2 minutes') FROM emitting;
SELECT count(streamq.pause(name)) FROM emitting;
COMMIT;
CREATE FUNCTION emit_differences(name text, target regclass) RETURNS TABLE (differences bigint, emitted bool, corrected bool, deleted bool)
LANGUAGE plpgsql AS $$
BEGIN
	EXECUTE format('CREATE TEMP VIEW last AS SELECT DISTINCT ON (window_start, window_end, k) * FROM %s
		ORDER BY window_start, window_end, k, revision DESC', target);
	EXECUTE format('SELECT count(*) FROM (
			(SELECT * FROM %1$I WHERE window_end <= streamq.watermark(%1$L) EXCEPT ALL SELECT window_start, window_end, k, n, latest FROM last WHERE NOT deleted)
			UNION ALL
			(SELECT window_start, window_end, k, n, latest FROM last WHERE NOT deleted EXCEPT ALL SELECT * FROM %1$I WHERE window_end <= streamq.watermark(%1$L))) x',
		name) INTO differences;
	SELECT count(*) > 0, count(*) FILTER (WHERE l.revision > 0) > 0, count(*) FILTER (WHERE l.deleted) > 0
	INTO emitted, corrected, deleted FROM last l;
	DROP VIEW pg_temp.last;
	RETURN NEXT;
END $$;
SELECT name, streamq.run_job(name, 40) FROM emitting;
SELECT name, e.* FROM emitting, emit_differences(name, target) e;
INSERT INTO d SELECT '2024-01-01 02:00'::timestamptz + g * '7 s'::interval - (g * 7919 % 1009) * '3 s'::interval, g % 2
FROM generate_series(1, 500) g;
SELECT name, streamq.run_job(name, 77) FROM emitting;
SELECT name, e.* FROM emitting, emit_differences(name, target) e;

-- retention: a window goes as a whole, although its slices belong to later windows, too
CREATE TABLE r (at timestamptz, k int) USING streamq;
SELECT streamq.create_continuous_view('kept', $$SELECT window_start, window_end, k, count(*) AS n
	FROM r, streamq.hop(at, '5 minutes', '20 minutes') GROUP BY 1, 2, 3$$, retention => '30 minutes');
SELECT streamq.pause('kept');
INSERT INTO r SELECT '2024-01-01'::timestamptz + g * '20 s'::interval, g % 2 FROM generate_series(1, 600) g;
SELECT streamq.run_job('kept', 100);
SELECT streamq.run_job('kept', 100);
SELECT rows_of('kept'), min(window_end) > streamq.watermark('kept') - '30 minutes'::interval AS old_are_gone,
	differences('kept', $$SELECT window_start, window_end, k, count(*) FROM r, streamq.hop(at, '5 minutes', '20 minutes')
		WHERE window_end > streamq.watermark('kept') - '30 minutes'::interval GROUP BY 1, 2, 3$$)
FROM kept;

SET client_min_messages = warning;
DROP SCHEMA hop_test CASCADE;
RESET TIME ZONE;
