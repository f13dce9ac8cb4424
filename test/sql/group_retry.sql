-- Messages that come back: nack, retry_backoff, max_deliveries.

SET client_min_messages = warning;
CREATE SCHEMA group_retry;
SET search_path = group_retry, public;
SELECT streamq.create_stream('s');
RESET client_min_messages;

-- Consume all, and show payloads with their deliveries.
CREATE FUNCTION got(g text, n int DEFAULT 100) RETURNS text LANGUAGE sql
AS $$ SELECT string_agg((payload #>> '{}') || '/' || deliveries, ' ') FROM streamq.consume('s', g, n) $$;

-- A statement's error, and its SQLSTATE.
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

SELECT count(streamq.produce('s', to_jsonb(x))) FROM unnest(ARRAY['a', 'b', 'c']) x;

-- Without retry_backoff a nack gives the message back at once, and in ordered
-- mode those after it, too.
SELECT streamq.create_group('s', 'plain');
SELECT got('plain');
SELECT streamq.nack('s', 'plain', 1);
SELECT got('plain');
SELECT streamq.nack_batch('s', 'plain', ARRAY[0, 2, 7]);
SELECT got('plain');
-- A message that the consumer does not hold is not given back.
SELECT streamq.ack('s', 'plain', 0), streamq.nack('s', 'plain', 0), streamq.nack('s', 'plain', 7);
SELECT streamq.nack_batch('s', 'plain', '{}'), streamq.reject_batch('s', 'plain', '{}');

-- retry_backoff counts unless retry_after is given; zero is at once.
SELECT streamq.create_group('s', 'slow', retry_backoff => '1 hour', retry_backoff_max => '90 min');
SELECT got('slow', 1);
SELECT streamq.nack('s', 'slow', 0);
SELECT got('slow');
SELECT streamq.seek('s', 'slow', 'earliest');
SELECT got('slow', 1);
SELECT streamq.nack('s', 'slow', 0, retry_after => '0');
SELECT got('slow', 1);
SELECT streamq.nack('s', 'slow', 0, '20 ms', 'later');
SELECT string_agg(payload #>> '{}' || '/' || deliveries, ' ') FROM streamq.consume('s', 'slow', 1, wait => '10 s');

-- It also counts after a lease has run out: the second wait is twice as long.
SELECT streamq.create_group('s', 'late', lease => '10 ms', max_in_flight => 1, retry_backoff => '100 ms');
CREATE TABLE times (n serial, at timestamptz DEFAULT clock_timestamp());
DO $$
DECLARE
	found int;
BEGIN
	FOR i IN 1 .. 3 LOOP
		SELECT count(*) INTO found FROM streamq.consume('s', 'late', 1, wait => '10 s');
		INSERT INTO times DEFAULT VALUES;
		COMMIT;
	END LOOP;
END $$;
SELECT n, at - lag(at) OVER (ORDER BY n) >= (n - 1) * interval '100 ms' AS waited,
	at - lag(at) OVER (ORDER BY n) < '900 ms' AS "was woken"
FROM times ORDER BY n;

-- After max_deliveries without a dead letter the message is done, and counted.
SELECT streamq.create_group('s', 'few', max_deliveries => 2);
SELECT got('few');
SELECT streamq.nack('s', 'few', 0);
SELECT got('few');
SELECT streamq.nack('s', 'few', 0, reason => 'broken');
SELECT acked_offset, in_flight, dead_lettered FROM streamq.consumer_groups WHERE group_name = 'few';
SELECT streamq.ack('s', 'few', 0), streamq.ack('s', 'few', 1);
SELECT streamq.nack('s', 'few', 2);
SELECT got('few');
SELECT streamq.nack('s', 'few', 2);
SELECT acked_offset, in_flight, dead_lettered FROM streamq.consumer_groups WHERE group_name = 'few';

-- So it is if the lease ran out.
SELECT streamq.create_group('s', 'gone', max_deliveries => 1, lease => '10 ms');
SELECT got('gone', 2);
SELECT pg_sleep(0.02);
SELECT got('gone');
SELECT acked_offset, dead_lettered FROM streamq.consumer_groups WHERE group_name = 'gone';

-- A rollback undoes it.
SELECT streamq.create_group('s', 'undone', max_deliveries => 1);
SELECT got('undone');
BEGIN;
SELECT streamq.nack('s', 'undone', 0), streamq.reject('s', 'undone', 1);
SELECT acked_offset, in_flight, dead_lettered FROM streamq.consumer_groups WHERE group_name = 'undone';
ROLLBACK;
SELECT acked_offset, in_flight, dead_lettered FROM streamq.consumer_groups WHERE group_name = 'undone';
BEGIN;
SAVEPOINT a;
SELECT streamq.reject('s', 'undone', 0);
ROLLBACK TO a;
SELECT streamq.reject('s', 'undone', 1);
COMMIT;
SELECT acked_offset, in_flight, dead_lettered FROM streamq.consumer_groups WHERE group_name = 'undone';

-- reject
SELECT streamq.create_group('s', 'no');
SELECT got('no');
SELECT streamq.reject('s', 'no', 0), streamq.reject('s', 'no', 0), streamq.reject('s', 'no', 9);
SELECT streamq.reject_batch('s', 'no', ARRAY[0, 1, 2, 3], 'too large');
SELECT got('no');
SELECT msg_id, deliveries, reason FROM streamq.dead_lettered JOIN streamq.consumer_group USING (group_id)
WHERE group_name = 'no' ORDER BY msg_id;

-- errors
SELECT told($$SELECT streamq.nack('s', 'plain', 0, '-1 s')$$);
SELECT told($$SELECT streamq.nack('s', 'plain', NULL)$$);
SELECT told($$SELECT streamq.nack('s', 'plain', -1)$$);
SELECT told($$SELECT streamq.nack(NULL, 'plain', 1)$$);
SELECT told($$SELECT streamq.nack('s', 'missing', 1)$$);
SELECT told($$SELECT streamq.nack_batch('s', 'plain', NULL)$$);
SELECT told($$SELECT streamq.nack_batch('s', 'plain', ARRAY[1, NULL])$$);
SELECT told($$SELECT streamq.reject('s', 'plain', NULL)$$);
SELECT told($$SELECT streamq.reject('s', NULL, 1)$$);
SELECT told($$SELECT streamq.reject_batch('s', 'plain', NULL)$$);
SELECT told($$SELECT streamq.reject_batch('s', 'missing', ARRAY[1])$$);

SET client_min_messages = warning;
DROP SCHEMA group_retry CASCADE;
