-- Names that are too long, messages as json, read-only transactions, rows that a
-- trigger leaves out, relations that are no streams.
CREATE SCHEMA arguments_test;
SET search_path = arguments_test;

-- names over 63 bytes are cut, and it is said
SELECT streamq.create_stream(repeat('n', 60) || 'ame_that_is_long');
SELECT streamq.create_stream('arguments_test."' || repeat('N', 60) || 'AME"". that is long"', 'a int, ' || repeat('c', 70) || ' text',
	partition_by => 'a, ' || repeat('c', 70));
SELECT streamq.create_stream(repeat('é', 32), if_not_exists => true);
SELECT streamq.create_stream(repeat('é', 32), if_not_exists => true);
SELECT streamq.create_stream(repeat('n', 63) || '2', if_not_exists => true);
SELECT relname, octet_length(relname) FROM pg_class
WHERE relnamespace = 'arguments_test'::regnamespace AND relkind = 'r' ORDER BY relname COLLATE "C";
CREATE TABLE source (at timestamptz, n int) USING streamq;
SELECT streamq.create_continuous_view(repeat('v', 70),
	'SELECT w.window_start, count(*) AS n FROM source s, streamq.tumble(s.at, ''1 minute'') w GROUP BY 1');
-- a group is no object of the catalog
SELECT streamq.create_group('source', repeat('g', 70));

-- messages of type json
CREATE TABLE as_jsonb (key text, payload jsonb NOT NULL) USING streamq;
CREATE TABLE as_json (key text, payload json) USING streamq;
CREATE TABLE as_text (payload text) USING streamq;
CREATE TABLE as_bytea (payload bytea) USING streamq;
SELECT streamq.produce(t, '{"b": 1,  "a": [null, "\\"]}'::json), streamq.produce(t, to_json(1))
FROM unnest('{as_jsonb,as_json,as_text}'::regclass[]) t;
SELECT streamq.produce('as_bytea', '{"b": 1,  "a": "\\x"}'::json);
SELECT streamq.produce('as_jsonb', row_to_json(r), key => 'k', partition => 0) FROM (VALUES (1, 'x')) AS r (a, b);
SELECT streamq.produce('as_jsonb', NULL::json);
-- what has no type is text, as before
SELECT streamq.produce('as_text', '{"b": 1}'), streamq.produce('as_json', '{"b":  1}');
SELECT payload FROM as_jsonb;
SELECT payload::text FROM as_json;
SELECT payload FROM as_text;
SELECT convert_from(payload, 'UTF8') FROM as_bytea;
SELECT payload FROM streamq.consume('as_json', 'g');

-- read-only transactions: what writes says which function it is
CREATE VIEW writers AS SELECT * FROM unnest(ARRAY[
	$$create_stream('x')$$, $$alter_stream('source', partitions => 2)$$, $$drop_stream('source')$$,
	$$produce('as_text', 'x')$$, $$produce('as_text', '1'::jsonb)$$, $$produce('as_text', '1'::json)$$, $$produce('as_bytea', 'x'::bytea)$$,
	$$produce_batch('as_text', '{x}')$$, $$produce_batch_jsonb('as_text', '{1}')$$, $$produce_batch_bytea('as_bytea', '{x}')$$,
	$$create_group('source', 'g')$$, $$drop_group('source', 'g')$$, $$grant_group('source', 'g', 'public')$$,
	$$revoke_group('source', 'g', 'public')$$, $$consume('source', 'g')$$, $$consume_as(NULL::source, 'g')$$,
	$$ack('source', 'g', 1)$$, $$ack_batch('source', 'g', '{1}')$$, $$ack_through('source', 'g', 1)$$, $$nack('source', 'g', 1)$$,
	$$extend_lease('source', 'g', '{1}', '1 s')$$, $$seek('source', 'g', 'latest')$$,
	$$create_continuous_view('w', 'SELECT')$$, $$drop_continuous_view('w')$$, $$pause('w')$$, $$resume('w')$$]) AS call;
