-- Waiting for messages between transactions.
CREATE SCHEMA wait_for_messages;
SET search_path = wait_for_messages;
SELECT streamq.create_stream('s');

-- a group that does not exist yet waits as consume() would, and is not created
CALL streamq.wait_for_messages('s', 'g', '0');
SELECT streamq.produce('s', '1');
CALL streamq.wait_for_messages('s', 'g', '1 min');
SELECT count(*) FROM streamq.consumer_groups WHERE stream = 's'::regclass;

-- what is held by another consumer is not for this one
SELECT streamq.create_group('s', 'g');
CALL streamq.wait_for_messages('s', 'g', '1 min');
SELECT msg_id FROM streamq.consume('s', 'g', consumer => 'a', lease => '500 ms');
CALL streamq.wait_for_messages('s', 'g', '0');
-- until its lease ends
SELECT clock_timestamp() AS start \gset
CALL streamq.wait_for_messages('s', 'g', timeout => '1 min');
SELECT clock_timestamp() - :'start' < interval '10 s' AS soon;
SELECT count(*) FROM streamq.consume('s', 'g', auto_ack => true);

-- the timeout
SELECT clock_timestamp() AS start \gset
CALL streamq.wait_for_messages('s', 'g', '300 ms');
SELECT clock_timestamp() - :'start' BETWEEN interval '300 ms' AND interval '10 s' AS "in time";

-- rolled-back messages are none
BEGIN;
SELECT streamq.produce('s', '2');
ROLLBACK;
CALL streamq.wait_for_messages('s', 'g', '0');

-- a new message of a group in each mode
SELECT streamq.create_group('s', 'shared', mode => 'shared');
SELECT streamq.create_group('s', 'key_shared', mode => 'key_shared');
CALL streamq.wait_for_messages('s', 'shared', '1 min');
CALL streamq.wait_for_messages('s', 'key_shared', '1 min');
SELECT count(*) FROM streamq.consume('s', 'shared', consumer => 'a');
SELECT count(*) FROM streamq.consume('s', 'key_shared', consumer => 'a');
CALL streamq.wait_for_messages('s', 'shared', '0');
CALL streamq.wait_for_messages('s', 'key_shared', '0');
SELECT streamq.produce('s', '3') IS NOT NULL AS produced;
CALL streamq.wait_for_messages('s', 'shared', '1 min');
CALL streamq.wait_for_messages('s', 'key_shared', '1 min');
CALL streamq.wait_for_messages('s', 'g', '1 min');

-- it must be able to end its transaction
BEGIN;
CALL streamq.wait_for_messages('s', 'g', '0');
\echo :LAST_ERROR_SQLSTATE
ROLLBACK;
CREATE FUNCTION calls() RETURNS bool LANGUAGE plpgsql AS $$
DECLARE found bool;
BEGIN
	CALL streamq.wait_for_messages('s', 'g', '0', found);
	RETURN found;
END $$;
SELECT calls();
DO $$
DECLARE found bool;
BEGIN
	CALL streamq.wait_for_messages('s', 'g', '1 min', found);
	RAISE NOTICE 'found: %', found;
	PERFORM * FROM streamq.consume('s', 'g', auto_ack => true);
	CALL streamq.wait_for_messages('s', 'g', '100 ms', found);
	RAISE NOTICE 'found: %', found;
END $$;
DO $$
DECLARE found bool;
BEGIN
	CALL streamq.wait_for_messages('s', 'g', '0', found);
EXCEPTION WHEN no_data_found THEN NULL;
END $$;
-- a loop over a cursor goes on across the waits
DO $$
DECLARE
	found bool;
	n int;
	total int = 0;
BEGIN
	FOR n IN SELECT generate_series(1, 3) LOOP
		CALL streamq.wait_for_messages('s', 'g', '10 ms', found);
		total := total + n;
	END LOOP;
	RAISE NOTICE 'total: %', total;
END $$;

-- arguments
CALL streamq.wait_for_messages(NULL, 'g', '0');
CALL streamq.wait_for_messages('s', NULL, '0');
CALL streamq.wait_for_messages('s', 'g', NULL);
CALL streamq.wait_for_messages('s', '', '0');
CALL streamq.wait_for_messages('s', 'g', '-1 s');
\echo :LAST_ERROR_SQLSTATE
CREATE TABLE heap (n int) USING heap;
CALL streamq.wait_for_messages('heap', 'g', '0');

-- messages that the filter excludes are not found
SELECT streamq.create_stream('judged');
SELECT streamq.create_group('judged', 'filtered', filter => $$payload = '7'$$, start_at => 'latest');
SELECT streamq.produce_batch('judged', '{1, 2, 3}') IS NOT NULL AS produced;
CALL streamq.wait_for_messages('judged', 'filtered', '0');
CALL streamq.wait_for_messages('judged', 'filtered', '10 ms');
SELECT streamq.produce('judged', '7') IS NOT NULL AS produced;
CALL streamq.wait_for_messages('judged', 'filtered', '0');
SELECT payload FROM streamq.consume('judged', 'filtered');
CALL streamq.wait_for_messages('judged', 'filtered', '0');
SELECT streamq.create_group('judged', 'failing', filter => $$1 / (payload #>> '{}')::int > 0$$,
	start_at => 'latest', mode => 'shared');
SELECT payload FROM streamq.consume('judged', 'failing');
SELECT streamq.produce_batch('judged', '{2, 3}') IS NOT NULL AS produced;
CALL streamq.wait_for_messages('judged', 'failing', '0');
SELECT streamq.produce('judged', '0') IS NOT NULL AS produced;
CALL streamq.wait_for_messages('judged', 'failing', '0');
-- nor are those for which max_rate leaves no place
SELECT streamq.create_group('judged', 'slow', max_rate => 0.0001, start_at => 'latest');
SELECT streamq.produce_batch('judged', '{1, 2}') IS NOT NULL AS produced;
CALL streamq.wait_for_messages('judged', 'slow', '0');
SELECT payload FROM streamq.consume('judged', 'slow', auto_ack => true);
CALL streamq.wait_for_messages('judged', 'slow', '10 ms');
SELECT payload FROM streamq.consume('judged', 'slow');

-- privileges are those of consume()
CREATE ROLE regress_waiter;
GRANT USAGE ON SCHEMA wait_for_messages TO regress_waiter;
SET ROLE regress_waiter;
CALL streamq.wait_for_messages('s', 'g', '0');
RESET ROLE;
GRANT SELECT ON s TO regress_waiter;
SET ROLE regress_waiter;
CALL streamq.wait_for_messages('s', 'g', '0');
\echo :LAST_ERROR_SQLSTATE
CALL streamq.wait_for_messages('s', 'mine', '1 min');
RESET ROLE;
SELECT streamq.grant_group('s', 'g', 'regress_waiter');
SET ROLE regress_waiter;
CALL streamq.wait_for_messages('s', 'g', '0');
RESET ROLE;
SELECT streamq.revoke_group('s', 'g', 'regress_waiter');
DROP OWNED BY regress_waiter;
DROP ROLE regress_waiter;
SET default_transaction_read_only = on;
CALL streamq.wait_for_messages('s', 'g', '0');
RESET default_transaction_read_only;
SET default_transaction_isolation = 'serializable';
CALL streamq.wait_for_messages('s', 'g', '100 ms');
RESET default_transaction_isolation;

DROP SCHEMA wait_for_messages CASCADE;
