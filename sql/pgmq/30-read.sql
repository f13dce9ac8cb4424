-- Reading messages.

-- vt in seconds as a lease: there is no lease of length zero.
CREATE FUNCTION pgmq._lease(vt pg_catalog.int4)
RETURNS pg_catalog.interval
LANGUAGE sql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
SELECT CASE WHEN vt > 0 THEN pg_catalog.make_interval(secs => vt) ELSE '1 microsecond'::pg_catalog.interval END;
$$;
COMMENT ON FUNCTION pgmq._lease IS 'internal: a visibility timeout as the lease of a group';

-- Messages of a stream that were changed, in the order of the array.
CREATE FUNCTION pgmq._records(stream pg_catalog.regclass, msg_ids pg_catalog.int8[],
	deliveries pg_catalog.int4[], last_read_at pg_catalog.timestamptz[], vt pg_catalog.timestamptz[])
RETURNS SETOF pgmq.message_record
LANGUAGE sql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $$
SELECT m.msg_id + 1, c.deliveries, m.produced_at, c.last_read_at, COALESCE(c.vt, m.produced_at), m.payload, m.headers
FROM ROWS FROM (pg_catalog.unnest(msg_ids), pg_catalog.unnest(deliveries),
		pg_catalog.unnest(last_read_at), pg_catalog.unnest(vt))
	WITH ORDINALITY AS c (msg_id, deliveries, last_read_at, vt, place)
CROSS JOIN LATERAL streamq.read(stream, c.msg_id, 1) m
WHERE m.msg_id = c.msg_id
ORDER BY c.place;
$$;
COMMENT ON FUNCTION pgmq._records IS 'internal: messages of a queue by their numbers';

-- Take these messages, as far as they are still visible.
CREATE FUNCTION pgmq._take(stream pg_catalog.regclass, msg_ids pg_catalog.int8[], vt pg_catalog.int4)
RETURNS SETOF pgmq.message_record
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	until pg_catalog.timestamptz := pg_catalog.clock_timestamp() + pgmq._lease(vt);
	ids pg_catalog.int8[];
	counts pg_catalog.int4[];
	times pg_catalog.timestamptz[];
BEGIN
	SELECT pg_catalog.array_agg(c.msg_id ORDER BY p.place), pg_catalog.array_agg(c.deliveries ORDER BY p.place),
		pg_catalog.array_agg(c.last_read_at ORDER BY p.place)
	INTO ids, counts, times
	FROM pgmq._change(stream, 'pgmq', msg_ids, 'take', until) c
	JOIN pg_catalog.unnest(msg_ids) WITH ORDINALITY AS p (id, place) ON p.id = c.msg_id;
	IF ids IS NOT NULL THEN
		RETURN QUERY SELECT * FROM pgmq._records(stream, ids, counts, times,
			pg_catalog.array_fill(until, ARRAY[pg_catalog.cardinality(ids)]));
	END IF;
END
$$;
COMMENT ON FUNCTION pgmq._take IS 'internal: read messages by their numbers';

CREATE FUNCTION pgmq._check_qty(qty pg_catalog.int4)
RETURNS pg_catalog.void
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	IF qty IS NULL THEN
		RAISE null_value_not_allowed USING MESSAGE = 'argument "qty" must not be null';
	ELSIF qty < 0 THEN
		RAISE invalid_parameter_value USING MESSAGE = 'argument "qty" must not be negative';
	END IF;
END
$$;
COMMENT ON FUNCTION pgmq._check_qty IS 'internal: check the argument qty';

-- Read what comes next, waiting for it.
CREATE FUNCTION pgmq._read(queue_name pg_catalog.text, vt pg_catalog.int4, qty pg_catalog.int4, wait pg_catalog.interval)
RETURNS SETOF pgmq.message_record
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	stream pg_catalog.regclass := pgmq._stream(queue_name);
	lease pg_catalog.interval := pgmq._lease(vt);
	read_at pg_catalog.timestamptz;
BEGIN
	PERFORM pgmq._check_qty(qty);
	IF qty > 0 THEN
		RETURN QUERY SELECT m.msg_id + 1, m.deliveries, m.produced_at, t.now, t.now + lease, m.payload, m.headers
			FROM pgmq._consume(stream, 'pgmq', qty, wait, lease, false) m,
				LATERAL (SELECT pg_catalog.clock_timestamp() AS now) t;
	END IF;
END
$$;
COMMENT ON FUNCTION pgmq._read IS 'internal: read the next messages';

-- Read what matches.
CREATE FUNCTION pgmq._read_matching(queue_name pg_catalog.text, vt pg_catalog.int4, qty pg_catalog.int4, conditional pg_catalog.jsonb)
RETURNS SETOF pgmq.message_record
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	stream pg_catalog.regclass := pgmq._stream(queue_name);
	ids pg_catalog.int8[];
