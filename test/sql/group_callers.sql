-- Ways to call consume and ack, in each mode: loops with an EXCEPTION block around each
-- message, cursors, isolation levels, savepoints.
\pset footer off
CREATE SCHEMA group_callers;
SET search_path = group_callers;
SET client_min_messages = warning;
CREATE FUNCTION start(mode text, n int) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	DROP TABLE IF EXISTS s;
	PERFORM streamq.create_stream('group_callers.s');
	PERFORM streamq.create_group('s', 'g', mode => start.mode);
	INSERT INTO s (key, payload) SELECT 'k' || i, to_jsonb(i) FROM generate_series(0, n - 1) i;
END $$;
CREATE TABLE work (n int UNIQUE);
CREATE VIEW state AS
SELECT acked_offset, lag, in_flight FROM streamq.consumer_groups WHERE stream::text = 's' AND group_name = 'g';

-- Each message in a block of its own: what fails is given back, or rejected, and the
-- others are done.
CREATE FUNCTION work_through(n int, OUT done int, OUT failed int) LANGUAGE plpgsql AS $$
DECLARE
	m streamq.message;
BEGIN
	done := 0;
	failed := 0;
	FOR m IN SELECT * FROM streamq.consume('group_callers.s', 'g', n) LOOP
		BEGIN
			INSERT INTO group_callers.work VALUES (m.payload::int);
			PERFORM streamq.ack('group_callers.s', 'g', m.msg_id);
			PERFORM 1 / (m.payload::int % 10);
			done := done + 1;
		EXCEPTION WHEN division_by_zero THEN
			failed := failed + 1;
			IF m.payload::int > 0 THEN
				PERFORM streamq.reject('group_callers.s', 'g', m.msg_id, reason => SQLERRM);
			END IF;
		END;
	END LOOP;
END $$;

-- ---- ordered ----
SELECT start('ordered', 100);
TRUNCATE work;
SELECT * FROM work_through(100);
SELECT count(*), sum(n) FROM work;
TABLE state;
SELECT streamq.ack('s', 'g', 0) AS "the one that failed", streamq.ack('s', 'g', 1) AS "one that was done",
	streamq.ack('s', 'g', 10) AS "rejected";
TABLE state;

-- A procedure that commits after each message.
SELECT start('ordered', 30);
TRUNCATE work;
DO $$
DECLARE
	m streamq.message;
BEGIN
	LOOP
		SELECT * INTO m FROM streamq.consume('group_callers.s', 'g', 1);
		EXIT WHEN NOT FOUND;
		INSERT INTO group_callers.work VALUES (m.payload::int);
		PERFORM streamq.ack('group_callers.s', 'g', m.msg_id);
		COMMIT;
	END LOOP;
END $$;
SELECT count(*), sum(n) FROM work;
TABLE state;

-- A cursor: messages are taken when it is read first; those not fetched are out, too.
SELECT start('ordered', 10);
BEGIN;
DECLARE c CURSOR FOR SELECT msg_id FROM streamq.consume('s', 'g', 6);
SELECT in_flight AS "not read yet" FROM state;
FETCH 2 FROM c;
SELECT in_flight FROM state;
SELECT streamq.ack_batch('s', 'g', '{0, 1}');
SAVEPOINT a;
FETCH 2 FROM c;
SELECT streamq.ack_batch('s', 'g', '{2, 3}');
ROLLBACK TO a;
FETCH 1 FROM c;
COMMIT;
TABLE state;
SELECT streamq.ack_batch('s', 'g', '{2, 3, 4, 5}');
-- one that outlives its transaction
BEGIN;
DECLARE c CURSOR WITH HOLD FOR SELECT msg_id FROM streamq.consume('s', 'g', 3);
COMMIT;
FETCH ALL FROM c;
CLOSE c;
SELECT streamq.ack_batch('s', 'g', '{6, 7, 8}');
TABLE state;

