-- Messages that cannot be returned as jsonb: an error that names them, what comes before
-- is delivered, and there are ways past them.
\set SHOW_CONTEXT never
CREATE SCHEMA message_failing;
SET search_path = message_failing, public;

CREATE TABLE rows (id int, doc json) USING streamq;
INSERT INTO rows VALUES (0, '{"a": 1}'), (1, '"\u0041 \\u0000"'), (2, '{"a": "\u0000"}'), (3, '[3]');
SELECT msg_id, payload FROM streamq.read('rows', max_messages => 2);
SELECT msg_id, payload FROM streamq.read('rows');
SELECT streamq.read('rows');
SELECT msg_id, payload FROM streamq.read('rows', 3);
-- who does not ask for the payload needs none
SELECT msg_id FROM streamq.read('rows') ORDER BY 1;

-- a scan, and a function
SELECT msg_id, payload FROM streamq.consume('rows', 'scan', auto_ack => true);
SELECT msg_id, payload FROM streamq.consume('rows', 'scan', auto_ack => true);
SELECT msg_id, payload FROM streamq.consume('rows', 'scan', wait => '1 hour');
SELECT (streamq.consume('rows', 'function')).msg_id;
SELECT streamq.ack_through('rows', 'function', 1);
SELECT (streamq.consume('rows', 'function')).msg_id;

-- by the typed form
SELECT msg_id, message FROM streamq.consume_as(NULL::rows, 'scan', max_messages => 1, auto_ack => true);
SELECT msg_id, payload FROM streamq.consume('rows', 'scan', auto_ack => true);
-- by seek
SELECT streamq.seek('rows', 'function', to_msg_id => 3);
SELECT (streamq.consume('rows', 'function')).payload;
-- without the payload
SELECT msg_id FROM streamq.consume('rows', 'ids', auto_ack => true);
-- the first of a group that does not exist yet
CREATE TABLE first (doc json) USING streamq;
INSERT INTO first VALUES ('"\ud800"');
SELECT msg_id, payload FROM streamq.consume('first', 'g');
SELECT count(*) FROM streamq.consumer_groups WHERE stream = 'first'::regclass;

-- envelopes
SELECT streamq.create_stream('envelope', 'key text, payload json, headers json');
INSERT INTO envelope VALUES ('k', '1', '{}'), ('k', '2', '{"h": "\u0000"}');
SELECT msg_id, headers FROM streamq.consume('envelope', 'g', auto_ack => true);
SELECT msg_id, headers FROM streamq.consume('envelope', 'g', auto_ack => true);
SELECT msg_id, payload FROM streamq.consume('envelope', 'g', auto_ack => true);

-- other partitions go on; the session is warned once
SELECT streamq.create_stream('parts', 'key text, payload json', partitions => 2);
INSERT INTO parts SELECT 'a', '"\u0000"';
DO $$
DECLARE
	k text;
BEGIN
	FOR i IN 1..100 LOOP
		k := 'k' || i;
		PERFORM streamq.produce('parts', to_jsonb(i), key => k);
		EXIT WHEN (SELECT count(*) FROM streamq.partitions WHERE stream = 'parts'::regclass AND messages > 0) = 2;
	END LOOP;
END $$;
\set VERBOSITY terse
SELECT count(*) AS n FROM streamq.consume('parts', 'g', max_messages => 1000, auto_ack => true) WHERE payload IS NOT NULL;
SELECT count(*) AS n FROM streamq.consume('parts', 'g', max_messages => 1000, auto_ack => true) WHERE payload IS NOT NULL;
\set VERBOSITY default

-- other values of which there is no jsonb: numbers, depth, sizes, types and casts of users
CREATE TABLE numbers (doc json) USING streamq;
INSERT INTO numbers VALUES ('1e5'), ('{"n": 1e1000000}');
SELECT payload FROM streamq.consume('numbers', 'g', auto_ack => true);
SELECT payload FROM streamq.consume('numbers', 'g', auto_ack => true);
CREATE TABLE arrays (docs json[]) USING streamq;
INSERT INTO arrays VALUES (ARRAY['1', '"\u0000"']::json[]);
SELECT payload FROM streamq.consume('arrays', 'g');
CREATE TYPE pair AS (a int, doc json);
CREATE TABLE pairs (p pair) USING streamq;
INSERT INTO pairs VALUES ((1, '{}')), ((2, '"\u0000"'));
SELECT payload FROM streamq.consume('pairs', 'g', auto_ack => true);
SELECT payload FROM streamq.consume('pairs', 'g', auto_ack => true);

CREATE TYPE share AS ENUM ('5', '4', '0', '2');
CREATE TABLE seen (n int);
CREATE FUNCTION share_json(share) RETURNS json LANGUAGE plpgsql AS $$
DECLARE
	n int := $1::text;
BEGIN
	INSERT INTO message_failing.seen VALUES (n);
	RETURN to_json(100 / n);
END $$;
CREATE CAST (share AS json) WITH FUNCTION share_json(share);
CREATE DOMAIN part AS share;
CREATE TABLE shares (p part) USING streamq;
INSERT INTO shares VALUES ('5'), ('4'), ('0'), ('2');
SELECT payload FROM streamq.consume('shares', 'g', auto_ack => true);
-- each was converted for the caller once
SELECT * FROM seen;
SELECT payload FROM streamq.consume('shares', 'g', auto_ack => true);
SELECT message FROM streamq.consume_as(NULL::shares, 'g', max_messages => 1, auto_ack => true);
SELECT payload FROM streamq.consume('shares', 'g', auto_ack => true);

-- an error that may not come again is what it is
CREATE FUNCTION impatient(share) RETURNS json LANGUAGE plpgsql AS $$
BEGIN
	RAISE query_canceled USING MESSAGE = 'canceled in between';
END $$;
DROP CAST (share AS json);
CREATE CAST (share AS json) WITH FUNCTION impatient(share);
SELECT payload FROM streamq.consume('shares', 'h');
SELECT payload FROM streamq.read('shares');

-- what looks as if it might fail, and does not
CREATE TABLE fine (doc json, x xml, f float8, n numeric, r int4range) USING streamq;
INSERT INTO fine SELECT ('["\u00e9", "\\u0000", 1e3, ' || repeat('[', 70) || repeat(']', 70) || ']')::json,
	NULL, 'NaN', '-Infinity', 'empty';
SELECT payload -> 'doc' -> 0 AS a, payload -> 'doc' -> 2 AS b, payload - 'doc' AS others
FROM streamq.consume('fine', 'g');

SET client_min_messages = warning;
DROP SCHEMA message_failing CASCADE;