BEGIN
	PERFORM pgmq._check_qty(qty);
	EXECUTE pg_catalog.format('SELECT ARRAY(SELECT msg_id - 1 FROM pgmq.%I'
		' WHERE vt <= pg_catalog.clock_timestamp() AND message @> $1 ORDER BY msg_id LIMIT $2)',
		pgmq.format_table_name(queue_name, 'q'))
	INTO ids USING conditional, qty;
	RETURN QUERY SELECT * FROM pgmq._take(stream, ids, vt);
END
$$;
COMMENT ON FUNCTION pgmq._read_matching IS 'internal: read the next messages that contain a value';

CREATE FUNCTION pgmq.read(queue_name pg_catalog.text, vt pg_catalog.int4, qty pg_catalog.int4,
	conditional pg_catalog.jsonb DEFAULT '{}')
RETURNS SETOF pgmq.message_record
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	IF conditional <> '{}' THEN
		RETURN QUERY SELECT * FROM pgmq._read_matching(queue_name, vt, qty, conditional);
	ELSE
		RETURN QUERY SELECT * FROM pgmq._read(queue_name, vt, qty, '0');
	END IF;
END
$$;
COMMENT ON FUNCTION pgmq.read IS 'read messages; they are invisible for vt seconds';

CREATE FUNCTION pgmq.read_with_poll(queue_name pg_catalog.text, vt pg_catalog.int4, qty pg_catalog.int4,
	max_poll_seconds pg_catalog.int4 DEFAULT 5, poll_interval_ms pg_catalog.int4 DEFAULT 100,
	conditional pg_catalog.jsonb DEFAULT '{}')
RETURNS SETOF pgmq.message_record
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	stop_at pg_catalog.timestamptz := pg_catalog.clock_timestamp() + pg_catalog.make_interval(secs => max_poll_seconds);
BEGIN
	IF NOT conditional <> '{}' THEN
		RETURN QUERY SELECT * FROM pgmq._read(queue_name, vt, qty,
			pg_catalog.make_interval(secs => GREATEST(max_poll_seconds, 0)));
		RETURN;
	END IF;
	WHILE pg_catalog.clock_timestamp() < stop_at LOOP
		RETURN QUERY SELECT * FROM pgmq._read_matching(queue_name, vt, qty, conditional);
		IF FOUND THEN
			RETURN;
		END IF;
		PERFORM pg_catalog.pg_sleep(poll_interval_ms / 1000.0);
	END LOOP;
END
$$;
COMMENT ON FUNCTION pgmq.read_with_poll IS 'as read(), but wait for messages';

-- ---- groups of messages, by their header x-pgmq-group ----

-- Messages of a group are read in order, and only if its first message is
-- visible.  That message is taken first.  If another session has taken it in
-- the meantime, the group is left to that session.
--   'fill': the groups one after the other
--   'rr':   the first messages of all groups, then the second ones, ...
--   'head': only the first messages
CREATE FUNCTION pgmq._read_grouped(queue_name pg_catalog.text, vt pg_catalog.int4, qty pg_catalog.int4, how pg_catalog.text)
RETURNS SETOF pgmq.message_record
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	stream pg_catalog.regclass := pgmq._stream(queue_name);
	ids pg_catalog.int8[];
	heads pg_catalog.int8[];
	taken pgmq.message_record[];
	got pg_catalog.int8[];
BEGIN
	PERFORM pgmq._check_qty(qty);
	EXECUTE pg_catalog.format($query$
		SELECT pg_catalog.array_agg(id ORDER BY place), pg_catalog.array_agg(head ORDER BY place)
		FROM (
			SELECT id, head, pg_catalog.row_number() OVER (ORDER BY
				CASE WHEN $1 = 'rr' THEN rank ELSE 0 END, head, rank) AS place
			FROM (
				SELECT id, head, pg_catalog.row_number() OVER (PARTITION BY head ORDER BY id) AS rank
				FROM (
					SELECT msg_id - 1 AS id, vt <= $2 AS visible,
						pg_catalog.first_value(msg_id - 1) OVER g AS head,
						pg_catalog.first_value(vt <= $2) OVER g AS eligible
					FROM pgmq.%I
					WINDOW g AS (PARTITION BY COALESCE(headers->>'x-pgmq-group', '_default_fifo_group')
						ORDER BY msg_id)
				) m
				WHERE eligible AND visible
			) m
			WHERE $1 <> 'head' OR rank = 1
		) m
		WHERE place <= $3 $query$, pgmq.format_table_name(queue_name, 'q'))
	INTO ids, heads USING how, pg_catalog.clock_timestamp(), qty;
	IF ids IS NULL THEN
		RETURN;
	END IF;
	taken := ARRAY(SELECT r FROM pgmq._take(stream,
		ARRAY(SELECT DISTINCT h FROM pg_catalog.unnest(heads) h), vt) r);
	got := ARRAY(SELECT t.msg_id - 1 FROM pg_catalog.unnest(taken) t);
	taken := taken || ARRAY(SELECT r FROM pgmq._take(stream,
		ARRAY(SELECT m.id FROM ROWS FROM (pg_catalog.unnest(ids), pg_catalog.unnest(heads)) m (id, head)
			WHERE m.id <> m.head AND m.head = ANY (got)), vt) r);
	RETURN QUERY SELECT t.*
		FROM pg_catalog.unnest(ids) WITH ORDINALITY AS p (id, place)
		JOIN pg_catalog.unnest(taken) t ON t.msg_id = p.id + 1
		ORDER BY p.place;
