-- Messages are copied into a table of another server, by postgres_fdw.  Set
-- where it is, for example:
--
--	psql -v host=10.0.0.2 -v port=5432 -v dbname=archive -v role=writer -f copy_to_server.sql
--
-- The table there is:
--
--	CREATE TABLE orders_copy (msg_id bigint PRIMARY KEY, produced_at timestamptz, key text, payload jsonb);
--
-- The other server commits just before this one.  If this one then fails, the
-- batch comes again, and the primary key leaves out what is there already.

SELECT streamq.create_stream('orders', partitions => 4) AS stream;

CREATE EXTENSION postgres_fdw;
CREATE SERVER other FOREIGN DATA WRAPPER postgres_fdw
	OPTIONS (host :'host', port :'port', dbname :'dbname', batch_size '500');
CREATE USER MAPPING FOR CURRENT_USER SERVER other OPTIONS (user :'role');
CREATE FOREIGN TABLE orders_copy (msg_id bigint, produced_at timestamptz, key text, payload jsonb) SERVER other;

CREATE FUNCTION copy_orders(messages streamq.message[]) RETURNS void
LANGUAGE sql
SET search_path = public, pg_temp
BEGIN ATOMIC
	INSERT INTO orders_copy
	SELECT msg_id, produced_at, key, payload FROM unnest(messages)
	ON CONFLICT DO NOTHING;
END;

SELECT streamq.create_handler('order_copies', 'orders', 'copy_orders(streamq.message[])',
	batch_size => 500, max_deliveries => 100, retry_backoff => '1 second') AS handler;
