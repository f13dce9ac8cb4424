-- hop() and cumulate(): the windows that hold a time, and their limits
CREATE SCHEMA overlap_test;
SET search_path = overlap_test;
SET TIME ZONE 'UTC';
CREATE FUNCTION attempt(query text) RETURNS TABLE (code text, message text, detail text, hint text)
LANGUAGE plpgsql AS $$
BEGIN
	EXECUTE query;
	RETURN QUERY SELECT '00000', 'no error', '', '';
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS code = RETURNED_SQLSTATE, message = MESSAGE_TEXT,
		detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
	RETURN NEXT;
END $$;

-- six bids within a quarter of an hour, three kinds of windows
CREATE TABLE bid (bidtime timestamp, price numeric(4, 2), item text);
INSERT INTO bid VALUES
	('2020-04-15 08:05', 4, 'C'), ('2020-04-15 08:07', 2, 'A'), ('2020-04-15 08:09', 5, 'D'),
	('2020-04-15 08:11', 3, 'B'), ('2020-04-15 08:13', 1, 'E'), ('2020-04-15 08:17', 6, 'F');
SELECT w.window_start, w.window_end, sum(price) AS total
FROM bid, streamq.tumble(bidtime, '10 minutes') w GROUP BY 1, 2 ORDER BY 1, 2;
SELECT bidtime, item, w.*
FROM bid, streamq.hop(bidtime, '5 minutes', '10 minutes') w ORDER BY 1, 3;
SELECT w.window_start, w.window_end, sum(price) AS total
FROM bid, streamq.hop(bidtime, '5 minutes', '10 minutes') w GROUP BY 1, 2 ORDER BY 1, 2;
SELECT bidtime, item, w.*
FROM bid, streamq.cumulate(bidtime, '2 minutes', '10 minutes') w WHERE item IN ('C', 'E') ORDER BY 1, 4;
SELECT w.window_start, w.window_end, sum(price) AS total
FROM bid, streamq.cumulate(bidtime, '2 minutes', '10 minutes') w GROUP BY 1, 2 ORDER BY 1, 2;

-- the windows are those of a series of starts, for any slide, size and origin
CREATE TABLE t AS
SELECT g AS id, '2000-01-01 00:00:00'::timestamp + (g * 7919 % 10007) * '7 hours 13 seconds'::interval - '3 years'::interval AS at
FROM generate_series(1, 300) g;
CREATE FUNCTION compare_hop(slide interval, size interval, origin timestamp) RETURNS TABLE (windows bigint, differ bigint)
LANGUAGE sql AS $$
WITH starts AS (
	SELECT s AS window_start, s + size AS window_end
	FROM generate_series(-6000, 6000) n, LATERAL (SELECT origin + n * slide) x (s)
	WHERE s BETWEEN '1990-01-01' AND '2015-01-01'
), expected AS (
	SELECT id, window_start, window_end FROM t JOIN starts ON at >= window_start AND at < window_end
), found AS (
	SELECT id, w.* FROM t, streamq.hop(at, slide, size, origin) w
)
SELECT (SELECT count(*) FROM found),
	(SELECT count(*) FROM (SELECT * FROM found EXCEPT ALL SELECT * FROM expected) x) +
	(SELECT count(*) FROM (SELECT * FROM expected EXCEPT ALL SELECT * FROM found) x) $$;
SELECT * FROM compare_hop('2 days', '10 days', '2000-01-01');
SELECT * FROM compare_hop('2 days', '5 days 03:00', '2000-01-01 05:00');
SELECT * FROM compare_hop('3 days', '1 day', '1999-06-01 00:30');
SELECT * FROM compare_hop('3 days', '3 days', '2001-06-01 00:30');
SELECT * FROM compare_hop('1 month', '3 months', '2000-01-01');
SELECT * FROM compare_hop('2 months', '5 months', '2000-01-15 12:00');
SELECT * FROM compare_hop('6 months', '1 month', '2000-01-01');
-- in windows of more than one slide, the rows are in the order of their starts
SELECT bool_and(window_start > before) FROM (
	SELECT window_start, lag(window_start) OVER () AS before
	FROM streamq.hop('2024-05-05 05:05:05+00'::timestamptz, '7 minutes', '3 hours')) x;

CREATE FUNCTION compare_cumulate(step interval, size interval, origin timestamp) RETURNS TABLE (windows bigint, differ bigint)
LANGUAGE sql AS $$
WITH expected AS (
	SELECT id, window_start, e AS window_end
	FROM t, streamq.tumble(at, size, origin) w,
		LATERAL generate_series(w.window_start + step, w.window_end, step) e
	WHERE e > at
), found AS (
	SELECT id, w.* FROM t, streamq.cumulate(at, step, size, origin) w
)
SELECT (SELECT count(*) FROM found),
	(SELECT count(*) FROM (SELECT * FROM found EXCEPT ALL SELECT * FROM expected) x) +
	(SELECT count(*) FROM (SELECT * FROM expected EXCEPT ALL SELECT * FROM found) x) $$;
SELECT * FROM compare_cumulate('1 hour', '1 day', '2000-01-01');
SELECT * FROM compare_cumulate('1 day', '7 days', '2000-01-03 06:00');
SELECT * FROM compare_cumulate('1 month', '1 year', '2000-01-01');
SELECT * FROM compare_cumulate('1 day', '1 month', '2000-01-01');
SELECT * FROM compare_cumulate('08:00', '3 months', '2000-02-15 04:00');
SELECT * FROM compare_cumulate('5 minutes', '5 minutes', '2000-01-01');

