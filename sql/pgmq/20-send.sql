-- Sending messages.

CREATE FUNCTION pgmq.send(queue_name pg_catalog.text, msg pg_catalog.jsonb,
	headers pg_catalog.jsonb, delay pg_catalog.timestamptz)
RETURNS SETOF pg_catalog.int8
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE ROWS 1
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	id pg_catalog.int8;
BEGIN
	IF delay > pg_catalog.clock_timestamp() THEN
		EXECUTE pg_catalog.format('INSERT INTO %s AS s (payload, headers, vt) VALUES ($1, $2, $3)'
			' RETURNING streamq.msg_id(s.tableoid, s.ctid)', pgmq._stream(queue_name))
		INTO id USING msg, headers, delay;
	ELSE
		id := streamq.produce(pgmq._stream(queue_name), msg, headers => headers);
	END IF;
	RETURN NEXT id + 1;
END
$$;

CREATE FUNCTION pgmq.send(queue_name pg_catalog.text, msg pg_catalog.jsonb)
RETURNS SETOF pg_catalog.int8
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE ROWS 1
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	RETURN NEXT streamq.produce(pgmq._stream(queue_name), msg) + 1;
END
$$;

CREATE FUNCTION pgmq.send(queue_name pg_catalog.text, msg pg_catalog.jsonb, headers pg_catalog.jsonb)
RETURNS SETOF pg_catalog.int8
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE ROWS 1
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	RETURN NEXT streamq.produce(pgmq._stream(queue_name), msg, headers => headers) + 1;
END
$$;

CREATE FUNCTION pgmq._check_batch(msgs pg_catalog.jsonb[], headers pg_catalog.jsonb[])
RETURNS pg_catalog.void
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	IF msgs IS NULL OR pg_catalog.cardinality(msgs) = 0 THEN
		RAISE null_value_not_allowed USING MESSAGE = 'argument "msgs" must not be null or empty';
	ELSIF headers IS NOT NULL AND pg_catalog.cardinality(headers) <> pg_catalog.cardinality(msgs) THEN
		RAISE array_subscript_error USING
			MESSAGE = 'arguments "msgs" and "headers" must have the same length',
			DETAIL = pg_catalog.format('There are %s messages and %s headers.',
				pg_catalog.cardinality(msgs), pg_catalog.cardinality(headers));
	END IF;
END
$$;
COMMENT ON FUNCTION pgmq._check_batch IS 'internal: check the arguments of send_batch()';

CREATE FUNCTION pgmq.send_batch(queue_name pg_catalog.text, msgs pg_catalog.jsonb[],
	headers pg_catalog.jsonb[], delay pg_catalog.timestamptz)
RETURNS SETOF pg_catalog.int8
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	stream pg_catalog.regclass := pgmq._stream(queue_name);
BEGIN
	PERFORM pgmq._check_batch(msgs, headers);
	IF delay > pg_catalog.clock_timestamp() THEN
		RETURN QUERY EXECUTE pg_catalog.format('INSERT INTO %s AS s (payload, headers, vt)'
			' SELECT m, h, $3 FROM ROWS FROM (pg_catalog.unnest($1), pg_catalog.unnest($2)) AS b (m, h)'
			' RETURNING streamq.msg_id(s.tableoid, s.ctid) + 1', stream)
		USING msgs, headers, delay;
	ELSE
		RETURN QUERY SELECT id + 1
			FROM pg_catalog.unnest(streamq.produce_batch_jsonb(stream, msgs, headers => headers)) id;
	END IF;
END
$$;

CREATE FUNCTION pgmq.send(queue_name pg_catalog.text, msg pg_catalog.jsonb, delay pg_catalog.int4)
RETURNS SETOF pg_catalog.int8
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE ROWS 1
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	RETURN QUERY SELECT * FROM pgmq.send(queue_name, msg, NULL::pg_catalog.jsonb, pg_catalog.clock_timestamp() + pg_catalog.make_interval(secs => delay));
END
$$;

CREATE FUNCTION pgmq.send(queue_name pg_catalog.text, msg pg_catalog.jsonb, delay pg_catalog.timestamptz)
RETURNS SETOF pg_catalog.int8
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE ROWS 1
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	RETURN QUERY SELECT * FROM pgmq.send(queue_name, msg, NULL::pg_catalog.jsonb, delay);
END
$$;

CREATE FUNCTION pgmq.send(queue_name pg_catalog.text, msg pg_catalog.jsonb, headers pg_catalog.jsonb, delay pg_catalog.int4)
RETURNS SETOF pg_catalog.int8
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE ROWS 1
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	RETURN QUERY SELECT * FROM pgmq.send(queue_name, msg, headers, pg_catalog.clock_timestamp() + pg_catalog.make_interval(secs => delay));
END
$$;

