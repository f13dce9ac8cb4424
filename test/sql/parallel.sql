-- Functions marked PARALLEL SAFE give the same in parallel workers, restricted ones
-- work in the leader of a parallel query, and the others keep a query serial.
CREATE SCHEMA parallel;
SET search_path = parallel, public;
CREATE TABLE s (at timestamptz NOT NULL, n int) USING streamq;
SELECT streamq.alter_stream('s', partitions => 2, partition_by => 'n');
INSERT INTO s SELECT '2024-01-01 00:00:00+00'::timestamptz + i * interval '1 second', i FROM generate_series(1, 5000) i;
CREATE TABLE chosen AS SELECT i FROM generate_series(1, 10) i;
SELECT streamq.create_continuous_view('per_minute',
	'SELECT w.window_start, n % 100 AS k, avg(n) AS mean, count(*) FROM s, streamq.tumble(at, ''1 minute'') w GROUP BY 1, 2');
SELECT streamq.wait_until_caught_up('per_minute');
SELECT count(*) FROM streamq.consume('s', 'g', 20);

-- the query's result, serially and in parallel; the leader takes no part where there
-- are workers
CREATE FUNCTION compare(query text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	line text;
	gathers bool := false;
	serial text;
	parallel text;
BEGIN
	SET LOCAL max_parallel_workers_per_gather = 0;
	EXECUTE query INTO serial;
	SET LOCAL max_parallel_workers_per_gather = 2;
	SET LOCAL parallel_leader_participation = off;
	SET LOCAL parallel_setup_cost = 0;
	SET LOCAL parallel_tuple_cost = 0;
	SET LOCAL min_parallel_table_scan_size = 0;
	FOR line IN EXECUTE 'EXPLAIN (COSTS OFF, VERBOSE) ' || query LOOP
		gathers := gathers OR line LIKE '%Gather%';
	END LOOP;
	EXECUTE query INTO parallel;
	RETURN CASE WHEN gathers THEN 'parallel' ELSE 'serial' END ||
		CASE WHEN serial IS NOT DISTINCT FROM parallel THEN ', equal' ELSE format(', %s became %s', serial, parallel) END;
END $$;

-- workers run these
SELECT compare('SELECT sum(streamq.msg_id(tableoid, ctid)::numeric) FROM s');
SELECT compare('SELECT sum(streamq.msg_offset(streamq.msg_id(tableoid, ctid))) FROM s WHERE streamq.msg_partition(streamq.msg_id(tableoid, ctid)) = 1');
SELECT compare('SELECT count(*) FROM s WHERE streamq.make_msg_id(1, n) > 0');
SELECT compare('SELECT min(streamq.produced_at(tableoid, ctid)) || ''/'' || max(streamq.produced_at(tableoid, ctid)) FROM s');
SELECT compare('SELECT max(streamq.channel(tableoid)) FROM s');
SELECT compare('SELECT count(DISTINCT (window_start, window_end)) FROM s, streamq.tumble(at, ''1 minute'') w');
SELECT compare('SELECT max(streamq.tumble_end(at, ''1 minute'', ''2024-01-01 00:00:30+00'')) FROM s');
SELECT compare('SELECT count(*) FROM s WHERE streamq.version() = ''1.0'' AND streamq.is_loaded()');

-- the leader runs these, beside workers
SELECT compare('SELECT sum(mean) + sum(count) FROM per_minute');
SELECT compare('SELECT count(*) FROM s WHERE n < (SELECT count(*) FROM streamq.read(''s'', 0, 77))');
SELECT compare('SELECT count(*) || max(p) FROM (SELECT n, (SELECT string_agg(partition::text, '','' ORDER BY msg_id) FROM streamq.read(''s'', 0, i)) AS p FROM s JOIN chosen ON n = i OFFSET 0) x');
SELECT compare('SELECT count(*) FROM s WHERE n > (SELECT sum(last_msg_id - first_msg_id) FROM streamq.leases)');
SELECT compare('SELECT count(*) FROM s WHERE n > (SELECT count(streamq.job_waits_for(job_id)) + sum(0 * coalesce(streamq.job_worker_pid(job_id), 0)) FROM streamq.job)');
SELECT compare('SELECT count(*) FROM s WHERE n > (SELECT sum(length(streamq.job_definition(job_id))) FROM streamq.job)');

-- a scan of a range of messages, and these, make a query serial
SELECT compare('SELECT count(*) FROM s WHERE streamq.produced_at(tableoid, ctid) <= now() AND streamq.msg_id(tableoid, ctid) >= 100');
SELECT compare('SELECT count(*) FROM s WHERE n > (SELECT sum(lag) FROM streamq.jobs)');
SELECT compare('SELECT count(*) FROM s WHERE n > (SELECT sum(extents) FROM streamq.partitions)');
SELECT compare('SELECT count(*) FROM s WHERE n > (SELECT count(*) FROM streamq.consumer_groups)');
SELECT compare('SELECT count(*) FROM s WHERE at < streamq.watermark(''per_minute'')');
SELECT compare('SELECT count(*) FROM s WHERE n > (SELECT count(*) FROM streamq.check_stream(''s''))');

DROP TABLE s CASCADE;
DROP SCHEMA parallel CASCADE;
