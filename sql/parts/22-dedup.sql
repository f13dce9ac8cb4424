-- Ids of messages that were produced with a dedup_id.
--
-- New ids go into one of two tables, the current one.  When it has been current
-- for as long as its ids are remembered, the other table becomes current.  The
-- ids in a table that is not current are forgotten together: it is truncated,
-- so nothing is vacuumed.

-- The current table, and since when each table is, or was last, current.
CREATE TABLE streamq.dedup_state (
	number pg_catalog.int4 PRIMARY KEY CHECK (number OPERATOR(pg_catalog.=) 0),
	current pg_catalog.int4 NOT NULL
		CHECK (current OPERATOR(pg_catalog.=) 0 OR current OPERATOR(pg_catalog.=) 1),
	since pg_catalog.timestamptz[] NOT NULL
);
COMMENT ON TABLE streamq.dedup_state IS 'which of the tables dedup_0 and dedup_1 takes new ids, and since when';
INSERT INTO streamq.dedup_state
SELECT 0, 0, ARRAY[pg_catalog.now(), pg_catalog.now()];

-- The key is the stream's OID and the id, in one column, because comparing one
-- is faster than comparing two.  msg_id is null while the message waits for
-- its deliver_at.
CREATE TABLE streamq.dedup_0 (
	key pg_catalog.bytea PRIMARY KEY,
	produced_at pg_catalog.timestamptz NOT NULL,
	msg_id pg_catalog.int8
) WITH (autovacuum_vacuum_insert_threshold = -1);
COMMENT ON TABLE streamq.dedup_0 IS 'ids of messages, to recognize duplicates';

CREATE TABLE streamq.dedup_1 (
	key pg_catalog.bytea PRIMARY KEY,
	produced_at pg_catalog.timestamptz NOT NULL,
	msg_id pg_catalog.int8
) WITH (autovacuum_vacuum_insert_threshold = -1);
COMMENT ON TABLE streamq.dedup_1 IS 'ids of messages, to recognize duplicates';
