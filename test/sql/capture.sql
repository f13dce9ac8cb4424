-- Capture of ordinary tables: every change becomes a message, in the transaction
-- of the change.
CREATE SCHEMA capture_test;
SET search_path = capture_test;
SET timezone = 'UTC';
CREATE TABLE t (id int PRIMARY KEY, name text, n numeric, at timestamptz DEFAULT '2026-01-01 12:00:00+00',
	b bool, j jsonb, d double precision, a int[], twice int GENERATED ALWAYS AS (id * 2) STORED);
SELECT streamq.create_stream('changes');

-- the messages after the last ones shown, without what differs from run to run
CREATE FUNCTION news(stream regclass) RETURNS TABLE (key text, payload jsonb) LANGUAGE sql AS $$
SELECT m.key, m.payload - 'at' - 'txid' FROM streamq.consume($1, 'news', 1000, auto_ack => true) m $$;

-- existing rows, and all kinds of changes
INSERT INTO t VALUES (1, 'one', 1.50, DEFAULT, true, '{"x": [1, {"y": null}]}', 0.1, '{1,NULL}');
INSERT INTO t VALUES (2);
SELECT streamq.capture('t', 'changes', snapshot => true);
SELECT * FROM news('changes');
INSERT INTO t VALUES (3, 'drei', 'NaN', '-infinity', false, '"text"', 'Infinity', '{}'), (4, '', -1e-20, NULL, NULL, '[]', '-0', NULL);
UPDATE t SET name = 'two' WHERE id = 2;
DELETE FROM t WHERE id = 4;
SELECT * FROM news('changes');
-- no rows, no messages
UPDATE t SET name = 'x' WHERE false;
DELETE FROM t WHERE false;
INSERT INTO t SELECT 9 WHERE false;
SELECT count(*) FROM news('changes');
-- a change of the key takes the old one away
UPDATE t SET id = 5 WHERE id = 3;
SELECT * FROM news('changes');
INSERT INTO t (id, name) VALUES (2, 'zwei'), (6, 'six') ON CONFLICT (id) DO UPDATE SET name = excluded.name;
MERGE INTO t USING (VALUES (1), (7)) AS v (i) ON t.id = v.i
WHEN MATCHED THEN DELETE WHEN NOT MATCHED THEN INSERT (id) VALUES (v.i);
WITH gone AS (DELETE FROM t WHERE id = 6 RETURNING *) INSERT INTO t (id, name) SELECT id + 100, name FROM gone;
COPY t (id, name) FROM stdin;
8	eight
9	\N
\.
SELECT key, payload->>'op' AS op, payload->'before'->>'name' AS before, payload->'after'->>'name' AS after FROM news('changes');
TRUNCATE t;
SELECT * FROM news('changes');

-- the message is what to_jsonb() makes of the row, and a sound jsonb
CREATE TYPE pair AS (x int, y text);
CREATE TYPE mood AS ENUM ('glad', 'sad');
CREATE DOMAIN word AS text;
CREATE TABLE types (c0 int, c1 bigint PRIMARY KEY, c2 smallint, c3 real, c4 char(5), c5 varchar(9), c6 bytea, c7 date, c8 time, c9 timestamp,
	c10 interval, c11 uuid, c12 json, c13 pair, c14 mood, c15 word, c16 inet, c17 int4range, c18 text[], c19 xml, c20 "char", c21 name,
	a_column_with_a_long_name int, "Odd ""name" text);
SELECT streamq.capture('types', 'changes');
INSERT INTO types SELECT i, i * 1000000000000, i % 100, i / 3.0, 'c' || i, 'v' || i, decode(md5(i::text), 'hex'), date '2026-01-01' + i,
	time '00:00' + i * interval '1 s', timestamp '2026-01-01' + i * interval '1 s', i * interval '1 h', md5(i::text)::uuid,
	json_build_array(i, '"', NULL), ROW(i, 'y')::pair, CASE i % 2 WHEN 0 THEN 'glad' ELSE 'sad' END::mood, 'w' || i, '10.0.0.1',
	int4range(i, i + 2), ARRAY['a', NULL, i::text], NULL, 'x', 'n' || i, -i, E'tab\t"\\' || i
