-- tables of the benchmarks of consumer groups

-- a queue of single jobs
CREATE TABLE jobs (key text, payload text) USING streamq;
CREATE TABLE jobs_pk (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	at timestamptz DEFAULT now(), key text, payload text) USING heap;

CREATE TABLE dedup (key text, payload text) USING streamq;
CREATE TABLE dedup_pk (dedup_id text PRIMARY KEY, payload text) USING heap;

SELECT streamq.create_stream('delayed');
CREATE TABLE delayed_seen (late_ms float8) USING heap;

-- consumer groups of the stream, one for each mode, at its beginning
CREATE FUNCTION bench_make_groups(stream regclass, modes text) RETURNS void
	LANGUAGE plpgsql AS $$
DECLARE
	m text;
BEGIN
	PERFORM streamq.drop_group(g.stream, g.group_name)
	FROM (SELECT DISTINCT c.stream, c.group_name FROM streamq.consumer_groups c
		WHERE c.stream = bench_make_groups.stream) g;
	FOREACH m IN ARRAY string_to_array(modes, ' ') LOOP
		PERFORM streamq.create_group(stream, m, mode => m);
	END LOOP;
END $$;

-- what a group has still to do
CREATE FUNCTION bench_lag(stream regclass, group_name text) RETURNS bigint
	LANGUAGE sql STABLE
	RETURN (SELECT sum(lag)::bigint FROM streamq.consumer_groups c
		WHERE c.stream = bench_lag.stream AND c.group_name = bench_lag.group_name);

-- takes what is due for so long, and notes how late it was
CREATE PROCEDURE bench_take_delayed(seconds float8) LANGUAGE plpgsql AS $$
DECLARE
	until timestamptz := clock_timestamp() + make_interval(secs => seconds);
BEGIN
	WHILE clock_timestamp() < until LOOP
		INSERT INTO delayed_seen
		SELECT extract(epoch FROM clock_timestamp() - (payload->>'due')::timestamptz) * 1000
		FROM streamq.consume('delayed', 'g', 1000, wait => '100 ms', auto_ack => true)
		WHERE payload ? 'due';
		COMMIT;
	END LOOP;
END $$;
