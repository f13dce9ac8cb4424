-- Options of groups: create_group, alter_group, pause_group, and consume()
-- from some partitions.

SET client_min_messages = warning;
CREATE SCHEMA group_options;
SET search_path = group_options, public;
CREATE ROLE regress_options_owner;
CREATE ROLE regress_options_user;
CREATE ROLE regress_options_other;
GRANT USAGE ON SCHEMA group_options TO PUBLIC;
SELECT streamq.create_stream('s', partitions => 4);
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
CREATE VIEW options AS SELECT mode, lease, max_deliveries AS d, dead_letter, max_in_flight AS f, filter,
	retry_backoff AS b, retry_backoff_max AS bmax, max_rate AS r, max_per_key AS k, paused AS p, group_name
FROM streamq.consumer_groups WHERE partition = 0 AND stream = 's'::regclass;

SELECT count(streamq.produce('s', to_jsonb(i), partition => i % 4)) FROM generate_series(0, 15) i;

-- All arguments by position.
SELECT streamq.create_group('s', 'all', 'ordered', 'latest', '1 min', 5, 'dead', 50, 'true', true, '1 s', '1 min', 100.5, NULL);
SELECT streamq.create_group('s', 'none');
SELECT streamq.create_group('s', 'zero', max_deliveries => 0, dead_letter => '-', filter => '', retry_backoff => '0',
	retry_backoff_max => '0', max_rate => 0, max_per_key => 0);
TABLE options;

-- Only the arguments given change; zero and the like take an option away.
SELECT streamq.alter_group('s', 'all', max_deliveries => 6, max_rate => 7);
SELECT streamq.alter_group('s', 'none', lease => '5 s', max_in_flight => 7, filter => 'payload IS NOT NULL', retry_backoff => '1 s');
TABLE options;
SELECT streamq.alter_group('s', 'all', max_deliveries => 0, dead_letter => '-', filter => '', retry_backoff => '0',
	retry_backoff_max => '0', max_rate => 0, max_per_key => 0);
SELECT streamq.alter_group('s', 'none');
TABLE options;
-- It is transactional, and consumers use what was changed.
BEGIN;
SELECT streamq.alter_group('s', 'none', filter => '', max_in_flight => 1);
SELECT count(*) FROM streamq.consume('s', 'none');
ROLLBACK;
SELECT count(*) FROM streamq.consume('s', 'none');
SELECT streamq.alter_group('s', 'none', mode => 'ordered');

-- A paused group gets nothing; what was delivered can be acknowledged.
SELECT streamq.create_group('s', 'quiet');
SELECT array_agg(msg_id) FROM streamq.consume('s', 'quiet', 2, partitions => '{0}');
SELECT streamq.pause_group('s', 'quiet');
SELECT streamq.pause_group('s', 'quiet');
SELECT p FROM options WHERE group_name = 'quiet';
SELECT count(*) FROM streamq.consume('s', 'quiet');
SELECT count(*) FROM streamq.consume('s', 'quiet', wait => '10 ms');
SELECT streamq.ack('s', 'quiet', 0);
SELECT streamq.resume_group('s', 'quiet');
SELECT count(*) FROM streamq.consume('s', 'quiet');

-- consume() from some partitions only.
SELECT streamq.create_group('s', 'part');
SELECT partition, count(*) FROM streamq.consume('s', 'part', partitions => '{1,3,3}') GROUP BY 1 ORDER BY 1;
SELECT count(*) FROM streamq.consume('s', 'part', partitions => '{1,3}');
SELECT count(*) FROM streamq.consume('s', 'part', partitions => '{}');
SELECT partition, count(*) FROM streamq.consume_as(NULL::s, 'part', partitions => '{0}') GROUP BY 1;
SELECT partition, count(*) FROM streamq.consume('s', 'part', partitions => NULL) GROUP BY 1;
SELECT told($$SELECT streamq.consume('s', 'part', partitions => '{4}')$$);
SELECT told($$SELECT streamq.consume('s', 'part', partitions => '{-1}')$$);
SELECT told($$SELECT streamq.consume('s', 'part', partitions => '{0,NULL}')$$);
SELECT told($$SELECT streamq.consume('s', 'part', partitions => '{{0},{1}}')$$);
SELECT told($$SELECT streamq.consume('dead', 'new', partitions => '{1}')$$);
EXPLAIN (COSTS OFF, VERBOSE) SELECT msg_id FROM streamq.consume('s', 'part', partitions => '{4}');

