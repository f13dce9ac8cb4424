-- Topics: queues get messages by routing keys.

CREATE FUNCTION pgmq._check_topic(name pg_catalog.text, value pg_catalog.text, allowed pg_catalog.text)
RETURNS pg_catalog.void
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	problem pg_catalog.text;
BEGIN
	IF value IS NULL OR value = '' THEN
		RAISE null_value_not_allowed USING
			MESSAGE = pg_catalog.format('argument "%s" must not be null or empty', name);
	ELSIF pg_catalog.length(value) > 255 THEN
		problem := 'It is longer than 255 characters.';
	ELSIF value !~ ('^' || allowed || '+$') THEN
		problem := pg_catalog.format('Only characters of %s are allowed.', allowed);
	ELSIF value ~ '^\.|\.$|\.\.' THEN
		problem := 'A dot stands between two segments.';
	ELSIF value ~ '[*#]{2}' THEN
		problem := 'Two wildcards have a dot between them.';
	ELSE
		RETURN;
	END IF;
	RAISE invalid_parameter_value USING
		MESSAGE = pg_catalog.format('invalid %s "%s"', name, value), DETAIL = problem;
END
$$;
COMMENT ON FUNCTION pgmq._check_topic IS 'internal: check a routing key or a pattern';

CREATE FUNCTION pgmq.validate_routing_key(routing_key pg_catalog.text)
RETURNS pg_catalog.bool
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	PERFORM pgmq._check_topic('routing_key', routing_key, '[a-zA-Z0-9._-]');
	RETURN true;
END
$$;
COMMENT ON FUNCTION pgmq.validate_routing_key IS 'true; fails unless this can be a routing key';

CREATE FUNCTION pgmq.validate_topic_pattern(pattern pg_catalog.text)
RETURNS pg_catalog.bool
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	PERFORM pgmq._check_topic('pattern', pattern, '[a-zA-Z0-9._*#-]');
	RETURN true;
END
$$;
COMMENT ON FUNCTION pgmq.validate_topic_pattern IS 'true; fails unless this can be a pattern of routing keys';

CREATE FUNCTION pgmq._check_queue(queue_name pg_catalog.text)
RETURNS pg_catalog.void
LANGUAGE plpgsql STABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	IF queue_name IS NULL OR queue_name = '' THEN
		RAISE null_value_not_allowed USING MESSAGE = 'argument "queue_name" must not be null or empty';
	END IF;
	PERFORM FROM pgmq.meta m WHERE m.queue_name = _check_queue.queue_name;
	IF NOT FOUND THEN
		RAISE undefined_object USING
			MESSAGE = pg_catalog.format('queue "%s" does not exist', queue_name),
			HINT = 'Create the queue by pgmq.create().';
	END IF;
END
$$;
COMMENT ON FUNCTION pgmq._check_queue IS 'internal: fail unless a queue exists';

CREATE FUNCTION pgmq.bind_topic(pattern pg_catalog.text, queue_name pg_catalog.text)
RETURNS pg_catalog.void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	PERFORM pgmq.validate_topic_pattern(pattern);
	PERFORM pgmq._check_queue(queue_name);
	INSERT INTO pgmq.topic_bindings (pattern, queue_name) VALUES (pattern, queue_name)
	ON CONFLICT DO NOTHING;
END
$$;
COMMENT ON FUNCTION pgmq.bind_topic IS 'let a queue get the messages whose routing key matches a pattern';

CREATE FUNCTION pgmq.unbind_topic(pattern pg_catalog.text, queue_name pg_catalog.text)
RETURNS pg_catalog.bool
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	IF pattern IS NULL OR pattern = '' THEN
		RAISE null_value_not_allowed USING MESSAGE = 'argument "pattern" must not be null or empty';
	ELSIF queue_name IS NULL OR queue_name = '' THEN
		RAISE null_value_not_allowed USING MESSAGE = 'argument "queue_name" must not be null or empty';
	END IF;
	DELETE FROM pgmq.topic_bindings b
	WHERE b.pattern = unbind_topic.pattern AND b.queue_name = unbind_topic.queue_name;
	RETURN FOUND;
END
$$;
COMMENT ON FUNCTION pgmq.unbind_topic IS 'undo bind_topic(); false if there was nothing to undo';

