-- Queues: names, creating and dropping them.
--
-- The messages of queue x are in the stream pgmq.s_x, from which a group in
-- shared mode hands them out.  The view pgmq.q_x has what is in the queue, and
-- the stream pgmq.a_x is its archive.  Numbers of messages begin at 1, those of
-- the stream at 0.

CREATE FUNCTION pgmq.format_table_name(queue_name pg_catalog.text, prefix pg_catalog.text)
RETURNS pg_catalog.text
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	IF queue_name ~ '[$;'']|--' THEN
		RAISE invalid_name USING
			MESSAGE = pg_catalog.format('invalid queue name "%s"', queue_name),
			DETAIL = 'The name contains one of $, ;, -- and ''.';
	END IF;
	RETURN pg_catalog.lower(prefix || '_' || queue_name);
END
$$;
COMMENT ON FUNCTION pgmq.format_table_name IS 'the name of a relation of a queue';

CREATE FUNCTION pgmq.validate_queue_name(queue_name pg_catalog.text)
RETURNS pg_catalog.void
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	IF queue_name IS NULL OR queue_name = '' THEN
		RAISE invalid_name USING MESSAGE = 'queue name must not be null or empty';
	ELSIF pg_catalog.length(queue_name) > 47 THEN
		RAISE name_too_long USING
			MESSAGE = pg_catalog.format('queue name "%s" is too long', queue_name),
			HINT = 'A name has at most 47 characters.';
	END IF;
END
$$;
COMMENT ON FUNCTION pgmq.validate_queue_name IS 'fail unless a queue can have this name';

CREATE FUNCTION pgmq.acquire_queue_lock(queue_name pg_catalog.text)
RETURNS pg_catalog.void
LANGUAGE sql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $$
SELECT pg_catalog.pg_advisory_xact_lock(pg_catalog.hashtext('pgmq.queue_' || pg_catalog.lower(queue_name)));
$$;
COMMENT ON FUNCTION pgmq.acquire_queue_lock IS 'keep others from creating or dropping a queue until the end of the transaction';

CREATE FUNCTION pgmq._stream(queue_name pg_catalog.text)
RETURNS pg_catalog.regclass
LANGUAGE plpgsql STABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	stream pg_catalog.regclass := pg_catalog.to_regclass(
		'pgmq.' || pg_catalog.quote_ident(pgmq.format_table_name(queue_name, 's')));
BEGIN
	IF stream IS NULL THEN
		RAISE undefined_table USING
			MESSAGE = pg_catalog.format('relation "pgmq.%s" does not exist', pgmq.format_table_name(queue_name, 'q')),
			HINT = 'Create the queue by pgmq.create().';
	END IF;
	RETURN stream;
END
$$;
COMMENT ON FUNCTION pgmq._stream IS 'internal: the stream of a queue';

CREATE FUNCTION pgmq._create(queue_name pg_catalog.text, partitioned pg_catalog.bool, unlogged pg_catalog.bool)
RETURNS pg_catalog.bool
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	s pg_catalog.text := pg_catalog.format('pgmq.%I', pgmq.format_table_name(queue_name, 's'));
	q pg_catalog.text := pg_catalog.format('pgmq.%I', pgmq.format_table_name(queue_name, 'q'));
	a pg_catalog.text := pg_catalog.format('pgmq.%I', pgmq.format_table_name(queue_name, 'a'));
	is_new pg_catalog.bool;
BEGIN
	PERFORM pgmq.validate_queue_name(queue_name);
	PERFORM pgmq.acquire_queue_lock(queue_name);
	is_new := pg_catalog.to_regclass(s) IS NULL;
	IF is_new THEN
		PERFORM streamq.create_stream(s, 'payload jsonb, headers jsonb, vt timestamptz');
		-- messages that are done leave the stream
		PERFORM streamq.alter_stream(s::pg_catalog.regclass, retention => '1 minute', keep_unacked => true);
		PERFORM streamq.create_group(s::pg_catalog.regclass, 'pgmq', mode => 'shared', max_in_flight => 1000000);
		PERFORM streamq.grant_group(s::pg_catalog.regclass, 'pgmq', 'public');
		EXECUTE pg_catalog.format($query$
			CREATE VIEW %s AS
			SELECT m.msg_id + 1 AS msg_id, m.deliveries AS read_ct,
				streamq.produced_at(s.tableoid, s.ctid) AS enqueued_at, m.last_read_at,
				COALESCE(m.vt, CASE WHEN m.deliveries = 0 THEN s.vt END,
					streamq.produced_at(s.tableoid, s.ctid)) AS vt,
				s.payload AS message, s.headers
			FROM pgmq._messages(%L, 'pgmq') m
			JOIN %s s ON streamq.msg_id(s.tableoid, s.ctid) = m.msg_id $query$, q, s, s);
		EXECUTE pg_catalog.format($query$
			CREATE TABLE %s (
				msg_id pg_catalog.int8 NOT NULL,
				read_ct pg_catalog.int4 NOT NULL DEFAULT 0,
				enqueued_at pg_catalog.timestamptz NOT NULL DEFAULT pg_catalog.now(),
				last_read_at pg_catalog.timestamptz,
				archived_at pg_catalog.timestamptz NOT NULL DEFAULT pg_catalog.now(),
				vt pg_catalog.timestamptz NOT NULL,
				message pg_catalog.jsonb,
				headers pg_catalog.jsonb
			) USING streamq $query$, a);
	END IF;
	INSERT INTO pgmq.meta (queue_name, is_partitioned, is_unlogged)
	VALUES (queue_name, partitioned, unlogged)
	ON CONFLICT DO NOTHING;
	RETURN is_new;
