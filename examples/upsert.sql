-- The latest state of things in an ordinary table, which the application can
-- index, join and reference.  A message whose payload has "deleted" takes its
-- row away.
--
-- A handler that takes an array is called once for many messages, so this is
-- one statement for each batch.  Of several messages of a device in a batch,
-- the last one counts.

SELECT streamq.create_stream('device_events') AS stream;
CREATE TABLE devices (id text PRIMARY KEY, state jsonb NOT NULL, changed_at timestamptz NOT NULL);

CREATE FUNCTION keep_devices(messages streamq.message[]) RETURNS void
LANGUAGE sql
SET search_path = public, pg_temp
BEGIN ATOMIC
	WITH latest AS (
		SELECT DISTINCT ON (key) key, payload, produced_at
		FROM unnest(messages)
		WHERE key IS NOT NULL
		ORDER BY key, msg_id DESC
	), gone AS (
		DELETE FROM devices USING latest
		WHERE id = key AND payload ? 'deleted'
	)
	INSERT INTO devices AS d
	SELECT key, payload, produced_at FROM latest WHERE NOT payload ? 'deleted'
	ON CONFLICT (id) DO UPDATE SET state = excluded.state, changed_at = excluded.changed_at;
END;

SELECT streamq.create_handler('device_states', 'device_events', 'keep_devices(streamq.message[])',
	batch_size => 500) AS handler;
