-- :lines is the number of records in the log when it was read to its end
\pset footer off
SELECT bool_and(streamq.wait_until_caught_up(name)) AS caught_up FROM streamq.jobs \gset

\echo
\echo Statements by kind (from the continuous view)
SELECT kind, sum(statements) AS statements,
	round((sum(avg_ms * statements) / sum(statements))::numeric, 2) AS avg_ms,
	round(max(max_ms)::numeric, 1) AS max_ms
FROM statements GROUP BY kind ORDER BY sum(statements) DESC, kind;

\echo Statements in each window of two seconds
SELECT to_char(window_start, 'HH24:MI:SS') AS window, sum(statements) AS statements,
	round(max(max_ms)::numeric, 1) AS max_ms,
	repeat('#', ceil(50 * sum(statements) / max(sum(statements)) OVER ())::int) AS chart
FROM statements GROUP BY window_start ORDER BY window_start;

\echo The busiest ten seconds (hopping windows)
SELECT to_char(window_start, 'HH24:MI:SS') AS "from", to_char(window_end, 'HH24:MI:SS') AS "to", statements
FROM load ORDER BY load.statements DESC, window_start LIMIT 3;

\echo The longest bursts of a connection (session windows)
SELECT process_id, to_char(window_start, 'HH24:MI:SS.MS') AS "from",
	round(extract(epoch FROM window_end - window_start) - 0.1, 1) AS seconds, statements
FROM bursts ORDER BY bursts.statements DESC, window_start LIMIT 3;

\echo The slowest statements, taken by the group "slow"
SELECT round(ms::numeric, 1) AS ms, to_char(at, 'HH24:MI:SS.MS') AS at, left(statement, 70) AS statement
FROM slow_statements ORDER BY slow_statements.ms DESC, msg_id LIMIT 5;

\echo Lag of the group and of the views
SELECT group_name, partition, acked_offset, lag, in_flight FROM streamq.consumer_groups
WHERE stream = 'server_log'::regclass;
SELECT name, state, lag, watermark, rows_processed, late_rows, errors FROM streamq.jobs ORDER BY name;

\echo Check: the view "statements" against the same query run by hand over the whole
\echo stream, the others by verify_continuous_view()
CREATE TEMPORARY VIEW by_hand AS
SELECT w.window_start, w.window_end,
	upper(substring(message FROM 'statement: *([A-Za-z]+)')) AS kind,
	count(*) AS statements,
	max(substring(message FROM '^duration: ([0-9.]+) ms')::float8) AS max_ms
FROM server_log, streamq.tumble(log_time, '2 seconds') w
WHERE message LIKE 'duration: %statement: %'
GROUP BY 1, 2, 3;
SELECT (SELECT count(*) FROM (
		(SELECT window_start, window_end, kind, statements, max_ms FROM statements
		 EXCEPT SELECT * FROM by_hand)
		UNION ALL
		(SELECT * FROM by_hand
		 EXCEPT SELECT window_start, window_end, kind, statements, max_ms FROM statements)) AS d) AS differences,
	streamq.verify_continuous_view('load') AS in_load,
	streamq.verify_continuous_view('bursts') AS in_bursts,
	(SELECT count(*) FROM server_log) AS rows_in_stream,
	:lines AS records_in_log \gset
SELECT :differences AS differences, :in_load AS in_load, :in_bursts AS in_bursts, :rows_in_stream AS rows_in_stream, :records_in_log AS records_in_log;
SELECT :differences = 0 AND :in_load = 0 AND :in_bursts = 0 AND :rows_in_stream = :records_in_log AND :'caught_up' AS sound \gset
\if :sound
	\echo The check holds.
\else
	DO $$ BEGIN RAISE EXCEPTION 'a view differs from its query'; END $$;
\endif
