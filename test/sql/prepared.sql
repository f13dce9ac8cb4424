-- Prepared transactions: readers stop before what is prepared.  A server that allows
-- none has nothing to show.
SELECT current_setting('max_prepared_transactions')::int = 0 AS none \gset
\if :none
\quit
\endif
CREATE SCHEMA prepared;
SET search_path = prepared;
CREATE TABLE prep (i int) USING streamq;
INSERT INTO prep VALUES (1);
BEGIN;
INSERT INTO prep VALUES (2);
PREPARE TRANSACTION 'prepared';
INSERT INTO prep VALUES (3);
SELECT * FROM prep;
SELECT payload FROM streamq.read('prep');
SELECT payload FROM streamq.consume('prep', 'g', auto_ack => true);
SELECT next_offset, stable_offset, blocked_by_pid, blocked_since IS NOT NULL AS since FROM streamq.partitions WHERE stream = 'prep'::regclass;
COMMIT PREPARED 'prepared';
SELECT payload FROM streamq.consume('prep', 'g', auto_ack => true);
SELECT next_offset, stable_offset, blocked_by_pid, blocked_since FROM streamq.partitions WHERE stream = 'prep'::regclass;
BEGIN;
CREATE TABLE prep2 (i int) USING streamq;
INSERT INTO prep2 VALUES (1);
TRUNCATE prep;
PREPARE TRANSACTION 'prepared';
ROLLBACK PREPARED 'prepared';
SELECT count(*) FROM prep;
BEGIN;
TRUNCATE prep;
INSERT INTO prep VALUES (4);
PREPARE TRANSACTION 'prepared';
COMMIT PREPARED 'prepared';
INSERT INTO prep VALUES (5);
SELECT ctid, i FROM prep;

SET client_min_messages = warning;
DROP SCHEMA prepared CASCADE;
