-- Views of consumer groups.

CREATE FUNCTION streamq.group_stats(stream pg_catalog.oid, group_id pg_catalog.int4)
RETURNS TABLE (partition pg_catalog.int4, acked_offset pg_catalog.int8, lag pg_catalog.int8,
	lag_time pg_catalog.interval, in_flight pg_catalog.int8, redelivered pg_catalog.int8,
	dead_lettered pg_catalog.int8, expired pg_catalog.int8, last_consumed_at pg_catalog.timestamptz,
	last_error pg_catalog.text, last_error_at pg_catalog.timestamptz)
LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'streamq_group_stats';
COMMENT ON FUNCTION streamq.group_stats(pg_catalog.oid, pg_catalog.int4)
	IS 'a group''s figures by partition: use the view streamq.consumer_groups';

CREATE FUNCTION streamq.group_leases(stream pg_catalog.oid, group_id pg_catalog.int4)
RETURNS TABLE (partition pg_catalog.int4, first_msg_id pg_catalog.int8, last_msg_id pg_catalog.int8,
	consumer pg_catalog.text, expires_at pg_catalog.timestamptz, deliveries pg_catalog.int4)
LANGUAGE C VOLATILE STRICT PARALLEL RESTRICTED
AS 'MODULE_PATHNAME', 'streamq_group_leases';
COMMENT ON FUNCTION streamq.group_leases(pg_catalog.oid, pg_catalog.int4)
	IS 'a group''s leases: use the view streamq.leases';

CREATE FUNCTION streamq.group_consumers(stream pg_catalog.oid, group_id pg_catalog.int4)
RETURNS TABLE (consumer pg_catalog.text, pid pg_catalog.int4, partitions pg_catalog.int4[],
	in_flight pg_catalog.int8, oldest_lease_expires_at pg_catalog.timestamptz,
	last_seen_at pg_catalog.timestamptz)
LANGUAGE C VOLATILE STRICT PARALLEL RESTRICTED
AS 'MODULE_PATHNAME', 'streamq_group_consumers';
COMMENT ON FUNCTION streamq.group_consumers(pg_catalog.oid, pg_catalog.int4)
	IS 'a group''s consumers: use the view streamq.consumers';

CREATE VIEW streamq.consumer_groups WITH (security_barrier = true) AS
SELECT c.stream, c.group_name, c.mode, s.partition, s.acked_offset,
	s.lag, s.lag_time, s.in_flight, s.redelivered,
	NULLIF(s.dead_lettered, 0) AS dead_lettered, s.last_consumed_at, s.expired,
	c.paused, c.max_deliveries, c.dead_letter, c.retry_backoff, c.retry_backoff_max,
	c.filter, c.max_rate, c.max_in_flight, c.max_per_key, c.lease,
	s.last_error, s.last_error_at
