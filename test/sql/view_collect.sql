-- Aggregates that keep their input: with DISTINCT, ORDER BY or WITHIN GROUP, and those whose
-- state cannot be stored.
CREATE SCHEMA view_collect;
SET search_path = view_collect;
SELECT setseed(0.5);

CREATE TYPE pair AS (a int, b text);
CREATE DOMAIN label AS text CHECK (value <> 'forbidden');
CREATE TABLE s (at timestamptz NOT NULL, k int, x int, n numeric, f float8, t text, l label, c text COLLATE "C", p pair, j jsonb, v interval) USING streamq;

-- rows in which a view and its query over the whole stream differ
CREATE FUNCTION differences() RETURNS TABLE (view text, missing bigint, wrong bigint, groups bigint) LANGUAGE plpgsql AS $$
DECLARE
	q text;
BEGIN
	FOR view, q IN SELECT j.name, j.query FROM streamq.jobs j ORDER BY 1 LOOP
		EXECUTE format('SELECT count(*) FROM (%s EXCEPT ALL SELECT * FROM %I) x', q, view) INTO missing;
		EXECUTE format('SELECT count(*) FROM (SELECT * FROM %I EXCEPT ALL %s) x', view, q) INTO wrong;
		EXECUTE format('SELECT count(*) FROM %I', view) INTO groups;
		RETURN NEXT;
	END LOOP;
END $$;
CREATE FUNCTION run() RETURNS bool LANGUAGE sql AS $$
	SELECT bool_and(streamq.run_job(name) >= 0) FROM streamq.jobs
$$;

SELECT streamq.create_continuous_view('distincts', $$
	SELECT k, count(*), count(DISTINCT x) AS dx, sum(DISTINCT n) AS sn, avg(DISTINCT x) FILTER (WHERE x > 3) AS ax, count(DISTINCT f) AS df,
		array_agg(DISTINCT t) AS t, string_agg(DISTINCT c, ', ' ORDER BY c DESC) AS c, count(DISTINCT (x, t)) AS xt, count(DISTINCT p) AS dp,
		count(DISTINCT j) AS dj, max(DISTINCT l) AS l, json_agg(DISTINCT x)::text AS jx, count(DISTINCT 1) AS one, count(DISTINCT (2, 3)) AS row_one, count(DISTINCT date_trunc('hour', at, 'UTC')) AS hours
	FROM s GROUP BY k$$);
SELECT streamq.create_continuous_view('ordered', $$
	SELECT k, array_agg(x ORDER BY x, t) AS x, array_agg(x ORDER BY n DESC NULLS LAST, x USING >, t) AS xn, string_agg(t, c ORDER BY t, c) AS tc,
		string_agg(t, '+' ORDER BY c COLLATE "C" DESC, t) FILTER (WHERE k <> 2) AS tk, array_agg(p ORDER BY p) AS p, array_agg(l ORDER BY l) AS l,
		jsonb_agg(j ORDER BY j) AS j, jsonb_object_agg(x, t ORDER BY x, t) FILTER (WHERE x IS NOT NULL) AS o, array_agg(ARRAY[x, k] ORDER BY x) AS a,
		sum(f) AS f, avg(n) AS n, array_agg(k ORDER BY k) = array_fill(k, ARRAY[count(*)::int]) AS same
	FROM s GROUP BY k HAVING count(DISTINCT x) > 2 AND min(x) < 1000$$);
SELECT streamq.create_continuous_view('within', $$
	SELECT k, percentile_cont(0.5) WITHIN GROUP (ORDER BY f) AS pc, percentile_cont(k / 10.0::float8) WITHIN GROUP (ORDER BY x DESC) AS pk,
		percentile_cont(ARRAY[0, 0.25, NULL, 1]) WITHIN GROUP (ORDER BY v) AS pa, percentile_disc(0.9) WITHIN GROUP (ORDER BY c COLLATE "C") AS pd,
		percentile_disc(ARRAY[0.1, 0.9]) WITHIN GROUP (ORDER BY n) FILTER (WHERE n > 0) AS pf, mode() WITHIN GROUP (ORDER BY x) AS m,
		rank(k, 'm') WITHIN GROUP (ORDER BY x, t) AS r, dense_rank(3) WITHIN GROUP (ORDER BY x NULLS FIRST) AS dr,
		percent_rank(5) WITHIN GROUP (ORDER BY x DESC) AS pr, cume_dist(k + 1) WITHIN GROUP (ORDER BY x) + sum(k) AS cd
	FROM s GROUP BY k$$);
