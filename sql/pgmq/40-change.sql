-- What consumers do with messages.

CREATE FUNCTION pgmq.pop(queue_name pg_catalog.text, qty pg_catalog.int4 DEFAULT 1)
RETURNS SETOF pgmq.message_record
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	stream pg_catalog.regclass := pgmq._stream(queue_name);
BEGIN
	PERFORM pgmq._check_qty(qty);
	IF qty > 0 THEN
		RETURN QUERY SELECT m.msg_id + 1, m.deliveries - 1, m.produced_at, NULL::pg_catalog.timestamptz,
				m.produced_at, m.payload, m.headers
			FROM pgmq._consume(stream, 'pgmq', qty, '0', '1 s', true) m;
	END IF;
END
$$;
COMMENT ON FUNCTION pgmq.pop IS 'read messages and delete them';

CREATE FUNCTION pgmq.delete(queue_name pg_catalog.text, msg_id pg_catalog.int8)
RETURNS pg_catalog.bool
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	IF msg_id > 0 THEN
		PERFORM FROM pgmq._change(pgmq._stream(queue_name), 'pgmq', ARRAY[msg_id - 1], 'finish', '-infinity');
		RETURN FOUND;
	END IF;
	PERFORM pgmq._stream(queue_name);
	RETURN false;
END
$$;
COMMENT ON FUNCTION pgmq.delete(pg_catalog.text, pg_catalog.int8) IS 'delete a message; false if it is not in the queue';

-- The numbers as the stream has them, without those that are null.
CREATE FUNCTION pgmq._offsets(msg_ids pg_catalog.int8[])
RETURNS pg_catalog.int8[]
LANGUAGE sql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
SELECT ARRAY(SELECT id - 1 FROM pg_catalog.unnest(msg_ids) id WHERE id > 0);
$$;
COMMENT ON FUNCTION pgmq._offsets IS 'internal: numbers of messages in the stream of a queue';

CREATE FUNCTION pgmq.delete(queue_name pg_catalog.text, msg_ids pg_catalog.int8[])
RETURNS SETOF pg_catalog.int8
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	RETURN QUERY SELECT c.msg_id + 1
		FROM pgmq._change(pgmq._stream(queue_name), 'pgmq', pgmq._offsets(msg_ids), 'finish', '-infinity') c;
END
$$;
COMMENT ON FUNCTION pgmq.delete(pg_catalog.text, pg_catalog.int8[]) IS 'delete messages; returns the numbers of those that were in the queue';

CREATE FUNCTION pgmq.archive(queue_name pg_catalog.text, msg_ids pg_catalog.int8[])
RETURNS SETOF pg_catalog.int8
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	stream pg_catalog.regclass := pgmq._stream(queue_name);
BEGIN
	RETURN QUERY EXECUTE pg_catalog.format($query$
		INSERT INTO pgmq.%I AS a (msg_id, read_ct, enqueued_at, last_read_at, vt, message, headers)
		SELECT m.msg_id + 1, c.deliveries, m.produced_at, c.last_read_at, COALESCE(c.vt, m.produced_at),
			m.payload, m.headers
		FROM pgmq._change($1, 'pgmq', $2, 'finish', '-infinity') c
		CROSS JOIN LATERAL streamq.read($1, c.msg_id, 1) m
		WHERE m.msg_id = c.msg_id
		RETURNING msg_id $query$, pgmq.format_table_name(queue_name, 'a'))
	USING stream, pgmq._offsets(msg_ids);
END
$$;
COMMENT ON FUNCTION pgmq.archive(pg_catalog.text, pg_catalog.int8[]) IS 'move messages to the archive; returns the numbers of those that were in the queue';

CREATE FUNCTION pgmq.archive(queue_name pg_catalog.text, msg_id pg_catalog.int8)
RETURNS pg_catalog.bool
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	PERFORM FROM pgmq.archive(queue_name, ARRAY[msg_id]);
	RETURN FOUND;
END
$$;
COMMENT ON FUNCTION pgmq.archive(pg_catalog.text, pg_catalog.int8) IS 'move a message to the archive; false if it is not in the queue';

