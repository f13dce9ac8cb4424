-- windows that close because a stream is quiet, and windows that are removed
CREATE SCHEMA view_close;
SET search_path = view_close;
SET TIME ZONE 'UTC';
SET DateStyle TO ISO;
-- run by hand, so that what has been processed when is certain
CREATE FUNCTION paused_view(name text, query text, late_rows text DEFAULT 'update', late_stream regclass DEFAULT NULL,
	emit_into regclass DEFAULT NULL, idle_timeout interval DEFAULT NULL, retention interval DEFAULT NULL,
	watermark_delay interval DEFAULT '0', start_at text DEFAULT 'earliest')
RETURNS regclass LANGUAGE plpgsql AS $$
DECLARE
	result regclass := streamq.create_continuous_view(name, query, late_rows => late_rows, late_stream => late_stream,
		emit_into => emit_into, idle_timeout => idle_timeout, retention => retention, watermark_delay => watermark_delay,
		start_at => start_at);
BEGIN
	PERFORM streamq.pause(name);
	RETURN result;
END $$;

-- a quiet partition does not hold the watermark back
SELECT streamq.create_stream('two', 'at timestamptz, k int', partitions => 2, partition_by => 'k');
SELECT paused_view('with_timeout', $$
	SELECT w.window_end, count(*) AS n FROM two, streamq.tumble(at, '1 hour') w GROUP BY w.window_end $$,
	idle_timeout => '10 ms') AS v;
SELECT paused_view('without_timeout', $$
	SELECT w.window_end, count(*) AS n FROM two, streamq.tumble(at, '1 hour') w GROUP BY w.window_end $$) AS v;
INSERT INTO two SELECT '2026-03-01 00:00', i FROM generate_series(1, 100) i;
-- keys of both partitions
SELECT min(k) FILTER (WHERE p = 0) AS k0, min(k) FILTER (WHERE p = 1) AS k1 FROM (
	SELECT k, streamq.msg_partition(streamq.msg_id(tableoid, ctid)) AS p FROM two) s \gset
SELECT streamq.run_job('with_timeout'), streamq.run_job('without_timeout');
SELECT pg_sleep(0.02);
INSERT INTO two VALUES ('2026-03-01 10:00', :k0);
SELECT streamq.run_job('with_timeout', 1), streamq.run_job('without_timeout');
SELECT streamq.watermark('with_timeout') >= '2026-03-01 10:00' AS moved, streamq.watermark('without_timeout');
-- when the quiet one goes on, its rows are late; they are not without the timeout
INSERT INTO two VALUES ('2026-03-01 08:00', :k1);
SELECT streamq.run_job('with_timeout'), streamq.run_job('without_timeout');
SELECT name, late_rows FROM streamq.jobs WHERE name ~ 'timeout$' ORDER BY 1;
-- a view that reads the same stream later finds the same
SELECT paused_view('later_timeout', $$
	SELECT w.window_end, count(*) AS n FROM two, streamq.tumble(at, '1 hour') w GROUP BY w.window_end $$,
	idle_timeout => '10 ms') AS v;
SELECT streamq.run_job('later_timeout', 1);
SELECT late_rows FROM streamq.jobs WHERE name = 'later_timeout';

-- when all are quiet, the watermark moves with the clock and closes the last window
CREATE TABLE quiet (at timestamptz) USING streamq;
CREATE TABLE quiet_out (window_end timestamptz, n bigint, revision int) USING streamq;
SELECT paused_view('quiet_view', $$
	SELECT w.window_end, count(*) AS n FROM quiet, streamq.tumble(at, '40 ms') w GROUP BY w.window_end $$,
	emit_into => 'quiet_out', idle_timeout => '10 ms', watermark_delay => '10 ms') AS v;