END
$$;
COMMENT ON FUNCTION pgmq._create IS 'internal: create a queue; false if it exists';

CREATE FUNCTION pgmq.create_non_partitioned(queue_name pg_catalog.text)
RETURNS pg_catalog.void
LANGUAGE sql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $$
SELECT pgmq._create(queue_name, false, false);
$$;
COMMENT ON FUNCTION pgmq.create_non_partitioned IS 'create a queue';

CREATE FUNCTION pgmq.create(queue_name pg_catalog.text)
RETURNS pg_catalog.void
LANGUAGE sql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $$
SELECT pgmq._create(queue_name, false, false);
$$;
COMMENT ON FUNCTION pgmq.create IS 'create a queue';

CREATE FUNCTION pgmq.create_unlogged(queue_name pg_catalog.text)
RETURNS pg_catalog.void
LANGUAGE sql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $$
SELECT pgmq._create(queue_name, false, true);
$$;
COMMENT ON FUNCTION pgmq.create_unlogged IS 'create a queue; its messages are logged, as those of every stream';

-- A number is a number of messages, anything else an age.
CREATE FUNCTION pgmq._set_retention(stream pg_catalog.regclass, retention_interval pg_catalog.text)
RETURNS pg_catalog.void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	IF retention_interval ~ '^\s*\d+\s*$' THEN
		PERFORM streamq.alter_stream(stream, retention => '0', keep_unacked => false,
			max_messages => retention_interval::pg_catalog.int8);
	ELSE
		PERFORM streamq.alter_stream(stream, keep_unacked => false, max_messages => 0,
			retention => retention_interval::pg_catalog.interval);
	END IF;
END
$$;
COMMENT ON FUNCTION pgmq._set_retention IS 'internal: what a stream keeps';

CREATE FUNCTION pgmq.create_partitioned(queue_name pg_catalog.text,
	partition_interval pg_catalog.text DEFAULT '10000',
	retention_interval pg_catalog.text DEFAULT '100000',
	premake pg_catalog.int4 DEFAULT 4)
RETURNS pg_catalog.void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	IF premake < 1 THEN
		RAISE invalid_parameter_value USING
			MESSAGE = pg_catalog.format('argument "premake" must be greater than zero, got %s', premake);
	END IF;
	IF pgmq._create(queue_name, true, false) THEN
		PERFORM pgmq._set_retention(pgmq._stream(queue_name), retention_interval);
		PERFORM pgmq.convert_archive_partitioned(queue_name, partition_interval, retention_interval);
	END IF;
END
$$;
COMMENT ON FUNCTION pgmq.create_partitioned IS 'create a queue that keeps this number or age of messages; a stream needs no partitions for that';

CREATE FUNCTION pgmq.convert_archive_partitioned(table_name pg_catalog.text,
	partition_interval pg_catalog.text DEFAULT '10000',
	retention_interval pg_catalog.text DEFAULT '100000',
	leading_partition pg_catalog.int4 DEFAULT 10)
RETURNS pg_catalog.void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	archive pg_catalog.regclass := pg_catalog.to_regclass(
		'pgmq.' || pg_catalog.quote_ident(pgmq.format_table_name(table_name, 'a')));
BEGIN
	IF archive IS NULL THEN
		RAISE NOTICE 'archive of queue "%" does not exist', table_name;
		RETURN;
	END IF;
	PERFORM pgmq._set_retention(archive, retention_interval);
END
$$;
COMMENT ON FUNCTION pgmq.convert_archive_partitioned IS 'let the archive of a queue keep this number or age of messages';

