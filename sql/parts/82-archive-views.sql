-- The view of archives.

CREATE VIEW streamq.archives WITH (security_barrier = true) AS
SELECT a.stream, p.partition, a.destination,
       q.next_offset OPERATOR(pg_catalog.-) 1 AS archived_through,
       COALESCE(q.files, 0::pg_catalog.int8) AS files,
       COALESCE(q.bytes, 0::pg_catalog.int8) AS bytes,
       a.last_error,
       p.next_offset OPERATOR(pg_catalog.-)
           GREATEST(p.first_offset, q.next_offset) AS waiting,
       a.format, a.compression,
       pg_catalog.pg_get_userbyid(a.owner) AS owner,
       a.started_at
FROM streamq.archive a
     CROSS JOIN LATERAL streamq.partition_stats(a.stream::pg_catalog.oid) p
     LEFT JOIN streamq.archive_progress q
     ON q.stream::pg_catalog.oid OPERATOR(pg_catalog.=) a.stream::pg_catalog.oid
        AND q.partition OPERATOR(pg_catalog.=) p.partition;
COMMENT ON VIEW streamq.archives IS 'archives of streams: how far each partition is archived, and the last error';
COMMENT ON COLUMN streamq.archives.stream IS 'the stream';
COMMENT ON COLUMN streamq.archives.partition IS 'number of the partition, from 0';
COMMENT ON COLUMN streamq.archives.destination IS 'directory of the server that the files are in';
COMMENT ON COLUMN streamq.archives.archived_through IS 'offset of the last message that is archived; null: none is';
COMMENT ON COLUMN streamq.archives.files IS 'number of files that were written';
COMMENT ON COLUMN streamq.archives.bytes IS 'size of these files';
COMMENT ON COLUMN streamq.archives.last_error IS 'why the last attempt failed; null: it did not';
COMMENT ON COLUMN streamq.archives.waiting IS 'number of offsets that are not archived yet; retention keeps them';
COMMENT ON COLUMN streamq.archives.format IS 'format of the files: jsonl, csv or binary';
COMMENT ON COLUMN streamq.archives.compression IS 'compression of the files: none, gzip, lz4 or zstd';
COMMENT ON COLUMN streamq.archives.owner IS 'role that started the archive, whose privileges it needs';
COMMENT ON COLUMN streamq.archives.started_at IS 'time of the call of archive_stream()';
GRANT SELECT ON streamq.archives TO PUBLIC;
