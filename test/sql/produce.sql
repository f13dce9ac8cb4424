-- Producing messages.
CREATE SCHEMA produce_test;
SET search_path = produce_test;
SELECT streamq.create_stream('s');

-- an untyped payload is text, converted to the type of the column
SELECT streamq.produce('s', '{"n": 1}');
SELECT streamq.produce('s', '{"n": 2}', key => 'k', headers => '{"h": true}');
SELECT streamq.produce(stream => 's', payload => '{"n": 3}'::jsonb, key => 'k');
SELECT streamq.produce('s', '{"n": 4}'::text);
SELECT streamq.produce('s', '\x7b7d'::bytea);
PREPARE p AS SELECT streamq.produce('s', $1);
SELECT parameter_types FROM pg_prepared_statements WHERE name = 'p';
EXECUTE p('5');
DEALLOCATE p;
SELECT streamq.produce_batch('s', ARRAY['6', '"seven"', 'null'], keys => ARRAY['a', NULL, 'c'], headers => ARRAY['{}', NULL, '[1]']::jsonb[]);
SELECT streamq.produce_batch('s', '{1,2}');
SELECT streamq.produce_batch('s', '{}');
SELECT streamq.produce_batch_jsonb('s', ARRAY[jsonb '{"n": 1}', '[]']);
SELECT streamq.produce_batch_bytea('s', ARRAY['1', '2']::bytea[]);
SELECT * FROM s;

-- text and bytea streams
SELECT streamq.create_stream('t', 'payload text NOT NULL');
SELECT streamq.produce('t', 'plain'), streamq.produce('t', '{"a":1}'::jsonb), streamq.produce('t', 'bytes'::bytea);
SELECT streamq.produce('t', '\xff'::bytea);
SELECT streamq.produce('t', '\x6100'::bytea);
SELECT * FROM t;
SELECT streamq.create_stream('b', 'payload bytea');
SELECT streamq.produce('b', '\x0102'), streamq.produce('b', '{"a":1}'::jsonb), streamq.produce('b', '\x03'::bytea), streamq.produce('b', NULL::text);
SELECT * FROM b;

-- all or nothing
SELECT streamq.produce_batch('s', ARRAY['1', 'no json']);
BEGIN;
SELECT count(*) FROM (SELECT streamq.produce('s', '0') FROM generate_series(1, 3)) x;
ROLLBACK;
SELECT count(*) FROM s;

-- partitions: by key, given, or spread
SELECT streamq.create_stream('p', partitions => 4);
SELECT streamq.produce('p', '1', partition => 3) = streamq.make_msg_id(3, 0);
SELECT streamq.produce_batch('p', ARRAY['2', '3'], keys => ARRAY['x', 'y'], partition => 3) = ARRAY[streamq.make_msg_id(3, 1), streamq.make_msg_id(3, 2)];
SELECT count(DISTINCT streamq.msg_partition(id)) FROM unnest(streamq.produce_batch('p', array_fill('0'::text, ARRAY[100]), array_fill('k'::text, ARRAY[100]))) id;
SELECT count(DISTINCT streamq.msg_partition(id)), count(DISTINCT id), count(*) FROM unnest(streamq.produce_batch('p', array_fill('0'::text, ARRAY[100]))) id;
-- every id names the message it was given for; INSERT sends a key to the same place
SELECT streamq.produce_batch('p', array_agg(i::text ORDER BY i), array_agg(CASE WHEN i % 3 > 0 THEN 'key' || i END ORDER BY i)) AS ids
	FROM generate_series(1000, 1199) i \gset
SELECT count(*), count(DISTINCT streamq.msg_partition(id)) FROM unnest(:'ids'::bigint[]) WITH ORDINALITY u (id, n)
	JOIN p ON streamq.msg_id(p.tableoid, p.ctid) = id WHERE payload::text = (n + 999)::text;
INSERT INTO p (key, payload) SELECT 'key' || i, '0' FROM generate_series(1000, 1199) i WHERE i % 3 > 0;
SELECT places, count(*) FROM (SELECT count(*) AS messages, count(DISTINCT streamq.msg_partition(streamq.msg_id(tableoid, ctid))) AS places
	FROM p WHERE key LIKE 'key%' GROUP BY key) x WHERE messages = 2 GROUP BY places;
