-- Messages with a dedup_id are produced once.
CREATE SCHEMA dedup;
SET search_path = dedup;
SELECT streamq.create_stream('s');

-- the same id again: the first msg_id, and nothing is appended
SELECT streamq.produce('s', '1', dedup_id => 'a');
SELECT streamq.produce('s', '2', dedup_id => 'b');
SELECT streamq.produce('s', '3', dedup_id => 'a');
SELECT streamq.produce('s', '4'::jsonb, dedup_id => 'a'), streamq.produce('s', '4'::json, dedup_id => 'b'), streamq.produce('s', '4'::bytea, dedup_id => 'b');
SELECT payload FROM s;
-- without an id, nothing is a duplicate; the empty text is an id
SELECT streamq.produce('s', '5', dedup_id => NULL), streamq.produce('s', '5', dedup_id => NULL);
SELECT streamq.produce('s', '6', dedup_id => ''), streamq.produce('s', '6', dedup_id => '');
-- ids are compared as they are written
SELECT streamq.produce('s', '7', dedup_id => 'A'), streamq.produce('s', '7', dedup_id => 'a '), streamq.produce('s', '7', dedup_id => 'ä');
-- ids of any length
SELECT streamq.produce('s', '8', dedup_id => repeat('x', n)) FROM unnest(ARRAY[127, 128, 129, 130, 3000, 1000000]) n;
SELECT streamq.produce('s', '8', dedup_id => repeat('x', n)) FROM unnest(ARRAY[127, 128, 129, 130, 3000, 1000000]) n;

-- each stream has ids of its own
SELECT streamq.create_stream('other', partitions => 4);
SELECT streamq.produce('other', '1', dedup_id => 'a', partition => 2) = streamq.make_msg_id(2, 0);
SELECT streamq.produce('other', '1', dedup_id => 'a', partition => 3) = streamq.make_msg_id(2, 0);
-- more partitions make no difference
SELECT streamq.produce('other', '2', key => 'k', dedup_id => 'k') AS first \gset
SELECT streamq.alter_stream('other', partitions => 64);
SELECT streamq.produce('other', '2', key => 'k', dedup_id => 'k') = :first;
SELECT count(*) FROM other;

-- batches: known ids, new ones, none, and duplicates within the batch
SELECT streamq.create_stream('b');
SELECT streamq.produce_batch('b', ARRAY['1', '2', '3', '4', '5', '6', '7'], dedup_ids => ARRAY['x', 'y', NULL, 'x', 'z', NULL, 'x']);
SELECT streamq.produce_batch('b', ARRAY['8', '9', '10'], dedup_ids => ARRAY['new', 'z', 'new']);
SELECT streamq.produce_batch_jsonb('b', ARRAY['11', '12']::jsonb[], dedup_ids => ARRAY['y', 'z']);
SELECT streamq.produce_batch_bytea('b', ARRAY['11', '12']::bytea[], dedup_ids => ARRAY['y', 'z']);
SELECT streamq.produce_batch('b', '{}', dedup_ids => '{}');
SELECT payload FROM b;
SELECT streamq.produce_batch('b', ARRAY['1', '2'], dedup_ids => ARRAY['only one']);
SELECT streamq.produce_batch('b', ARRAY['1', '2'], dedup_ids => ARRAY[ARRAY['a'], ARRAY['b']]);
-- many ids, in any order
SELECT count(DISTINCT id), count(*) FROM unnest(streamq.produce_batch('b',
	ARRAY(SELECT i::text FROM generate_series(1, 5000) i), dedup_ids => ARRAY(SELECT (i * 7919 % 5000)::text FROM generate_series(1, 5000) i))) id;
SELECT count(DISTINCT id), count(*) FROM unnest(streamq.produce_batch('b',
	ARRAY(SELECT i::text FROM generate_series(1, 5000) i), dedup_ids => ARRAY(SELECT (i / 2 + 4000)::text FROM generate_series(1, 5000) i))) id;
SELECT bool_and(streamq.produce('b', 'null', dedup_id => (i * 7919 % 5000)::text) = streamq.msg_id(tableoid, ctid))
	FROM b, LATERAL (SELECT payload::int AS i) x WHERE streamq.msg_id(tableoid, ctid) BETWEEN 6 AND 5005 AND payload::int % 97 = 0;

-- an id belongs to its transaction, and to its savepoint
BEGIN;
SELECT streamq.produce('b', '1', dedup_id => 'rolled back');
ROLLBACK;
SELECT streamq.produce('b', '1', dedup_id => 'rolled back');
BEGIN;
SELECT streamq.produce('s', '9', dedup_id => 'p') AS outer_id \gset
SAVEPOINT sp;
SELECT streamq.produce('s', '9', dedup_id => 'q') AS inner_id \gset
SELECT streamq.produce('s', '9', dedup_id => 'p') = :outer_id AS outer, streamq.produce('s', '9', dedup_id => 'q') = :inner_id AS inner;
ROLLBACK TO sp;
SELECT streamq.produce('s', '9', dedup_id => 'p') = :outer_id AS outer, streamq.produce('s', '9', dedup_id => 'q') > :inner_id AS inner;
COMMIT;
-- a statement that fails forgets its ids, too
SELECT streamq.produce('s', 'no json', dedup_id => 'failed');
SELECT streamq.produce('s', '"now"', dedup_id => 'failed') IS NOT NULL;
DO $$
BEGIN
	FOR i IN 1 .. 300 LOOP
		BEGIN
			PERFORM streamq.produce('dedup.b', CASE WHEN i % 3 = 0 THEN 'x' ELSE '1' END, dedup_id => 'loop ' || i / 2);
		EXCEPTION WHEN invalid_text_representation THEN
		END;
	END LOOP;