-- max_rate: a burst of a second, then as messages come due.
SELECT streamq.create_group('s', 'slow', max_rate => 1);
SELECT count(*) FROM streamq.consume('s', 'slow', auto_ack => true);
SELECT count(*) FROM streamq.consume('s', 'slow', auto_ack => true);
SELECT count(*) FROM streamq.consume('s', 'slow', auto_ack => true, wait => '10 s');
SELECT streamq.create_group('s', 'slower', max_rate => 0.001);
SELECT count(*) FROM streamq.consume('s', 'slower');
SELECT count(*) FROM streamq.consume('s', 'slower', wait => '10 ms');
SELECT streamq.alter_group('s', 'slower', max_rate => 0);
SELECT count(*) FROM streamq.consume('s', 'slower');

-- Privileges: the owner changes options; whoever may use the group, or owns
-- the stream, may pause it.
ALTER TABLE s OWNER TO regress_options_other;
GRANT SELECT ON s TO regress_options_owner, regress_options_user;
SET ROLE regress_options_owner;
SELECT streamq.create_group('s', 'mine');
SELECT streamq.grant_group('s', 'mine', 'regress_options_user');
SET ROLE regress_options_user;
SELECT told($$SELECT streamq.alter_group('s', 'mine', max_rate => 1)$$);
SELECT streamq.pause_group('s', 'mine');
SET ROLE regress_options_other;
SELECT told($$SELECT streamq.alter_group('s', 'mine', max_rate => 1)$$);
SELECT streamq.resume_group('s', 'mine');
SET ROLE regress_options_owner;
SELECT streamq.revoke_group('s', 'mine', 'regress_options_user');
SELECT streamq.alter_group('s', 'mine', max_rate => 1);
SET ROLE regress_options_user;
SELECT told($$SELECT streamq.pause_group('s', 'mine')$$);
SELECT told($$SELECT streamq.resume_group('s', 'mine')$$);
RESET ROLE;

-- errors
SELECT told($$SELECT streamq.create_group('s', 'x', max_deliveries => -1)$$);
SELECT told($$SELECT streamq.create_group('s', 'x', retry_backoff => '-1 s')$$);
SELECT told($$SELECT streamq.create_group('s', 'x', retry_backoff_max => '-1 s')$$);
SELECT told($$SELECT streamq.create_group('s', 'x', retry_backoff => '1 min', retry_backoff_max => '1 s')$$);
SELECT told($$SELECT streamq.create_group('s', 'x', max_rate => -1)$$);
SELECT told($$SELECT streamq.create_group('s', 'x', max_rate => 'nan')$$);
SELECT told($$SELECT streamq.create_group('s', 'x', max_rate => 'infinity')$$);
SELECT told($$SELECT streamq.create_group('s', 'x', max_per_key => -1)$$);
SELECT told($$SELECT streamq.create_group('s', 'x', max_per_key => 1)$$);
SELECT told($$SELECT streamq.create_group('s', 'x', max_in_flight => 10001)$$);
SELECT told($$SELECT streamq.alter_group('s', 'missing')$$);
SELECT told($$SELECT streamq.alter_group(NULL, 'all')$$);
SELECT told($$SELECT streamq.alter_group('s', NULL)$$);
SELECT told($$SELECT streamq.alter_group('s', 'all', mode => 'unknown')$$);
SELECT told($$SELECT streamq.alter_group('s', 'all', lease => '0')$$);
SELECT told($$SELECT streamq.alter_group('s', 'all', max_in_flight => 0)$$);
SELECT told($$SELECT streamq.alter_group('s', 'all', max_per_key => 1)$$);
SELECT told($$SELECT streamq.alter_group('s', 'all', dead_letter => 's')$$);
SELECT told($$SELECT streamq.pause_group('s', 'missing')$$);
SELECT told($$SELECT streamq.pause_group(NULL, 'all')$$);
SELECT told($$SELECT streamq.resume_group('s', NULL)$$);
SET default_transaction_read_only = on;
SELECT told($$SELECT streamq.alter_group('s', 'all')$$);
SELECT told($$SELECT streamq.pause_group('s', 'all')$$);
SELECT told($$SELECT streamq.resume_group('s', 'all')$$);
SELECT told($$SELECT streamq.nack_batch('s', 'all', '{1}')$$);
SELECT told($$SELECT streamq.reject('s', 'all', 1)$$);
SELECT told($$SELECT streamq.reject_batch('s', 'all', '{1}')$$);
SELECT told($$SELECT streamq.redrive('s', 'all')$$);
RESET default_transaction_read_only;

SET client_min_messages = warning;
DROP VIEW options;
DROP OWNED BY regress_options_owner, regress_options_user, regress_options_other;
DROP SCHEMA group_options CASCADE;
DROP ROLE regress_options_owner, regress_options_user, regress_options_other;
