-- The form of messages, and reading them without a group.
CREATE SCHEMA message_test;
SET search_path = message_test;
SET timezone = 'UTC';

-- the envelope
SELECT streamq.create_stream('s');
SELECT streamq.produce_batch('s', ARRAY['{"a": [1, 2]}', '"text"', 'null'], ARRAY['k', NULL, ''], ARRAY['{"h": 1}', NULL, 'null']::jsonb[]);
SELECT msg_id, partition, msg_offset, produced_at <= clock_timestamp() AS produced, deliveries, key, payload, headers FROM streamq.read('s');

-- text is a JSON string, bytea base64 in one
SELECT streamq.create_stream('t', 'payload text');
INSERT INTO t VALUES ('plain'), (E'with "quotes", \\ and \n'), (''), (NULL), ('ü€');
SELECT payload, payload #>> '{}' FROM streamq.read('t');
SELECT streamq.create_stream('b', 'payload bytea, key int, headers json');
INSERT INTO b VALUES ('\x', 1, '{"a" : 1}'), ('\x00ff', NULL, NULL), (convert_to(repeat('long', 30), 'UTF8'), 3, '1');
SELECT r.key, r.payload, r.headers, decode(r.payload #>> '{}', 'base64') = b.payload AS same
FROM streamq.read('b') r JOIN b ON streamq.msg_id(b.tableoid, b.ctid) = r.msg_id;
SELECT streamq.create_stream('v', 'payload varchar(20), tenant text', partition_by => 'tenant');
INSERT INTO v VALUES ('x', 'acme'), ('y', NULL);
SELECT key, payload FROM streamq.read('v');
SELECT streamq.create_stream('j', 'payload json');
INSERT INTO j VALUES ('{"b": 1, "a" : 2}'), ('"s"'), ('1');
SELECT payload FROM streamq.read('j');

-- any other stream: the whole row, as to_jsonb makes it
CREATE TYPE pair AS (x int, y text);
CREATE DOMAIN positive AS int CHECK (value > 0);
CREATE TABLE wide (
    i2 smallint, i4 int, i8 bigint, n numeric, f8 float8, f4 real, b bool, t text, v varchar(5), c char(5),
    d date, ts timestamp, tz timestamptz, iv interval, by bytea, j json, jb jsonb, arr int[], p pair, dom positive,
    u uuid, gone int, "Quoted ""name" text, payload int) USING streamq;
ALTER TABLE wide DROP COLUMN gone;
INSERT INTO wide VALUES (1, 2, 9223372036854775807, 1.50, 1.5, 2.5, true, E'a "b"\n', 'v', 'c',
    '2026-01-02', '2026-01-02 03:04:05.678', '2026-01-02 03:04:05+02', '1 day', '\x01', '{"k" : 1}', '{"k": [1]}', '{1,NULL}', (1, 'two'), 3,
    '00000000-0000-0000-0000-000000000001', 'q', 42);
INSERT INTO wide (n, f8, f4, d, ts, tz, jb, j, arr) VALUES ('NaN', 'NaN', '-Infinity', 'infinity', '-infinity', 'infinity', '"scalar"', 'null', '{}');
INSERT INTO wide (n, f8, jb) VALUES ('Infinity', 1e300, 'null');
INSERT INTO wide (i4) VALUES (NULL);
SELECT r.msg_id, r.payload = to_jsonb(w) AS same FROM streamq.read('wide') r JOIN wide w ON streamq.msg_id(w.tableoid, w.ctid) = r.msg_id;
SELECT jsonb_pretty(payload), key, headers FROM streamq.read('wide', 0, 1);

-- the key is the text of the partition_by columns
SELECT streamq.alter_stream('wide', partition_by => 'i4');
SELECT key FROM streamq.read('wide');
SELECT streamq.alter_stream('wide', partition_by => 'i2, d, t');
SELECT key FROM streamq.read('wide');
SELECT streamq.alter_stream('wide', partition_by => '');
SELECT key FROM streamq.read('wide', 0, 1);

-- and the same in whatever formats the session has
CREATE TYPE mood AS ENUM ('good', 'bad');
CREATE TABLE styles (d date, ts timestamp, tz timestamptz, iv interval, f8 float8, f4 real, by bytea,
    cl regclass, r daterange, a date[], mo mood, dom positive) USING streamq;
INSERT INTO styles SELECT '2026-02-01', '2026-02-01 03:04:05.678', '2026-02-01 03:04:05+02', '1 day 02:00', 0.1::float8 + 0.2, 1::real / 3, '\x01ff',
    'styles', '[2026-02-01,2026-03-01)', '{2026-02-01}', 'good', 7;
SELECT streamq.alter_stream('styles', partition_by => 'd, ts, tz, iv, f8, f4, by');
CREATE TEMP TABLE keys AS SELECT 'first' AS part, key FROM streamq.read('styles');
SELECT streamq.alter_stream('styles', partition_by => 'cl, r, a, mo, dom');
INSERT INTO keys SELECT 'second', key FROM streamq.read('styles');
TABLE keys;
SET DateStyle = 'SQL, DMY';
SET IntervalStyle = 'iso_8601';
SET extra_float_digits = -5;
SET bytea_output = 'escape';
SET timezone = 'America/New_York';
SELECT key = (SELECT key FROM keys WHERE part = 'second') AS same FROM streamq.read('styles');
SELECT streamq.alter_stream('styles', partition_by => 'd, ts, tz, iv, f8, f4, by');
SELECT key = (SELECT key FROM keys WHERE part = 'first') AS same FROM streamq.read('styles');
SELECT key = (SELECT key FROM keys WHERE part = 'first') AS same FROM streamq.consume('styles', 'g');
SELECT d, current_setting('DateStyle') FROM styles;
RESET DateStyle;
RESET IntervalStyle;
RESET extra_float_digits;
RESET bytea_output;
SET timezone = 'UTC';

-- where a row goes depends on its values, not on how they are written
SELECT streamq.create_stream('dated', 'd date, tz timestamptz, f8 float8', partitions => 64, partition_by => 'd, tz, f8') IS NOT NULL AS created;
INSERT INTO dated SELECT '2026-01-01'::date + n, '2026-01-01 00:00+00'::timestamptz + n * interval '1 h', n / 3.0 FROM generate_series(1, 200) n;
SET DateStyle = 'German';
SET timezone = 'Asia/Tokyo';
SET extra_float_digits = 0;
INSERT INTO dated SELECT '2026-01-01'::date + n, '2026-01-01 00:00+00'::timestamptz + n * interval '1 h', n / 3.0 FROM generate_series(1, 200) n;
RESET DateStyle;
RESET extra_float_digits;
SET timezone = 'UTC';
SELECT count(*), max(n) AS each FROM (SELECT count(DISTINCT streamq.msg_partition(streamq.msg_id(tableoid, ctid))) AS n FROM dated GROUP BY d, tz, f8) x;

-- columns added later
SELECT streamq.create_stream('grows', 'a int');
INSERT INTO grows VALUES (1);
ALTER TABLE grows ADD COLUMN b text DEFAULT 'new', ADD COLUMN c int;
INSERT INTO grows VALUES (2, 'x', 3);
SELECT payload FROM streamq.read('grows');

-- read: from a message on, partition after partition
SELECT streamq.create_stream('p', partitions => 3);
SELECT streamq.produce_batch('p', ARRAY['0', '1', '2'], partition => n) IS NOT NULL FROM generate_series(0, 2) n;
SELECT partition, msg_offset, payload FROM streamq.read('p');
SELECT partition, msg_offset FROM streamq.read('p', streamq.make_msg_id(1, 2), 3);
SELECT partition, msg_offset FROM streamq.read(stream => 'p', from_msg_id => 2, max_messages => 2);
SELECT count(*) FROM streamq.read('p', streamq.make_msg_id(2, 3));
SELECT count(*) FROM streamq.read('p', streamq.make_msg_id(200, 0));
SELECT count(*) FROM streamq.read('p', 0, 0);
-- not what is in flight
BEGIN;
SELECT streamq.produce('p', '3', partition => 0);
SELECT count(*), max(msg_offset) FILTER (WHERE partition = 0) FROM streamq.read('p');
ROLLBACK;
SELECT streamq.produce('p', '4', partition => 0);
SELECT msg_offset, payload FROM streamq.read('p') WHERE partition = 0;
-- a message of many pages
SELECT streamq.produce('s', to_jsonb(repeat('x', 100000))::text, key => 'big') IS NOT NULL;
SELECT key, length(payload #>> '{}') FROM streamq.read('s', 3);

-- mistakes
SELECT * FROM streamq.read(NULL);
SELECT * FROM streamq.read('s', NULL);
SELECT * FROM streamq.read('s', 0, NULL);
SELECT * FROM streamq.read('s', -1);
SELECT * FROM streamq.read('s', 0, -1);
SELECT * FROM streamq.read('pg_class');
SELECT * FROM streamq.read('nosuch');
CREATE ROLE regress_message_user;
GRANT USAGE ON SCHEMA message_test TO regress_message_user;
SET ROLE regress_message_user;
SELECT * FROM streamq.read('s');
RESET ROLE;
GRANT SELECT ON t TO regress_message_user;
ALTER TABLE t ENABLE ROW LEVEL SECURITY;
SET ROLE regress_message_user;
SELECT * FROM streamq.read('t');
RESET ROLE;
DROP OWNED BY regress_message_user;
DROP ROLE regress_message_user;

\set VERBOSITY terse
SET client_min_messages = warning;
DROP SCHEMA message_test CASCADE;
