-- tables of the benchmarks; :rows, :rows_1k, :floor
CREATE TABLE stream (at timestamptz, key text, payload text) USING streamq;
CREATE TABLE heap (at timestamptz, key text, payload text) USING heap;
CREATE TABLE heap_pk (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	at timestamptz, key text, payload text) USING heap;

-- for produce_batch; the stream knows by itself when a message was appended
CREATE TABLE batch (key text, payload text) USING streamq;
CREATE TABLE batch_pk (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	at timestamptz DEFAULT now(), key text, payload text) USING heap;

-- 116 bytes of data with the one-byte headers of the two texts
CREATE UNLOGGED TABLE input AS
	SELECT timestamptz '2024-01-01' + i * interval '10 ms' AS at,
		'k' || lpad((i % 1000)::text, 5, '0') AS key,
		left(md5(i::text) || md5((i + 1)::text) || md5((i + 2)::text) || md5((i + 3)::text), 100) AS payload
	FROM generate_series(1, :rows) i;
CREATE UNLOGGED TABLE input_1k AS
	SELECT at, key, left(repeat(payload, 11), 1024) AS payload FROM input LIMIT :rows_1k;

CREATE FUNCTION bench_wal_floor(records bigint, bytes int) RETURNS void
	LANGUAGE c STRICT AS :'floor', 'bench_wal_floor';

-- the TID of an offset of partition 0
CREATE FUNCTION bench_tid(off bigint) RETURNS tid
	LANGUAGE sql IMMUTABLE STRICT
	RETURN pg_catalog.format('(%s,%s)', off >> 15, (off & 32767) + 1)::tid;
CREATE FUNCTION bench_random(low bigint, high bigint) RETURNS bigint
	LANGUAGE sql VOLATILE STRICT
	RETURN low + floor(random() * (high - low + 1))::bigint;
