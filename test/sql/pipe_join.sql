-- Pipes that join two streams.
CREATE SCHEMA pipe_join;
SET search_path = pipe_join;
SET timezone = 'UTC';

-- a pipe that only run_job() runs
CREATE FUNCTION make_pipe(name text, query text, into_stream regclass, grace interval DEFAULT NULL) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
	PERFORM streamq.create_pipe(name, query, into_stream, grace => make_pipe.grace);
	PERFORM streamq.pause(name);
END $$;

CREATE TABLE a (id int, k text, at timestamptz) USING streamq;
CREATE TABLE b (id int, k text, at timestamptz) USING streamq;
CREATE TABLE pairs (a int, b int) USING streamq;

-- ---- bounds are exact, nulls match nothing

SELECT make_pipe('inner', $$
	SELECT a.id AS a, b.id AS b FROM a JOIN b
	ON a.k = b.k AND b.at BETWEEN a.at - interval '1 minute' AND a.at + interval '2 minutes' $$, 'pairs');
INSERT INTO a VALUES (1, 'x', '2024-01-01 00:00'), (2, 'y', '2024-01-01 00:01'), (3, NULL, '2024-01-01 00:01'), (6, 'x', NULL);
INSERT INTO b VALUES (11, 'x', '2024-01-01 00:01'), (12, 'x', '2024-01-01 00:02'), (13, 'x', '2024-01-01 00:02:00.000001'),
	(14, NULL, '2024-01-01 00:01'), (15, 'x', 'infinity');
SELECT streamq.run_job('inner');
SELECT * FROM pairs ORDER BY 1, 2;
INSERT INTO a VALUES (4, 'x', '2024-01-01 00:03:00'), (5, 'x', '2024-01-01 00:03:00.000001');
SELECT streamq.run_job('inner');
SELECT * FROM pairs ORDER BY 1, 2;
SELECT name, kind, state, source, lag, rows_processed, late_rows FROM streamq.jobs;

-- messages go when nothing can match them any more
SELECT format('SELECT (SELECT count(*) FROM streamq.pipe_left_%1$s) AS kept_left, (SELECT count(*) FROM streamq.pipe_right_%1$s) AS kept_right', job_id) AS kept
FROM streamq.job WHERE name = 'inner' \gset
:kept;
INSERT INTO a VALUES (-1, 'far', '2025-01-01 00:00');
INSERT INTO b VALUES (-1, 'far', '2025-01-01 01:00');
SELECT streamq.run_job('inner');
:kept;
-- late
INSERT INTO b VALUES (16, 'x', '2024-01-01 00:03:00');
SELECT streamq.run_job('inner');
SELECT rows_processed, late_rows FROM streamq.jobs;
SELECT streamq.drop_pipe('inner');
SELECT relname FROM pg_class WHERE relname LIKE 'pipe\_%' AND relkind IN ('r', 'v');
TRUNCATE a, b, pairs;

-- ---- every kind of join against the same join as a batch

SELECT setseed(0.5);
CREATE TABLE input AS
SELECT i AS id, i % 2 = 0 AS is_a, (ARRAY['x', 'y', 'z', NULL])[1 + floor(random() * 4)] AS k,
	CASE WHEN random() > 0.02 THEN timestamptz '2024-01-01' + i * interval '3 seconds' - random() * interval '20 seconds' END AS at
FROM generate_series(1, 400) AS i;

CREATE FUNCTION join_text(type text) RETURNS text LANGUAGE sql RETURN format($$
	SELECT a.id AS a, b.id AS b FROM a %s JOIN b
	ON a.k = b.k AND b.at > a.at - interval '5 s' AND a.at + '10 s' >= b.at
	WHERE coalesce(a.id, 0) %% 7 <> 1 $$, type);

CREATE PROCEDURE try(type text, batch int, step int) LANGUAGE plpgsql AS $$
DECLARE
	n int;
	differ bigint;