SELECT streamq.produce('p', '1', partition => 4);
SELECT streamq.produce('p', '1', partition => -1);

-- ids come back in input order
SELECT streamq.create_stream('o', partitions => 3);
CREATE TEMP TABLE ids AS SELECT * FROM unnest(
    streamq.produce_batch('o', ARRAY(SELECT i::text FROM generate_series(1, 20000) i),
                          keys => ARRAY(SELECT (i % 7)::text FROM generate_series(1, 20000) i))) WITH ORDINALITY AS ids(id, i);
SELECT bool_and(payload = to_jsonb(i)), count(*) FROM ids JOIN o ON streamq.msg_id(o.tableoid, o.ctid) = ids.id;
DROP TABLE ids;

-- defaults, generated columns, constraints
CREATE DOMAIN short AS text CHECK (length(value) <= 5);
CREATE TABLE x (id int GENERATED ALWAYS AS IDENTITY, kind text DEFAULT 'none', payload text CHECK (payload <> 'bad'),
    len int GENERATED ALWAYS AS (length(payload)) STORED, key short, headers json NOT NULL DEFAULT '{"d": 1}') USING streamq;
SELECT streamq.produce('x', 'hello', 'abc');
SELECT streamq.produce('x', 'hello', headers => '{"h": 1}');
SELECT streamq.produce('x', 'bad');
SELECT streamq.produce('x', 'good', 'longer');
SELECT streamq.produce_batch('x', ARRAY['one', NULL], ARRAY[NULL, 'k']);
ALTER TABLE x ALTER kind SET DEFAULT 'changed';
SELECT streamq.produce('x', 'after');
SELECT id IS NOT NULL AS id, kind, payload, len, key, headers FROM x;
SELECT streamq.produce('s', NULL::text);
SELECT streamq.produce_batch('s', ARRAY['1', NULL]);
CREATE DOMAIN object AS jsonb NOT NULL CHECK (jsonb_typeof(value) = 'object');
CREATE TABLE d (payload object) USING streamq;
SELECT streamq.produce('d', '{}'), streamq.produce('d', '{}'::jsonb), streamq.produce('d', '{}'::bytea);
SELECT streamq.produce('d', '[]');
SELECT streamq.produce('d', '[]'::jsonb);
SELECT streamq.produce('d', NULL::text);
CREATE TABLE parent (key text, payload text) PARTITION BY LIST (key);
CREATE TABLE child PARTITION OF parent FOR VALUES IN ('a') USING streamq;
SELECT streamq.produce('child', 'x', 'a');
SELECT streamq.produce('child', 'x', 'b');

-- triggers
CREATE FUNCTION change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.payload = 'skip' THEN RETURN NULL; END IF;
    NEW.payload := upper(NEW.payload);
    RETURN NEW;
END $$;
CREATE FUNCTION report() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_LEVEL = 'ROW' THEN RAISE NOTICE '% %: %', TG_WHEN, TG_LEVEL, NEW.payload;
    ELSE RAISE NOTICE '% %', TG_WHEN, TG_LEVEL; END IF;
    RETURN NULL;
END $$;
CREATE FUNCTION report_all() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE NOTICE 'new rows: %', (SELECT string_agg(payload, ' ' ORDER BY payload) FROM new_rows);
    RETURN NULL;
END $$;
SELECT streamq.create_stream('tr', 'payload text');
CREATE TRIGGER a BEFORE INSERT ON tr FOR EACH ROW EXECUTE FUNCTION change();
CREATE TRIGGER b AFTER INSERT ON tr FOR EACH ROW EXECUTE FUNCTION report();
CREATE TRIGGER c BEFORE INSERT ON tr EXECUTE FUNCTION report();
CREATE TRIGGER d AFTER INSERT ON tr REFERENCING NEW TABLE AS new_rows EXECUTE FUNCTION report_all();
SELECT streamq.produce('tr', 'one');
SELECT streamq.produce('tr', 'skip');
SELECT streamq.produce_batch('tr', ARRAY['two', 'skip', 'three']);
SELECT * FROM tr;
-- a trigger that produces to the same stream
CREATE FUNCTION echo() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.payload NOT LIKE 'echo%' THEN
        PERFORM streamq.produce('e', 'echo of ' || NEW.payload);
    END IF;
    RETURN NEW;