-- Isolation levels: consumers see what is committed now.  A SERIALIZABLE transaction
-- leaves alone what its snapshot does not see.
SELECT start('ordered', 6);
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT count(*) FROM work;
SELECT msg_id FROM streamq.consume('s', 'g', 2);
SELECT streamq.ack_batch('s', 'g', '{0, 1}');
SELECT msg_id FROM streamq.consume('s', 'g', 1, auto_ack => true);
COMMIT;
BEGIN ISOLATION LEVEL SERIALIZABLE;
SELECT msg_id FROM streamq.consume('s', 'g', 2);
SELECT streamq.ack_batch('s', 'g', '{3, 4}');
COMMIT;
BEGIN ISOLATION LEVEL SERIALIZABLE;
SELECT msg_id FROM streamq.consume('s', 'g', 2);
ROLLBACK;
TABLE state;

-- Savepoints: an acknowledgement comes and goes with them.
SELECT start('ordered', 4);
SELECT count(*) FROM streamq.consume('s', 'g');
BEGIN;
SELECT streamq.ack('s', 'g', 0);
SAVEPOINT a;
SELECT streamq.ack('s', 'g', 1);
SAVEPOINT b;
SELECT streamq.ack('s', 'g', 2);
ROLLBACK TO b;
SELECT streamq.ack('s', 'g', 2), streamq.ack('s', 'g', 1) AS again;
RELEASE b;
RELEASE a;
SAVEPOINT c;
SELECT streamq.nack('s', 'g', 3);
ROLLBACK TO c;
SELECT streamq.ack('s', 'g', 3);
COMMIT;
TABLE state;
SELECT start('ordered', 3);
BEGIN;
SAVEPOINT a;
SELECT count(*) FROM streamq.consume('s', 'g', 2);
ROLLBACK TO a;
TABLE state;
SELECT msg_id, deliveries FROM streamq.consume('s', 'g', 2, auto_ack => true);
RELEASE a;
COMMIT;
TABLE state;

-- Several groups in a transaction, and a message that goes on to another stream.
SELECT streamq.create_stream('group_callers.next');
BEGIN;
SELECT count(streamq.produce('next', payload, key => key)) FROM streamq.consume('s', 'g', auto_ack => true);
SELECT count(*) FROM streamq.consume('s', 'other', auto_ack => true);
COMMIT;
SELECT payload FROM streamq.consume('next', 'g', auto_ack => true);
SELECT group_name, lag FROM streamq.consumer_groups WHERE stream = 's'::regclass ORDER BY 1;
DROP TABLE next;

-- ---- shared ----
SELECT start('shared', 100);
TRUNCATE work;
SELECT * FROM work_through(100);
SELECT count(*), sum(n) FROM work;
TABLE state;
SELECT streamq.ack('s', 'g', 0) AS "the one that failed", streamq.ack('s', 'g', 1) AS "one that was done",
	streamq.ack('s', 'g', 10) AS "rejected";
TABLE state;

-- A procedure that commits after each message.
SELECT start('shared', 30);
TRUNCATE work;
DO $$
DECLARE
	m streamq.message;
BEGIN
	LOOP
		SELECT * INTO m FROM streamq.consume('group_callers.s', 'g', 1);
		EXIT WHEN NOT FOUND;
		INSERT INTO group_callers.work VALUES (m.payload::int);
		PERFORM streamq.ack('group_callers.s', 'g', m.msg_id);
		COMMIT;
	END LOOP;
END $$;
SELECT count(*), sum(n) FROM work;
TABLE state;

