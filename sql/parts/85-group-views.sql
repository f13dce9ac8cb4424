-- Consumer groups: what there is to see.

CREATE FUNCTION streamq.group_status(relid pg_catalog.oid, group_id pg_catalog.int4)
RETURNS TABLE (partition pg_catalog.int4, acked_offset pg_catalog.int8, lag pg_catalog.int8,
	lag_time pg_catalog.interval, in_flight pg_catalog.int8, redelivered pg_catalog.int8,
	dead_lettered pg_catalog.int8, lost pg_catalog.int8, last_consumed_at pg_catalog.timestamptz)
LANGUAGE C STRICT
AS 'MODULE_PATHNAME', 'streamq_group_status';
COMMENT ON FUNCTION streamq.group_status(pg_catalog.oid, pg_catalog.int4)
	IS 'a group''s figures by partition: use the view streamq.consumer_groups';

CREATE FUNCTION streamq.group_leases(relid pg_catalog.oid, group_id pg_catalog.int4)
RETURNS TABLE (partition pg_catalog.int4, first_msg_id pg_catalog.int8, last_msg_id pg_catalog.int8,
	consumer pg_catalog.text, expires_at pg_catalog.timestamptz, deliveries pg_catalog.int4)
LANGUAGE C STRICT
AS 'MODULE_PATHNAME', 'streamq_group_leases';
COMMENT ON FUNCTION streamq.group_leases(pg_catalog.oid, pg_catalog.int4)
	IS 'a group''s leases: use the view streamq.leases';

CREATE VIEW streamq.consumer_groups AS
SELECT c.relid::pg_catalog.regclass AS stream, c.group_name, c.mode, s.partition, s.acked_offset,
	s.lag, s.lag_time, s.in_flight, s.redelivered, s.dead_lettered, s.last_consumed_at, s.lost
FROM streamq.consumer_group c
CROSS JOIN LATERAL streamq.group_status(c.relid, c.group_id) s;
COMMENT ON VIEW streamq.consumer_groups IS 'where each consumer group stands in each partition of its stream';
GRANT SELECT ON streamq.consumer_groups TO PUBLIC;

CREATE VIEW streamq.leases AS
SELECT c.relid::pg_catalog.regclass AS stream, c.group_name, l.partition, l.first_msg_id,
	l.last_msg_id, l.consumer, l.expires_at, l.deliveries
FROM streamq.consumer_group c
CROSS JOIN LATERAL streamq.group_leases(c.relid, c.group_id) l;
COMMENT ON VIEW streamq.leases IS 'messages that are with a consumer now';
GRANT SELECT ON streamq.leases TO PUBLIC;
