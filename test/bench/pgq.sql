-- a queue of PgQ
CREATE EXTENSION pgq;

-- a queue with so many batches, each of "size" events of 100 bytes
CREATE PROCEDURE bench_make_pgq(batches int, size int) LANGUAGE plpgsql AS $$
BEGIN
	IF EXISTS (SELECT FROM pgq.get_queue_info() WHERE queue_name = 'q') THEN
		PERFORM pgq.drop_queue('q', true);
	END IF;
	PERFORM pgq.create_queue('q');
	PERFORM pgq.set_queue_config('q', 'ticker_max_count', size::text);
	PERFORM pgq.register_consumer('q', 'c');
	COMMIT;
	FOR i IN 1 .. batches LOOP
		PERFORM pgq.insert_event('q', 'key', repeat('x', 100)) FROM generate_series(1, size);
		COMMIT;
		PERFORM pgq.ticker('q');
		COMMIT;
	END LOOP;
END $$;