CREATE FUNCTION pgmq.test_routing(routing_key pg_catalog.text)
RETURNS TABLE (pattern pg_catalog.text, queue_name pg_catalog.text, compiled_regex pg_catalog.text)
LANGUAGE plpgsql STABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	PERFORM pgmq.validate_routing_key(routing_key);
	RETURN QUERY SELECT b.pattern, b.queue_name, b.compiled_regex
		FROM pgmq.topic_bindings b
		WHERE routing_key ~ b.compiled_regex
		ORDER BY b.pattern, b.queue_name;
END
$$;
COMMENT ON FUNCTION pgmq.test_routing IS 'which queues would get a message with a routing key';

CREATE FUNCTION pgmq.list_topic_bindings()
RETURNS TABLE (pattern pg_catalog.text, queue_name pg_catalog.text,
	bound_at pg_catalog.timestamptz, compiled_regex pg_catalog.text)
LANGUAGE sql STABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
SELECT b.pattern, b.queue_name, b.bound_at, b.compiled_regex
FROM pgmq.topic_bindings b
ORDER BY b.bound_at DESC, b.pattern, b.queue_name;
$$;
COMMENT ON FUNCTION pgmq.list_topic_bindings() IS 'which queues get the messages of which topics';

CREATE FUNCTION pgmq.list_topic_bindings(queue_name pg_catalog.text)
RETURNS TABLE (pattern pg_catalog.text, queue_name pg_catalog.text,
	bound_at pg_catalog.timestamptz, compiled_regex pg_catalog.text)
LANGUAGE sql STABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
SELECT b.pattern, b.queue_name, b.bound_at, b.compiled_regex
FROM pgmq.topic_bindings b
WHERE b.queue_name = $1
ORDER BY b.bound_at DESC, b.pattern;
$$;
COMMENT ON FUNCTION pgmq.list_topic_bindings(pg_catalog.text) IS 'the messages of which topics a queue gets';

CREATE FUNCTION pgmq._queues_of(routing_key pg_catalog.text)
RETURNS SETOF pg_catalog.text
LANGUAGE plpgsql STABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	PERFORM pgmq.validate_routing_key(routing_key);
	RETURN QUERY SELECT DISTINCT b.queue_name FROM pgmq.topic_bindings b
		WHERE routing_key ~ b.compiled_regex ORDER BY b.queue_name;
END
$$;
COMMENT ON FUNCTION pgmq._queues_of IS 'internal: queues that get a message with a routing key';

CREATE FUNCTION pgmq.send_topic(routing_key pg_catalog.text, msg pg_catalog.jsonb,
	headers pg_catalog.jsonb, delay pg_catalog.int4)
RETURNS pg_catalog.int4
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	queue pg_catalog.text;
	sent pg_catalog.int4 := 0;
BEGIN
	IF msg IS NULL THEN
		RAISE null_value_not_allowed USING MESSAGE = 'argument "msg" must not be null';
	ELSIF delay < 0 THEN
		RAISE invalid_parameter_value USING
			MESSAGE = pg_catalog.format('argument "delay" must not be negative, got %s', delay);
	END IF;
	FOR queue IN SELECT pgmq._queues_of(routing_key) LOOP
		PERFORM pgmq.send(queue, msg, headers, delay);
		sent := sent + 1;
	END LOOP;
	RETURN sent;
END
$$;
COMMENT ON FUNCTION pgmq.send_topic(pg_catalog.text, pg_catalog.jsonb, pg_catalog.jsonb, pg_catalog.int4) IS 'send a message to all queues of a topic; returns how many';

CREATE FUNCTION pgmq.send_topic(routing_key pg_catalog.text, msg pg_catalog.jsonb)
RETURNS pg_catalog.int4
LANGUAGE sql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $$
SELECT pgmq.send_topic(routing_key, msg, NULL::pg_catalog.jsonb, 0);
$$;
COMMENT ON FUNCTION pgmq.send_topic(pg_catalog.text, pg_catalog.jsonb) IS 'send a message to all queues of a topic; returns how many';

CREATE FUNCTION pgmq.send_topic(routing_key pg_catalog.text, msg pg_catalog.jsonb, delay pg_catalog.int4)
RETURNS pg_catalog.int4
LANGUAGE sql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $$
SELECT pgmq.send_topic(routing_key, msg, NULL::pg_catalog.jsonb, delay);
$$;
COMMENT ON FUNCTION pgmq.send_topic(pg_catalog.text, pg_catalog.jsonb, pg_catalog.int4) IS 'send a message to all queues of a topic; returns how many';