FROM generate_series(-3, 300) i;
INSERT INTO types (c1) VALUES (-1);
SELECT count(*), bool_and(m.payload->'after' = to_jsonb(types)) AS equal, bool_and(m.payload::text::jsonb = m.payload AND m.payload::text::jsonb::text = m.payload::text) AS sound,
	bool_and(pg_column_size(m.payload::text::jsonb) = pg_column_size(m.payload)) AS same_size
FROM changes m JOIN types ON m.key = types.c1::text WHERE m.payload->>'source' = 'capture_test.types';
-- more than 32 columns, in any order of their names
DO $$ BEGIN EXECUTE 'CREATE TABLE wide (id int PRIMARY KEY, ' || (SELECT string_agg(format('%I %s', repeat(chr(97 + i * 7 % 26), 1 + i * 5 % 11) || i,
	CASE i % 3 WHEN 0 THEN 'int' WHEN 1 THEN 'text' ELSE 'bool' END), ', ') FROM generate_series(1, 150) i) || ')'; END $$;
SELECT streamq.capture('wide', 'changes');
INSERT INTO wide (id) VALUES (1);
DO $$ BEGIN EXECUTE 'INSERT INTO wide VALUES (2, ' || (SELECT string_agg(CASE i % 3 WHEN 0 THEN i::text WHEN 1 THEN quote_literal(repeat('x', i)) ELSE 'true' END, ', ')
	FROM generate_series(1, 150) i) || ')'; END $$;
SELECT count(*), bool_and(m.payload->'after' = to_jsonb(wide)) AS equal,
	bool_and((SELECT bool_and(m.payload->'after'->k = to_jsonb(wide)->k) FROM jsonb_object_keys(to_jsonb(wide)) k)) AS found
FROM changes m JOIN wide ON m.key = wide.id::text WHERE m.payload->>'source' = 'capture_test.wide';
SELECT count(*) FROM news('changes');

-- values that are stored out of line
CREATE TABLE large (id int PRIMARY KEY, body text);
ALTER TABLE large ALTER body SET STORAGE EXTERNAL;
SELECT streamq.capture('large', 'changes');
INSERT INTO large VALUES (1, repeat('x', 1000000));
UPDATE large SET id = id;
DELETE FROM large;
SELECT payload->>'op' AS op, length(payload->'before'->>'body') AS before, length(payload->'after'->>'body') AS after FROM news('changes');

-- columns that are added, renamed and dropped
TRUNCATE t;
ALTER TABLE t DROP n, DROP j, DROP d, DROP a, DROP twice, DROP at, DROP b;
INSERT INTO t VALUES (1, 'a');
ALTER TABLE t ADD c int DEFAULT 7;
UPDATE t SET name = 'b';
ALTER TABLE t RENAME name TO label;
ALTER TABLE t RENAME TO renamed;
ALTER TABLE changes RENAME TO feed;
INSERT INTO renamed VALUES (2, 'c', 8);
SELECT * FROM news('feed');
ALTER TABLE feed RENAME TO changes;
ALTER TABLE renamed RENAME TO t;
ALTER TABLE t ALTER id TYPE text;
INSERT INTO t VALUES ('x');
ALTER TABLE t DROP CONSTRAINT t_pkey;
INSERT INTO t VALUES ('y');
SELECT * FROM news('changes');
SELECT source, stream, messages, since <= now() AS since, columns, condition FROM streamq.captures ORDER BY source::text;

-- keys: several columns; the replica identity where there is no primary key; none
CREATE TABLE keyed (a int, b text, c date, PRIMARY KEY (b, a));
CREATE TABLE identity (x int, y uuid NOT NULL UNIQUE);
ALTER TABLE identity REPLICA IDENTITY USING INDEX identity_y_key;
CREATE TABLE keyless (x int);
SELECT streamq.capture(r, 'changes') FROM unnest('{keyed,identity,keyless}'::regclass[]) r;
INSERT INTO keyed VALUES (1, 'a"b', '2026-01-01');
INSERT INTO identity VALUES (1, '00000000-0000-0000-0000-000000000001');
INSERT INTO keyless VALUES (1);
SELECT * FROM news('changes');

