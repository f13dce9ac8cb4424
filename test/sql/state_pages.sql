-- The directory of state pages when it is more than a page: groups of a stream with many
-- partitions have a state in each.
\set VERBOSITY terse
CREATE SCHEMA state_pages;
SET search_path = state_pages;
SELECT streamq.create_stream('s', 'id int8', partitions => 64);
INSERT INTO s SELECT g FROM generate_series(1, 2000) g;

-- each group gets to the end of every partition
CREATE PROCEDURE make_groups(first int, last int) LANGUAGE plpgsql AS $$
BEGIN
	FOR i IN first .. last LOOP
		PERFORM streamq.create_group('s', 'g' || i, start_at => 'latest');
		PERFORM streamq.seek('s', 'g' || i, 'latest');
		COMMIT;
	END LOOP;
END $$;
-- pages of dropped groups are freed by later calls, not by each if there are many
CREATE PROCEDURE drop_groups(first int, last int) LANGUAGE plpgsql AS $$
BEGIN
	FOR i IN first .. last LOOP
		PERFORM streamq.drop_group('s', 'g' || i);
		COMMIT;
	END LOOP;
	FOR i IN 1 .. 150 LOOP
		PERFORM streamq.create_group('s', 'passing');
		COMMIT;
		PERFORM streamq.drop_group('s', 'passing');
		COMMIT;
	END LOOP;
END $$;
CALL make_groups(1, 20);
SELECT * FROM streamq.check_stream('s');
SELECT count(*), count(DISTINCT group_name) AS groups, sum(lag) AS lag, min(acked_offset) > 0 AS acked
FROM streamq.consumer_groups WHERE stream = 's'::regclass;

-- in the middle, at the beginning and at the end
CALL drop_groups(8, 14);
SELECT * FROM streamq.check_stream('s');
CALL drop_groups(1, 3);
CALL drop_groups(19, 20);
SELECT * FROM streamq.check_stream('s');
SELECT count(*), count(DISTINCT group_name) AS groups, sum(lag) AS lag
FROM streamq.consumer_groups WHERE stream = 's'::regclass;

-- their pages are used again
CALL make_groups(21, 32);
SELECT * FROM streamq.check_stream('s');
-- without that there would be more than 30,000
SELECT pg_relation_size('s') / current_setting('block_size')::int < 20000 AS reused;
INSERT INTO s SELECT g FROM generate_series(1, 200) g;
SELECT count(DISTINCT group_name) AS groups, sum(lag) AS lag
FROM streamq.consumer_groups WHERE stream = 's'::regclass;
SELECT count(*) FROM streamq.consume('s', 'g25', max_messages => 1000);

-- TRUNCATE and VACUUM meet all of them
VACUUM s;
SELECT * FROM streamq.check_stream('s');
TRUNCATE s;
SELECT * FROM streamq.check_stream('s');
SELECT count(*), count(DISTINCT group_name) AS groups, sum(lag) AS lag, sum(expired) AS expired
FROM streamq.consumer_groups WHERE stream = 's'::regclass;
INSERT INTO s SELECT g FROM generate_series(1, 100) g;
SELECT count(*) FROM streamq.consume('s', 'g30', max_messages => 1000, auto_ack => true);

-- none is left
CALL drop_groups(4, 7);
CALL drop_groups(15, 18);
CALL drop_groups(21, 32);
SELECT * FROM streamq.check_stream('s');
CALL make_groups(1, 1);
SELECT * FROM streamq.check_stream('s');
SELECT count(*), sum(lag) AS lag FROM streamq.consumer_groups WHERE stream = 's'::regclass;

-- states with keys below the first key of the directory: their groups get the numbers of dropped
-- groups
CALL drop_groups(1, 1);
CREATE TEMP TABLE numbers (i int, group_id int);
CREATE PROCEDURE note_numbers() LANGUAGE sql
	AS $$INSERT INTO numbers SELECT substr(group_name, 2)::int, group_id FROM streamq.consumer_group
		WHERE stream = 's'::regclass$$;
CALL make_groups(1, 20);
CALL note_numbers();
CALL make_groups(41, 60);
CALL drop_groups(1, 20);
CALL make_groups(21, 40);
UPDATE streamq.consumer_group SET group_id = -group_id
WHERE stream = 's'::regclass AND group_name ~ '^g[23]|^g40';
UPDATE streamq.consumer_group c SET group_id = n.group_id FROM numbers n
WHERE c.group_id < 0 AND c.group_name = 'g' || n.i + 20;
INSERT INTO s SELECT g FROM generate_series(1, 1000) g;
CREATE PROCEDURE seek_groups(first int, last int) LANGUAGE plpgsql AS $$
BEGIN
	FOR i IN first .. last LOOP
		PERFORM streamq.seek('s', 'g' || i, 'latest');
	END LOOP;
END $$;
CALL seek_groups(21, 60);
SELECT * FROM streamq.check_stream('s');
SELECT count(*), count(DISTINCT group_name) AS groups, sum(lag) AS lag
FROM streamq.consumer_groups WHERE stream = 's'::regclass;
CALL drop_groups(21, 59);
SELECT * FROM streamq.check_stream('s');

DROP SCHEMA state_pages CASCADE;