CREATE FUNCTION pgmq.set_vt(queue_name pg_catalog.text, msg_ids pg_catalog.int8[], vt pg_catalog.timestamptz)
RETURNS SETOF pgmq.message_record
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	stream pg_catalog.regclass := pgmq._stream(queue_name);
	ids pg_catalog.int8[];
	counts pg_catalog.int4[];
	times pg_catalog.timestamptz[];
BEGIN
	IF vt IS NULL THEN
		RAISE null_value_not_allowed USING MESSAGE = 'argument "vt" must not be null';
	END IF;
	SELECT pg_catalog.array_agg(c.msg_id), pg_catalog.array_agg(c.deliveries), pg_catalog.array_agg(c.last_read_at)
	INTO ids, counts, times
	FROM pgmq._change(stream, 'pgmq', pgmq._offsets(msg_ids), 'postpone', vt) c;
	IF ids IS NOT NULL THEN
		RETURN QUERY SELECT * FROM pgmq._records(stream, ids, counts, times,
			pg_catalog.array_fill(vt, ARRAY[pg_catalog.cardinality(ids)]));
	END IF;
END
$$;
COMMENT ON FUNCTION pgmq.set_vt(pg_catalog.text, pg_catalog.int8[], pg_catalog.timestamptz) IS 'let messages be visible from a time on; returns them';

CREATE FUNCTION pgmq.set_vt(queue_name pg_catalog.text, msg_id pg_catalog.int8, vt pg_catalog.timestamptz)
RETURNS SETOF pgmq.message_record
LANGUAGE sql VOLATILE PARALLEL UNSAFE ROWS 1
SET search_path = pg_catalog, pg_temp
AS $$
SELECT * FROM pgmq.set_vt(queue_name, ARRAY[msg_id], vt);
$$;
COMMENT ON FUNCTION pgmq.set_vt(pg_catalog.text, pg_catalog.int8, pg_catalog.timestamptz) IS 'let a message be visible from a time on; returns it';

CREATE FUNCTION pgmq.set_vt(queue_name pg_catalog.text, msg_id pg_catalog.int8, vt pg_catalog.int4)
RETURNS SETOF pgmq.message_record
LANGUAGE sql VOLATILE PARALLEL UNSAFE ROWS 1
SET search_path = pg_catalog, pg_temp
AS $$
SELECT * FROM pgmq.set_vt(queue_name, ARRAY[msg_id], pg_catalog.clock_timestamp() + pg_catalog.make_interval(secs => vt));
$$;
COMMENT ON FUNCTION pgmq.set_vt(pg_catalog.text, pg_catalog.int8, pg_catalog.int4) IS 'let a message be visible after vt seconds; returns it';

CREATE FUNCTION pgmq.set_vt(queue_name pg_catalog.text, msg_ids pg_catalog.int8[], vt pg_catalog.int4)
RETURNS SETOF pgmq.message_record
LANGUAGE sql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $$
SELECT * FROM pgmq.set_vt(queue_name, msg_ids, pg_catalog.clock_timestamp() + pg_catalog.make_interval(secs => vt));
$$;
COMMENT ON FUNCTION pgmq.set_vt(pg_catalog.text, pg_catalog.int8[], pg_catalog.int4) IS 'let messages be visible after vt seconds; returns them';

-- For clients that send their parameters without types, as they could when
-- there was only one such function.
CREATE FUNCTION pgmq.set_vt(queue_name pg_catalog.text, msg_id pg_catalog.text, vt pg_catalog.text)
RETURNS SETOF pgmq.message_record
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	until pg_catalog.timestamptz := CASE WHEN vt ~ '^\s*[+-]?\d+\s*$'
		THEN pg_catalog.clock_timestamp() + pg_catalog.make_interval(secs => vt::pg_catalog.int4)
		ELSE vt::pg_catalog.timestamptz END;
BEGIN
	IF msg_id ~ '^\s*\{' THEN
		RETURN QUERY SELECT * FROM pgmq.set_vt(queue_name, msg_id::pg_catalog.int8[], until);
	ELSE
		RETURN QUERY SELECT * FROM pgmq.set_vt(queue_name, msg_id::pg_catalog.int8, until);
	END IF;
END
$$;
COMMENT ON FUNCTION pgmq.set_vt(pg_catalog.text, pg_catalog.text, pg_catalog.text) IS 'the same for parameters without types';
