-- GROUP BY date_trunc(), date_bin() or a date gives windows: what closes, what is late, days of 23 and 25 hours
CREATE SCHEMA trunc_test;
SET search_path = trunc_test;
SET TIME ZONE 'Europe/Berlin';
CREATE TABLE s (at timestamptz, local timestamp, k int) USING streamq;
CREATE TABLE queries (id serial, name text, query text);
CREATE FUNCTION differences(name text, query text) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
	result bigint;
BEGIN
	EXECUTE format('SELECT (SELECT count(*) FROM (SELECT * FROM %1$I EXCEPT ALL (%2$s)) x) +
		(SELECT count(*) FROM ((%2$s) EXCEPT ALL SELECT * FROM %1$I) x)', name, query) INTO result;
	RETURN result;
END $$;
INSERT INTO queries (name, query) VALUES
('hours', $$SELECT date_trunc('hour', at) AS h, count(*) AS n FROM s GROUP BY 1$$),
('days', $$SELECT k, date_trunc('day', at) AS d, count(*) AS n FROM s GROUP BY d, k$$),
('days_zone', $$SELECT date_trunc('Day', at, 'America/New_York') AS d, count(*) AS n FROM s GROUP BY 1$$),
('weeks', $$SELECT date_trunc('week', at) AS w, max(k) AS k FROM s GROUP BY 1$$),
('months', $$SELECT date_trunc('month', local) AS m, count(*) AS n FROM s GROUP BY 1$$),
('quarters', $$SELECT to_char(date_trunc('quarter', at, 'UTC'), 'YYYY-MM') AS q, count(*) AS n FROM s GROUP BY date_trunc('quarter', at, 'UTC')$$),
('local_days', $$SELECT date_trunc('day', at AT TIME ZONE 'Europe/Berlin') AS d, count(*) AS n FROM s GROUP BY 1$$),
('tumble_days', $$SELECT window_start, window_end, count(*) AS n FROM s, streamq.tumble(at AT TIME ZONE 'Europe/Berlin', '1 day') GROUP BY 1, 2$$),
('dates', $$SELECT at::date AS d, count(*) AS n FROM s GROUP BY 1$$),
('local_dates', $$SELECT (at AT TIME ZONE 'America/New_York')::date AS d, count(*) AS n FROM s GROUP BY 1$$),
('month_dates', $$SELECT date_trunc('month', at)::date AS d, count(*) AS n FROM s GROUP BY 1$$),
('bins', $$SELECT date_bin('90 minutes', at, '2024-01-01 00:10+00') AS b, count(*) AS n FROM s WHERE k <> 1 GROUP BY 1$$),
('local_bins', $$SELECT date_bin('2 days', local, '2030-01-01') AS b, count(*) AS n, min(k) AS k FROM s GROUP BY 1 HAVING count(*) > 1$$),
-- the first is the window, others are keys
('two', $$SELECT date_trunc('day', at) AS d, date_trunc('hour', local) AS h, count(*) AS n FROM s GROUP BY 1, 2$$),
-- no windows: the unit is of another kind, or comes from the row
('decades', $$SELECT date_trunc('decades', at) AS d, count(*) AS n FROM s GROUP BY 1$$),
('units', $$SELECT date_trunc(CASE k WHEN 1 THEN 'hour' ELSE 'day' END, at) AS d, count(*) AS n FROM s GROUP BY 1$$);
SELECT count(streamq.create_continuous_view(name, query)), count(streamq.pause(name)) FROM queries;
-- the clock is set forward on March 31 and back on October 27
INSERT INTO s SELECT at, at AT TIME ZONE 'Europe/Berlin', g % 5
FROM generate_series(1, 300) g, LATERAL (SELECT '2024-03-30 00:00+00'::timestamptz + g * '13 minutes'::interval AS at) x;
INSERT INTO s SELECT at, at AT TIME ZONE 'Europe/Berlin', g % 5
FROM generate_series(1, 300) g, LATERAL (SELECT '2024-10-26 00:00+00'::timestamptz + g * '13 minutes'::interval AS at) x;
INSERT INTO s VALUES (NULL, NULL, 1), ('infinity', 'infinity', 2), ('-infinity', '-infinity', 3), (NULL, '2024-01-01', 4);
INSERT INTO s SELECT at, at AT TIME ZONE 'Europe/Berlin', g % 5
FROM generate_series(1, 100) g, LATERAL (SELECT '2024-10-20 00:00+00'::timestamptz + (g * 77 % 101) * '130 minutes'::interval AS at) x;
SELECT count(streamq.run_job(name, 50 + id)) FROM queries;
SELECT name, differences(name, query) FROM queries ORDER BY id;
SELECT name, watermark, late_rows, errors FROM streamq.jobs JOIN queries USING (name) ORDER BY id;
-- the session's time zone does not matter when one reads
SET TIME ZONE 'Asia/Tokyo';
SELECT d, n FROM days_zone WHERE d BETWEEN '2024-10-26 12:00+00' AND '2024-10-30' ORDER BY 1;
SELECT * FROM dates WHERE d BETWEEN '2024-10-25' AND '2024-10-28' ORDER BY 1;
SET TIME ZONE 'Europe/Berlin';

-- a day of 25 hours closes after 25, one of 23 after 23
CREATE TABLE clock (at timestamptz) USING streamq;
CREATE TABLE closed (day timestamptz, n bigint, revision int) USING streamq;
SELECT streamq.create_continuous_view('daily', $$SELECT date_trunc('day', at, 'Europe/Berlin') AS day, count(*) AS n FROM clock GROUP BY 1$$,
	emit_into => 'closed', late_rows => 'drop');
SELECT streamq.pause('daily');
INSERT INTO clock VALUES ('2024-03-31 00:30+01'), ('2024-03-31 23:59:59+02');
SELECT streamq.run_job('daily');
SELECT * FROM closed ORDER BY 1;
INSERT INTO clock VALUES ('2024-04-01 00:00+02');
SELECT streamq.run_job('daily');
SELECT * FROM closed ORDER BY 1;
INSERT INTO clock VALUES ('2024-10-27 00:30+02'), ('2024-10-27 23:59:59+01'), ('2024-10-27 02:30+02'), ('2024-10-27 02:30+01');
SELECT streamq.run_job('daily');
SELECT * FROM closed ORDER BY 1;
INSERT INTO clock VALUES ('2024-10-28 00:00+01'), ('2024-10-27 12:00+01');
SELECT streamq.run_job('daily');
SELECT * FROM closed ORDER BY 1;
SELECT late_rows FROM streamq.jobs WHERE name = 'daily';

SET client_min_messages = warning;
DROP SCHEMA trunc_test CASCADE;
RESET TIME ZONE;