CREATE FUNCTION pgmq.drop_queue(queue_name pg_catalog.text)
RETURNS pg_catalog.bool
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	PERFORM pgmq.acquire_queue_lock(queue_name);
	IF pg_catalog.to_regclass('pgmq.' || pg_catalog.quote_ident(pgmq.format_table_name(queue_name, 's'))) IS NULL THEN
		RAISE NOTICE 'queue "%" does not exist', queue_name;
		RETURN false;
	END IF;
	EXECUTE pg_catalog.format('DROP VIEW IF EXISTS pgmq.%I', pgmq.format_table_name(queue_name, 'q'));
	EXECUTE pg_catalog.format('DROP TABLE pgmq.%I', pgmq.format_table_name(queue_name, 's'));
	EXECUTE pg_catalog.format('DROP TABLE IF EXISTS pgmq.%I', pgmq.format_table_name(queue_name, 'a'));
	DELETE FROM pgmq.meta m WHERE pg_catalog.lower(m.queue_name) = pg_catalog.lower(drop_queue.queue_name);
	RETURN true;
END
$$;
COMMENT ON FUNCTION pgmq.drop_queue(pg_catalog.text) IS 'drop a queue and its archive; false if there is no such queue';

CREATE FUNCTION pgmq.drop_queue(queue_name pg_catalog.text, partitioned pg_catalog.bool)
RETURNS pg_catalog.bool
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	RAISE WARNING 'drop_queue(queue_name, partitioned) is deprecated'
		USING HINT = 'Use drop_queue(queue_name).';
	RETURN pgmq.drop_queue(queue_name);
END
$$;
COMMENT ON FUNCTION pgmq.drop_queue(pg_catalog.text, pg_catalog.bool) IS 'deprecated: drop a queue';

CREATE FUNCTION pgmq.detach_archive(queue_name pg_catalog.text)
RETURNS pg_catalog.void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	RAISE WARNING 'detach_archive() is deprecated and does nothing';
END
$$;
COMMENT ON FUNCTION pgmq.detach_archive IS 'deprecated: does nothing';

CREATE FUNCTION pgmq.list_queues()
RETURNS SETOF pgmq.queue_record
LANGUAGE sql STABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
SELECT queue_name, is_partitioned, is_unlogged, created_at FROM pgmq.meta;
$$;
COMMENT ON FUNCTION pgmq.list_queues IS 'all queues';

CREATE FUNCTION pgmq.purge_queue(queue_name pg_catalog.text)
RETURNS pg_catalog.int8
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	stream pg_catalog.regclass := pgmq._stream(queue_name);
	purged pg_catalog.int8;
BEGIN
	EXECUTE pg_catalog.format('LOCK TABLE %s IN ACCESS EXCLUSIVE MODE', stream);
	EXECUTE pg_catalog.format('SELECT pg_catalog.count(*) FROM pgmq.%I', pgmq.format_table_name(queue_name, 'q'))
	INTO purged;
	EXECUTE pg_catalog.format('TRUNCATE %s', stream);
	RETURN purged;
END
$$;
COMMENT ON FUNCTION pgmq.purge_queue IS 'remove all messages from a queue; returns how many there were';

CREATE FUNCTION pgmq.metrics(queue_name pg_catalog.text)
RETURNS pgmq.metrics_result
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	stream pg_catalog.regclass := pgmq._stream(queue_name);
	result pgmq.metrics_result;
BEGIN
	EXECUTE pg_catalog.format($query$
		SELECT $1, pg_catalog.count(*),
			EXTRACT(epoch FROM pg_catalog.clock_timestamp() - pg_catalog.max(enqueued_at))::pg_catalog.int4,
			EXTRACT(epoch FROM pg_catalog.clock_timestamp() - pg_catalog.min(enqueued_at))::pg_catalog.int4,
			(SELECT next_offset FROM streamq.partitions p WHERE p.stream = $2), pg_catalog.now(),
			pg_catalog.count(*) FILTER (WHERE vt <= pg_catalog.clock_timestamp()), NULL
		FROM pgmq.%I $query$, pgmq.format_table_name(queue_name, 'q'))
	INTO result USING queue_name, stream;
	RETURN result;
END
$$;
COMMENT ON FUNCTION pgmq.metrics IS 'figures of a queue';

CREATE FUNCTION pgmq.metrics_all()
RETURNS SETOF pgmq.metrics_result
LANGUAGE sql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $$
SELECT m.* FROM pgmq.meta q, pgmq.metrics(q.queue_name::pg_catalog.text) m;
$$;
COMMENT ON FUNCTION pgmq.metrics_all IS 'figures of all queues';

-- Grouped reads need no index here.
CREATE FUNCTION pgmq.create_fifo_index(queue_name pg_catalog.text)
RETURNS pg_catalog.void
LANGUAGE plpgsql STABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	PERFORM pgmq._stream(queue_name);
END
$$;
COMMENT ON FUNCTION pgmq.create_fifo_index IS 'does nothing: streams have no indexes';

CREATE FUNCTION pgmq.create_fifo_indexes_all()
RETURNS pg_catalog.void
LANGUAGE sql STABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
SELECT NULL::pg_catalog.void;
$$;
COMMENT ON FUNCTION pgmq.create_fifo_indexes_all IS 'does nothing: streams have no indexes';
