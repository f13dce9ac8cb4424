-- Views of streams.  They show the streams from which the caller may SELECT;
-- members of pg_read_all_stats see all.

CREATE FUNCTION streamq.partition_stats(
    stream pg_catalog.oid,
    OUT partition pg_catalog.int4,
    OUT first_offset pg_catalog.int8,
    OUT next_offset pg_catalog.int8,
    OUT stable_offset pg_catalog.int8,
    OUT blocked_by_pid pg_catalog.int4,
    OUT blocked_since pg_catalog.timestamptz,
    OUT bytes pg_catalog.int8,
    OUT extents pg_catalog.int4,
    OUT reserved_extents pg_catalog.int4,
    OUT messages pg_catalog.int8,
    OUT oldest_at pg_catalog.timestamptz,
    OUT newest_at pg_catalog.timestamptz)
RETURNS SETOF pg_catalog.record
LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE ROWS 4
AS 'MODULE_PATHNAME', 'streamq_partition_stats';
COMMENT ON FUNCTION streamq.partition_stats(pg_catalog.oid)
IS 'figures of the partitions of a stream, for the views streams and partitions';

CREATE VIEW streamq.partitions WITH (security_barrier = true) AS
SELECT c.oid::pg_catalog.regclass AS stream,
       p.partition, p.first_offset, p.next_offset, p.stable_offset,
       p.blocked_by_pid, p.blocked_since,
       p.bytes, p.extents, p.reserved_extents,
       p.messages, p.oldest_at, p.newest_at
FROM pg_catalog.pg_class c
     JOIN pg_catalog.pg_am a ON a.oid OPERATOR(pg_catalog.=) c.relam
     CROSS JOIN LATERAL streamq.partition_stats(c.oid) p
WHERE a.amname OPERATOR(pg_catalog.=) 'streamq'
  AND c.relkind OPERATOR(pg_catalog.=) 'r';
COMMENT ON VIEW streamq.partitions IS 'partitions of streams: offsets, size, and the transaction that holds readers back';
COMMENT ON COLUMN streamq.partitions.stream IS 'the stream';
COMMENT ON COLUMN streamq.partitions.partition IS 'number of the partition, from 0';
COMMENT ON COLUMN streamq.partitions.first_offset IS 'offset of the first message that is kept';
COMMENT ON COLUMN streamq.partitions.next_offset IS 'offset that the next message will get';
COMMENT ON COLUMN streamq.partitions.stable_offset IS 'nothing below this offset is still in flight: groups and views read up to here';
COMMENT ON COLUMN streamq.partitions.blocked_by_pid IS 'backend whose open transaction wrote at stable_offset; null with blocked_since set: a prepared transaction';
COMMENT ON COLUMN streamq.partitions.blocked_since IS 'start of the transaction that holds readers at stable_offset; null: there is none';
COMMENT ON COLUMN streamq.partitions.bytes IS 'size of the partition''s extents in the stream''s file';
COMMENT ON COLUMN streamq.partitions.extents IS 'extents that hold messages';
COMMENT ON COLUMN streamq.partitions.reserved_extents IS 'extents that are reserved for later messages';
COMMENT ON COLUMN streamq.partitions.messages IS 'committed messages';
COMMENT ON COLUMN streamq.partitions.oldest_at IS 'time at which the oldest message was appended';
COMMENT ON COLUMN streamq.partitions.newest_at IS 'time at which the newest message was appended';
GRANT SELECT ON streamq.partitions TO PUBLIC;

-- The most interesting columns come first, so that they fit into a terminal of
-- 80 columns.
CREATE VIEW streamq.streams WITH (security_barrier = true) AS
SELECT p.stream,
       pg_catalog.count(*)::pg_catalog.int4 AS partitions,
       pg_catalog.sum(p.messages)::pg_catalog.int8 AS messages,
       pg_catalog.sum(p.bytes)::pg_catalog.int8 AS bytes,
       pg_catalog.max(p.newest_at) AS newest_at,
       pg_catalog.min(p.oldest_at) AS oldest_at,
       pg_catalog.min(o.retention) AS retention,
       pg_catalog.min(o.max_bytes) AS max_bytes,
       pg_catalog.min(o.max_messages) AS max_messages,
       coalesce(pg_catalog.bool_or(o.keep_unacked), false) AS keep_unacked,
       coalesce(pg_catalog.min(o.dedup_window), '1 day'::pg_catalog.interval) AS dedup_window,
       pg_catalog.min(o.message_ttl) AS message_ttl,
       pg_catalog.min(o.backlog_messages) AS backlog_messages,
       coalesce(pg_catalog.min(o.backlog_policy), 'none') AS backlog_policy,
       pg_catalog.min(o.max_rate) AS max_rate,
       pg_catalog.min(p.first_offset) AS first_offset,
       pg_catalog.max(p.next_offset) AS next_offset
FROM streamq.partitions p
     LEFT JOIN streamq.stream_options o
     ON o.stream::pg_catalog.oid OPERATOR(pg_catalog.=) p.stream::pg_catalog.oid
GROUP BY p.stream;
COMMENT ON VIEW streamq.streams IS 'streams: what they hold and since when, and their limits (null: none)';
COMMENT ON COLUMN streamq.streams.stream IS 'the stream';
COMMENT ON COLUMN streamq.streams.partitions IS 'number of partitions';
COMMENT ON COLUMN streamq.streams.messages IS 'committed messages in all partitions';
COMMENT ON COLUMN streamq.streams.bytes IS 'size of all extents in the stream''s file';
COMMENT ON COLUMN streamq.streams.newest_at IS 'time at which the newest message was appended';
COMMENT ON COLUMN streamq.streams.oldest_at IS 'time at which the oldest message was appended';
COMMENT ON COLUMN streamq.streams.retention IS 'messages older than this are dropped; null: no limit';
COMMENT ON COLUMN streamq.streams.max_bytes IS 'the oldest messages are dropped above this size; null: no limit';
COMMENT ON COLUMN streamq.streams.max_messages IS 'the oldest messages are dropped above this number; null: no limit';
COMMENT ON COLUMN streamq.streams.keep_unacked IS 'true: retention drops nothing that a group has not acknowledged or a continuous view has not read';
COMMENT ON COLUMN streamq.streams.dedup_window IS 'how long the dedup_id of a message is remembered';
COMMENT ON COLUMN streamq.streams.message_ttl IS 'messages older than this are delivered to no group; null: no limit';
COMMENT ON COLUMN streamq.streams.backlog_messages IS 'how many messages the slowest group may be behind; null: no limit';
COMMENT ON COLUMN streamq.streams.backlog_policy IS 'what happens to producers or groups at that limit: none, reject, block or evict';
COMMENT ON COLUMN streamq.streams.max_rate IS 'messages per second that all producers together may append; null: no limit';
COMMENT ON COLUMN streamq.streams.first_offset IS 'least first_offset of the partitions';
COMMENT ON COLUMN streamq.streams.next_offset IS 'greatest next_offset of the partitions';
GRANT SELECT ON streamq.streams TO PUBLIC;
