-- A batch keeps its results in memory up to streamq.work_mem, and writes them when it
-- needs more.
CREATE SCHEMA work_mem;
SET search_path = work_mem;
-- versions write the range with and without units
\set VERBOSITY sqlstate
SET streamq.work_mem = '100kB';
\set VERBOSITY default
SET streamq.work_mem = '1MB';

-- the view's query notes how much memory the session has
CREATE SEQUENCE most;
CREATE FUNCTION noting(k int) RETURNS int STABLE LANGUAGE plpgsql AS $$
BEGIN
	IF k % 1000 = 0 THEN
		PERFORM setval('most', greatest((SELECT last_value FROM most), sum(total_bytes)::bigint)) FROM pg_backend_memory_contexts;
	END IF;
	RETURN k;
END $$;
CREATE TABLE s (at timestamptz, k int) USING streamq;
CREATE FUNCTION megabytes(view text) RETURNS numeric LANGUAGE plpgsql AS $$
DECLARE
	before bigint := (SELECT sum(total_bytes) FROM pg_backend_memory_contexts);
BEGIN
	PERFORM setval('most', before);
	PERFORM streamq.run_job(view);
	RETURN round(((SELECT last_value FROM most) - before) / 1048576.0, 1);
END $$;
SELECT streamq.create_continuous_view('groups', 'SELECT noting(k) AS k, count(*) FROM s GROUP BY 1');
SELECT streamq.create_continuous_view('sessions', $$
	SELECT noting(k) AS k, w.window_start, count(*) FROM s, streamq.session(at, '1 min') w GROUP BY 1, 2 $$);
SELECT streamq.pause('groups'), streamq.pause('sessions');
INSERT INTO s SELECT '2026-01-01'::timestamptz + i % 7 * interval '1 s', i FROM generate_series(1, 60000) i;
SELECT mb BETWEEN 0.5 AND 4 AS little FROM megabytes('groups') mb;
SELECT mb BETWEEN 0.5 AND 4 AS little FROM megabytes('sessions') mb;
SELECT count(*), sum(count) FROM groups;
SELECT count(*), sum(count) FROM sessions;
SET streamq.work_mem = '64MB';
INSERT INTO s SELECT '2026-01-01'::timestamptz + i % 7 * interval '1 s', i FROM generate_series(1, 60000) i;
SELECT mb BETWEEN 8 AND 80 AS more FROM megabytes('groups') mb;
SELECT mb BETWEEN 8 AND 80 AS more FROM megabytes('sessions') mb;
SELECT count(*), sum(count) FROM groups;
SELECT count(*), sum(count) FROM sessions;

SET client_min_messages = warning;
DROP SCHEMA work_mem CASCADE;