CREATE FUNCTION outcome(call text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	EXECUTE 'SELECT * FROM streamq.' || call;
	RETURN 'done';
EXCEPTION WHEN OTHERS THEN
	RETURN SQLSTATE || ' ' || SQLERRM;
END $$;
BEGIN READ ONLY;
SELECT call, outcome(call) FROM writers
WHERE outcome(call) IS DISTINCT FROM '25006 cannot execute ' || substring(call, '^\w+') || '() in a read-only transaction';
SELECT count(*) FROM writers;
SELECT streamq.nack('source', 'g', 1);
ROLLBACK;

-- a row that a trigger leaves out has no msg_id
CREATE FUNCTION leave_out() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN IF new.payload = ''no'' THEN RETURN NULL; END IF; RETURN new; END';
CREATE TRIGGER leave_out BEFORE INSERT ON as_text FOR EACH ROW EXECUTE FUNCTION leave_out();
SELECT streamq.produce('as_text', 'no') IS NULL AS left_out;
SELECT streamq.produce_batch('as_text', '{yes,no,yes,no}');
SELECT streamq.produce_batch('as_text', '{no}');

-- not streams
CREATE TABLE plain (a int);
CREATE TABLE heir () INHERITS (plain) USING streamq;
CREATE TABLE parent (a int) PARTITION BY LIST (a);
SELECT streamq.consume('parent', 'g');
CREATE TABLE part1 PARTITION OF parent FOR VALUES IN (1);
SELECT streamq.consume('parent', 'g');
CREATE TABLE part2 PARTITION OF parent FOR VALUES IN (2) USING streamq;
CREATE TABLE sub PARTITION OF parent FOR VALUES IN (3, 4) PARTITION BY LIST (a);
CREATE TABLE part3 PARTITION OF sub FOR VALUES IN (3) USING streamq;
CREATE TABLE part4 (a int) USING streamq;
ALTER TABLE sub ATTACH PARTITION part4 FOR VALUES IN (4);
SELECT streamq.consume('parent', 'g');
\echo :LAST_ERROR_SQLSTATE
SELECT * FROM streamq.consume('parent', 'g');
SELECT * FROM streamq.consume_as(NULL::parent, 'g');
SELECT * FROM streamq.read('parent');
SELECT streamq.produce('parent', 'x');
SELECT streamq.create_group('parent', 'g');
SELECT streamq.seek('parent', 'g', 'latest');
SELECT streamq.alter_stream('parent', partitions => 2);
SELECT streamq.channel('parent');
SELECT * FROM streamq.check_stream('sub');
SELECT streamq.create_continuous_view('w', 'SELECT w.window_start, count(*) FROM plain, streamq.tumble(now(), ''1 minute'') w GROUP BY 1');
SELECT streamq.consume('plain', 'g');
CREATE TABLE part5 PARTITION OF parent FOR VALUES IN (5) USING streamq;
CREATE TABLE part6 PARTITION OF parent FOR VALUES IN (6) USING streamq;
CREATE TABLE part7 PARTITION OF parent FOR VALUES IN (7) USING streamq;
SELECT streamq.consume('parent', 'g');
CREATE VIEW v AS SELECT * FROM part2;
SELECT streamq.consume('v', 'g');
CREATE MATERIALIZED VIEW m AS SELECT * FROM part2;
SELECT streamq.consume('m', 'g');
CREATE INDEX i ON plain (a);
SELECT streamq.consume('i', 'g');
CREATE FOREIGN DATA WRAPPER arguments_wrapper;
CREATE SERVER arguments_server FOREIGN DATA WRAPPER arguments_wrapper;
CREATE FOREIGN TABLE f (a int) SERVER arguments_server;
SELECT streamq.consume('f', 'g');
-- its partitions do all of it
INSERT INTO parent VALUES (1), (2), (3), (4);
SELECT payload FROM streamq.consume('part3', 'g');
-- functions that dumps call are asked for what is gone, too
SELECT * FROM streamq.stream_progress(0);
SELECT * FROM streamq.stream_progress('plain'::regclass);
SELECT * FROM streamq.group_progress(0, 0);
SELECT * FROM streamq.group_progress('part2'::regclass, 0);

SET client_min_messages = warning;
DROP FOREIGN DATA WRAPPER arguments_wrapper CASCADE;
DROP SCHEMA arguments_test CASCADE;
