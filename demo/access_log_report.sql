-- :lines is the number of lines in the file
\pset footer off

\echo
\echo Requests per hour (from the continuous view; at most the last 96 hours)
SELECT * FROM (
	SELECT to_char(date_trunc('hour', window_start), 'YYYY-MM-DD HH24:MI') AS hour,
		sum(requests) AS requests,
		coalesce(sum(requests) FILTER (WHERE status >= 400), 0) AS status_4xx_5xx,
		repeat('#', ceil(50 * sum(requests) / max(sum(requests)) OVER ())::int) AS chart
	FROM requests_per_minute GROUP BY 1 ORDER BY 1 DESC LIMIT 96) AS h
ORDER BY hour;

\echo Requests by status
SELECT status, sum(requests) AS requests, pg_size_pretty(sum(bytes)) AS sent
FROM requests_per_minute GROUP BY status ORDER BY sum(requests) DESC, status;

\echo The longest visits: requests of a host without a pause of half an hour
SELECT host, window_start AS "from", window_end - window_start - interval '30 minutes' AS duration, requests, urls
FROM visits ORDER BY duration DESC, host, window_start LIMIT 5;

\echo The busiest URLs (a stream is a table)
SELECT count(*) AS requests, count(DISTINCT host) AS hosts, left(url, 70) AS url
FROM requests GROUP BY requests.url ORDER BY count(*) DESC, url LIMIT 10;

\echo Server errors, taken by the group "errors"
SELECT at, status, host, left(url, 60) AS url FROM server_errors ORDER BY msg_id LIMIT 10;

\echo Lag of the group and of the views
SELECT group_name, partition, acked_offset, lag, in_flight FROM streamq.consumer_groups
WHERE stream = 'requests'::regclass;
SELECT name, state, lag, watermark, rows_processed, late_rows, errors FROM streamq.jobs ORDER BY name;

\echo Check: requests per minute and status, the view against the same query run by
\echo hand; visits by verify_continuous_view()
CREATE TEMPORARY VIEW by_hand AS
SELECT w.window_start, w.window_end, status, count(*) AS requests, sum(bytes) AS bytes
FROM requests, streamq.tumble(at, '1 minute') w
GROUP BY w.window_start, w.window_end, status;
SELECT (SELECT count(*) FROM (
		(TABLE requests_per_minute EXCEPT TABLE by_hand)
		UNION ALL
		(TABLE by_hand EXCEPT TABLE requests_per_minute)) AS d) AS differences,
	(SELECT coalesce(sum(requests), 0) FROM requests_per_minute) AS in_view,
	streamq.verify_continuous_view('visits') AS in_visits,
	(SELECT count(*) FROM rejects) AS rejected,
	(SELECT count(*) FROM requests WHERE status >= 500) AS errors_in_stream,
	(SELECT count(*) FROM server_errors) AS errors_taken \gset
SELECT :differences AS differences, :in_visits AS in_visits, :in_view AS requests_in_view, :rejected AS lines_rejected,
	:lines AS lines_in_file, :errors_in_stream AS errors_in_stream, :errors_taken AS errors_taken;
SELECT :differences = 0 AND :in_visits = 0 AND :in_view + :rejected = :lines
	AND :errors_in_stream = :errors_taken AS sound \gset
\if :sound
	\echo The check holds.
\else
	DO $$ BEGIN RAISE EXCEPTION 'a view differs from its query'; END $$;
\endif