-- one row, also without input
SELECT streamq.create_continuous_view('whole', $$
	SELECT count(DISTINCT x) AS x, array_agg(DISTINCT k) AS k, percentile_disc(0.5) WITHIN GROUP (ORDER BY t) AS t, count(*) AS n, sum(f) AS f,
		rank(1) WITHIN GROUP (ORDER BY x) AS r FROM s WHERE t IS NOT NULL$$);
SELECT streamq.create_continuous_view('windowed', $$
	SELECT w.window_start, k, count(DISTINCT x) AS x, array_agg(n ORDER BY n) AS n, max(t) AS t, percentile_cont(extract(minute FROM w.window_start)::float8 / 60) WITHIN GROUP (ORDER BY f) AS f
	FROM s, streamq.tumble(at, '10 minutes') w GROUP BY w.window_start, k$$);
SELECT count(streamq.pause(name)) FROM streamq.jobs;
SELECT run();
SELECT * FROM differences();
SELECT * FROM whole;

-- in many batches, with duplicates and nulls
CREATE PROCEDURE produce(batches int, size int) LANGUAGE plpgsql AS $$
BEGIN
	FOR i IN 1 .. batches LOOP
		INSERT INTO s
		SELECT '2024-01-01 00:00:00+00'::timestamptz + random() * interval '1 hour', r % 4, CASE WHEN random() < 0.9 THEN random() * 10 END,
			CASE WHEN random() < 0.9 THEN round((random() * 10)::numeric, 1) END, (ARRAY['NaN', 'Infinity', '-0', '0', '1.5'])[1 + random() * 4]::float8,
			CASE WHEN random() < 0.9 THEN chr(97 + (random() * 25)::int) END, CASE WHEN random() < 0.9 THEN chr(97 + (random() * 2)::int) END,
			chr(65 + (random() * 57)::int), CASE WHEN random() < 0.8 THEN ROW(r % 3, CASE WHEN random() < 0.5 THEN 'b' END)::pair END,
			CASE WHEN random() < 0.8 THEN jsonb_build_array(r % 3) END, CASE WHEN random() < 0.9 THEN random() * 100 * interval '1 minute' END
		FROM generate_series(1, (1 + random() * size)::int) r;
		COMMIT;
		IF random() < 0.5 THEN
			PERFORM streamq.run_job(name) FROM streamq.jobs;
			COMMIT;
		END IF;
	END LOOP;
END $$;
CALL produce(30, 60);
SELECT run();
SELECT * FROM differences();

-- groups without input of one aggregate, or of all
INSERT INTO s (at, k) VALUES ('2024-01-01 00:00:00+00', 7), ('2024-01-01 00:00:00+00', NULL);
SELECT run();
SELECT * FROM differences();
SELECT k, dx, sn, ax, t, jx FROM distincts WHERE k = 7;

-- a batch that fails is undone as a whole, and repeated without its bad row
ALTER TABLE s ADD COLUMN d int;
SELECT streamq.create_continuous_view('divided', 'SELECT k, array_agg(DISTINCT 10 / d) AS d, array_agg(d ORDER BY d) AS all FROM s GROUP BY k');
SELECT streamq.pause('divided');
INSERT INTO s (at, k, d) SELECT '2024-01-01 00:00:00+00', 20, i % 10 - 5 FROM generate_series(1, 100) i;
SELECT run();
SELECT * FROM divided WHERE k = 20;
SELECT errors FROM streamq.jobs WHERE name = 'divided';
SELECT streamq.drop_continuous_view('divided');

-- input that is larger than a row, and values that are
CREATE TABLE large (k int, i int, t text) USING streamq;
SELECT streamq.create_continuous_view('larges', 'SELECT k, count(DISTINCT i) AS di, count(DISTINCT t) AS dt, max(t) AS most, md5(string_agg(t, '','' ORDER BY i, t)) AS ordered, percentile_disc(0.5) WITHIN GROUP (ORDER BY i) AS p FROM large GROUP BY k');
SELECT streamq.pause('larges');
DO $$
BEGIN
	FOR i IN 1 .. 40 LOOP
		INSERT INTO large SELECT r % 3, (random() * 20 * i)::int, repeat(md5((r % i)::text), (10 ^ (random() * 2))::int) FROM generate_series(1, 10 * i) r;
		COMMIT;
		PERFORM streamq.run_job('larges');
		COMMIT;
	END LOOP;