BEGIN
	TRUNCATE a, b, pairs;
	PERFORM make_pipe(type, join_text(type), 'pairs', '1 minute');
	FOR i IN 1 .. 400 BY step LOOP
		INSERT INTO a SELECT id, k, at FROM input WHERE is_a AND id >= i AND id < i + step ORDER BY id;
		INSERT INTO b SELECT id, k, at FROM input WHERE NOT is_a AND id >= i AND id < i + step ORDER BY id;
		COMMIT;
		PERFORM streamq.run_job(type, batch);
		COMMIT;
	END LOOP;
	-- close all
	INSERT INTO a VALUES (-1, 'far', '2025-01-01');
	INSERT INTO b VALUES (-2, 'far', '2025-01-01 01:00');
	COMMIT;
	PERFORM streamq.run_job(type);
	EXECUTE format('SELECT (SELECT count(*) FROM (TABLE pairs EXCEPT ALL %1$s) x) + (SELECT count(*) FROM (%1$s EXCEPT ALL TABLE pairs) y)',
		'(SELECT * FROM (' || join_text(type) || ') j WHERE coalesce(a, 1) > 0 AND coalesce(b, 1) > 0)') INTO differ;
	SELECT count(*) INTO n FROM pairs;
	RAISE NOTICE '% join, batches of %: % rows, % differ, % late', type, batch, n, differ,
		(SELECT late_rows FROM streamq.jobs WHERE name = type);
	PERFORM streamq.drop_pipe(type);
END $$;

CALL try('INNER', 1000, 400);
CALL try('INNER', 7, 50);
CALL try('LEFT', 1000, 400);
CALL try('LEFT', 7, 50);
CALL try('LEFT', 1, 100);
CALL try('RIGHT', 7, 50);
CALL try('FULL', 1000, 400);
CALL try('FULL', 7, 50);
CALL try('FULL', 1000, 1);
TRUNCATE a, b, pairs;

-- ---- an outer join writes a message alone when it is closed, with the grace

SELECT make_pipe('left', $$
	SELECT a.id AS a, b.id AS b FROM a LEFT JOIN b
	ON a.k = b.k AND b.at BETWEEN a.at - interval '10 s' AND a.at + interval '10 s' $$, 'pairs', '5 s');
INSERT INTO a VALUES (1, 'x', '2024-01-01 00:00:00'), (2, 'y', '2024-01-01 00:00:00');
INSERT INTO b VALUES (11, 'x', '2024-01-01 00:00:05');
SELECT streamq.run_job('left');
SELECT * FROM pairs ORDER BY 1, 2;
INSERT INTO a VALUES (3, 'z', '2024-01-01 00:00:14.999');
INSERT INTO b VALUES (12, 'q', '2024-01-01 00:00:14.999');
SELECT streamq.run_job('left');
SELECT * FROM pairs ORDER BY 1, 2;
-- still in time
INSERT INTO b VALUES (13, 'y', '2024-01-01 00:00:01');
INSERT INTO a VALUES (4, 'z', '2024-01-01 00:00:15');
INSERT INTO b VALUES (14, 'q', '2024-01-01 00:00:15');
SELECT streamq.run_job('left');
SELECT * FROM pairs ORDER BY 1, 2;
-- time of one stream alone closes nothing
INSERT INTO a VALUES (5, 'z', '2024-01-01 00:00:40');
SELECT streamq.run_job('left');
SELECT count(*) FROM pairs WHERE b IS NULL;
INSERT INTO b VALUES (15, 'q', '2024-01-01 00:00:40');
SELECT streamq.run_job('left');
SELECT * FROM pairs ORDER BY 1, 2;
-- what was written alone has no match later, and late rows are counted
INSERT INTO b VALUES (16, 'z', '2024-01-01 00:00:24.999'), (17, 'z', '2024-01-01 00:00:00');
SELECT streamq.run_job('left');
SELECT * FROM pairs ORDER BY 1, 2;
SELECT late_rows FROM streamq.jobs;

