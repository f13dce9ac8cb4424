-- Group state follows transactions and savepoints.
CREATE SCHEMA group_transaction;
SET search_path = group_transaction;
CREATE TABLE s (payload jsonb NOT NULL) USING streamq;
INSERT INTO s SELECT to_jsonb(i) FROM generate_series(0, 99) i;
CREATE VIEW state AS
SELECT acked_offset, lag, in_flight FROM streamq.consumer_groups WHERE stream = 's'::regclass AND group_name = 'g';

-- Exactly once: consume, work and acknowledge in one transaction.
CREATE TABLE work (n int);
BEGIN;
INSERT INTO work SELECT payload::int FROM streamq.consume('s', 'g', 5, auto_ack => true);
ROLLBACK;
SELECT count(*) FROM state;
BEGIN;
INSERT INTO work SELECT payload::int FROM streamq.consume('s', 'g', 5);
SELECT streamq.ack_through('s', 'g', 4);
COMMIT;
SELECT sum(n) FROM work;
TABLE state;

-- An acknowledgement that is rolled back did not happen.
SELECT msg_id FROM streamq.consume('s', 'g', 5);
BEGIN;
SELECT streamq.ack_through('s', 'g', 9);
TABLE state;
ROLLBACK;
TABLE state;
SELECT streamq.ack('s', 'g', 5);

-- Savepoints.
BEGIN;
SELECT streamq.ack('s', 'g', 6);
SAVEPOINT a;
SELECT streamq.ack('s', 'g', 7);
SAVEPOINT b;
SELECT streamq.ack('s', 'g', 8);
TABLE state;
ROLLBACK TO b;
TABLE state;
SELECT streamq.ack('s', 'g', 9);
RELEASE b;
TABLE state;
ROLLBACK TO a;
TABLE state;
SELECT streamq.ack('s', 'g', 8);
RELEASE a;
COMMIT;
TABLE state;
SELECT first_msg_id, last_msg_id FROM streamq.leases WHERE stream = 's'::regclass;

-- A savepoint released, its parent rolled back.
BEGIN;
SAVEPOINT a;
SAVEPOINT b;
SELECT streamq.ack('s', 'g', 7);
RELEASE b;
TABLE state;
ROLLBACK TO a;
TABLE state;
SAVEPOINT c;
SELECT streamq.ack('s', 'g', 7);
RELEASE c;
ROLLBACK;
TABLE state;
SELECT streamq.ack_through('s', 'g', 9);

-- Many blocks, each a subtransaction, some of which fail.
DO $$
BEGIN
	FOR i IN 10..89 LOOP
		BEGIN
			PERFORM * FROM streamq.consume('group_transaction.s', 'g', 1);
			BEGIN
				PERFORM streamq.ack('group_transaction.s', 'g', i);
				IF i % 7 = 0 THEN
					RAISE EXCEPTION 'not this one';
				END IF;
			EXCEPTION WHEN raise_exception THEN NULL;
			END;
		END;
	END LOOP;
END $$;
SELECT acked_offset, lag, in_flight FROM state;
SELECT first_msg_id, last_msg_id FROM streamq.leases WHERE stream = 's'::regclass;
SELECT streamq.ack_batch('s', 'g', (SELECT array_agg(i) FROM generate_series(14, 84, 7) i));
TABLE state;

-- Nested deeper than a page has room for is an error, and leaves nothing behind.
CREATE FUNCTION nest(depth int) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	PERFORM * FROM streamq.consume('group_transaction.s', 'g', 1);
	IF depth > 1 THEN
		BEGIN
			PERFORM group_transaction.nest(depth - 1);
		EXCEPTION WHEN division_by_zero THEN NULL;
		END;
	END IF;
END $$;
INSERT INTO s SELECT to_jsonb(i) FROM generate_series(100, 499) i;
SELECT nest(20);
SELECT in_flight FROM state;
\set SHOW_CONTEXT never
SELECT nest(300);
\set SHOW_CONTEXT errors
SELECT in_flight FROM state;
SELECT streamq.ack_through('s', 'g', 109);

-- Whatever the isolation level, consumers see what is committed now.
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT count(*) FROM work;
SELECT msg_id FROM streamq.consume('s', 'g', 1, auto_ack => true);
SELECT msg_id FROM streamq.consume('s', 'g', 1, auto_ack => true);
COMMIT;
BEGIN ISOLATION LEVEL SERIALIZABLE;
SELECT msg_id FROM streamq.consume('s', 'g', 1, auto_ack => true);
COMMIT;

-- A transaction does not consume what it produced itself, nor what comes behind.
SELECT streamq.seek('s', 'g', 'latest');
BEGIN;
INSERT INTO s VALUES ('"mine"');
SELECT msg_id FROM streamq.consume('s', 'g');
COMMIT;
SELECT payload FROM streamq.consume('s', 'g', auto_ack => true);

-- Groups are created and dropped with their transaction.
BEGIN;
SELECT streamq.create_group('s', 'short');
SELECT count(*) FROM streamq.consume('s', 'short', 10);
ROLLBACK;
SELECT streamq.ack('s', 'short', 0);
BEGIN;
SELECT streamq.drop_group('s', 'g');
SELECT count(*) FROM state;
SELECT streamq.create_group('s', 'g');
TABLE state;
ROLLBACK;
TABLE state;

SET client_min_messages = warning;
DROP SCHEMA group_transaction CASCADE;
