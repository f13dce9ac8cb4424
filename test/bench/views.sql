-- What the groups of continuous views, pipes and handlers need: :rows rows in
-- streams, and functions that run a job or a query and measure it.

-- 500 rows for each second, so 30,000 for each minute
CREATE TABLE bench_events (at timestamptz, few int, many int, v int) USING streamq;
INSERT INTO bench_events
SELECT '2024-01-01'::timestamptz + i * interval '2 ms', i % 1000, i * 7919 % 100000, i % 977
FROM generate_series(1::int8, :rows) i;
VACUUM (FREEZE) bench_events;
CREATE TABLE bench_output (LIKE bench_events) USING streamq;

-- what the handler and the loop call, and a table of the same messages
CREATE TABLE bench_handled (v int) USING streamq;
INSERT INTO bench_handled SELECT i FROM generate_series(1, least(:rows / 10, 200000)) i;
CREATE TABLE bench_messages AS SELECT m FROM streamq.read('bench_handled', 0, 200000) m;
CREATE FUNCTION bench_handle(m streamq.message) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	v int := (m.payload ->> 'v')::int;
BEGIN
	IF v < 0 THEN
		RAISE EXCEPTION 'negative';
	END IF;
END $$;

CREATE PROCEDURE bench_loop() LANGUAGE plpgsql AS $$
DECLARE
	r record;
BEGIN
	FOR r IN SELECT m FROM bench_messages LOOP
		PERFORM bench_handle(r.m);
	END LOOP;
END $$;

-- single rows: a table whose trigger keeps the rollup that the view keeps
CREATE TABLE bench_triggered (LIKE bench_events) USING streamq;
CREATE TABLE bench_rollup (minute timestamptz, few int, n int8, v int8, most int, PRIMARY KEY (minute, few));
CREATE FUNCTION bench_keep_rollup() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	INSERT INTO bench_rollup AS r
	SELECT date_bin('1 minute', at, '2000-01-01'), few, count(*), sum(v), max(v) FROM added GROUP BY 1, 2
	ON CONFLICT (minute, few) DO UPDATE
	SET n = r.n + excluded.n, v = r.v + excluded.v, most = greatest(r.most, excluded.most);
	RETURN NULL;
END $$;
CREATE TRIGGER rollup AFTER INSERT ON bench_triggered REFERENCING NEW TABLE AS added
FOR EACH STATEMENT EXECUTE FUNCTION bench_keep_rollup();

-- seconds of the processor that this session has used
CREATE FUNCTION bench_cpu() RETURNS numeric LANGUAGE sql
RETURN split_part(pg_read_file('/proc/self/schedstat'), ' ', 1)::numeric / 1000000000;

-- seconds of the processor that a query takes
CREATE FUNCTION bench_run_query(query text, OUT seconds numeric) LANGUAGE plpgsql AS $$
BEGIN
	seconds := -bench_cpu();
	EXECUTE query;
	seconds := round(seconds + bench_cpu(), 4);
END $$;

-- the same of a job that reads its stream from the beginning
CREATE FUNCTION bench_run_job(job text) RETURNS numeric LANGUAGE sql
RETURN bench_run_query(format('SELECT streamq.run_job(%L)', job));