CREATE FUNCTION pgmq.send_batch(queue_name pg_catalog.text, msgs pg_catalog.jsonb[])
RETURNS SETOF pg_catalog.int8
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	RETURN QUERY SELECT * FROM pgmq.send_batch(queue_name, msgs, NULL::pg_catalog.jsonb[], NULL::pg_catalog.timestamptz);
END
$$;

CREATE FUNCTION pgmq.send_batch(queue_name pg_catalog.text, msgs pg_catalog.jsonb[], headers pg_catalog.jsonb[])
RETURNS SETOF pg_catalog.int8
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	RETURN QUERY SELECT * FROM pgmq.send_batch(queue_name, msgs, headers, NULL::pg_catalog.timestamptz);
END
$$;

CREATE FUNCTION pgmq.send_batch(queue_name pg_catalog.text, msgs pg_catalog.jsonb[], delay pg_catalog.int4)
RETURNS SETOF pg_catalog.int8
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	RETURN QUERY SELECT * FROM pgmq.send_batch(queue_name, msgs, NULL::pg_catalog.jsonb[], pg_catalog.clock_timestamp() + pg_catalog.make_interval(secs => delay));
END
$$;

CREATE FUNCTION pgmq.send_batch(queue_name pg_catalog.text, msgs pg_catalog.jsonb[], delay pg_catalog.timestamptz)
RETURNS SETOF pg_catalog.int8
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	RETURN QUERY SELECT * FROM pgmq.send_batch(queue_name, msgs, NULL::pg_catalog.jsonb[], delay);
END
$$;

CREATE FUNCTION pgmq.send_batch(queue_name pg_catalog.text, msgs pg_catalog.jsonb[], headers pg_catalog.jsonb[], delay pg_catalog.int4)
RETURNS SETOF pg_catalog.int8
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	RETURN QUERY SELECT * FROM pgmq.send_batch(queue_name, msgs, headers, pg_catalog.clock_timestamp() + pg_catalog.make_interval(secs => delay));
END
$$;

COMMENT ON FUNCTION pgmq.send(pg_catalog.text, pg_catalog.jsonb) IS 'send a message, visible after the delay; returns its number';
COMMENT ON FUNCTION pgmq.send(pg_catalog.text, pg_catalog.jsonb, pg_catalog.jsonb) IS 'send a message, visible after the delay; returns its number';
COMMENT ON FUNCTION pgmq.send(pg_catalog.text, pg_catalog.jsonb, pg_catalog.int4) IS 'send a message, visible after the delay; returns its number';
COMMENT ON FUNCTION pgmq.send(pg_catalog.text, pg_catalog.jsonb, pg_catalog.timestamptz) IS 'send a message, visible after the delay; returns its number';
COMMENT ON FUNCTION pgmq.send(pg_catalog.text, pg_catalog.jsonb, pg_catalog.jsonb, pg_catalog.int4) IS 'send a message, visible after the delay; returns its number';
COMMENT ON FUNCTION pgmq.send(pg_catalog.text, pg_catalog.jsonb, pg_catalog.jsonb, pg_catalog.timestamptz) IS 'send a message, visible after the delay; returns its number';
COMMENT ON FUNCTION pgmq.send_batch(pg_catalog.text, pg_catalog.jsonb[]) IS 'send messages, visible after the delay; returns their numbers';
COMMENT ON FUNCTION pgmq.send_batch(pg_catalog.text, pg_catalog.jsonb[], pg_catalog.jsonb[]) IS 'send messages, visible after the delay; returns their numbers';
COMMENT ON FUNCTION pgmq.send_batch(pg_catalog.text, pg_catalog.jsonb[], pg_catalog.int4) IS 'send messages, visible after the delay; returns their numbers';
COMMENT ON FUNCTION pgmq.send_batch(pg_catalog.text, pg_catalog.jsonb[], pg_catalog.timestamptz) IS 'send messages, visible after the delay; returns their numbers';
COMMENT ON FUNCTION pgmq.send_batch(pg_catalog.text, pg_catalog.jsonb[], pg_catalog.jsonb[], pg_catalog.int4) IS 'send messages, visible after the delay; returns their numbers';
COMMENT ON FUNCTION pgmq.send_batch(pg_catalog.text, pg_catalog.jsonb[], pg_catalog.jsonb[], pg_catalog.timestamptz) IS 'send messages, visible after the delay; returns their numbers';