CREATE FUNCTION pgmq.send_batch_topic(routing_key pg_catalog.text, msgs pg_catalog.jsonb[],
	headers pg_catalog.jsonb[], delay pg_catalog.timestamptz)
RETURNS TABLE (queue_name pg_catalog.text, msg_id pg_catalog.int8)
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	PERFORM pgmq._check_batch(msgs, headers);
	RETURN QUERY SELECT q, m FROM pgmq._queues_of(routing_key) q,
		LATERAL pgmq.send_batch(q, msgs, headers, delay) m;
END
$$;

CREATE FUNCTION pgmq.send_batch_topic(routing_key pg_catalog.text, msgs pg_catalog.jsonb[])
RETURNS TABLE (queue_name pg_catalog.text, msg_id pg_catalog.int8)
LANGUAGE sql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $$
SELECT * FROM pgmq.send_batch_topic(routing_key, msgs, NULL::pg_catalog.jsonb[], NULL::pg_catalog.timestamptz);
$$;

CREATE FUNCTION pgmq.send_batch_topic(routing_key pg_catalog.text, msgs pg_catalog.jsonb[], headers pg_catalog.jsonb[])
RETURNS TABLE (queue_name pg_catalog.text, msg_id pg_catalog.int8)
LANGUAGE sql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $$
SELECT * FROM pgmq.send_batch_topic(routing_key, msgs, headers, NULL::pg_catalog.timestamptz);
$$;

CREATE FUNCTION pgmq.send_batch_topic(routing_key pg_catalog.text, msgs pg_catalog.jsonb[], delay pg_catalog.int4)
RETURNS TABLE (queue_name pg_catalog.text, msg_id pg_catalog.int8)
LANGUAGE sql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $$
SELECT * FROM pgmq.send_batch_topic(routing_key, msgs, NULL::pg_catalog.jsonb[], pg_catalog.clock_timestamp() + pg_catalog.make_interval(secs => delay));
$$;

CREATE FUNCTION pgmq.send_batch_topic(routing_key pg_catalog.text, msgs pg_catalog.jsonb[], delay pg_catalog.timestamptz)
RETURNS TABLE (queue_name pg_catalog.text, msg_id pg_catalog.int8)
LANGUAGE sql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $$
SELECT * FROM pgmq.send_batch_topic(routing_key, msgs, NULL::pg_catalog.jsonb[], delay);
$$;

CREATE FUNCTION pgmq.send_batch_topic(routing_key pg_catalog.text, msgs pg_catalog.jsonb[], headers pg_catalog.jsonb[], delay pg_catalog.int4)
RETURNS TABLE (queue_name pg_catalog.text, msg_id pg_catalog.int8)
LANGUAGE sql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $$
SELECT * FROM pgmq.send_batch_topic(routing_key, msgs, headers, pg_catalog.clock_timestamp() + pg_catalog.make_interval(secs => delay));
$$;

COMMENT ON FUNCTION pgmq.send_batch_topic(pg_catalog.text, pg_catalog.jsonb[]) IS 'send messages to all queues of a topic; returns their numbers';
COMMENT ON FUNCTION pgmq.send_batch_topic(pg_catalog.text, pg_catalog.jsonb[], pg_catalog.jsonb[]) IS 'send messages to all queues of a topic; returns their numbers';
COMMENT ON FUNCTION pgmq.send_batch_topic(pg_catalog.text, pg_catalog.jsonb[], pg_catalog.int4) IS 'send messages to all queues of a topic; returns their numbers';
COMMENT ON FUNCTION pgmq.send_batch_topic(pg_catalog.text, pg_catalog.jsonb[], pg_catalog.timestamptz) IS 'send messages to all queues of a topic; returns their numbers';
COMMENT ON FUNCTION pgmq.send_batch_topic(pg_catalog.text, pg_catalog.jsonb[], pg_catalog.jsonb[], pg_catalog.int4) IS 'send messages to all queues of a topic; returns their numbers';
COMMENT ON FUNCTION pgmq.send_batch_topic(pg_catalog.text, pg_catalog.jsonb[], pg_catalog.jsonb[], pg_catalog.timestamptz) IS 'send messages to all queues of a topic; returns their numbers';