-- in the transaction of the change
BEGIN;
INSERT INTO keyless VALUES (2);
SAVEPOINT s;
INSERT INTO keyless VALUES (3);
ROLLBACK TO s;
INSERT INTO keyless VALUES (4);
SAVEPOINT s2;
INSERT INTO keyless VALUES (5);
RELEASE s2;
SELECT payload->'after'->>'x' AS x, payload->>'txid' = pg_current_xact_id()::text AS txid,
	(payload->>'at')::timestamptz = now() AS at FROM changes WHERE payload->>'source' = 'capture_test.keyless' AND payload->'after'->>'x' > '1';
COMMIT;
BEGIN;
INSERT INTO keyless VALUES (6);
ROLLBACK;
SELECT payload->'after'->>'x' AS x FROM news('changes');
SELECT messages FROM streamq.captures WHERE source = 'keyless'::regclass;

-- columns and a condition; an update counts if the row matches before or after it
CREATE TABLE orders (id int PRIMARY KEY, state text, amount int, secret text DEFAULT 's');
SELECT streamq.capture('orders', 'changes', columns => '{id,state}', condition => 'amount > 10 AND state <> ''draft''');
INSERT INTO orders VALUES (1, 'new', 5), (2, 'new', 50), (3, 'draft', 50), (4, 'new', NULL);
UPDATE orders SET amount = 20 WHERE id = 1;
UPDATE orders SET amount = 1 WHERE id = 2;
UPDATE orders SET amount = 2 WHERE id = 2;
UPDATE orders SET amount = 100, id = 30 WHERE id = 3;
DELETE FROM orders;
TRUNCATE orders;
SELECT * FROM news('changes');
SELECT columns, condition FROM streamq.captures WHERE source = 'orders'::regclass;
ALTER TABLE orders RENAME state TO status;
ALTER TABLE orders RENAME amount TO total;
ALTER TABLE orders DROP amount;
ALTER TABLE orders ALTER amount TYPE bigint;
ALTER TABLE orders RENAME secret TO hidden;
SELECT streamq.stop_capture('orders', 'changes');
SELECT streamq.capture('orders', 'changes', columns => '{id,state,amount}');
ALTER TABLE orders RENAME state TO status;
ALTER TABLE orders DROP amount;
INSERT INTO orders VALUES (1, 'new');
SELECT * FROM news('changes');

-- an error of the condition stops the change
CREATE TABLE divided (x int);
SELECT streamq.capture('divided', 'changes', condition => '1 / x > 0');
INSERT INTO divided VALUES (1), (0);
SELECT count(*) FROM divided;

-- streams with other columns, and other payloads
CREATE TABLE columns_stream (at timestamptz, op varchar, key text, before jsonb, after text, source text, txid numeric, extra int DEFAULT 5) USING streamq;
CREATE TABLE text_stream (payload text) USING streamq;
CREATE TABLE bytea_stream (payload bytea NOT NULL, key int) USING streamq;
CREATE TABLE few_stream (op text, after json) USING streamq;
CREATE TABLE small (id int PRIMARY KEY, v text);
INSERT INTO small VALUES (0, 'zero');
SELECT streamq.capture('small', s, snapshot => true) FROM unnest('{columns_stream,text_stream,bytea_stream,few_stream}'::regclass[]) s;
INSERT INTO small VALUES (1, 'one');
UPDATE small SET v = 'eins' WHERE id = 1;
DELETE FROM small WHERE id = 1;
TRUNCATE small;
SELECT at IS NOT NULL AS at, op, key, before, after, source, txid IS NOT NULL AS txid, extra FROM columns_stream;
SELECT payload::jsonb - 'at' - 'txid' AS payload FROM text_stream;
SELECT key, convert_from(payload, 'UTF8')::jsonb - 'at' - 'txid' AS payload FROM bytea_stream;
SELECT * FROM few_stream;
SELECT stream, messages FROM streamq.captures WHERE source = 'small'::regclass ORDER BY stream::text;

-- constraints and triggers of the stream
CREATE TABLE picky (key text, payload jsonb CHECK (payload->>'op' <> 'delete')) USING streamq;
SELECT streamq.capture('small', 'picky');
INSERT INTO small VALUES (1, 'one');
\set VERBOSITY terse
DELETE FROM small;
\set VERBOSITY default
SELECT count(*) FROM small;
SELECT payload->>'op' AS op FROM picky;

