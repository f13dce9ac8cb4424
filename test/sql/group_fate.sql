-- What becomes of messages, in each mode: filter, message_ttl, retries, dead
-- letters, redrive, and a change of the mode.

SET client_min_messages = warning;
CREATE SCHEMA group_fate;
SET search_path = group_fate, public;
SELECT streamq.create_stream('s');
SELECT streamq.create_stream('dead');
RESET client_min_messages;

CREATE FUNCTION got(g text, n int DEFAULT 100) RETURNS text LANGUAGE sql
AS $$ SELECT string_agg((payload #>> '{}') || '/' || deliveries, ' ') FROM streamq.consume('s', g, n) $$;
CREATE VIEW figures AS SELECT group_name, mode, acked_offset, lag, in_flight, expired
FROM streamq.consumer_groups WHERE stream = 's'::regclass;
CREATE FUNCTION tell(g text) RETURNS TABLE (step text, result text) LANGUAGE plpgsql AS $$
BEGIN
	TRUNCATE dead;
	RETURN QUERY SELECT 'consume', got(g);
	RETURN QUERY SELECT 'letters', (SELECT string_agg(concat_ws(' ', payload, headers ->> 'streamq_deliveries', headers ->> 'streamq_reason'), ', ') FROM dead);
	RETURN QUERY SELECT 'nack 1, reject 2', concat_ws(' ', streamq.nack('s', g, 1), streamq.reject('s', g, 2, 'bad'));
	RETURN QUERY SELECT 'consume', got(g);
	RETURN QUERY SELECT 'nack 1', streamq.nack('s', g, 1, '0', 'oops')::text;
	RETURN QUERY SELECT 'consume', got(g);
	RETURN QUERY SELECT 'figures', f::text FROM figures f WHERE group_name = g;
	RETURN QUERY SELECT 'letters', (SELECT string_agg(concat_ws(' ', payload, headers ->> 'streamq_deliveries', headers ->> 'streamq_reason'), ', ' ORDER BY payload) FROM dead);
	RETURN QUERY SELECT 'redrive', streamq.redrive('s', g, ARRAY[1, 2])::text;
	RETURN QUERY SELECT 'consume', got(g);
	RETURN QUERY SELECT 'ack', streamq.ack_batch('s', g, ARRAY[0, 1, 2, 3, 4, 5, 6])::text;
	RETURN QUERY SELECT 'figures', f::text FROM figures f WHERE group_name = g;
END $$;

-- The filter passes over 3, and fails for 4; the key is the same for all.
SELECT count(streamq.produce('s', to_jsonb(i), key => 'k')) FROM generate_series(0, 6) i;
SELECT streamq.create_group('s', m, m, max_deliveries => 2, dead_letter => 'dead', filter => $$payload <> '3' AND 1 / (payload::int - 4) > -10$$)
FROM unnest(ARRAY['ordered', 'shared', 'key_shared']) m;
SELECT * FROM tell('ordered');
SELECT * FROM tell('shared');
SELECT * FROM tell('key_shared');
SELECT mode, dead_lettered FROM streamq.consumer_groups WHERE stream = 's'::regclass ORDER BY mode;

-- message_ttl
SELECT streamq.drop_group('s', m) FROM unnest(ARRAY['ordered', 'shared', 'key_shared']) m;
SELECT streamq.create_group('s', m, m, start_at => 'latest') FROM unnest(ARRAY['ordered', 'shared', 'key_shared']) m;
SELECT count(streamq.produce('s', '"old"')) FROM generate_series(1, 3);
SELECT pg_sleep(0.4);
BEGIN;
SELECT streamq.alter_stream('s', message_ttl => '300 ms');
SAVEPOINT a;
SELECT got('ordered');
\echo :LAST_ERROR_SQLSTATE
ROLLBACK TO a;
SELECT got('shared');
ROLLBACK TO a;
SELECT got('key_shared');
ROLLBACK;
SELECT acked_offset, lag, in_flight, expired FROM figures;
SELECT streamq.alter_stream('s', message_ttl => '300 ms');
SELECT got('ordered'), got('shared'), got('key_shared');
SELECT acked_offset, lag, in_flight, expired FROM figures;
SELECT streamq.alter_stream('s', message_ttl => '0');

-- A mode takes over where the other one is, if nothing is outstanding.
SELECT streamq.create_group('s', 'g');
SELECT count(streamq.produce('s', to_jsonb(i))) FROM generate_series(10, 15) i;
SELECT got('g', 2);
SELECT streamq.alter_group('s', 'g', mode => 'shared');
SELECT streamq.nack('s', 'g', 0);
SELECT streamq.alter_group('s', 'g', mode => 'shared');
SELECT got('g', 2);
SELECT streamq.reject_batch('s', 'g', ARRAY[0, 1]);
BEGIN;
SELECT streamq.alter_group('s', 'g', mode => 'shared', max_in_flight => 100000);
SELECT got('g', 2);
ROLLBACK;
SELECT mode, acked_offset, lag, in_flight FROM figures WHERE group_name = 'g';
SELECT got('g', 2);
SELECT streamq.redrive('s', 'g', ARRAY[0]);
SELECT streamq.ack_batch('s', 'g', ARRAY[2, 3]);
-- A redriven message is outstanding, too.
SELECT streamq.alter_group('s', 'g', mode => 'shared');
SELECT got('g', 1);
SELECT streamq.ack('s', 'g', 0);
SELECT streamq.alter_group('s', 'g', mode => 'shared', max_in_flight => 100000);
SELECT got('g', 2);
SELECT streamq.ack_batch('s', 'g', ARRAY[4, 5]);
SELECT streamq.alter_group('s', 'g', mode => 'key_shared', max_per_key => 1);
-- Limits of the mode are checked.
SELECT streamq.alter_group('s', 'g', mode => 'ordered', max_per_key => 0);
SELECT streamq.alter_group('s', 'g', mode => 'ordered', max_in_flight => 10);
SELECT streamq.alter_group('s', 'g', mode => 'ordered', max_in_flight => 10, max_per_key => 0);
SELECT mode, acked_offset, lag FROM figures WHERE group_name = 'g';
-- What was rejected before can still be redriven.
SELECT streamq.redrive('s', 'g');
SELECT got('g', 3);
SELECT count(*) FROM streamq.check_stream('s');

SET client_min_messages = warning;
DROP SCHEMA group_fate CASCADE;
