-- Session windows of continuous views against queries of the same rows: disorder,
-- ties, NULL keys, rows that merge sessions, batches of all sizes, several
-- partitions, late rows.
SET TIME ZONE 'UTC';
CREATE SCHEMA session_random;
SET search_path = session_random;
SELECT setseed(0.31);

-- The rows: times in random order around a clock that moves on.  Some come much
-- later than their time, and fill gaps.
CREATE TABLE rows AS
SELECT i, '2026-01-01'::timestamptz + interval '1 second' *
	CASE WHEN random() < 0.1 THEN floor(random() * i) ELSE i + floor(random() * 40) END AS at,
	nullif(floor(random() * random() * 12)::int, 0) AS k, floor(random() * 100)::int AS n
FROM generate_series(1, 3000) i;
UPDATE rows SET at = CASE i % 3 WHEN 0 THEN 'infinity' WHEN 1 THEN '-infinity' END::timestamptz WHERE i % 311 = 0;
-- a user whose sessions are far apart, and come from both ends
INSERT INTO rows SELECT 3000 + i, '2026-01-01'::timestamptz + interval '1 minute' * CASE WHEN i % 2 = 0 THEN i ELSE 400 - i END, 99, i FROM generate_series(1, 200) i;

CREATE TABLE one (i int, at timestamptz, k int, n int) USING streamq;
CREATE TABLE four (i int, at timestamptz, k int, n int) USING streamq;
SELECT streamq.alter_stream('four', partitions => 4);

-- gaps and islands: a row begins a session if the one before it is too far away
CREATE FUNCTION sessions(gap interval) RETURNS TABLE (window_start timestamptz, window_end timestamptz, k int, n bigint, total bigint, mean numeric, least_n int, deviation numeric)
LANGUAGE sql STABLE AS $$
	WITH marked AS (
		SELECT r.*, CASE WHEN r.at - lag(r.at) OVER by_time <= gap THEN 0 ELSE 1 END AS begins
		FROM rows r WHERE isfinite(r.at) AND r.n <> 13
		WINDOW by_time AS (PARTITION BY r.k ORDER BY r.at)),
	numbered AS (
		SELECT m.*, sum(begins) OVER (PARTITION BY m.k ORDER BY m.at ROWS UNBOUNDED PRECEDING) AS session FROM marked m)
	SELECT min(s.at), max(s.at) + gap, s.k, count(*), sum(s.n), avg(s.n), min(s.n), stddev(s.n::numeric) FROM numbered s GROUP BY s.k, s.session
$$;

CREATE FUNCTION make(view text, stream text, gap interval, VARIADIC options text[] DEFAULT '{}') RETURNS void LANGUAGE plpgsql AS $f$
BEGIN
	EXECUTE format('SELECT streamq.create_continuous_view(%L, %L, %s)', view, format($$
		SELECT w.window_start, w.window_end, k, count(*) AS n, sum(n) AS total, avg(n) AS mean, min(n) AS least_n, stddev(n::numeric) AS deviation
		FROM %I, streamq.session(at, %L) w WHERE n <> 13 GROUP BY w.window_start, w.window_end, k $$, stream, gap),
		array_to_string('watermark_delay => ''1 min'''::text || options, ', '));
	PERFORM streamq.pause(view);
END $f$;
CREATE FUNCTION differences(view text, gap interval) RETURNS TABLE (sessions_are_there bool, missing bigint, wrong bigint) LANGUAGE plpgsql AS $f$
BEGIN
	EXECUTE format('SELECT count(*) > 10 FROM %I', view) INTO sessions_are_there;
	EXECUTE format('SELECT count(*) FROM (SELECT * FROM sessions(%L::interval) EXCEPT ALL SELECT * FROM %I) x', gap, view) INTO missing;
	EXECUTE format('SELECT count(*) FROM (SELECT * FROM %2$I EXCEPT ALL SELECT * FROM sessions(%1$L::interval)) x', gap, view) INTO wrong;
	RETURN NEXT;
END $f$;
-- put the rows into the streams in pieces, and run a view with each piece
CREATE PROCEDURE feed(pieces int, VARIADIC views text[]) LANGUAGE plpgsql AS $f$
DECLARE
	batches int[] = ARRAY[1, 7, 100, NULL];
