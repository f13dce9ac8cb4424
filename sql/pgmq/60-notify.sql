-- Notifications of new messages, on the channel pgmq.q_<queue>.INSERT.

-- The statement trigger of the streams of such queues.  A session that cannot
-- lock the row leaves the notification to the one that has it.
CREATE FUNCTION pgmq.notify_queue_listeners()
RETURNS pg_catalog.trigger
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	UPDATE pgmq.notify_insert_throttle t
	SET last_notified_at = pg_catalog.clock_timestamp()
	WHERE t.ctid = (SELECT n.ctid FROM pgmq.notify_insert_throttle n
		WHERE n.queue_name = TG_ARGV[0]
			AND (n.throttle_interval_ms = 0 OR pg_catalog.clock_timestamp() - n.last_notified_at
				>= n.throttle_interval_ms * '1 millisecond'::pg_catalog.interval)
		FOR NO KEY UPDATE SKIP LOCKED);
	IF FOUND THEN
		PERFORM pg_catalog.pg_notify('pgmq.q_' || TG_ARGV[0] || '.' || TG_OP, NULL);
	END IF;
	RETURN NULL;
END
$$;
COMMENT ON FUNCTION pgmq.notify_queue_listeners IS 'trigger: notifies the listeners of a queue';

CREATE FUNCTION pgmq.disable_notify_insert(queue_name pg_catalog.text)
RETURNS pg_catalog.void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	IF EXISTS (SELECT FROM pg_catalog.pg_trigger
			WHERE tgrelid = pgmq._stream(queue_name) AND tgname = 'notify_queue_listeners') THEN
		EXECUTE pg_catalog.format('DROP TRIGGER notify_queue_listeners ON %s', pgmq._stream(queue_name));
	END IF;
	DELETE FROM pgmq.notify_insert_throttle t WHERE t.queue_name = disable_notify_insert.queue_name;
END
$$;
COMMENT ON FUNCTION pgmq.disable_notify_insert IS 'do not notify listeners of new messages';

CREATE FUNCTION pgmq._check_throttle(throttle_interval_ms pg_catalog.int4)
RETURNS pg_catalog.void
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	IF throttle_interval_ms IS NULL THEN
		RAISE null_value_not_allowed USING MESSAGE = 'argument "throttle_interval_ms" must not be null';
	ELSIF throttle_interval_ms < 0 THEN
		RAISE invalid_parameter_value USING
			MESSAGE = pg_catalog.format('argument "throttle_interval_ms" must not be negative, got %s', throttle_interval_ms);
	END IF;
END
$$;
COMMENT ON FUNCTION pgmq._check_throttle IS 'internal: check the interval of notifications';

CREATE FUNCTION pgmq.enable_notify_insert(queue_name pg_catalog.text, throttle_interval_ms pg_catalog.int4 DEFAULT 250)
RETURNS pg_catalog.void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	PERFORM pgmq._check_throttle(throttle_interval_ms);
	PERFORM pgmq._check_queue(queue_name);
	PERFORM pgmq.disable_notify_insert(queue_name);
	INSERT INTO pgmq.notify_insert_throttle (queue_name, throttle_interval_ms)
	VALUES (queue_name, throttle_interval_ms);
	EXECUTE pg_catalog.format('CREATE TRIGGER notify_queue_listeners AFTER INSERT ON %s'
		' FOR EACH STATEMENT EXECUTE FUNCTION pgmq.notify_queue_listeners(%L)',
		pgmq._stream(queue_name), queue_name);
END
$$;
COMMENT ON FUNCTION pgmq.enable_notify_insert IS 'notify listeners of new messages, at most once in an interval';

CREATE FUNCTION pgmq.update_notify_insert(queue_name pg_catalog.text, throttle_interval_ms pg_catalog.int4)
RETURNS pg_catalog.void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	PERFORM pgmq._check_throttle(throttle_interval_ms);
	PERFORM pgmq._check_queue(queue_name);
	UPDATE pgmq.notify_insert_throttle t
	SET throttle_interval_ms = update_notify_insert.throttle_interval_ms,
		last_notified_at = pg_catalog.to_timestamp(0)
	WHERE t.queue_name = update_notify_insert.queue_name;
	IF NOT FOUND THEN
		RAISE object_not_in_prerequisite_state USING
			MESSAGE = pg_catalog.format('queue "%s" does not notify listeners', queue_name),
			HINT = 'Call pgmq.enable_notify_insert() first.';
	END IF;
END
$$;
COMMENT ON FUNCTION pgmq.update_notify_insert IS 'change the interval of notifications';

CREATE FUNCTION pgmq.list_notify_insert_throttles()
RETURNS TABLE (queue_name pg_catalog.text, throttle_interval_ms pg_catalog.int4, last_notified_at pg_catalog.timestamptz)
LANGUAGE sql STABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
SELECT t.queue_name::pg_catalog.text, t.throttle_interval_ms, t.last_notified_at
FROM pgmq.notify_insert_throttle t
ORDER BY t.queue_name;
$$;
COMMENT ON FUNCTION pgmq.list_notify_insert_throttles IS 'queues that notify listeners, and how often at most';