-- A cursor: messages are taken when it is read first; those not fetched are out, too.
SELECT start('shared', 10);
BEGIN;
DECLARE c CURSOR FOR SELECT msg_id FROM streamq.consume('s', 'g', 6);
SELECT in_flight AS "not read yet" FROM state;
FETCH 2 FROM c;
SELECT in_flight FROM state;
SELECT streamq.ack_batch('s', 'g', '{0, 1}');
SAVEPOINT a;
FETCH 2 FROM c;
SELECT streamq.ack_batch('s', 'g', '{2, 3}');
ROLLBACK TO a;
FETCH 1 FROM c;
COMMIT;
TABLE state;
SELECT streamq.ack_batch('s', 'g', '{2, 3, 4, 5}');
-- one that outlives its transaction
BEGIN;
DECLARE c CURSOR WITH HOLD FOR SELECT msg_id FROM streamq.consume('s', 'g', 3);
COMMIT;
FETCH ALL FROM c;
CLOSE c;
SELECT streamq.ack_batch('s', 'g', '{6, 7, 8}');
TABLE state;

-- Isolation levels: consumers see what is committed now.  A SERIALIZABLE transaction
-- leaves alone what its snapshot does not see.
SELECT start('shared', 6);
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT count(*) FROM work;
SELECT msg_id FROM streamq.consume('s', 'g', 2);
SELECT streamq.ack_batch('s', 'g', '{0, 1}');
SELECT msg_id FROM streamq.consume('s', 'g', 1, auto_ack => true);
COMMIT;
BEGIN ISOLATION LEVEL SERIALIZABLE;
SELECT msg_id FROM streamq.consume('s', 'g', 2);
SELECT streamq.ack_batch('s', 'g', '{3, 4}');
COMMIT;
BEGIN ISOLATION LEVEL SERIALIZABLE;
SELECT msg_id FROM streamq.consume('s', 'g', 2);
ROLLBACK;
TABLE state;

-- Savepoints: an acknowledgement comes and goes with them.
SELECT start('shared', 4);
SELECT count(*) FROM streamq.consume('s', 'g');
BEGIN;
SELECT streamq.ack('s', 'g', 0);
SAVEPOINT a;
SELECT streamq.ack('s', 'g', 1);
SAVEPOINT b;
SELECT streamq.ack('s', 'g', 2);
ROLLBACK TO b;
SELECT streamq.ack('s', 'g', 2), streamq.ack('s', 'g', 1) AS again;
RELEASE b;
RELEASE a;
SAVEPOINT c;
SELECT streamq.nack('s', 'g', 3);
ROLLBACK TO c;
SELECT streamq.ack('s', 'g', 3);
COMMIT;
TABLE state;
SELECT start('shared', 3);
BEGIN;
SAVEPOINT a;
SELECT count(*) FROM streamq.consume('s', 'g', 2);
ROLLBACK TO a;
TABLE state;
SELECT msg_id, deliveries FROM streamq.consume('s', 'g', 2, auto_ack => true);
RELEASE a;
COMMIT;
TABLE state;

-- Several groups in a transaction, and a message that goes on to another stream.
SELECT streamq.create_stream('group_callers.next');
BEGIN;
SELECT count(streamq.produce('next', payload, key => key)) FROM streamq.consume('s', 'g', auto_ack => true);
SELECT count(*) FROM streamq.consume('s', 'other', auto_ack => true);
COMMIT;
SELECT payload FROM streamq.consume('next', 'g', auto_ack => true);
SELECT group_name, lag FROM streamq.consumer_groups WHERE stream = 's'::regclass ORDER BY 1;
DROP TABLE next;

-- ---- key_shared ----
SELECT start('key_shared', 100);
TRUNCATE work;
SELECT * FROM work_through(100);
SELECT count(*), sum(n) FROM work;
TABLE state;
SELECT streamq.ack('s', 'g', 0) AS "the one that failed", streamq.ack('s', 'g', 1) AS "one that was done",
	streamq.ack('s', 'g', 10) AS "rejected";
TABLE state;

-- A procedure that commits after each message.
SELECT start('key_shared', 30);
TRUNCATE work;
DO $$
DECLARE
	m streamq.message;
BEGIN
	LOOP
		SELECT * INTO m FROM streamq.consume('group_callers.s', 'g', 1);
		EXIT WHEN NOT FOUND;
		INSERT INTO group_callers.work VALUES (m.payload::int);
		PERFORM streamq.ack('group_callers.s', 'g', m.msg_id);
		COMMIT;
	END LOOP;