BEGIN
	FOR piece IN 0 .. pieces - 1 LOOP
		INSERT INTO one SELECT * FROM rows WHERE i % pieces = piece ORDER BY i;
		INSERT INTO four SELECT * FROM rows WHERE i % pieces = piece ORDER BY i;
		COMMIT;
		FOR v IN 1 .. array_length(views, 1) LOOP
			PERFORM streamq.run_job(views[v], batches[1 + (piece + v) % 4]);
		END LOOP;
	END LOOP;
END $f$;

-- whatever the batches, a view has the sessions of its rows
SELECT make('v2', 'one', '2 s'), make('v5', 'one', '5 s'), make('v20', 'one', '20 s'), make('v5_four', 'four', '5 s'), make('v20_four', 'four', '20 s');
CALL feed(17, 'v2', 'v5', 'v20', 'v5_four', 'v20_four');
SELECT differences('v2', '2 s'), differences('v5', '5 s'), differences('v20', '20 s'), differences('v5_four', '5 s'), differences('v20_four', '20 s');
SELECT name, late_rows > 0 AS late, errors FROM streamq.jobs WHERE name ~ '^v' ORDER BY name;
-- one batch
SELECT make('whole', 'one', '5 s');
SELECT streamq.run_job('whole');
SELECT differences('whole', '5 s');
-- one row a batch
SELECT make('single', 'four', '5 s');
SELECT count(streamq.run_job('single', 1)) FROM generate_series(1, 2);
SELECT differences('single', '5 s');

-- the ordinary query that streamq writes gives the same
CREATE FUNCTION differences_from_query(view text) RETURNS bigint LANGUAGE plpgsql AS $f$
DECLARE
	result bigint;
BEGIN
	EXECUTE format('SELECT (SELECT count(*) FROM (TABLE %1$I EXCEPT ALL (%2$s)) a) + (SELECT count(*) FROM ((%2$s) EXCEPT ALL TABLE %1$I) b)',
		view, rtrim(streamq.view_batch_query(view::regclass), ';')) INTO result;
	RETURN result;
END $f$;
SELECT differences_from_query('v2'), differences_from_query('v5'), differences_from_query('v20_four'), differences_from_query('single');
SELECT streamq.create_continuous_view('odd', $$
	SELECT w.window_end - w.window_start AS length, k + 1 AS next, to_char(at, 'MI') AS "the minute", max(one.n) FILTER (WHERE one.n > 3) AS most, count(one), min(ctid::text) AS first
	FROM one, streamq.session(one.at AT TIME ZONE 'UTC', '90 s') w WHERE k IS NOT NULL AND one.n < 98 GROUP BY w.window_start, w.window_end, k, to_char(at, 'MI') HAVING count(*) > 1 $$);
SELECT streamq.create_continuous_view('alone', $$ SELECT w.window_start, sum(n) FROM ONLY one o, streamq.session(at, '15 s') w GROUP BY w.window_start $$);
SELECT streamq.create_continuous_view('collated', $$ SELECT w.window_start, k::text COLLATE "C" AS k, max(k::text COLLATE "C") AS most FROM one, streamq.session(at, '15 s') w GROUP BY w.window_start, 2 $$);
SELECT streamq.create_continuous_view('no_session', $$ SELECT k, sum(n) FROM one GROUP BY k $$);
SELECT streamq.wait_until_caught_up('odd'), streamq.wait_until_caught_up('alone'), streamq.wait_until_caught_up('collated'), streamq.wait_until_caught_up('no_session');
SELECT differences_from_query('odd'), differences_from_query('alone'), differences_from_query('collated'), differences_from_query('no_session');
SELECT streamq.view_batch_query('alone') ~ 'lag\(' AS with_lag, streamq.view_batch_query('no_session') ~ 'lag\(' AS with_lag;
SELECT streamq.view_batch_query('one');
SELECT streamq.view_batch_query(0);
CREATE ROLE regress_session;
GRANT USAGE ON SCHEMA session_random TO regress_session;
SET ROLE regress_session;
SELECT streamq.view_batch_query('alone');
RESET ROLE;