-- renamed objects
ALTER TABLE a RENAME COLUMN id TO number;
ALTER TABLE b RENAME TO c;
INSERT INTO a VALUES (6, 'q', '2024-01-01 00:00:41'), (7, 'q', NULL);
SELECT streamq.run_job('left');
SELECT * FROM pairs WHERE a > 5 ORDER BY 1, 2;
ALTER TABLE c RENAME TO b;
ALTER TABLE a RENAME COLUMN number TO id;

-- the sources cannot go without the pipe
DROP TABLE b;
DROP TABLE b CASCADE;
SELECT count(*) FROM streamq.jobs;
SELECT count(*) FROM pg_class WHERE relname LIKE 'pipe\_%' AND relkind IN ('r', 'v');

-- ---- a quiet stream does not hold back what is written alone

CREATE TABLE b (id int, k text, at timestamptz) USING streamq;
SELECT streamq.create_pipe('idle', $$
	SELECT a.id AS a, b.id AS b FROM a LEFT JOIN b
	ON a.k = b.k AND b.at BETWEEN a.at AND a.at + interval '50 ms' $$, 'pairs', idle_timeout => '100 ms');
TRUNCATE pairs;
INSERT INTO b VALUES (21, 'x', '2024-06-01');
INSERT INTO a VALUES (22, 'x', '2024-06-01'), (23, 'x', '2024-06-02');
-- nothing comes any more
DO $$
BEGIN
	FOR i IN 1 .. 600 LOOP
		EXIT WHEN (SELECT count(*) FROM pairs WHERE a > 20) = 2;
		PERFORM pg_sleep(0.1);
		COMMIT;
	END LOOP;
END $$;
SELECT * FROM pairs WHERE a > 20 ORDER BY 1;
SELECT streamq.drop_pipe('idle');
DROP TABLE b;

-- ---- columns are dropped and added while messages wait

CREATE TABLE b (gone int, id int, k text, at timestamptz) USING streamq;
ALTER TABLE b DROP COLUMN gone;
BEGIN;
SELECT streamq.create_pipe('changed', $$
	SELECT x AS a, y AS b FROM (a LEFT JOIN b ON a.k = b.k AND a.at = b.at) AS j (x, k1, t1, y) $$, 'pairs');
SELECT streamq.pause('changed');
COMMIT;
TRUNCATE a, pairs;
INSERT INTO b VALUES (31, 'x', '2024-06-01');
SELECT streamq.run_job('changed');
ALTER TABLE a ADD COLUMN more text DEFAULT 'm';
ALTER TABLE b ADD COLUMN other int;
INSERT INTO a VALUES (32, 'x', '2024-06-01'), (33, 'y', '2024-06-01'), (34, 'z', '2024-06-02');
INSERT INTO b VALUES (35, 'z', '2024-06-02', 1);
SELECT streamq.run_job('changed');
SELECT * FROM pairs ORDER BY 1;
SELECT streamq.drop_pipe('changed');
ALTER TABLE a DROP COLUMN more;
DROP TABLE b;

-- ---- refusals