END $$;
SELECT streamq.produce('b', '1', dedup_id => 'loop 1') IS NOT NULL;
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT streamq.produce('s', '1', dedup_id => 'rr') = streamq.produce('s', '1', dedup_id => 'rr');
COMMIT;
BEGIN ISOLATION LEVEL SERIALIZABLE;
SELECT streamq.produce('s', '1', dedup_id => 'a'), streamq.produce('s', '1', dedup_id => 'ser') = streamq.produce('s', '1', dedup_id => 'ser');
COMMIT;

-- after dedup_window the id is free again
SELECT streamq.create_stream('w');
SELECT streamq.produce('w', '1', dedup_id => 'a');
SELECT streamq.alter_stream('w', dedup_window => '1 hour');
UPDATE streamq.dedup_0 SET produced_at = produced_at - interval '59 minutes' WHERE msg_id = 0;
UPDATE streamq.dedup_1 SET produced_at = produced_at - interval '59 minutes' WHERE msg_id = 0;
SELECT streamq.produce('w', '2', dedup_id => 'a');
SELECT streamq.alter_stream('w', dedup_window => '58 minutes');
BEGIN;
SELECT streamq.produce('w', '3', dedup_id => 'a');
ROLLBACK;
SELECT streamq.produce('w', '4', dedup_id => 'a');
SELECT streamq.produce('w', '5', dedup_id => 'a');
SELECT payload FROM w;

-- TRUNCATE forgets the ids, and gives them back if it is rolled back
BEGIN;
TRUNCATE w;
SELECT streamq.produce('w', '6', dedup_id => 'a');
SELECT streamq.produce('w', '7', dedup_id => 'a');
ROLLBACK;
SELECT streamq.produce('w', '8', dedup_id => 'a');
TRUNCATE w;
SELECT streamq.produce('w', '9', dedup_id => 'a') > 2;
-- so does DROP
DROP TABLE w;
SELECT streamq.create_stream('w');
SELECT streamq.produce('w', '1', dedup_id => 'a');
SELECT payload FROM w;

-- triggers: what they suppress is not remembered
CREATE TABLE t (payload jsonb) USING streamq;
CREATE FUNCTION even() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN CASE WHEN new.payload::int % 2 = 0 THEN new END; END $$;
CREATE TRIGGER even BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION even();
SELECT streamq.produce('t', '1', dedup_id => 'a'), streamq.produce('t', '2', dedup_id => 'a'), streamq.produce('t', '4', dedup_id => 'a');
SELECT streamq.produce_batch('t', ARRAY['1', '2', '3', '4', '6'], dedup_ids => ARRAY['b', 'c', 'b', NULL, 'c']);
-- a trigger that produces the same id is refused
CREATE FUNCTION again() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
	IF new.payload <> '"inner"' THEN PERFORM streamq.produce('dedup.t', '"inner"', dedup_id => 'nested'); END IF; RETURN new; END $$;
DROP TRIGGER even ON t;
CREATE TRIGGER again BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION again();
\set VERBOSITY sqlstate
SELECT streamq.produce('t', '8', dedup_id => 'nested');
\set VERBOSITY default
SELECT streamq.produce('t', '8', dedup_id => 'nested');
SELECT count(*) FROM t WHERE payload IN ('8', '"inner"');

-- INSERT on the stream is enough
CREATE ROLE regress_dedup_writer;
GRANT USAGE ON SCHEMA dedup TO regress_dedup_writer;
GRANT INSERT ON s TO regress_dedup_writer;
SET ROLE regress_dedup_writer;
SELECT streamq.produce('s', '1', dedup_id => 'by a writer') = streamq.produce('s', '1', dedup_id => 'by a writer');
SELECT streamq.produce('b', '1', dedup_id => 'by a writer');
SELECT count(*) FROM streamq.dedup_0;
RESET ROLE;
REVOKE ALL ON s FROM regress_dedup_writer;
REVOKE ALL ON SCHEMA dedup FROM regress_dedup_writer;
DROP ROLE regress_dedup_writer;

-- unlogged streams
CREATE UNLOGGED TABLE u (payload jsonb) USING streamq;
SELECT streamq.produce('u', '1', dedup_id => 'a'), streamq.produce('u', '1', dedup_id => 'a');
SELECT * FROM streamq.check_stream('s');
SET client_min_messages = warning;
DROP SCHEMA dedup CASCADE;
