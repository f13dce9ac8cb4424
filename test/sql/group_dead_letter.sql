-- Dead letters: what is written, and what happens if that fails.

SET client_min_messages = warning;
CREATE SCHEMA group_dead_letter;
SET search_path = group_dead_letter, public;
CREATE ROLE regress_dead_owner;
CREATE ROLE regress_dead_user;
GRANT USAGE, CREATE ON SCHEMA group_dead_letter TO PUBLIC;
SELECT streamq.create_stream('s');
SELECT streamq.create_stream('dead');
RESET client_min_messages;

CREATE FUNCTION told(query text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	hint text;
	detail text;
	state text;
	message text;
	result text;
BEGIN
	EXECUTE query INTO result;
	RETURN 'result: ' || coalesce(result, 'null');
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS hint = PG_EXCEPTION_HINT, detail = PG_EXCEPTION_DETAIL, state = RETURNED_SQLSTATE, message = MESSAGE_TEXT;
	RETURN concat_ws(E'\n  ', state || ' ' || message, nullif(detail, ''), nullif(hint, ''));
END $$;

-- A rejected message is written with its own headers and those of the letter.
SELECT streamq.produce('s', '{"n": 1}', key => 'k', headers => '{"trace": 7, "streamq_reason": "old"}');
SELECT streamq.produce('s', '{"n": 2}', headers => '[1, 2]');
SELECT streamq.produce('s', '{"n": 3}', headers => '"x"');
SELECT streamq.create_group('s', 'g', max_deliveries => 2, dead_letter => 'dead');
SELECT msg_id, deliveries FROM streamq.consume('s', 'g', 3);
SELECT streamq.reject('s', 'g', 0, 'no price');
SELECT key, payload, headers FROM dead;

-- In the same transaction.
BEGIN;
SELECT streamq.reject('s', 'g', 1);
SELECT count(*) FROM dead;
ROLLBACK;
SELECT count(*) FROM dead;

-- After max_deliveries: by nack, with its reason, or when the message would be
-- delivered once more.
SELECT streamq.nack('s', 'g', 1);
SELECT msg_id, deliveries FROM streamq.consume('s', 'g', lease => '10 ms');
SELECT streamq.nack('s', 'g', 1, reason => 'failed');
SELECT pg_sleep(0.02);
SELECT msg_id, deliveries FROM streamq.consume('s', 'g', lease => '1 ms');
SELECT pg_sleep(0.01);
SELECT msg_id, deliveries FROM streamq.consume('s', 'g');
SELECT key, payload, headers FROM dead OFFSET 1;
SELECT acked_offset, lag, in_flight, dead_lettered FROM streamq.consumer_groups WHERE stream = 's'::regclass;

-- Other payloads.  A stream of other columns gives rows as jsonb; text and
-- bytea are converted so that nothing is lost.
SET client_min_messages = warning;
SELECT streamq.create_stream('texts', 'key text, payload text');
SELECT streamq.create_stream('bytes', 'payload bytea, headers jsonb');
SELECT streamq.create_stream('cols', 'a int, b text, c timestamptz', partition_by => 'b');
SELECT streamq.create_stream('dead_text', 'payload text, headers json');
SELECT streamq.create_stream('dead_bytea', 'key text, payload bytea, headers jsonb');
SELECT streamq.create_stream('dead_bare', 'payload jsonb');
SELECT streamq.create_stream('dead_cols', 'c timestamptz, headers jsonb, b text, a int');
RESET client_min_messages;
INSERT INTO texts VALUES ('k', E'not "json" \\x41'), ('k', NULL);
INSERT INTO bytes VALUES ('\x00ff41', '{"h": 1}');
INSERT INTO cols VALUES (1, 'x', '2026-01-01 00:00+00'), (2, NULL, NULL);
CREATE FUNCTION bury(source regclass, dead regclass) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
	ids bigint[];
BEGIN
	PERFORM streamq.create_group(source, 'to_' || dead::text, dead_letter => dead);
	SELECT array_agg(msg_id) INTO ids FROM streamq.consume(source, 'to_' || dead::text);
	RETURN streamq.reject_batch(source, 'to_' || dead::text, ids, 'because');
END $$;
TRUNCATE dead;
SELECT bury('texts', 'dead'), bury('bytes', 'dead'), bury('cols', 'dead');
SELECT key, payload, headers -> 'streamq_stream' AS stream, headers -> 'h' AS h FROM dead;
SELECT bury('s', 'dead_text'), bury('texts', 'dead_text'), bury('bytes', 'dead_text');
SELECT payload, headers ->> 'streamq_stream' AS stream, headers ->> 'streamq_msg_id' AS id FROM dead_text;
SELECT bury('s', 'dead_bytea'), bury('texts', 'dead_bytea'), bury('bytes', 'dead_bytea');
SELECT key, payload, headers ->> 'streamq_stream' AS stream FROM dead_bytea;
SELECT bury('cols', 'dead_bare'), bury('texts', 'dead_bare');
SELECT payload FROM dead_bare;
-- A dead letter with the columns of the stream gets the row itself.
SELECT bury('cols', 'dead_cols');
SELECT a, b, c AT TIME ZONE 'UTC' AS c, headers FROM dead_cols;

-- What cannot be a dead letter.
CREATE TABLE heap (payload jsonb);
CREATE TABLE other (a int) USING streamq;
SELECT told($$SELECT streamq.create_group('s', 'x', dead_letter => 's')$$);
SELECT told($$SELECT streamq.create_group('s', 'x', dead_letter => 'heap')$$);
SELECT told($$SELECT streamq.create_group('s', 'x', dead_letter => 'other')$$);
SELECT told($$SELECT streamq.alter_group('s', 'g', dead_letter => 'other')$$);

-- The creator must be able to write to it.
GRANT SELECT ON s TO regress_dead_owner, regress_dead_user;
SET ROLE regress_dead_owner;
SELECT told($$SELECT streamq.create_group('s', 'mine', dead_letter => 'dead')$$);
RESET ROLE;
GRANT INSERT (payload, key, headers) ON dead TO regress_dead_owner;
SET ROLE regress_dead_owner;
SELECT streamq.create_group('s', 'mine', dead_letter => 'dead');
SELECT streamq.grant_group('s', 'mine', 'regress_dead_user');
-- The letter is written with the privileges of the group's owner, so whoever
-- was granted the group needs none.
SET ROLE regress_dead_user;
SELECT msg_id FROM streamq.consume('s', 'mine');
SELECT streamq.reject('s', 'mine', 0);
-- Triggers of the dead letter run with them, too, and with a safe search_path.
RESET ROLE;
CREATE FUNCTION seen() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	RAISE WARNING 'user %, path %', current_user, current_setting('search_path');
	RETURN NEW;
END $$;
CREATE TRIGGER seen BEFORE INSERT ON dead FOR EACH ROW EXECUTE FUNCTION seen();
SET ROLE regress_dead_user;
SELECT streamq.reject('s', 'mine', 1);
SELECT current_user, current_setting('search_path');
RESET ROLE;
DROP TRIGGER seen ON dead;

-- If it cannot be written, the message stays, whatever the reason.  An error
-- that lasts is reported once.
REVOKE INSERT (payload, key, headers) ON dead FROM regress_dead_owner;
SET ROLE regress_dead_user;
SELECT streamq.reject('s', 'mine', 2);
SELECT streamq.reject('s', 'mine', 2);
RESET ROLE;
SELECT in_flight, dead_lettered, last_error FROM streamq.consumer_groups WHERE group_name = 'mine';
GRANT INSERT ON dead TO regress_dead_owner;
SET ROLE regress_dead_user;
SELECT streamq.reject('s', 'mine', 2);
RESET ROLE;
SELECT in_flight, dead_lettered, last_error FROM streamq.consumer_groups WHERE group_name = 'mine';

-- A constraint keeps one message, not the others of the batch.
ALTER TABLE dead ADD CONSTRAINT small CHECK ((payload ->> 'n')::int <> 2) NOT VALID;
SELECT streamq.create_group('s', 'part', max_deliveries => 1, dead_letter => 'dead');
SELECT msg_id, deliveries FROM streamq.consume('s', 'part');
SELECT streamq.nack_batch('s', 'part', ARRAY[0, 1, 2]);
SELECT acked_offset, in_flight, dead_lettered, last_error FROM streamq.consumer_groups WHERE group_name = 'part';
-- It is delivered once more, as often as needed.
SELECT msg_id, deliveries FROM streamq.consume('s', 'part', lease => '10 ms');
SELECT pg_sleep(0.02);
SELECT msg_id, deliveries FROM streamq.consume('s', 'part', lease => '10 ms');
ALTER TABLE dead DROP CONSTRAINT small;
SELECT pg_sleep(0.02);
SELECT msg_id, deliveries FROM streamq.consume('s', 'part');
SELECT acked_offset, in_flight, dead_lettered, last_error FROM streamq.consumer_groups WHERE group_name = 'part';

-- A dead letter that was dropped.
SELECT streamq.create_group('s', 'lost', max_deliveries => 1, dead_letter => 'dead_bytea');
DROP TABLE dead_bytea;
SELECT msg_id FROM streamq.consume('s', 'lost', 1);
SELECT streamq.nack('s', 'lost', 0);
SELECT last_error FROM streamq.consumer_groups WHERE group_name = 'lost';
SELECT msg_id, deliveries FROM streamq.consume('s', 'lost', 1);
SELECT streamq.alter_group('s', 'lost', dead_letter => 'dead');
SELECT streamq.nack('s', 'lost', 0);
SELECT last_error FROM streamq.consumer_groups WHERE group_name = 'lost';
SELECT msg_id, deliveries FROM streamq.consume('s', 'lost', 1);
-- Without a dead letter, rejected messages are only counted.
SELECT streamq.alter_group('s', 'lost', dead_letter => '-');
SELECT streamq.reject('s', 'lost', 1);
SELECT dead_letter, dead_lettered FROM streamq.consumer_groups WHERE group_name = 'lost';

SET client_min_messages = warning;
DROP OWNED BY regress_dead_owner, regress_dead_user;
DROP SCHEMA group_dead_letter CASCADE;
DROP ROLE regress_dead_owner, regress_dead_user;