CREATE TABLE b (id int, k text, at timestamptz, local timestamp) USING streamq;
CREATE TABLE c (id int, at timestamptz) USING streamq;
CREATE TABLE plain (id int);
CREATE FUNCTION refused(query text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	message text;
	hint text;
BEGIN
	PERFORM streamq.create_pipe('refused', query, 'pairs');
	PERFORM streamq.pause('refused');
	RETURN 'accepted';
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS message = MESSAGE_TEXT, hint = PG_EXCEPTION_HINT;
	RETURN concat_ws(' | ', SQLSTATE, message, nullif(hint, ''));
END $$;
SELECT refused('SELECT a.id AS a FROM a JOIN b USING (k)');
SELECT refused('SELECT a.id AS a FROM a JOIN b ON a.at = b.local');
SELECT refused('SELECT a.id AS a FROM a JOIN b ON b.at > a.at');
SELECT refused('SELECT a.id AS a FROM a JOIN b ON b.at BETWEEN a.at AND a.at + ''infinity''::text::interval');
SELECT refused('SELECT a.id AS a FROM a LEFT JOIN b ON a.k = b.k WHERE a.at = b.at');
SELECT refused('SELECT a.id AS a FROM a JOIN b ON a.at = b.at JOIN plain ON true');
SELECT refused('SELECT a.id AS a FROM a JOIN b ON a.at = b.at JOIN c ON c.at = a.at');
SELECT refused('SELECT x.id AS a FROM a x JOIN a y ON x.at = y.at');
SELECT refused('SELECT streamq.msg_offset(streamq.msg_id(a.tableoid, a.ctid))::int AS a FROM a JOIN b ON a.at = b.at');
SELECT refused('SELECT (a).id AS a FROM a JOIN b ON a.at = b.at AND a IS NOT NULL');
SELECT streamq.create_pipe('refused', 'SELECT id AS a FROM a', 'pairs', grace => '1 s');
SELECT streamq.create_pipe('refused', 'SELECT id AS a FROM a', 'pairs', idle_timeout => '1 s');
SELECT streamq.create_pipe('refused', 'SELECT a.id AS a FROM a JOIN b ON a.at = b.at', 'pairs', grace => '-1 s');
SELECT streamq.create_pipe('refused', 'SELECT a.id AS a FROM a JOIN b ON a.at = b.at', 'pairs', idle_timeout => '0');
SELECT streamq.create_pipe('loop', 'SELECT a.id FROM a JOIN b ON a.at = b.at', 'b');
-- conditions in WHERE, in any direction
SELECT refused('SELECT a.id AS a FROM a, b WHERE a.at - interval ''1 month'' < b.at AND b.at - interval ''1 day'' <= a.at');

-- privileges on both streams
CREATE ROLE join_user;
GRANT USAGE ON SCHEMA pipe_join TO join_user;
GRANT SELECT ON a TO join_user;
GRANT INSERT ON pairs TO join_user;
SET ROLE join_user;
SELECT streamq.create_pipe('mine', 'SELECT a.id AS a FROM a JOIN b ON a.at = b.at', 'pairs');
RESET ROLE;
GRANT SELECT (at) ON b TO join_user;
SET ROLE join_user;
BEGIN;
SELECT streamq.create_pipe('mine', 'SELECT a.id AS a FROM a JOIN b ON a.at = b.at', 'pairs');
SELECT streamq.pause('mine');
COMMIT;
RESET ROLE;
TRUNCATE pairs;
INSERT INTO a VALUES (100, 'x', '2024-01-01');
INSERT INTO b VALUES (101, 'x', '2024-01-01');
SELECT streamq.run_job('mine');
SELECT count(*) > 0 AS joined FROM pairs;
REVOKE SELECT (at) ON b FROM join_user;
INSERT INTO b VALUES (102, 'x', '2024-01-01');
SELECT streamq.run_job('mine');

-- infinite times match nothing, also those of one batch; the join has an alias
CREATE TABLE a8 (id int, at timestamptz) USING streamq;
CREATE TABLE b8 (LIKE a8) USING streamq;
TRUNCATE pairs;
SELECT streamq.create_pipe('infinite', $$
	SELECT j.a, j.b FROM (a8 a FULL JOIN b8 b ON a.id = b.id AND a.at = b.at) AS j(a, at, b) $$, 'pairs');
SELECT streamq.pause('infinite');
INSERT INTO a8 VALUES (1, '2024-01-01'), (2, 'infinity'), (3, '-infinity'), (4, '2024-01-01'), (5, '2024-01-02');
INSERT INTO b8 VALUES (1, '2024-01-01'), (2, 'infinity'), (3, '-infinity'), (6, '2024-01-01'), (5, '2024-01-02');
SELECT streamq.run_job('infinite');
SELECT * FROM pairs ORDER BY 1, 2;

SET client_min_messages = warning;
DROP SCHEMA pipe_join CASCADE;
DROP OWNED BY join_user;
DROP ROLE join_user;
