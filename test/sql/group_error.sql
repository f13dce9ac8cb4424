-- What callers do wrong.
CREATE SCHEMA group_error;
SET search_path = group_error;
CREATE TABLE s (payload jsonb NOT NULL) USING streamq;
CREATE TABLE heap (payload jsonb NOT NULL);
CREATE VIEW v AS SELECT 1;
INSERT INTO s VALUES ('1');
SELECT streamq.create_group('s', 'g');

-- Runs a statement, shows what it was told.
CREATE FUNCTION told(statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	state text;
	message text;
	hint text;
BEGIN
	EXECUTE statement;
	RETURN 'no error';
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS state = RETURNED_SQLSTATE, message = MESSAGE_TEXT, hint = PG_EXCEPTION_HINT;
	RETURN state || ': ' || message || coalesce(E'\n' || nullif(hint, ''), '');
END $$;

\pset format unaligned
\pset tuples_only on
-- streams and groups that are none
SELECT told($$SELECT streamq.consume('missing', 'g')$$);
SELECT told($$SELECT streamq.consume('heap', 'g')$$);
SELECT told($$SELECT streamq.consume('v', 'g')$$);
SELECT told($$SELECT streamq.consume(0::regclass, 'g')$$);
SELECT told($$SELECT streamq.create_group('heap', 'g')$$);
SELECT told($$SELECT streamq.ack('s', 'missing', 0)$$);
SELECT told($$SELECT streamq.drop_group('s', 'missing')$$);
SELECT told($$SELECT streamq.seek('s', 'missing', 'earliest')$$);
SELECT told($$SELECT streamq.create_group('s', 'g')$$);
SELECT told($$SELECT streamq.create_group('s', '')$$);
SELECT told(format('SELECT streamq.consume(''s'', %L)', repeat('x', 64)));
SELECT told($$SELECT streamq.consume_as(1, 'g')$$);
SELECT told($$SELECT streamq.consume_as(NULL::heap, 'g')$$);
-- nulls
SELECT told($$SELECT streamq.consume(NULL, 'g')$$);
SELECT told($$SELECT streamq.consume('s', NULL)$$);
SELECT told($$SELECT streamq.consume('s', 'g', NULL)$$);
SELECT told($$SELECT streamq.consume('s', 'g', wait => NULL)$$);
SELECT told($$SELECT streamq.consume('s', 'g', auto_ack => NULL)$$);
SELECT told($$SELECT streamq.create_group(NULL, 'g')$$);
SELECT told($$SELECT streamq.create_group('s', NULL)$$);
SELECT told($$SELECT streamq.create_group('s', 'h', lease => NULL)$$);
SELECT told($$SELECT streamq.ack('s', 'g', NULL)$$);
SELECT told($$SELECT streamq.ack(NULL, 'g', 1)$$);
SELECT told($$SELECT streamq.ack('s', NULL, 1)$$);
SELECT told($$SELECT streamq.ack_batch('s', 'g', NULL)$$);
SELECT told($$SELECT streamq.ack_batch('s', 'g', '{1, NULL}')$$);
SELECT told($$SELECT streamq.ack_through('s', 'g', NULL)$$);
SELECT told($$SELECT streamq.nack('s', 'g', 1, NULL)$$);
SELECT told($$SELECT streamq.extend_lease('s', 'g', '{1}', NULL)$$);
SELECT told($$SELECT streamq.seek('s', 'g')$$);
-- values out of range
SELECT told($$SELECT streamq.consume('s', 'g', 0)$$);
SELECT told($$SELECT streamq.consume('s', 'g', -1)$$);
SELECT told($$SELECT streamq.consume('s', 'g', wait => '-1 s')$$);
SELECT told($$SELECT streamq.consume('s', 'g', lease => '0')$$);
SELECT told($$SELECT streamq.consume('s', 'g', lease => '-1 s')$$);
SELECT told($$SELECT streamq.consume('s', 'g', consumer => '')$$);
SELECT told($$SELECT streamq.create_group('s', 'h', lease => '0')$$);
SELECT told($$SELECT streamq.create_group('s', 'h', max_in_flight => 0)$$);
SELECT told($$SELECT streamq.create_group('s', 'h', max_in_flight => 1000000)$$);
SELECT told($$SELECT streamq.create_group('s', 'h', start_at => 'tomorrow')$$);
SELECT told($$SELECT streamq.create_group('s', 'h', mode => 'unknown')$$);
SELECT told($$SELECT streamq.create_group('s', 'h', mode => 'Shared')$$);
SELECT told($$SELECT streamq.ack('s', 'g', -1)$$);
SELECT told($$SELECT streamq.ack_batch('s', 'g', '{-1}')$$);
SELECT told($$SELECT streamq.nack('s', 'g', 1, '-1 s')$$);
SELECT told($$SELECT streamq.extend_lease('s', 'g', '{1}', '0')$$);
SELECT told($$SELECT streamq.grant_group('s', 'g', 'no such role')$$);
-- where nothing may be written
BEGIN READ ONLY;
SELECT told($$SELECT streamq.consume('s', 'g')$$);
SELECT told($$SELECT streamq.ack('s', 'g', 1)$$);
SELECT told($$SELECT streamq.create_group('s', 'h')$$);
SELECT told($$SELECT acked_offset FROM streamq.consumer_groups$$);
COMMIT;
-- none of it left anything behind
SELECT group_name, acked_offset, in_flight FROM streamq.consumer_groups WHERE stream = 's'::regclass;

-- what makes groups and jobs of a dump's rows is for the tables of the dump
CREATE TABLE no_dump (i int);
CREATE TRIGGER no_group AFTER INSERT ON no_dump FOR EACH ROW EXECUTE FUNCTION streamq.group_dump_restored();
INSERT INTO no_dump VALUES (1);
DROP TRIGGER no_group ON no_dump;
CREATE TRIGGER no_job BEFORE INSERT ON no_dump EXECUTE FUNCTION streamq.job_dump_restored();
INSERT INTO no_dump VALUES (1);
DROP TABLE no_dump;

SET client_min_messages = warning;
DROP SCHEMA group_error CASCADE;