-- timestamptz, timestamp and date; calendar windows are in UTC
SET TIME ZONE 'Asia/Tokyo';
SELECT window_start AT TIME ZONE 'UTC' AS utc_start, window_end AT TIME ZONE 'UTC' AS utc_end
FROM streamq.hop('2024-03-01 05:00:00+09', '1 month', '2 months');
SET TIME ZONE 'UTC';
SELECT * FROM streamq.tumble('2024-02-29'::date, '1 month');
SELECT * FROM streamq.tumble('2024-02-29'::date, '12 hours', origin => '2024-01-01 06:00');
SELECT * FROM streamq.hop('2024-02-29'::date, '1 day', '2 days');
SELECT * FROM streamq.cumulate('2024-02-29'::date, '1 month', '3 months');
SELECT pg_typeof(window_start) FROM streamq.cumulate('2024-02-29'::date, step => '1 day', size => '1 day');
SELECT pg_typeof(window_start) FROM streamq.hop('2024-02-29', size => '1 day', slide => '1 day');

-- no time, no window
SELECT * FROM streamq.hop(NULL::timestamptz, '1 minute', '2 minutes');
SELECT * FROM streamq.hop('infinity'::timestamptz, '1 minute', '2 minutes');
SELECT * FROM streamq.hop('-infinity'::date, '1 minute', '2 minutes');
SELECT * FROM streamq.hop('2024-01-01'::timestamp, NULL, '2 minutes');
SELECT * FROM streamq.hop('2024-01-01'::timestamp, '1 minute', '2 minutes', NULL);
SELECT * FROM streamq.cumulate(NULL::timestamptz, '1 minute', '2 minutes');
SELECT * FROM streamq.cumulate('-infinity'::timestamptz, '1 minute', '2 minutes');
SELECT * FROM streamq.cumulate('infinity'::date, '1 minute', '2 minutes');
SELECT * FROM streamq.cumulate('2024-01-01'::timestamp, '1 minute', NULL);
SELECT * FROM streamq.tumble('infinity'::date, '1 minute');
SELECT * FROM streamq.tumble(NULL::date, '1 minute');

-- arguments that make no sense
\x on
\t on
SELECT f, step, size, e.* FROM unnest(ARRAY['hop', 'cumulate']) f,
	(VALUES ('0', '1 min'), ('-1 min', '1 min'), ('1 min', '0'), ('1 min', '-1 month'), ('1 month 1 day', '2 months'),
		('1 month', '1 month 1 day'), ('1 month', '31 days'), ('1 day', '1 month')) x (step, size),
	attempt(format('SELECT * FROM streamq.%I(''2024-01-01''::timestamptz, %L, %L)', f, step, size)) e;
SELECT step, size, e.* FROM (VALUES ('2 min', '5 min'), ('2 min', '1 min'), ('2 months', '3 months'), ('7 hours', '1 month')) x (step, size),
	attempt(format('SELECT * FROM streamq.cumulate(''2024-01-01''::timestamptz, %L, %L)', step, size)) e;
SELECT f, e.* FROM unnest(ARRAY['hop', 'cumulate']) f,
	attempt(format('SELECT * FROM streamq.%I(''2024-01-01''::timestamptz, ''1 min'', ''1 min'', ''infinity'')', f)) e;
SELECT f, at, e.* FROM unnest(ARRAY['hop', 'cumulate']) f,
	unnest(ARRAY['294276-12-31 23:59:59', '4714-11-24 00:00:00 BC']) at,
	attempt(format('SELECT * FROM streamq.%I(%L::timestamp, ''1 year'', ''2 years'')', f, at)) e;
SELECT * FROM attempt('SELECT * FROM streamq.hop(''2024-01-01''::timestamp, ''2000000000 days'', ''2000000000 days'')');
\x off
\t off

-- the planner knows how many rows there will be
CREATE FUNCTION estimate(query text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	line text;
BEGIN
	FOR line IN EXECUTE 'EXPLAIN ' || query LOOP
		IF line ~ 'Function Scan' THEN RETURN substring(line FROM 'rows=(\d+)'); END IF;
	END LOOP;
END $$;
SELECT estimate('SELECT * FROM t, streamq.hop(at, ''1 minute'', ''1 hour'')');
SELECT estimate('SELECT * FROM t, streamq.hop(at, ''1 hour'', ''1 minute'')');
SELECT estimate('SELECT * FROM t, streamq.hop(at::date, ''1 day'', ''1 month'')');
SELECT estimate('SELECT * FROM t, streamq.cumulate(at, ''1 minute'', ''59 minutes'')');
SELECT estimate('SELECT * FROM t, streamq.cumulate(at, ''1 minute'', NULL)');
SELECT estimate('SELECT * FROM t, streamq.hop(at, (id || ''s'')::interval, ''1 minute'')');
SELECT estimate('SELECT * FROM t, streamq.hop(at, ''-1 s'', ''1 minute'')');

SET client_min_messages = warning;
DROP SCHEMA overlap_test CASCADE;
RESET TIME ZONE;
