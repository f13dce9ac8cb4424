-- What is in the streams.  They show the streams that the caller may SELECT
-- from; members of pg_read_all_stats see all.

CREATE FUNCTION streamq.partition_stats(
    relid pg_catalog.oid,
    OUT partition pg_catalog.int4,
    OUT first_offset pg_catalog.int8,
    OUT next_offset pg_catalog.int8,
    OUT stable_offset pg_catalog.int8,
    OUT blocked_by_pid pg_catalog.int4,
    OUT blocked_since pg_catalog.timestamptz,
    OUT bytes pg_catalog.int8,
    OUT extents pg_catalog.int4,
    OUT free_extents pg_catalog.int4,
    OUT messages pg_catalog.int8,
    OUT oldest_at pg_catalog.timestamptz,
    OUT newest_at pg_catalog.timestamptz)
RETURNS SETOF pg_catalog.record
LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE ROWS 4
AS 'MODULE_PATHNAME', 'streamq_partition_stats';
COMMENT ON FUNCTION streamq.partition_stats(pg_catalog.oid)
IS 'figures of the partitions of a stream, for the views streams and partitions';

CREATE VIEW streamq.partitions AS
SELECT c.oid::pg_catalog.regclass AS stream,
       p.partition, p.first_offset, p.next_offset, p.stable_offset,
       p.blocked_by_pid, p.blocked_since,
       p.bytes, p.extents, p.free_extents,
       p.messages, p.oldest_at, p.newest_at
FROM pg_catalog.pg_class c
     JOIN pg_catalog.pg_am a ON a.oid OPERATOR(pg_catalog.=) c.relam
     CROSS JOIN LATERAL streamq.partition_stats(c.oid) p
WHERE a.amname OPERATOR(pg_catalog.=) 'streamq'
  AND c.relkind OPERATOR(pg_catalog.=) 'r';
COMMENT ON VIEW streamq.partitions IS 'partitions of streams: offsets, size, and which transaction holds readers back';
COMMENT ON COLUMN streamq.partitions.stable_offset IS 'nothing below it is still in flight';
COMMENT ON COLUMN streamq.partitions.blocked_by_pid IS 'backend whose transaction wrote at stable_offset and is not over; null with blocked_since set: a prepared transaction';
GRANT SELECT ON streamq.partitions TO PUBLIC;

-- first_offset and next_offset bound the offsets of all partitions.
CREATE VIEW streamq.streams AS
SELECT p.stream,
       pg_catalog.count(*)::pg_catalog.int4 AS partitions,
       pg_catalog.min(p.first_offset) AS first_offset,
       pg_catalog.max(p.next_offset) AS next_offset,
       pg_catalog.sum(p.messages)::pg_catalog.int8 AS messages,
       pg_catalog.sum(p.bytes)::pg_catalog.int8 AS bytes,
       pg_catalog.min(o.retention) AS retention,
       pg_catalog.min(o.max_bytes) AS max_bytes,
       pg_catalog.min(p.oldest_at) AS oldest_at,
       pg_catalog.max(p.newest_at) AS newest_at,
       pg_catalog.min(o.max_messages) AS max_messages,
       coalesce(pg_catalog.bool_or(o.keep_unacked), false) AS keep_unacked
FROM streamq.partitions p
     LEFT JOIN streamq.stream_options o
     ON o.relid::pg_catalog.oid OPERATOR(pg_catalog.=) p.stream::pg_catalog.oid
GROUP BY p.stream;
COMMENT ON VIEW streamq.streams IS 'streams: what they hold and since when, and their limits (null: none)';
GRANT SELECT ON streamq.streams TO PUBLIC;