-- Open sessions are found by the column "due", which is not after their end.
CREATE FUNCTION wrong_due(view text) RETURNS bigint LANGUAGE plpgsql AS $f$
DECLARE
	result bigint;
BEGIN
	EXECUTE format('SELECT count(*) FROM %s WHERE CASE WHEN window_end <= %L THEN due <> ''infinity'' ELSE due > window_end OR due <= %2$L END',
		(SELECT state_table FROM streamq.job WHERE target = view::regclass), streamq.watermark(view::regclass)) INTO result;
	RETURN result;
END $f$;
SELECT wrong_due('v2'), wrong_due('v5'), wrong_due('v20'), wrong_due('v20_four'), wrong_due('whole'), wrong_due('single');

-- Late rows: whether a row is late is decided for the session that it would be part
-- of.  This takes the rows one by one.
CREATE TABLE expected (window_start timestamptz, window_end timestamptz, k int, n bigint, total bigint);
CREATE FUNCTION take_one_by_one(gap interval, delay interval, lateness interval) RETURNS bigint LANGUAGE plpgsql AS $f$
DECLARE
	r one;
	latest timestamptz;
	late bigint = 0;
	s expected;
BEGIN
	TRUNCATE expected;
	FOR r IN SELECT * FROM one LOOP
		CONTINUE WHEN isfinite(r.at) IS NOT TRUE;
		IF r.n <> 13 THEN
			SELECT min(least(x.window_start, r.at)), max(greatest(x.window_end, r.at + gap)), r.k, count(x.n), sum(x.total) INTO s
			FROM expected x WHERE x.k IS NOT DISTINCT FROM r.k AND x.window_start <= r.at + gap AND x.window_end >= r.at;
			IF latest - delay >= coalesce(s.window_end, r.at + gap) + lateness THEN
				late = late + 1;
			ELSE
				SELECT coalesce(sum(x.n), 0) INTO s.n FROM expected x WHERE x.k IS NOT DISTINCT FROM r.k AND x.window_start <= r.at + gap AND x.window_end >= r.at;
				DELETE FROM expected x WHERE x.k IS NOT DISTINCT FROM r.k AND x.window_start <= r.at + gap AND x.window_end >= r.at;
				INSERT INTO expected VALUES (coalesce(s.window_start, r.at), coalesce(s.window_end, r.at + gap), r.k, s.n + 1, coalesce(s.total, 0) + r.n);
			END IF;
		END IF;
		latest = greatest(latest, r.at);
	END LOOP;
	RETURN late;
END $f$;
SELECT make('drop', 'one', '5 s', $$late_rows => 'drop'$$),
	make('drop_each', 'one', '5 s', $$late_rows => 'drop'$$),
	make('drop_later', 'one', '5 s', $$late_rows => 'drop'$$, $$allowed_lateness => '5 min'$$);
SELECT streamq.run_job('drop', 50), streamq.run_job('drop_each', 1), streamq.run_job('drop_later');
CREATE FUNCTION compare_late(view text) RETURNS TABLE (missing bigint, wrong bigint, late_rows bigint) LANGUAGE plpgsql AS $f$
BEGIN
	EXECUTE format('SELECT count(*) FROM (TABLE expected EXCEPT ALL SELECT window_start, window_end, k, n, total FROM %I) x', view) INTO missing;
	EXECUTE format('SELECT count(*) FROM (SELECT window_start, window_end, k, n, total FROM %I EXCEPT ALL TABLE expected) x', view) INTO wrong;
	SELECT j.late_rows INTO late_rows FROM streamq.jobs j WHERE name = view;
	RETURN NEXT;
END $f$;
SELECT take_one_by_one('5 s', '1 min', '0') AS late \gset
SELECT missing, wrong, late_rows = :late AS same_late, late_rows > 100 AS many FROM compare_late('drop');
SELECT missing, wrong, late_rows = :late AS same_late, late_rows > 100 AS many FROM compare_late('drop_each');
SELECT take_one_by_one('5 s', '1 min', '5 min') AS late \gset
SELECT missing, wrong, late_rows = :late AS same_late, late_rows > 100 AS many FROM compare_late('drop_later');

SET client_min_messages = warning;
DROP SCHEMA session_random CASCADE;
DROP ROLE regress_session;
