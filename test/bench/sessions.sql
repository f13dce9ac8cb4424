-- What the group "sessions" needs: :sessions open sessions of two rows each, and
-- a view of tumbling windows over the same rows to compare with.

CREATE TABLE bench_visits (at timestamptz, k int8, n int8) USING streamq;
INSERT INTO bench_visits
SELECT '2026-01-01'::timestamptz + i * interval '1 ms', i * 7919 % :sessions, i
FROM generate_series(1::int8, 2 * :sessions) i;

CREATE FUNCTION bench_make_view(name text, window_call text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	PERFORM streamq.create_continuous_view(name, format(
		'SELECT w.window_start, w.window_end, k, count(*), sum(n), max(n)
		 FROM bench_visits, %s w GROUP BY w.window_start, w.window_end, k', window_call));
	PERFORM streamq.pause(name);
END $$;

-- seconds of a run, and the most memory of this process without shared memory, MB
CREATE FUNCTION bench_run(name text, OUT seconds numeric, OUT megabytes numeric) LANGUAGE plpgsql AS $$
DECLARE
	start timestamptz := clock_timestamp();
	status text;
BEGIN
	PERFORM streamq.run_job(name);
	seconds := round(extract(epoch FROM clock_timestamp() - start), 3);
	status := pg_read_file('/proc/self/status');
	megabytes := round((substring(status FROM 'VmHWM:\s+(\d+)')::numeric
						- substring(status FROM 'RssShmem:\s+(\d+)')::numeric) / 1024);
END $$;