FROM streamq.consumer_group c
CROSS JOIN LATERAL streamq.group_stats(c.stream, c.group_id) s;
COMMENT ON VIEW streamq.consumer_groups IS 'position and counters of each consumer group in each partition of its stream';
COMMENT ON COLUMN streamq.consumer_groups.stream IS 'the stream';
COMMENT ON COLUMN streamq.consumer_groups.group_name IS 'name of the group';
COMMENT ON COLUMN streamq.consumer_groups.mode IS 'how the group shares out messages: ordered, shared or key_shared';
COMMENT ON COLUMN streamq.consumer_groups.partition IS 'number of the partition, from 0';
COMMENT ON COLUMN streamq.consumer_groups.acked_offset IS 'the group has acknowledged everything below this offset';
COMMENT ON COLUMN streamq.consumer_groups.lag IS 'messages still to be delivered or acknowledged; gaps are not counted';
COMMENT ON COLUMN streamq.consumer_groups.lag_time IS 'how long ago the oldest of these messages was appended';
COMMENT ON COLUMN streamq.consumer_groups.in_flight IS 'messages that were delivered and not acknowledged yet';
COMMENT ON COLUMN streamq.consumer_groups.redelivered IS 'deliveries of messages that had been delivered before';
COMMENT ON COLUMN streamq.consumer_groups.dead_lettered IS 'messages that went to the group''s dead letter; null: none';
COMMENT ON COLUMN streamq.consumer_groups.last_consumed_at IS 'time of the last delivery';
COMMENT ON COLUMN streamq.consumer_groups.expired IS 'offsets that retention took before the group had read them, rolled-back messages included';
COMMENT ON COLUMN streamq.consumer_groups.paused IS 'whether the group was paused by pause_group';
COMMENT ON COLUMN streamq.consumer_groups.max_deliveries IS 'a message goes to the dead letter after so many deliveries; null: never';
COMMENT ON COLUMN streamq.consumer_groups.dead_letter IS 'stream of dead letters; null: none';
COMMENT ON COLUMN streamq.consumer_groups.retry_backoff IS 'wait before the second delivery of a message, doubled for each further one; null: none';
COMMENT ON COLUMN streamq.consumer_groups.retry_backoff_max IS 'longest such wait; null: no limit';
COMMENT ON COLUMN streamq.consumer_groups.filter IS 'condition on the messages that the group gets; null: all';
COMMENT ON COLUMN streamq.consumer_groups.max_rate IS 'messages per second that the group is given at most; null: no limit';
COMMENT ON COLUMN streamq.consumer_groups.max_in_flight IS 'unacknowledged messages in a partition at most';
COMMENT ON COLUMN streamq.consumer_groups.max_per_key IS 'unacknowledged messages of a key at most; null: no limit';
COMMENT ON COLUMN streamq.consumer_groups.lease IS 'how long a consumer holds messages by default';
COMMENT ON COLUMN streamq.consumer_groups.last_error IS 'why a dead letter could not be written since the last one that could; null: no error';
COMMENT ON COLUMN streamq.consumer_groups.last_error_at IS 'time of the last such error';
GRANT SELECT ON streamq.consumer_groups TO PUBLIC;

CREATE VIEW streamq.leases WITH (security_barrier = true) AS
SELECT c.stream, c.group_name, l.partition, l.first_msg_id,
	l.last_msg_id, l.consumer, l.expires_at, l.deliveries
FROM streamq.consumer_group c
CROSS JOIN LATERAL streamq.group_leases(c.stream, c.group_id) l;
COMMENT ON VIEW streamq.leases IS 'messages that a consumer holds now';
COMMENT ON COLUMN streamq.leases.stream IS 'the stream';
COMMENT ON COLUMN streamq.leases.group_name IS 'name of the group';
COMMENT ON COLUMN streamq.leases.partition IS 'number of the partition, from 0';
COMMENT ON COLUMN streamq.leases.first_msg_id IS 'first message of the lease';
COMMENT ON COLUMN streamq.leases.last_msg_id IS 'last message of the lease';
COMMENT ON COLUMN streamq.leases.consumer IS 'holder of the lease: the name given to consume(), or the session';
COMMENT ON COLUMN streamq.leases.expires_at IS 'time from which the messages may be delivered to another consumer';
COMMENT ON COLUMN streamq.leases.deliveries IS 'how often these messages were delivered';
GRANT SELECT ON streamq.leases TO PUBLIC;

CREATE VIEW streamq.consumers WITH (security_barrier = true) AS
SELECT c.stream, c.group_name, k.consumer, k.pid, k.partitions, k.in_flight,
	k.oldest_lease_expires_at, k.last_seen_at
FROM streamq.consumer_group c
CROSS JOIN LATERAL streamq.group_consumers(c.stream, c.group_id) k;
COMMENT ON VIEW streamq.consumers IS 'consumers of each consumer group, and what they hold';
COMMENT ON COLUMN streamq.consumers.stream IS 'the stream';
COMMENT ON COLUMN streamq.consumers.group_name IS 'name of the group';
COMMENT ON COLUMN streamq.consumers.consumer IS 'the name given to consume(), or the session';
COMMENT ON COLUMN streamq.consumers.pid IS 'process of the session that consumed under this name last; null: it has ended';
COMMENT ON COLUMN streamq.consumers.partitions IS 'partitions in which the consumer holds messages';
COMMENT ON COLUMN streamq.consumers.in_flight IS 'messages that the consumer holds';
COMMENT ON COLUMN streamq.consumers.oldest_lease_expires_at IS 'time at which the first of its leases ends; null: it holds nothing';
COMMENT ON COLUMN streamq.consumers.last_seen_at IS 'last call of consume(), to the second; null: unknown';
GRANT SELECT ON streamq.consumers TO PUBLIC;