END $$;
INSERT INTO large SELECT 1, NULL, string_agg(md5(i::text), '') FROM generate_series(1, 50000) i;
SELECT streamq.run_job('larges');
SELECT count(*) AS groups,
	(SELECT count(*) FROM larges v FULL JOIN (SELECT k, count(DISTINCT i) AS di, count(DISTINCT t) AS dt, max(t) AS most, md5(string_agg(t, ',' ORDER BY i, t)) AS ordered, percentile_disc(0.5) WITHIN GROUP (ORDER BY i) AS p FROM large GROUP BY k) q USING (k, di, dt, most, ordered, p) WHERE v.k IS NULL OR q.k IS NULL) AS differ
FROM larges;

-- chunks of a group are few, although there were many batches
CREATE FUNCTION chunks(view regclass) RETURNS TABLE (groups bigint, chunks bigint, most int) LANGUAGE plpgsql AS $$
DECLARE
	state regclass := (SELECT state_table FROM streamq.job WHERE target = view);
BEGIN
	EXECUTE format('SELECT count(*) FILTER (WHERE chunk IS NULL), count(chunk), max(length(chunk::text) / 2) FROM %s', state) INTO groups, chunks, most;
	RETURN NEXT;
END $$;
SELECT groups, chunks < 60 AS few FROM chunks('larges');

-- distinct values that are kept once, however often they come
CREATE TABLE visits (at timestamptz NOT NULL, who int) USING streamq;
SELECT streamq.create_continuous_view('visitors', 'SELECT window_start, count(DISTINCT who) AS who FROM visits, streamq.tumble(at, ''1 day'') GROUP BY window_start');
SELECT streamq.pause('visitors');
DO $$
BEGIN
	FOR i IN 1 .. 20 LOOP
		INSERT INTO visits SELECT '2024-01-01 00:00:00+00', r % 3000 FROM generate_series(1, 10000) r;
		COMMIT;
		PERFORM streamq.run_job('visitors');
		COMMIT;
	END LOOP;
END $$;
SELECT who FROM visitors;
SELECT groups, chunks <= 3 AS few, most < 30000 AS small FROM chunks('visitors');
INSERT INTO visits SELECT '2024-01-02 00:00:00+00', r % 100000 FROM generate_series(1, 200000) r;
SELECT streamq.run_job('visitors');
SELECT who FROM visitors ORDER BY window_start;

-- without ORDER BY, in the order of the stream, partition after partition
CREATE TABLE parted (k int, x int) USING streamq;
SELECT streamq.alter_stream('parted', partitions => 4, partition_by => 'x');
SELECT streamq.create_continuous_view('appended', 'SELECT k, array_agg(x) AS x, string_agg(x::text, ''-'') FILTER (WHERE x > 5) AS s, json_agg(x)::text AS j FROM parted GROUP BY k');
SELECT streamq.pause('appended');
DO $$
BEGIN
	FOR i IN 1 .. 20 LOOP
		INSERT INTO parted SELECT r % 3, i * 100 + r FROM generate_series(1, 50) r;
		COMMIT;
		PERFORM streamq.run_job('appended', 17);
		COMMIT;
	END LOOP;
END $$;
SELECT v.k, v.x = q.x AND v.s = q.s AND v.j = q.j AS equal, array_length(v.x, 1)
FROM appended v JOIN (SELECT k, array_agg(x ORDER BY id) AS x, string_agg(x::text, '-' ORDER BY id) FILTER (WHERE x > 5) AS s, json_agg(x ORDER BY id)::text AS j
	FROM (SELECT *, streamq.msg_id(tableoid, ctid) AS id FROM parted) p GROUP BY k) q USING (k) ORDER BY k;

-- sessions that merge: their input does, and that of aggregates without a combine function
CREATE TABLE steps (at timestamptz NOT NULL, who int, x int) USING streamq;
CREATE AGGREGATE no_combine (int) (SFUNC = int4pl, STYPE = int);
SELECT streamq.create_continuous_view('merging', $$SELECT window_start, window_end, who, count(DISTINCT x) AS d, array_agg(x ORDER BY x) AS x, no_combine(x) AS s, count(*)
	FROM steps, streamq.session(at, '3 minutes') GROUP BY window_start, window_end, who$$);