END $$;
SELECT streamq.create_stream('e', 'payload text');
CREATE TRIGGER a BEFORE INSERT ON e FOR EACH ROW EXECUTE FUNCTION echo();
SELECT streamq.produce_batch('e', ARRAY['a', 'b']);
SELECT * FROM e;

-- while a message is converted, its domain's check produces to the same stream
CREATE FUNCTION note_number(v text) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    IF v LIKE 'note%' THEN RETURN true; END IF;
    IF v = 'none' THEN RETURN false; END IF;
    PERFORM streamq.produce_batch('n', ARRAY['note of ' || v, 'note']);
    RETURN true;
END $$;
CREATE DOMAIN noted AS text CHECK (note_number(value));
SELECT streamq.create_stream('n', 'payload noted');
SELECT streamq.produce_batch('n', ARRAY['1', '2']);
-- what fails in the middle leaves nothing, and does not keep the next call from working
DO $$
BEGIN
    PERFORM streamq.produce_batch('n', ARRAY['3', 'none']);
EXCEPTION WHEN check_violation THEN RAISE NOTICE '%', SQLERRM;
END $$;
SELECT streamq.produce('n', '4');
SELECT * FROM n;

-- mistakes
SELECT streamq.produce(NULL, 'x'::text);
SELECT streamq.produce('nosuch', 'x');
CREATE TABLE heap (payload text);
SELECT streamq.produce('heap', 'x');
CREATE TABLE other (a int) USING streamq;
SELECT streamq.produce('other', 'x');
CREATE TABLE numbers (payload int) USING streamq;
SELECT streamq.produce('numbers', '1');
SELECT streamq.produce('t', 'x', key => 'k');
SELECT streamq.produce('t', 'x', headers => '{}');
SELECT streamq.produce('s', 'no json');
SELECT streamq.produce_batch('s', NULL);
SELECT streamq.produce_batch('s', ARRAY['1', '2'], keys => ARRAY['k']);
SELECT streamq.produce_batch('s', ARRAY['1', '2'], headers => ARRAY['{}', '{}', '{}']::jsonb[]);
SELECT streamq.produce_batch('s', ARRAY[['1', '2']]);
BEGIN READ ONLY;
SELECT streamq.produce('s', '1');
ROLLBACK;

-- a domain's default may change at any time
CREATE DOMAIN origin AS text DEFAULT 'here';
CREATE TABLE dom (key origin, payload jsonb) USING streamq;
SELECT streamq.produce('dom', '1');
ALTER DOMAIN origin SET DEFAULT 'there';
SELECT streamq.produce('dom', '2');
ALTER DOMAIN origin DROP DEFAULT;
SELECT streamq.produce('dom', '3');
SELECT key, payload FROM dom;
TRUNCATE dom;
ALTER DOMAIN origin SET NOT NULL;
SELECT streamq.produce('dom', '4');
DROP TABLE dom;
DROP DOMAIN origin;

-- privileges
CREATE ROLE regress_produce_user;
GRANT USAGE ON SCHEMA produce_test TO regress_produce_user;
GRANT INSERT (payload) ON s TO regress_produce_user;
GRANT INSERT ON t TO regress_produce_user;
SET ROLE regress_produce_user;
SELECT streamq.produce('s', '1') IS NOT NULL;
SELECT streamq.produce('s', '1', key => 'k');
SELECT streamq.produce('b', '1');
SELECT streamq.produce_batch('b', '{}');
RESET ROLE;
ALTER TABLE t ENABLE ROW LEVEL SECURITY;
CREATE POLICY short_only ON t FOR INSERT WITH CHECK (length(payload) < 10);
SET ROLE regress_produce_user;
SELECT streamq.produce('t', 'x');
INSERT INTO t VALUES ('short');
INSERT INTO t VALUES ('longer than that');
RESET ROLE;
DROP OWNED BY regress_produce_user;
DROP ROLE regress_produce_user;

\set VERBOSITY terse
SET client_min_messages = warning;
DROP SCHEMA produce_test CASCADE;
