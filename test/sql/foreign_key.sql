-- Foreign keys of a stream: not with actions that would change messages, however they get there.
CREATE SCHEMA foreign_key_test;
SET search_path = foreign_key_test;
CREATE TABLE customer (id int PRIMARY KEY, code int UNIQUE);

-- with the stream
CREATE TABLE orders (customer int REFERENCES customer ON DELETE CASCADE) USING streamq;
\echo :LAST_ERROR_SQLSTATE
CREATE TABLE orders (customer int REFERENCES customer ON DELETE SET NULL) USING streamq;
CREATE TABLE orders (customer int DEFAULT 1 REFERENCES customer ON DELETE SET DEFAULT) USING streamq;
CREATE TABLE orders (customer int REFERENCES customer ON UPDATE CASCADE) USING streamq;
CREATE TABLE orders (customer int REFERENCES customer ON UPDATE SET NULL ON DELETE RESTRICT) USING streamq;
CREATE TABLE orders (customer int REFERENCES customer ON UPDATE SET DEFAULT) USING streamq;
SELECT streamq.create_stream('orders', 'customer int REFERENCES customer ON DELETE CASCADE');
SELECT relname FROM pg_class WHERE relnamespace = 'foreign_key_test'::regnamespace AND relkind = 'r';

-- those that change nothing
CREATE TABLE orders (customer int REFERENCES customer, code int REFERENCES customer (code) ON DELETE RESTRICT ON UPDATE RESTRICT)
USING streamq;
INSERT INTO customer VALUES (1, 1), (2, 2), (3, 3);
INSERT INTO orders VALUES (1, NULL), (NULL, 2);
DELETE FROM customer WHERE id = 1;
UPDATE customer SET id = 11 WHERE id = 1;
DELETE FROM customer WHERE id = 3;
UPDATE customer SET id = 12 WHERE id = 2;

-- later
ALTER TABLE orders ADD CONSTRAINT later FOREIGN KEY (code) REFERENCES customer ON DELETE CASCADE;
ALTER TABLE orders ADD CONSTRAINT later FOREIGN KEY (code) REFERENCES customer ON UPDATE CASCADE NOT VALID;
ALTER TABLE orders ADD COLUMN more int REFERENCES customer ON DELETE SET NULL;
ALTER TABLE orders ADD CONSTRAINT later FOREIGN KEY (customer) REFERENCES customer;

-- with a table that becomes a stream
CREATE TABLE rows (customer int REFERENCES customer ON DELETE CASCADE);
ALTER TABLE rows SET ACCESS METHOD streamq;
ALTER TABLE rows DROP CONSTRAINT rows_customer_fkey, SET ACCESS METHOD streamq;
CREATE TABLE rows2 (customer int);
ALTER TABLE rows2 SET ACCESS METHOD streamq, ADD FOREIGN KEY (customer) REFERENCES customer ON UPDATE CASCADE;
ALTER TABLE rows2 SET ACCESS METHOD streamq, ADD FOREIGN KEY (customer) REFERENCES customer;

-- through a partitioned table
CREATE TABLE parent (customer int REFERENCES customer ON DELETE CASCADE, part int) PARTITION BY LIST (part);
CREATE TABLE part1 PARTITION OF parent FOR VALUES IN (1) USING streamq;
CREATE TABLE part2 (customer int, part int) USING streamq;
ALTER TABLE parent ATTACH PARTITION part2 FOR VALUES IN (2);
CREATE TABLE part3 PARTITION OF parent FOR VALUES IN (3);
ALTER TABLE part3 SET ACCESS METHOD streamq;
CREATE TABLE parent2 (customer int, part int) PARTITION BY LIST (part);
CREATE TABLE part4 PARTITION OF parent2 FOR VALUES IN (4) USING streamq;
ALTER TABLE parent2 ADD FOREIGN KEY (customer) REFERENCES customer ON DELETE SET NULL;
ALTER TABLE parent2 ADD FOREIGN KEY (customer) REFERENCES customer;

-- a child by inheritance and a copy do not get them
CREATE TABLE child () INHERITS (part3) USING streamq;
CREATE TABLE base (customer int REFERENCES customer ON DELETE CASCADE);
CREATE TABLE child () INHERITS (base) USING streamq;
CREATE TABLE copy (LIKE base INCLUDING ALL) USING streamq;

-- what refers to a partitioned table
CREATE TABLE year (y int PRIMARY KEY) PARTITION BY LIST (y);
CREATE TABLE year1 PARTITION OF year FOR VALUES IN (1);
CREATE TABLE events (y int REFERENCES year ON DELETE CASCADE) USING streamq;
CREATE TABLE events (y int REFERENCES year) USING streamq;
CREATE TABLE year2 PARTITION OF year FOR VALUES IN (2);
INSERT INTO year VALUES (1), (2);
INSERT INTO events VALUES (2);
DELETE FROM year WHERE y = 1;

SELECT conrelid::regclass, conname, confdeltype, confupdtype
FROM pg_constraint c JOIN pg_class r ON r.oid = conrelid JOIN pg_am a ON a.oid = relam
WHERE contype = 'f' AND amname = 'streamq' AND connamespace = 'foreign_key_test'::regnamespace AND conparentid = 0
ORDER BY conrelid::regclass::text, conname;

SET client_min_messages = warning;
DROP SCHEMA foreign_key_test CASCADE;
