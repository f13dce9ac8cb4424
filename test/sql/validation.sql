-- Payloads as jsonb, text and bytea; payloads that a CHECK refuses, or that a
-- trigger sends to another stream.
CREATE SCHEMA validation;
SET search_path = validation;
CREATE FUNCTION is_order(payload jsonb) RETURNS bool LANGUAGE sql IMMUTABLE AS $$
SELECT jsonb_typeof(payload) = 'object' AND jsonb_typeof(payload->'id') = 'number' AND payload->>'kind' IN ('book', 'cancel') $$;

-- the same messages in three formats
SELECT streamq.create_stream('as_jsonb', 'key text, payload jsonb NOT NULL CHECK (validation.is_order(payload) IS TRUE)');
SELECT streamq.create_stream('as_text', 'key text, payload text CONSTRAINT short CHECK (length(payload) < 60)');
SELECT streamq.create_stream('as_bytea', 'key text, payload bytea CHECK (get_byte(payload, 0) = 1), headers jsonb CHECK (headers ? ''version'')');
SELECT streamq.produce('as_jsonb', '{"id": 1, "kind": "book"}', key => 'a');
SELECT streamq.produce('as_text', '{"id": 1, "kind": "book"}', key => 'a');
SELECT streamq.produce('as_bytea', '\x01ff00'::bytea, key => 'a', headers => '{"version": 1}');
SELECT streamq.produce_batch_bytea('as_bytea', ARRAY['\x01'::bytea, '\x0102'], headers => ARRAY['{"version": 1}', '{"version": 2}']::jsonb[]);
SELECT payload FROM streamq.read('as_jsonb');
SELECT payload FROM streamq.read('as_text');
SELECT payload, headers FROM streamq.read('as_bytea');
SELECT (message).payload FROM streamq.consume_as(NULL::as_bytea, 'g');

-- every writer is refused
\set VERBOSITY terse
SELECT streamq.produce('as_jsonb', '{"id": "1", "kind": "book"}');
SELECT streamq.produce('as_jsonb', '7'::jsonb);
SELECT streamq.produce_batch('as_jsonb', ARRAY['{"id": 2, "kind": "book"}', '{"id": 3, "kind": "?"}']);
SELECT streamq.produce('as_jsonb', '{"kind": 1}', dedup_id => 'd');
INSERT INTO as_jsonb VALUES ('a', '[]');
COPY as_jsonb FROM stdin;
a	{"id": 4, "kind": "book"}
b	{"id": 5}
\.
SELECT streamq.produce('as_text', repeat('x', 60));
SELECT streamq.produce('as_bytea', '\x02'::bytea, headers => '{"version": 1}');
SELECT streamq.produce('as_bytea', '\x01'::bytea, headers => '{}');
\set VERBOSITY default
SELECT count(*) FROM as_jsonb;
-- a condition that is added later holds for new messages
ALTER TABLE as_jsonb ADD CONSTRAINT small_id CHECK ((payload->>'id')::int < 100) NOT VALID;
\set VERBOSITY terse
SELECT streamq.produce('as_jsonb', '{"id": 100, "kind": "book"}');
\set VERBOSITY default
ALTER TABLE as_jsonb DROP CONSTRAINT small_id;

-- invalid messages go to another stream, and the writer learns of it
SELECT streamq.create_stream('orders', partitions => 2);
SELECT streamq.create_stream('invalid_orders');
CREATE FUNCTION divert() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = validation, pg_temp AS $$
BEGIN
	IF is_order(NEW.payload) THEN
		RETURN NEW;
	END IF;
	PERFORM streamq.produce('invalid_orders', NEW.payload, key => NEW.key,
		headers => coalesce(NEW.headers, '{}') || '{"streamq_reason": "not an order"}');
	RETURN NULL;
END $$;
CREATE TRIGGER divert BEFORE INSERT ON orders FOR EACH ROW EXECUTE FUNCTION divert();
SELECT streamq.produce('orders', '{"id": 1, "kind": "book"}', key => 'a') IS NULL AS diverted;
SELECT streamq.produce('orders', '{"id": 1}', key => 'b', headers => '{"h": 1}') IS NULL AS diverted;
SELECT m IS NULL AS diverted FROM unnest(streamq.produce_batch('orders', ARRAY['{"id": 2, "kind": "book"}', '[]', '{"id": 3, "kind": "cancel"}'])) m;
INSERT INTO orders VALUES ('c', '{"id": 4, "kind": "book"}'), ('d', '"x"');
COPY orders (key, payload) FROM stdin;
e	{"id": 5, "kind": "book"}
f	{}
\.
SELECT payload FROM orders ORDER BY payload->>'id';
SELECT key, payload, headers FROM invalid_orders;
-- both or neither
BEGIN;
SELECT streamq.produce('orders', '{}') IS NULL AS diverted;
ROLLBACK;
SELECT count(*) FROM invalid_orders;
-- also from a pipe
CREATE TABLE raw (key text, payload jsonb) USING streamq;
SELECT streamq.create_pipe('check', 'SELECT key, payload FROM raw', 'orders');
INSERT INTO raw VALUES ('p', '{"id": 6, "kind": "book"}'), ('q', '{"id": 7}');
SELECT streamq.wait_until_caught_up('check');
SELECT count(*) FROM orders WHERE key IN ('p', 'q');
SELECT key, payload FROM invalid_orders ORDER BY streamq.msg_id(tableoid, ctid) DESC LIMIT 1;

SET client_min_messages = warning;
DROP SCHEMA validation CASCADE;
