-- Ids of messages that were produced with a dedup_id.
--
-- New ids go into one of three tables, the current one.  When it is half as
-- old as the ids in it are remembered, the next table becomes current.  A
-- table whose ids are all forgotten is truncated, so nothing is vacuumed.

-- The current table, and since when each table is, or was last, current.
CREATE TABLE streamq.dedup_state (
	number pg_catalog.int4 PRIMARY KEY CHECK (number OPERATOR(pg_catalog.=) 0),
	current pg_catalog.int4 NOT NULL
		CHECK (current OPERATOR(pg_catalog.>=) 0 AND current OPERATOR(pg_catalog.<=) 2),
	since pg_catalog.timestamptz[] NOT NULL
);
COMMENT ON TABLE streamq.dedup_state IS 'which of the tables dedup_0 to dedup_2 takes new ids, and since when';
INSERT INTO streamq.dedup_state
SELECT 0, 0, ARRAY[pg_catalog.now(), pg_catalog.now(), pg_catalog.now()];

-- msg_id is null while the message waits for its deliver_at.
CREATE TABLE streamq.dedup_0 (
	stream pg_catalog.oid NOT NULL,
	id pg_catalog.varchar(135) COLLATE pg_catalog."C" NOT NULL,
	produced_at pg_catalog.timestamptz NOT NULL,
	msg_id pg_catalog.int8,
	PRIMARY KEY (stream, id)
) WITH (autovacuum_vacuum_insert_threshold = -1);
COMMENT ON TABLE streamq.dedup_0 IS 'ids of messages, to recognize duplicates';

CREATE TABLE streamq.dedup_1 (
	stream pg_catalog.oid NOT NULL,
	id pg_catalog.varchar(135) COLLATE pg_catalog."C" NOT NULL,
	produced_at pg_catalog.timestamptz NOT NULL,
	msg_id pg_catalog.int8,
	PRIMARY KEY (stream, id)
) WITH (autovacuum_vacuum_insert_threshold = -1);
COMMENT ON TABLE streamq.dedup_1 IS 'ids of messages, to recognize duplicates';

CREATE TABLE streamq.dedup_2 (
	stream pg_catalog.oid NOT NULL,
	id pg_catalog.varchar(135) COLLATE pg_catalog."C" NOT NULL,
	produced_at pg_catalog.timestamptz NOT NULL,
	msg_id pg_catalog.int8,
	PRIMARY KEY (stream, id)
) WITH (autovacuum_vacuum_insert_threshold = -1);
COMMENT ON TABLE streamq.dedup_2 IS 'ids of messages, to recognize duplicates';