END $$;
SELECT count(*), sum(n) FROM work;
TABLE state;

-- A cursor: messages are taken when it is read first; those not fetched are out, too.
SELECT start('key_shared', 10);
BEGIN;
DECLARE c CURSOR FOR SELECT msg_id FROM streamq.consume('s', 'g', 6);
SELECT in_flight AS "not read yet" FROM state;
FETCH 2 FROM c;
SELECT in_flight FROM state;
SELECT streamq.ack_batch('s', 'g', '{0, 1}');
SAVEPOINT a;
FETCH 2 FROM c;
SELECT streamq.ack_batch('s', 'g', '{2, 3}');
ROLLBACK TO a;
FETCH 1 FROM c;
COMMIT;
TABLE state;
SELECT streamq.ack_batch('s', 'g', '{2, 3, 4, 5}');
-- one that outlives its transaction
BEGIN;
DECLARE c CURSOR WITH HOLD FOR SELECT msg_id FROM streamq.consume('s', 'g', 3);
COMMIT;
FETCH ALL FROM c;
CLOSE c;
SELECT streamq.ack_batch('s', 'g', '{6, 7, 8}');
TABLE state;

-- Isolation levels: consumers see what is committed now.  A SERIALIZABLE transaction
-- leaves alone what its snapshot does not see.
SELECT start('key_shared', 6);
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT count(*) FROM work;
SELECT msg_id FROM streamq.consume('s', 'g', 2);
SELECT streamq.ack_batch('s', 'g', '{0, 1}');
SELECT msg_id FROM streamq.consume('s', 'g', 1, auto_ack => true);
COMMIT;
BEGIN ISOLATION LEVEL SERIALIZABLE;
SELECT msg_id FROM streamq.consume('s', 'g', 2);
SELECT streamq.ack_batch('s', 'g', '{3, 4}');
COMMIT;
BEGIN ISOLATION LEVEL SERIALIZABLE;
SELECT msg_id FROM streamq.consume('s', 'g', 2);
ROLLBACK;
TABLE state;

-- Savepoints: an acknowledgement comes and goes with them.
SELECT start('key_shared', 4);
SELECT count(*) FROM streamq.consume('s', 'g');
BEGIN;
SELECT streamq.ack('s', 'g', 0);
SAVEPOINT a;
SELECT streamq.ack('s', 'g', 1);
SAVEPOINT b;
SELECT streamq.ack('s', 'g', 2);
ROLLBACK TO b;
SELECT streamq.ack('s', 'g', 2), streamq.ack('s', 'g', 1) AS again;
RELEASE b;
RELEASE a;
SAVEPOINT c;
SELECT streamq.nack('s', 'g', 3);
ROLLBACK TO c;
SELECT streamq.ack('s', 'g', 3);
COMMIT;
TABLE state;
SELECT start('key_shared', 3);
BEGIN;
SAVEPOINT a;
SELECT count(*) FROM streamq.consume('s', 'g', 2);
ROLLBACK TO a;
TABLE state;
SELECT msg_id, deliveries FROM streamq.consume('s', 'g', 2, auto_ack => true);
RELEASE a;
COMMIT;
TABLE state;

-- Several groups in a transaction, and a message that goes on to another stream.
SELECT streamq.create_stream('group_callers.next');
BEGIN;
SELECT count(streamq.produce('next', payload, key => key)) FROM streamq.consume('s', 'g', auto_ack => true);
SELECT count(*) FROM streamq.consume('s', 'other', auto_ack => true);
COMMIT;
SELECT payload FROM streamq.consume('next', 'g', auto_ack => true);
SELECT group_name, lag FROM streamq.consumer_groups WHERE stream = 's'::regclass ORDER BY 1;
DROP TABLE next;

DROP SCHEMA group_callers CASCADE;