END
$$;
COMMENT ON FUNCTION pgmq._read_grouped IS 'internal: read messages of groups in order';

CREATE FUNCTION pgmq._poll_grouped(queue_name pg_catalog.text, vt pg_catalog.int4, qty pg_catalog.int4,
	max_poll_seconds pg_catalog.int4, poll_interval_ms pg_catalog.int4, how pg_catalog.text)
RETURNS SETOF pgmq.message_record
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	stop_at pg_catalog.timestamptz := pg_catalog.clock_timestamp() + pg_catalog.make_interval(secs => max_poll_seconds);
BEGIN
	WHILE pg_catalog.clock_timestamp() < stop_at LOOP
		RETURN QUERY SELECT * FROM pgmq._read_grouped(queue_name, vt, qty, how);
		IF FOUND THEN
			RETURN;
		END IF;
		PERFORM pg_catalog.pg_sleep(poll_interval_ms / 1000.0);
	END LOOP;
END
$$;
COMMENT ON FUNCTION pgmq._poll_grouped IS 'internal: wait for messages of groups';

CREATE FUNCTION pgmq.read_grouped(queue_name pg_catalog.text, vt pg_catalog.int4, qty pg_catalog.int4)
RETURNS SETOF pgmq.message_record
LANGUAGE sql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $$
SELECT * FROM pgmq._read_grouped(queue_name, vt, qty, 'fill');
$$;
COMMENT ON FUNCTION pgmq.read_grouped IS 'read messages of groups in order, one group after the other';

CREATE FUNCTION pgmq.read_grouped_with_poll(queue_name pg_catalog.text, vt pg_catalog.int4, qty pg_catalog.int4,
	max_poll_seconds pg_catalog.int4 DEFAULT 5, poll_interval_ms pg_catalog.int4 DEFAULT 100)
RETURNS SETOF pgmq.message_record
LANGUAGE sql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $$
SELECT * FROM pgmq._poll_grouped(queue_name, vt, qty, max_poll_seconds, poll_interval_ms, 'fill');
$$;
COMMENT ON FUNCTION pgmq.read_grouped_with_poll IS 'as read_grouped(), but wait for messages';

CREATE FUNCTION pgmq.read_grouped_rr(queue_name pg_catalog.text, vt pg_catalog.int4, qty pg_catalog.int4)
RETURNS SETOF pgmq.message_record
LANGUAGE sql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $$
SELECT * FROM pgmq._read_grouped(queue_name, vt, qty, 'rr');
$$;
COMMENT ON FUNCTION pgmq.read_grouped_rr IS 'read messages of groups in order, one of each group at a time';

CREATE FUNCTION pgmq.read_grouped_rr_with_poll(queue_name pg_catalog.text, vt pg_catalog.int4, qty pg_catalog.int4,
	max_poll_seconds pg_catalog.int4 DEFAULT 5, poll_interval_ms pg_catalog.int4 DEFAULT 100)
RETURNS SETOF pgmq.message_record
LANGUAGE sql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $$
SELECT * FROM pgmq._poll_grouped(queue_name, vt, qty, max_poll_seconds, poll_interval_ms, 'rr');
$$;
COMMENT ON FUNCTION pgmq.read_grouped_rr_with_poll IS 'as read_grouped_rr(), but wait for messages';

CREATE FUNCTION pgmq.read_grouped_head(queue_name pg_catalog.text, vt pg_catalog.int4, qty pg_catalog.int4)
RETURNS SETOF pgmq.message_record
LANGUAGE sql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $$
SELECT * FROM pgmq._read_grouped(queue_name, vt, qty, 'head');
$$;
COMMENT ON FUNCTION pgmq.read_grouped_head IS 'read the first message of each group';

CREATE FUNCTION pgmq.read_grouped_head_with_poll(queue_name pg_catalog.text, vt pg_catalog.int4, qty pg_catalog.int4,
	max_poll_seconds pg_catalog.int4 DEFAULT 5, poll_interval_ms pg_catalog.int4 DEFAULT 100)
RETURNS SETOF pgmq.message_record
LANGUAGE sql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $$
SELECT * FROM pgmq._poll_grouped(queue_name, vt, qty, max_poll_seconds, poll_interval_ms, 'head');
$$;
COMMENT ON FUNCTION pgmq.read_grouped_head_with_poll IS 'as read_grouped_head(), but wait for messages';