-- foreign keys with actions
CREATE TABLE parent (id int PRIMARY KEY);
CREATE TABLE child (id int PRIMARY KEY, p int REFERENCES parent ON DELETE CASCADE ON UPDATE SET NULL);
SELECT streamq.capture(r, 'changes') FROM unnest('{parent,child}'::regclass[]) r;
INSERT INTO parent VALUES (1), (2);
INSERT INTO child VALUES (10, 1), (11, 1), (20, 2);
DELETE FROM parent WHERE id = 1;
UPDATE parent SET id = 3;
TRUNCATE parent CASCADE;
SELECT key, payload->>'op' AS op, payload->>'source' AS source, payload->'before' AS before, payload->'after' AS after FROM news('changes');

-- the end
SELECT streamq.stop_capture('small', 'few_stream');
INSERT INTO small VALUES (3, 'three');
SELECT count(*) FROM few_stream;
SELECT count(*) FROM text_stream;
DROP TABLE text_stream;
DROP TABLE text_stream CASCADE;
INSERT INTO small VALUES (4, 'four');
SELECT stream FROM streamq.captures WHERE source = 'small'::regclass ORDER BY stream::text;
DROP TABLE small;
SELECT count(*) FROM streamq.captures c WHERE NOT EXISTS (SELECT FROM pg_class WHERE oid = c.source);
SELECT count(*) FROM streamq.capture_count c WHERE NOT EXISTS (SELECT FROM pg_class WHERE oid = c.source);