INSERT INTO quiet VALUES ('2026-03-01 00:00'), ('2026-03-01 00:00:00.01');
SELECT streamq.run_job('quiet_view');
SELECT pg_sleep(0.06);
SELECT streamq.run_job('quiet_view');
SELECT * FROM quiet_out;
SELECT streamq.watermark('quiet_view') >= '2026-03-01 00:00:00.04' AS moved;
-- without an open window it stands still
SELECT streamq.watermark('quiet_view') AS w \gset
SELECT pg_sleep(0.02);
SELECT streamq.run_job('quiet_view');
SELECT streamq.watermark('quiet_view') = :'w' AS same;
-- a row of that window is late now, and corrects it
INSERT INTO quiet VALUES ('2026-03-01 00:00:00.02');
SELECT streamq.run_job('quiet_view');
SELECT * FROM quiet_out;
SELECT late_rows FROM streamq.jobs WHERE name = 'quiet_view';
-- retention: windows go when the watermark is that far after their end
CREATE TABLE kept (at timestamptz, k int) USING streamq;
CREATE TABLE kept_out (window_end timestamptz, k int, n bigint, revision int) USING streamq;
CREATE TABLE kept_late (at timestamptz, k int) USING streamq;
CREATE FUNCTION hour(h numeric) RETURNS timestamptz LANGUAGE sql IMMUTABLE
AS $$ SELECT '2026-03-01 00:00+00'::timestamptz + h * interval '1 hour' $$;
SELECT paused_view('kept_updated', $$
	SELECT w.window_end, k, count(*) AS n FROM kept, streamq.tumble(at, '1 hour') w GROUP BY w.window_end, k $$,
	emit_into => 'kept_out', retention => '2 hours') AS v;
SELECT paused_view('kept_routed', $$
	SELECT w.window_end, k, count(*) AS n FROM kept, streamq.tumble(at, '1 hour') w GROUP BY w.window_end, k $$,
	late_rows => 'route', late_stream => 'kept_late', retention => '2 hours') AS v;
INSERT INTO kept VALUES (hour(0.5), 1), (hour(0.6), 2), (hour(1.5), 1), (hour(2.999), 1);
SELECT streamq.run_job('kept_updated'), streamq.run_job('kept_routed');
SELECT * FROM kept_updated ORDER BY 1, 2;
-- the window until 01:00 is gone at 03:00
INSERT INTO kept VALUES (hour(3), 1);
SELECT streamq.run_job('kept_updated'), streamq.run_job('kept_routed');
SELECT * FROM kept_updated ORDER BY 1, 2;
SELECT * FROM kept_routed ORDER BY 1, 2;
SELECT * FROM kept_out ORDER BY streamq.msg_id(tableoid, ctid);
-- a row of that window is late whatever the policy; one of the next corrects its window
INSERT INTO kept VALUES (hour(0.7), 1), (hour(1.7), 1);
SELECT streamq.run_job('kept_updated'), streamq.run_job('kept_routed');
SELECT * FROM kept_updated ORDER BY 1, 2;
SELECT * FROM kept_late;
SELECT name, late_rows FROM streamq.jobs WHERE name ~ '^kept' ORDER BY 1;
SELECT * FROM kept_out ORDER BY streamq.msg_id(tableoid, ctid) DESC LIMIT 1;
-- what was emitted of it is forgotten, too
SELECT result_table::text AS results FROM streamq.job WHERE target = 'kept_updated'::regclass \gset
SELECT window_end FROM :results ORDER BY 1;
-- the results do not depend on the borders of batches
SELECT paused_view('kept_again', $$
	SELECT w.window_end, k, count(*) AS n FROM kept, streamq.tumble(at, '1 hour') w GROUP BY w.window_end, k $$,
	retention => '2 hours') AS v;
SELECT streamq.run_job('kept_again', 1);
TABLE kept_again EXCEPT ALL TABLE kept_updated;
SELECT name, late_rows FROM streamq.jobs WHERE name ~ '^kept' ORDER BY 1;
-- many rows are removed in portions
INSERT INTO kept SELECT hour(10.5), i FROM generate_series(1, 25000) i;
INSERT INTO kept VALUES (hour(20), 0);
SELECT streamq.run_job('kept_updated');
SELECT count(*) FROM kept_updated;
SELECT count(*) FROM :results;
SELECT count(*), max(revision) FROM kept_out WHERE window_end = hour(11);
-- no retention at all: windows go as they close
SELECT paused_view('kept_none', $$
	SELECT w.window_end, k, count(*) AS n FROM kept, streamq.tumble(at, '1 hour') w GROUP BY w.window_end, k $$,
	retention => '0') AS v;
SELECT streamq.run_job('kept_none') > 0 AS done;
SELECT * FROM kept_none;
-- a month has 30 days
SELECT paused_view('kept_month', $$
	SELECT w.window_end, k, count(*) AS n FROM kept, streamq.tumble(at, '1 hour') w GROUP BY w.window_end, k $$,
	retention => '1 month') AS v;
SELECT retention FROM streamq.job WHERE target = 'kept_month'::regclass;

SET client_min_messages = warning;
DROP SCHEMA view_close CASCADE;
