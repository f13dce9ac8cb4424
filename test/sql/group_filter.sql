-- The filter of a group: what it may be, what it passes over, and its errors.

SET client_min_messages = warning;
CREATE SCHEMA group_filter;
SET search_path = group_filter, public;
CREATE ROLE regress_filter_owner;
CREATE ROLE regress_filter_user;
GRANT USAGE, CREATE ON SCHEMA group_filter TO PUBLIC;
SELECT streamq.create_stream('s');
SELECT streamq.create_stream('dead');
CREATE TABLE cols (a int, b text, c int) USING streamq;
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
CREATE FUNCTION got(g text, n int DEFAULT 100) RETURNS text LANGUAGE sql
AS $$ SELECT string_agg((payload #>> '{}') || '/' || deliveries, ' ') FROM streamq.consume('s', g, n) $$;
CREATE VIEW figures AS SELECT group_name, acked_offset, lag, in_flight, dead_lettered
FROM streamq.consumer_groups WHERE stream = 's'::regclass ORDER BY group_name;

-- What does not match is passed over and counts as acknowledged; null does not
-- match.
SELECT count(streamq.produce('s', CASE WHEN i = 5 THEN 'null' ELSE to_jsonb(i) END, key => 'k' || i % 3)) FROM generate_series(0, 9) i;
SELECT streamq.create_group('s', 'third', filter => $$key = 'k2' AND payload <> 'null'$$);
SELECT got('third');
TABLE figures;
SELECT streamq.ack_batch('s', 'third', ARRAY[2, 8]);
TABLE figures;
SELECT streamq.create_group('s', 'none', filter => 'nullif(true, true)');
SELECT got('none');
SELECT acked_offset, lag FROM figures WHERE group_name = 'none';
-- That stays if the transaction rolls back.
SELECT streamq.create_group('s', 'back', filter => $$key = 'k9'$$);
BEGIN;
SELECT got('back');
ROLLBACK;
SELECT acked_offset, lag FROM figures WHERE group_name = 'back';

-- Messages passed over between unacknowledged ones.
SELECT streamq.create_group('s', 'some', filter => $$(payload #>> '{}')::int % 4 = 0$$, max_in_flight => 2);
SELECT got('some');
TABLE figures;
SELECT streamq.ack('s', 'some', 0);
SELECT got('some');
TABLE figures;

-- More than the state could hold if each were kept: one message is held, and
-- only one of 30,000 matches.
INSERT INTO cols SELECT i, 'x', 0 FROM generate_series(1, 60000) i;
SELECT streamq.create_group('cols', 'rare', filter => 'a % 30000 = 1');
SELECT msg_id FROM streamq.consume('cols', 'rare', 1);
SELECT msg_id FROM streamq.consume('cols', 'rare', 1);
SELECT msg_id FROM streamq.consume('cols', 'rare', 1);
SELECT streamq.ack_batch('cols', 'rare', ARRAY[0, 30000]);
SELECT acked_offset, lag FROM streamq.consumer_groups WHERE group_name = 'rare';

-- The text is stored with qualified names.
CREATE FUNCTION is_odd(int) RETURNS bool LANGUAGE sql IMMUTABLE AS 'SELECT $1 % 2 = 1';
SELECT streamq.create_group('cols', 'odd', filter => 'is_odd(a) AND cols.b IS NOT NULL');
SELECT filter FROM streamq.consumer_groups WHERE group_name = 'odd';
SET search_path = pg_catalog;
SELECT msg_id FROM streamq.consume('group_filter.cols', 'odd', 2);
SET search_path = group_filter, public;
-- A function that is replaced is used from then on.
CREATE OR REPLACE FUNCTION is_odd(int) RETURNS bool LANGUAGE sql IMMUTABLE AS 'SELECT $1 % 2 = 0';
SELECT msg_id FROM streamq.consume('group_filter.cols', 'odd', 2);
-- One that is dropped makes the filter invalid.
DROP FUNCTION is_odd(int);
SELECT told($$SELECT streamq.consume('cols', 'odd')$$);
SELECT streamq.alter_group('cols', 'odd', filter => 'a IN (6, 11)');
SELECT msg_id FROM streamq.consume('cols', 'odd');
SELECT streamq.alter_group('cols', 'odd', filter => '');
SELECT filter FROM streamq.consumer_groups WHERE group_name = 'odd';

-- Columns that a filter uses.
SELECT streamq.alter_group('cols', 'odd', filter => $$b = 'x'$$);
SELECT told('ALTER TABLE cols RENAME b TO bb');
SELECT told('ALTER TABLE cols DROP COLUMN b');
SELECT told('ALTER TABLE cols DROP COLUMN a');
ALTER TABLE cols DROP COLUMN c;
ALTER TABLE cols ALTER COLUMN b SET STATISTICS 10;
ALTER TABLE cols RENAME TO cols2;
SELECT msg_id FROM streamq.consume('cols2', 'odd', 1);
ALTER TABLE cols2 RENAME TO cols;
SELECT streamq.alter_group('cols', 'odd', filter => '');
ALTER TABLE cols RENAME b TO bb;

-- A filter that changes with the transaction must be committed first.
BEGIN;
SELECT streamq.alter_group('cols', 'odd', filter => 'a > 5');
SELECT told($$SELECT streamq.consume('cols', 'odd')$$);
ROLLBACK;
BEGIN;
SELECT streamq.create_group('cols', 'new', filter => 'a > 50');
SELECT msg_id FROM streamq.consume('cols', 'new', 1);
ROLLBACK;

-- An error of the filter is the message's: without a dead letter, it is
-- delivered with a warning.
INSERT INTO s (payload) VALUES ('"x"'), ('20'), ('21');
SELECT streamq.ack('s', 'some', 4), streamq.ack('s', 'some', 8);
SELECT got('some');
SELECT streamq.create_group('s', 'dead', dead_letter => 'dead', filter => $$(payload #>> '{}')::int % 10 = 0$$);
SELECT got('dead');
SELECT payload, headers FROM dead;
SELECT acked_offset, lag, in_flight, dead_lettered FROM figures WHERE group_name = 'dead';
SELECT streamq.alter_group('s', 'dead', filter => '');
SELECT streamq.redrive('s', 'dead');
SELECT got('dead');

-- Messages for which it fails leave nothing in memory.
CREATE FUNCTION is_small() RETURNS bool LANGUAGE plpgsql STABLE AS $$
BEGIN
	RETURN (SELECT count(*) < 20 FROM pg_backend_memory_contexts WHERE name = 'ExprContext');
END $$;
CREATE TABLE many (payload text) USING streamq;
CREATE TABLE dead_many (payload text) USING streamq;
INSERT INTO many SELECT 'x' FROM generate_series(1, 200);
INSERT INTO many VALUES ('last');
SELECT streamq.create_group('many', 'g', dead_letter => 'dead_many',
	filter => $$CASE payload WHEN 'last' THEN group_filter.is_small() ELSE payload::int > 0 END$$);
SELECT msg_id, payload FROM streamq.consume('many', 'g');
SELECT count(*) FROM dead_many;

-- It is evaluated with the privileges of the group's owner.
SET client_min_messages = warning;
CREATE TABLE secret (id int);
INSERT INTO secret VALUES (3);
CREATE FUNCTION is_secret(n int) RETURNS bool LANGUAGE plpgsql STABLE AS $$
BEGIN
	RETURN EXISTS (SELECT FROM group_filter.secret WHERE id = n);
END $$;
CREATE FUNCTION tell(n int) RETURNS bool LANGUAGE plpgsql STABLE AS $$
BEGIN
	RAISE WARNING 'as %, path %', current_user, current_setting('search_path');
	RETURN true;
END $$;
GRANT SELECT ON secret TO regress_filter_owner;
GRANT SELECT ON s TO regress_filter_owner, regress_filter_user;
SET ROLE regress_filter_owner;
SELECT streamq.create_group('s', 'mine', filter => $$key = 'k0' AND is_secret((payload #>> '{}')::int)$$);
SELECT streamq.grant_group('s', 'mine', 'regress_filter_user');
SET ROLE regress_filter_user;
SELECT got('mine');
SELECT streamq.ack('s', 'mine', 3);
SET ROLE regress_filter_owner;
SELECT streamq.alter_group('s', 'mine', filter => 'tell(0)');
SET ROLE regress_filter_user;
RESET ROLE;
INSERT INTO s (payload) VALUES ('22');
SET ROLE regress_filter_user;
SELECT got('mine');
SELECT told($$SELECT streamq.alter_group('s', 'mine', filter => '')$$);
RESET ROLE;
-- A missing privilege is not the message's error.
REVOKE EXECUTE ON FUNCTION tell(int) FROM PUBLIC;
INSERT INTO s (payload) VALUES ('23');
SET ROLE regress_filter_user;
SELECT told($$SELECT got('mine')$$);
RESET ROLE;

-- What a filter cannot be.
SELECT told($$SELECT streamq.create_group('cols', 'x', filter => 'a')$$);
SELECT told($$SELECT streamq.create_group('cols', 'x', filter => 'missing = 1')$$);
SELECT told($$SELECT streamq.create_group('cols', 'x', filter => 'a = ')$$);
SELECT told($$SELECT streamq.create_group('cols', 'x', filter => 'a = 1; SELECT 1')$$);
SELECT told($$SELECT streamq.create_group('cols', 'x', filter => 'a = 1, true')$$);
SELECT told($$SELECT streamq.create_group('cols', 'x', filter => 'a = 1 AS b')$$);
SELECT told($$SELECT streamq.create_group('cols', 'x', filter => 'true FROM s')$$);
SELECT told($$SELECT streamq.create_group('cols', 'x', filter => 'true LIMIT 1')$$);
SELECT told($$SELECT streamq.create_group('cols', 'x', filter => '*')$$);
SELECT told($$SELECT streamq.create_group('cols', 'x', filter => ' ')$$);
SELECT told($$SELECT streamq.create_group('cols', 'x', filter => 'a = (SELECT 1)')$$);
SELECT told($$SELECT streamq.create_group('cols', 'x', filter => 'count(*) > 1')$$);
SELECT told($$SELECT streamq.create_group('cols', 'x', filter => 'row_number() OVER () > 1')$$);
SELECT told($$SELECT streamq.create_group('cols', 'x', filter => 'generate_series(1, a) > 1')$$);
SELECT told($$SELECT streamq.create_group('cols', 'x', filter => 'random() > 0.5')$$);
SELECT told($$SELECT streamq.create_group('cols', 'x', filter => 'xmin IS NULL')$$);
SELECT told($$SELECT streamq.create_group('cols', 'x', filter => 'a = $1')$$);
SELECT told($$SELECT streamq.create_group('cols', 'x', filter => 'cols IS NULL')$$);
SELECT told($$SELECT streamq.alter_group('cols', 'odd', filter => 'missing')$$);

SET client_min_messages = warning;
DROP OWNED BY regress_filter_owner, regress_filter_user;
DROP SCHEMA group_filter CASCADE;
DROP ROLE regress_filter_owner, regress_filter_user;