-- bad arguments
CREATE TEMP TABLE temporary (x int);
CREATE UNLOGGED TABLE unlogged (x int);
CREATE VIEW a_view AS SELECT 1 AS x;
CREATE UNLOGGED TABLE unlogged_stream (payload jsonb) USING streamq;
CREATE TABLE other_stream (a int, b text) USING streamq;
CREATE FUNCTION refused(command text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	state text;
	message text;
	detail text;
	hint text;
BEGIN
	EXECUTE command;
	RETURN 'not refused';
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS state = RETURNED_SQLSTATE, message = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
	RETURN concat_ws(E'\n', state || ': ' || message, NULLIF(detail, ''), NULLIF(hint, ''));
END $$;
\pset format unaligned
\pset tuples_only on
SELECT refused($$SELECT streamq.capture(NULL, 'changes')$$);
SELECT refused($$SELECT streamq.capture('t', NULL)$$);
SELECT refused($$SELECT streamq.capture('t', 'changes', snapshot => NULL)$$);
SELECT refused($$SELECT streamq.capture('t', 'changes')$$);
SELECT refused($$SELECT streamq.capture('changes', 'changes')$$);
SELECT refused($$SELECT streamq.capture('a_view', 'changes')$$);
SELECT refused($$SELECT streamq.capture('pg_class', 'changes')$$);
SELECT refused($$SELECT streamq.capture('temporary', 'changes')$$);
SELECT refused($$SELECT streamq.capture('unlogged', 'changes')$$);
SELECT refused($$SELECT streamq.capture('streamq.job', 'changes')$$);
SELECT refused($$SELECT streamq.capture('t', 't')$$);
SELECT refused($$SELECT streamq.capture('t', 'unlogged_stream')$$);
SELECT refused($$SELECT streamq.capture('t', 'other_stream')$$);
SELECT refused($$SELECT streamq.capture('parent', 'columns_stream', columns => '{}')$$);
SELECT refused($$SELECT streamq.capture('parent', 'columns_stream', columns => '{NULL}')$$);
SELECT refused($$SELECT streamq.capture('parent', 'columns_stream', columns => '{nothing}')$$);
SELECT refused($$SELECT streamq.capture('parent', 'columns_stream', columns => '{ctid}')$$);
SELECT refused($$SELECT streamq.capture('parent', 'columns_stream', columns => '{id,id}')$$);
SELECT refused($$SELECT streamq.capture('parent', 'columns_stream', condition => 'nothing > 1')$$);
SELECT refused($$SELECT streamq.capture('parent', 'columns_stream', condition => 'id')$$);
SELECT refused($$SELECT streamq.capture('parent', 'columns_stream', condition => 'id = 1 ORDER BY id')$$);
SELECT refused($$SELECT streamq.capture('parent', 'columns_stream', condition => 'id IN (SELECT 1)')$$);
SELECT refused($$SELECT streamq.capture('parent', 'columns_stream', condition => 'count(*) > 0')$$);
SELECT refused($$SELECT streamq.capture('parent', 'columns_stream', condition => 'ctid IS NULL')$$);
SELECT refused($$SELECT streamq.stop_capture(NULL, 'changes')$$);
SELECT refused($$SELECT streamq.stop_capture('t', NULL)$$);
SELECT refused($$SELECT streamq.stop_capture('parent', 'columns_stream')$$);
SELECT refused($$SELECT streamq.stop_capture('a_view', 'changes')$$);
SELECT refused($$SELECT streamq.capture_change()$$);
CREATE TRIGGER wrong AFTER INSERT ON parent EXECUTE FUNCTION streamq.capture_change('1');
SELECT refused($$INSERT INTO parent VALUES (1)$$);
DROP TRIGGER wrong ON parent;
CREATE TRIGGER wrong AFTER INSERT ON parent REFERENCING NEW TABLE AS n EXECUTE FUNCTION streamq.capture_change('x');
SELECT refused($$INSERT INTO parent VALUES (1)$$);
DROP TRIGGER wrong ON parent;
CREATE TRIGGER streamq_capture_1000_insert AFTER INSERT ON parent REFERENCING NEW TABLE AS n EXECUTE FUNCTION streamq.capture_change('1000');
SELECT refused($$INSERT INTO parent VALUES (1)$$);
DROP TRIGGER streamq_capture_1000_insert ON parent;
BEGIN READ ONLY;
SELECT refused($$SELECT streamq.capture('parent', 'columns_stream')$$);
ROLLBACK;
BEGIN READ ONLY;
SELECT refused($$SELECT streamq.stop_capture('parent', 'changes')$$);
ROLLBACK;
\pset format aligned
\pset tuples_only off

-- privileges: the owner of the table writes to the stream; writers of the table
-- need no privileges on it
CREATE ROLE capture_owner;
CREATE ROLE capture_writer;
GRANT USAGE, CREATE ON SCHEMA capture_test TO capture_owner;
GRANT USAGE ON SCHEMA capture_test TO capture_writer;
SET ROLE capture_owner;
CREATE TABLE owned (id int PRIMARY KEY);
GRANT INSERT ON owned TO capture_writer;
SELECT streamq.capture('owned', 'changes');
RESET ROLE;
SELECT streamq.capture('owned', 'changes');
GRANT INSERT (key, payload) ON changes TO capture_owner;
SET ROLE capture_writer;
SELECT streamq.capture('owned', 'changes');
SELECT streamq.stop_capture('owned', 'changes');
SET ROLE capture_owner;
SELECT streamq.capture('owned', 'changes', condition => 'current_user = ''capture_owner''');
SET ROLE capture_writer;
INSERT INTO owned VALUES (1);
SELECT count(*) FROM streamq.captures;
RESET ROLE;
SELECT * FROM news('changes');
SET ROLE capture_owner;
SELECT source, stream, messages FROM streamq.captures;
RESET ROLE;
REVOKE INSERT (key, payload) ON changes FROM capture_owner;
SET ROLE capture_writer;
INSERT INTO owned VALUES (2);
RESET ROLE;
GRANT INSERT ON changes TO capture_owner;
-- all rows of the table, whatever its policies hide
ALTER TABLE owned ENABLE ROW LEVEL SECURITY;
CREATE POLICY p ON owned FOR INSERT WITH CHECK (true);
SET ROLE capture_writer;
INSERT INTO owned VALUES (3);
RESET ROLE;
SELECT * FROM news('changes');
-- policies of the stream cannot be checked
ALTER TABLE changes ENABLE ROW LEVEL SECURITY;
SET ROLE capture_writer;
INSERT INTO owned VALUES (4);
RESET ROLE;
ALTER TABLE changes DISABLE ROW LEVEL SECURITY;

SET client_min_messages = warning;
DROP SCHEMA capture_test CASCADE;
SELECT count(*) FROM streamq.captures;
SELECT count(*) FROM streamq.capture_count;
DROP ROLE capture_owner, capture_writer;