SELECT streamq.pause('merging');
DO $$
BEGIN
	FOR i IN 1 .. 30 LOOP
		INSERT INTO steps SELECT '2024-01-01 00:00:00+00'::timestamptz + (random() * 4000)::int * interval '1 minute', r % 2, r % 50 FROM generate_series(1, 200) r;
		COMMIT;
		PERFORM streamq.run_job('merging');
		COMMIT;
	END LOOP;
END $$;
CREATE VIEW merging_query AS
	SELECT min(at) AS window_start, max(at) + interval '3 minutes' AS window_end, who, count(DISTINCT x) AS d, array_agg(x ORDER BY x) AS x, sum(x)::int AS s, count(*)
	FROM (SELECT *, count(*) FILTER (WHERE begins) OVER (PARTITION BY who ORDER BY at ROWS UNBOUNDED PRECEDING) AS n
		FROM (SELECT *, coalesce(at - lag(at) OVER (PARTITION BY who ORDER BY at) > '3 minutes', true) AS begins FROM steps) a) b
	GROUP BY who, n;
SELECT count(*) > 100 AS many, (SELECT count(*) FROM (TABLE merging EXCEPT ALL TABLE merging_query) a) + (SELECT count(*) FROM (TABLE merging_query EXCEPT ALL TABLE merging) b) AS differ FROM merging;

-- chunks go with the windows of their groups
CREATE TABLE gone (at timestamptz NOT NULL, x int) USING streamq;
SELECT streamq.create_continuous_view('gone_windows', 'SELECT window_start, array_agg(x ORDER BY x) AS x FROM gone, streamq.tumble(at, ''1 minute'') GROUP BY window_start', retention => '5 minutes');
SELECT streamq.create_continuous_view('gone_sessions', 'SELECT window_start, window_end, array_agg(x ORDER BY x) AS x FROM gone, streamq.session(at, ''1 minute'') GROUP BY window_start, window_end', retention => '5 minutes');
SELECT count(streamq.pause(name)) FROM streamq.jobs WHERE name ~ '^gone';
INSERT INTO gone SELECT '2024-01-01 00:00:00+00'::timestamptz + i / 1000 * interval '10 minutes', i FROM generate_series(1, 9999) i;
SELECT name, streamq.run_job(name) FROM streamq.jobs WHERE name ~ '^gone' ORDER BY 1;
SELECT window_start, array_length(x, 1) FROM gone_windows ORDER BY 1;
SELECT window_start, array_length(x, 1) FROM gone_sessions ORDER BY 1;
SELECT groups, chunks FROM chunks('gone_windows');
SELECT groups, chunks FROM chunks('gone_sessions');

-- somebody else who may read the view
CREATE ROLE view_collect_reader;
GRANT USAGE ON SCHEMA view_collect TO view_collect_reader;
GRANT SELECT ON larges, distincts TO view_collect_reader;
CREATE FUNCTION add_secret(text, int) RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT $1 || $2';
CREATE AGGREGATE secret(int) (SFUNC = add_secret, STYPE = text, INITCOND = '');
REVOKE EXECUTE ON FUNCTION secret(int) FROM PUBLIC;
SELECT streamq.create_continuous_view('secrets', 'SELECT secret(x ORDER BY x) FROM parted WHERE x < 110');
GRANT SELECT ON secrets TO view_collect_reader;
SELECT streamq.wait_until_caught_up('secrets');
TABLE secrets;
SET ROLE view_collect_reader;
SELECT count(*) FROM larges WHERE di > 0;
SELECT count(t) > 3 AS several FROM distincts;
TABLE secrets;
RESET ROLE;

-- the definition of a view says what it computes
CREATE FUNCTION definition(view regclass) RETURNS text LANGUAGE sql AS $$
SELECT regexp_replace(regexp_replace(pg_get_viewdef(view), 'view_state_\d+', 'view_state_n', 'g'), '\mstate\.', '', 'g')$$;
SELECT definition('appended');
SELECT streamq.create_continuous_view('collated', 'SELECT string_agg(c COLLATE "POSIX", t ORDER BY t COLLATE "C"), max(DISTINCT c COLLATE "POSIX") AS most FROM s');
SELECT definition('collated');

SET client_min_messages = warning;
DROP SCHEMA view_collect CASCADE;
DROP OWNED BY view_collect_reader;
DROP ROLE view_collect_reader;
