-- msg_id() and produced_at() tell about rows that the query reads, and about any
-- row only to those who may read all of them.
CREATE SCHEMA row_identity;
SET search_path = row_identity;
CREATE ROLE regress_identity;
GRANT USAGE, CREATE ON SCHEMA row_identity TO PUBLIC;
CREATE TABLE s (n int, who text) USING streamq;
INSERT INTO s SELECT i, CASE WHEN i % 2 = 0 THEN 'regress_identity' END FROM generate_series(0, 9) i;
CREATE VIEW plain AS SELECT n, streamq.msg_id(tableoid, ctid) AS id, streamq.produced_at(tableoid, ctid) IS NOT NULL AS t FROM s;
CREATE VIEW barrier WITH (security_barrier) AS SELECT tableoid AS o, ctid AS c, n FROM s WHERE n < 5;
CREATE VIEW grouped AS SELECT tableoid AS o, ctid AS c, streamq.msg_id(tableoid, ctid) AS id, count(*) FROM s GROUP BY tableoid, ctid;
CREATE VIEW with_cte AS WITH x AS MATERIALIZED (SELECT tableoid AS o, ctid AS c FROM s) SELECT streamq.msg_id(o, c) AS id FROM x;
CREATE VIEW correlated AS SELECT n, (SELECT streamq.msg_id(s.tableoid, s.ctid) FROM generate_series(1, 1)) AS id FROM s;
CREATE VIEW outer_join AS SELECT g, streamq.msg_id(s.tableoid, s.ctid) AS id FROM generate_series(8, 11) g LEFT JOIN s ON s.n = g;
CREATE VIEW writable AS SELECT n, who FROM s;
CREATE VIEW two_arms AS SELECT tableoid AS o, ctid AS c FROM s WHERE n < 2 UNION ALL SELECT tableoid, ctid FROM s WHERE n > 8;
GRANT SELECT ON plain, barrier, grouped, with_cte, correlated, outer_join, two_arms TO regress_identity;
GRANT INSERT, SELECT ON writable TO regress_identity;

-- Without a privilege on the stream: nothing.
SET ROLE regress_identity;
SELECT streamq.produced_at('s'::regclass, '(0,1)');
SELECT streamq.msg_id('s'::regclass, '(0,1)');
SELECT count(streamq.produced_at('s'::regclass, ('(0,' || i || ')')::tid)) FROM generate_series(1, 20) i;
SELECT streamq.produced_at(tableoid, ctid) FROM s;
-- Nor by arguments of which only some are of a row.
SELECT streamq.produced_at(o, '(0,9)') FROM barrier;
SELECT streamq.produced_at(b.o, v.c) FROM barrier b, (VALUES ('(0,9)'::tid)) v(c);
SELECT streamq.produced_at(a.o, b.c) FROM barrier a, barrier b;
WITH x AS MATERIALIZED (SELECT o, c FROM barrier) SELECT streamq.msg_id(a.o, b.c) FROM x a, x b;
SELECT streamq.produced_at(o, max(c)) FROM barrier GROUP BY o;
SELECT streamq.msg_id(o, c) FROM (SELECT o, c FROM barrier UNION ALL SELECT o, '(0,9)'::tid FROM barrier) x;
CREATE FUNCTION ask(o oid, c tid) RETURNS int8 LANGUAGE plpgsql AS 'BEGIN RETURN streamq.msg_id(o, c); END';
SELECT ask(o, c) FROM barrier;
CREATE TABLE fake (tableoid_ oid, ctid_ tid);
INSERT INTO fake VALUES ('s'::regclass, '(0,1)');
SELECT streamq.msg_id(tableoid_, ctid_) FROM fake;

-- Views read with the rights of their owner.
SELECT * FROM plain WHERE id >= 7 ORDER BY id;
SELECT n, streamq.msg_id(o, c), streamq.produced_at(o, c) IS NOT NULL AS t FROM barrier ORDER BY n;
SELECT id, count FROM grouped WHERE id < 2 ORDER BY id;
SELECT streamq.msg_id(o, c) FROM grouped WHERE id < 2 ORDER BY id;
SELECT streamq.msg_id(o, c), count(*) FROM barrier GROUP BY o, c ORDER BY 1 LIMIT 2;
SELECT * FROM with_cte ORDER BY 1 LIMIT 2;
SELECT * FROM correlated WHERE n < 2 ORDER BY 1;
SELECT * FROM outer_join ORDER BY 1;
-- (arms of a union are not followed)
SELECT streamq.msg_id(o, c) FROM two_arms ORDER BY 1;
INSERT INTO writable VALUES (10, 'view') RETURNING n;
SELECT max(id) FROM plain;

-- SELECT is enough, where no policy hides rows.
RESET ROLE;
GRANT SELECT ON s TO regress_identity;
SET ROLE regress_identity;
SELECT streamq.msg_id('s'::regclass, '(0,2)'), streamq.produced_at('s'::regclass, '(0,2)') IS NOT NULL;
SELECT ask(o, c) FROM barrier ORDER BY 1 LIMIT 1;
RESET ROLE;
ALTER TABLE s ENABLE ROW LEVEL SECURITY;
CREATE POLICY own ON s USING (who = current_user);
SET ROLE regress_identity;
SELECT streamq.produced_at('s'::regclass, '(0,2)');
SELECT streamq.msg_id('s'::regclass, '(0,2)');
SELECT n, streamq.msg_id(tableoid, ctid) FROM s WHERE streamq.produced_at(tableoid, ctid) < 'infinity' ORDER BY 2;
SELECT n FROM s WHERE streamq.msg_id(tableoid, ctid) >= 5 ORDER BY streamq.msg_id(tableoid, ctid) DESC LIMIT 1;

-- The user counts at each call.
RESET ROLE;
ALTER TABLE s DISABLE ROW LEVEL SECURITY;
REVOKE SELECT ON s FROM regress_identity;
DO $$
DECLARE
	id int8;
BEGIN
	FOR i IN 1..2 LOOP
		id := streamq.msg_id('row_identity.s'::regclass, '(0,1)'::tid);
		RAISE NOTICE 'call %: %', i, id;
		SET ROLE regress_identity;
	END LOOP;
END $$;
RESET ROLE;

SET client_min_messages = warning;
DROP SCHEMA row_identity CASCADE;
DROP ROLE regress_identity;
