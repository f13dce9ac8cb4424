-- What the group "jobs" needs: :views continuous views, each over a stream of
-- its own, and how long after the commit of a message each view had it.
--
-- A message carries the number of its transaction, and the view groups by that.
-- So a row of state tells which transaction made it of which, and with
-- track_commit_timestamp the server knows when each of them was committed.

CREATE FUNCTION bench_make_jobs(n int) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	FOR i IN 1 .. n LOOP
		EXECUTE format('CREATE TABLE job_%s (x int8) USING streamq', i);
		PERFORM streamq.create_continuous_view(format('job_view_%s', i),
			format('SELECT x, count(*) AS n FROM job_%s GROUP BY x', i));
	END LOOP;
END $$;

CREATE FUNCTION bench_drop_jobs() RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	stream regclass;
BEGIN
	FOR stream IN SELECT j.source FROM streamq.job j LOOP
		EXECUTE format('DROP TABLE %s CASCADE', stream);
	END LOOP;
END $$;

-- 10 messages into each stream, one after the other, then a pause
CREATE PROCEDURE bench_produce(n int, seconds int) LANGUAGE plpgsql AS $$
DECLARE
	until timestamptz := clock_timestamp() + make_interval(secs => seconds);
BEGIN
	WHILE clock_timestamp() < until LOOP
		FOR i IN 1 .. n LOOP
			EXECUTE format('INSERT INTO job_%s SELECT pg_current_xact_id()::text::int8 FROM generate_series(1, 10)', i);
			COMMIT;
		END LOOP;
		PERFORM pg_sleep(0.003);
		COMMIT;
	END LOOP;
END $$;

-- milliseconds, of what was produced after the first two seconds
CREATE FUNCTION bench_latency(OUT p50 numeric, OUT p99 numeric) LANGUAGE plpgsql AS $$
DECLARE
	state regclass;
BEGIN
	CREATE TEMPORARY TABLE latency (produced timestamptz, visible timestamptz);
	FOR state IN SELECT j.state_table FROM streamq.job j LOOP
		EXECUTE format('INSERT INTO latency SELECT pg_xact_commit_timestamp(key_1::text::xid),
			pg_xact_commit_timestamp(xmin) FROM %s', state);
	END LOOP;
	SELECT round((1000 * percentile_cont(0.5) WITHIN GROUP (ORDER BY seconds))::numeric, 1),
		round((1000 * percentile_cont(0.99) WITHIN GROUP (ORDER BY seconds))::numeric, 1)
	INTO p50, p99
	FROM (SELECT extract(epoch FROM visible - produced) AS seconds FROM latency
		  WHERE produced > (SELECT min(produced) + interval '2 s' FROM latency)) AS x;
	DROP TABLE latency;
END $$;
