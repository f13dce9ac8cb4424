-- The Nexmark benchmark: an auction house with three streams of events, and its queries.
-- Of 50 events, 1 is a new person, 3 are new auctions and 46 are bids; there are 100 events
-- in a second.  Sizes and hot keys are as in the benchmark's own generator; the values come
-- from hashes, so that they are the same everywhere.
--
-- nexmark_query has a row for each query: the commands that set up its jobs, the query that
-- shows its result, and the same as a batch.  t/075_nexmark compares, and run.sh measures.

CREATE TABLE person (
	id bigint, name text, email text, credit_card text, city text, state text,
	at timestamptz, extra text
) USING streamq;
CREATE TABLE auction (
	id bigint, item text, description text, initial_bid bigint, reserve bigint,
	at timestamptz, expires timestamptz, seller bigint, category bigint, extra text
) USING streamq;
CREATE TABLE bid (
	auction bigint, bidder bigint, price bigint, channel text, url text,
	at timestamptz, extra text
) USING streamq;

-- a number from 0 to below `below` for an event
CREATE FUNCTION nexmark_random(n bigint, what bigint, below bigint) RETURNS bigint
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN (hashint8extended(n, what) & 9007199254740991) % below;

CREATE FUNCTION nexmark_at(n bigint) RETURNS timestamptz
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN timestamptz '2024-01-01 07:59:00+00' + n * interval '10 milliseconds';

CREATE FUNCTION nexmark_text(n bigint, what bigint, length int) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN left(repeat(md5(n::text || what::text), length / 32 + 1), length);

-- events from, from + 1, ... to - 1
CREATE PROCEDURE nexmark_load(from_event bigint, to_event bigint)
LANGUAGE sql
BEGIN ATOMIC
	INSERT INTO person
	SELECT 1000 + n / 50,
		(ARRAY['Peter', 'Paul', 'Luke', 'John', 'Saul', 'Vicky', 'Kate', 'Julie', 'Sarah', 'Deiter', 'Walter'])[1 + nexmark_random(n, 1, 11)]
			|| ' ' || (ARRAY['Shultz', 'Abrams', 'Spencer', 'White', 'Bartels', 'Walton', 'Smith', 'Jones', 'Noris'])[1 + nexmark_random(n, 2, 9)],
		nexmark_text(n, 3, 7) || '@' || nexmark_text(n, 4, 5) || '.com',
		lpad(nexmark_random(n, 5, 9999999999999999)::text, 16, '0'),
		(ARRAY['Phoenix', 'Los Angeles', 'San Francisco', 'Boise', 'Portland', 'Bend', 'Redmond', 'Seattle', 'Kent', 'Cheyenne'])[1 + nexmark_random(n, 6, 10)],
		(ARRAY['AZ', 'CA', 'ID', 'OR', 'WA', 'WY'])[1 + nexmark_random(n, 7, 6)],
		nexmark_at(n), nexmark_text(n, 8, 90)
	FROM generate_series(from_event, to_event - 1) AS n
	WHERE n % 50 = 0;

	INSERT INTO auction
	SELECT 1000 + n / 50 * 3 + n % 50 - 1,
		nexmark_text(n, 11, 20), nexmark_text(n, 12, 100),
		1 + nexmark_random(n, 13, 10000), 1 + nexmark_random(n, 14, 20000),
		nexmark_at(n), nexmark_at(n) + (1 + nexmark_random(n, 15, 20)) * interval '1 second',
		1000 + CASE WHEN nexmark_random(n, 16, 4) > 0 THEN n / 50 / 100 * 100
			ELSE greatest(0, n / 50 - nexmark_random(n, 17, 1000)) END,
		10 + nexmark_random(n, 18, 5), nexmark_text(n, 19, 130)
	FROM generate_series(from_event, to_event - 1) AS n
	WHERE n % 50 BETWEEN 1 AND 3;

	INSERT INTO bid
	SELECT 1000 + CASE WHEN nexmark_random(n, 21, 2) > 0 THEN n / 50 * 3 / 100 * 100
			ELSE greatest(0, n / 50 * 3 + 2 - nexmark_random(n, 22, 100)) END,
		1000 + CASE WHEN nexmark_random(n, 23, 4) > 0 THEN n / 50 / 100 * 100 + 1
			ELSE greatest(0, n / 50 - nexmark_random(n, 24, 1000)) END,
		round(10 ^ (nexmark_random(n, 25, 6000000) / 1000000.0) * 100),
		(ARRAY['Google', 'Facebook', 'Baidu', 'Apple', 'channel-' || nexmark_random(n, 26, 10000)])[1 + nexmark_random(n, 27, 5)],
		'https://www.nexmark.com/' || nexmark_text(n, 28, 15) || '/item.htm?query=1',
		nexmark_at(n), nexmark_text(n, 29, 60)
	FROM generate_series(from_event, to_event - 1) AS n
	WHERE n % 50 > 3;
END;

CREATE TABLE nexmark_query (
	name text PRIMARY KEY,
	about text NOT NULL,
	events text NOT NULL,		-- streams that are read
	setup text NOT NULL,
	jobs text[] NOT NULL,		-- in the order of the flow
	result text NOT NULL,
	batch text NOT NULL
);

INSERT INTO nexmark_query VALUES
('q0', 'pass through', 'bid',
$$CREATE TABLE q0 (auction bigint, bidder bigint, price bigint, at timestamptz, extra text) USING streamq;
SELECT streamq.create_pipe('q0_pipe', 'SELECT auction, bidder, price, at, extra FROM bid', 'q0')$$,
'{q0_pipe}', 'TABLE q0',
'SELECT auction, bidder, price, at, extra FROM bid'),

('q1', 'currency conversion', 'bid',
$$CREATE TABLE q1 (auction bigint, bidder bigint, price numeric, at timestamptz, extra text) USING streamq;
SELECT streamq.create_pipe('q1_pipe', 'SELECT auction, bidder, 0.908 * price AS price, at, extra FROM bid', 'q1')$$,
'{q1_pipe}', 'TABLE q1',
'SELECT auction, bidder, 0.908 * price, at, extra FROM bid'),

('q2', 'selection', 'bid',
$$CREATE TABLE q2 (auction bigint, price bigint) USING streamq;
SELECT streamq.create_pipe('q2_pipe', 'SELECT auction, price FROM bid WHERE auction % 123 = 0', 'q2')$$,
'{q2_pipe}', 'TABLE q2',
'SELECT auction, price FROM bid WHERE auction % 123 = 0'),

('q3', 'local item suggestion', 'auction, person',
$$CREATE TABLE q3 (name text, city text, state text, id bigint) USING streamq;
SELECT streamq.create_pipe('q3_pipe',
	'SELECT p.name, p.city, p.state, a.id
	FROM auction a JOIN person p ON a.seller = p.id AND a.at BETWEEN p.at AND p.at + interval ''1 day''
	WHERE a.category = 10 AND p.state IN (''OR'', ''ID'', ''CA'')', 'q3')$$,
'{q3_pipe}', 'TABLE q3',
$$SELECT p.name, p.city, p.state, a.id FROM auction a JOIN person p ON a.seller = p.id
WHERE a.category = 10 AND p.state IN ('OR', 'ID', 'CA')$$),

('q4', 'average price of a category', 'auction, bid',
$$CREATE TABLE q4_bid (auction bigint, category bigint, price bigint) USING streamq;
SELECT streamq.create_pipe('q4_pipe',
	'SELECT a.id AS auction, a.category, b.price
	FROM auction a JOIN bid b ON b.auction = a.id AND b.at BETWEEN a.at AND a.at + interval ''20 seconds''
	WHERE b.at <= a.expires', 'q4_bid');
SELECT streamq.create_continuous_view('q4',
	'SELECT auction, category, max(price) AS final FROM q4_bid GROUP BY auction, category')$$,
'{q4_pipe,q4}', 'SELECT category, avg(final) FROM q4 GROUP BY category',
$$SELECT category, avg(final) FROM (
	SELECT a.category, max(b.price) AS final FROM auction a JOIN bid b
	ON a.id = b.auction AND b.at BETWEEN a.at AND a.expires GROUP BY a.id, a.category) q
GROUP BY category$$),

('q5', 'hot items', 'bid',
$$SELECT streamq.create_continuous_view('q5',
	'SELECT w.window_start, w.window_end, auction, count(*) AS num
	FROM bid, streamq.hop(at, ''2 seconds'', ''10 seconds'') w
	GROUP BY w.window_start, w.window_end, auction')$$,
'{q5}',
$$SELECT window_start, window_end, auction, num
FROM (SELECT *, max(num) OVER (PARTITION BY window_start) AS most FROM q5) q WHERE num = most$$,
$$SELECT window_start, window_end, auction, num
FROM (SELECT w.window_start, w.window_end, auction, count(*) AS num,
		max(count(*)) OVER (PARTITION BY w.window_start) AS most
	FROM bid, streamq.hop(at, '2 seconds', '10 seconds') w
	GROUP BY w.window_start, w.window_end, auction) q WHERE num = most$$),

('q7', 'highest bid', 'bid',
$$SELECT streamq.create_continuous_view('q7',
	'SELECT w.window_start, w.window_end, max(price) AS price
	FROM bid, streamq.tumble(at, ''10 seconds'') w GROUP BY w.window_start, w.window_end')$$,
'{q7}',
$$SELECT b.auction, b.price, b.bidder, b.at FROM q7 JOIN bid b
ON b.price = q7.price AND b.at >= q7.window_start AND b.at < q7.window_end$$,
$$SELECT auction, price, bidder, at
FROM (SELECT *, max(price) OVER (PARTITION BY date_bin('10 seconds', at, '2000-01-01 00:00+00')) AS most FROM bid) b
WHERE price = most$$),

('q8', 'new users who sell at once', 'auction, person',
$$SELECT streamq.create_continuous_view('q8_person',
	'SELECT w.window_start, w.window_end, id, name
	FROM person, streamq.tumble(at, ''10 seconds'') w GROUP BY w.window_start, w.window_end, id, name');
SELECT streamq.create_continuous_view('q8_seller',
	'SELECT w.window_start, w.window_end, seller
	FROM auction, streamq.tumble(at, ''10 seconds'') w GROUP BY w.window_start, w.window_end, seller')$$,
'{q8_person,q8_seller}',
$$SELECT p.id, p.name, p.window_start FROM q8_person p JOIN q8_seller s
ON p.id = s.seller AND p.window_start = s.window_start$$,
$$SELECT p.id, p.name, date_bin('10 seconds', p.at, '2000-01-01 00:00+00')
FROM person p WHERE EXISTS (SELECT FROM auction a WHERE a.seller = p.id
	AND date_bin('10 seconds', a.at, '2000-01-01 00:00+00') = date_bin('10 seconds', p.at, '2000-01-01 00:00+00'))$$),

('q11', 'sessions of users', 'bid',
$$SELECT streamq.create_continuous_view('q11',
	'SELECT bidder, count(*) AS bids, w.window_start, w.window_end
	FROM bid, streamq.session(at, ''10 seconds'') w GROUP BY bidder, w.window_start, w.window_end')$$,
'{q11}', 'TABLE q11',
$$SELECT bidder, count(*), min(at), max(at) + interval '10 seconds' FROM (
	SELECT *, count(*) FILTER (WHERE begins) OVER (PARTITION BY bidder ORDER BY at ROWS UNBOUNDED PRECEDING) AS n FROM (
		SELECT *, coalesce(at - lag(at) OVER (PARTITION BY bidder ORDER BY at) > interval '10 seconds', true) AS begins
		FROM bid) b) s
GROUP BY bidder, n$$),

('q12', 'bids of a user by processing time', 'bid',
$$SELECT streamq.create_continuous_view('q12',
	'SELECT bidder, count(*) AS bids, w.window_start, w.window_end
	FROM bid, streamq.tumble(streamq.produced_at(tableoid, ctid), ''10 seconds'') w
	GROUP BY bidder, w.window_start, w.window_end')$$,
'{q12}', 'TABLE q12',
$$SELECT bidder, count(*), w.window_start, w.window_end
FROM bid, streamq.tumble(streamq.produced_at(tableoid, ctid), '10 seconds') w
GROUP BY bidder, w.window_start, w.window_end$$),

('q14', 'calculation', 'bid',
$$CREATE TABLE q14 (auction bigint, bidder bigint, price numeric, bid_time_type text, at timestamptz, extra text, c_counts int) USING streamq;
SELECT streamq.create_pipe('q14_pipe',
	'SELECT auction, bidder, 0.908 * price AS price,
		CASE WHEN extract(hour FROM at AT TIME ZONE ''UTC'') BETWEEN 8 AND 18 THEN ''dayTime''
			WHEN extract(hour FROM at AT TIME ZONE ''UTC'') NOT BETWEEN 7 AND 19 THEN ''nightTime''
			ELSE ''otherTime'' END AS bid_time_type,
		at, extra, length(extra) - length(replace(extra, ''c'', '''')) AS c_counts
	FROM bid WHERE 0.908 * price > 1000000 AND 0.908 * price < 50000000', 'q14')$$,
'{q14_pipe}', 'TABLE q14',
$$SELECT auction, bidder, 0.908 * price AS price,
	CASE WHEN extract(hour FROM at AT TIME ZONE 'UTC') BETWEEN 8 AND 18 THEN 'dayTime'
		WHEN extract(hour FROM at AT TIME ZONE 'UTC') NOT BETWEEN 7 AND 19 THEN 'nightTime'
		ELSE 'otherTime' END AS bid_time_type,
	at, extra, length(extra) - length(replace(extra, 'c', '')) AS c_counts
FROM bid WHERE 0.908 * price > 1000000 AND 0.908 * price < 50000000$$);

-- statistics of a day: the same text as a view and as a batch
INSERT INTO nexmark_query
SELECT name, about, 'bid', format('SELECT streamq.create_continuous_view(%L, %L)', name, query),
	ARRAY[name], 'TABLE ' || name, query
FROM (VALUES
('q15', 'bids of a day',
$$SELECT date_trunc('day', at, 'UTC') AS day, count(*) AS total_bids,
	count(*) FILTER (WHERE price < 10000) AS rank1_bids,
	count(*) FILTER (WHERE price >= 10000 AND price < 1000000) AS rank2_bids,
	count(*) FILTER (WHERE price >= 1000000) AS rank3_bids,
	count(DISTINCT bidder) AS total_bidders,
	count(DISTINCT bidder) FILTER (WHERE price < 10000) AS rank1_bidders,
	count(DISTINCT bidder) FILTER (WHERE price >= 1000000) AS rank3_bidders,
	count(DISTINCT auction) AS total_auctions,
	count(DISTINCT auction) FILTER (WHERE price < 10000) AS rank1_auctions,
	count(DISTINCT auction) FILTER (WHERE price >= 1000000) AS rank3_auctions
FROM bid GROUP BY 1$$),
('q16', 'channels of a day',
$$SELECT channel, date_trunc('day', at, 'UTC') AS day,
	max(date_trunc('minute', at, 'UTC')) AS minute, count(*) AS total_bids,
	count(*) FILTER (WHERE price < 10000) AS rank1_bids,
	count(*) FILTER (WHERE price >= 1000000) AS rank3_bids,
	count(DISTINCT bidder) AS total_bidders,
	count(DISTINCT bidder) FILTER (WHERE price < 10000) AS rank1_bidders,
	count(DISTINCT auction) AS total_auctions,
	count(DISTINCT auction) FILTER (WHERE price >= 1000000) AS rank3_auctions
FROM bid GROUP BY channel, date_trunc('day', at, 'UTC')$$),
('q17', 'auctions of a day',
$$SELECT auction, date_trunc('day', at, 'UTC') AS day, count(*) AS total_bids,
	count(*) FILTER (WHERE price < 10000) AS rank1_bids,
	count(*) FILTER (WHERE price >= 10000 AND price < 1000000) AS rank2_bids,
	count(*) FILTER (WHERE price >= 1000000) AS rank3_bids,
	min(price) AS min_price, max(price) AS max_price, avg(price) AS avg_price, sum(price) AS sum_price
FROM bid GROUP BY auction, date_trunc('day', at, 'UTC')$$)) AS q (name, about, query);

INSERT INTO nexmark_query VALUES
('q20', 'bids with their auctions', 'auction, bid',
$$CREATE TABLE q20 (auction bigint, bidder bigint, price bigint, bid_at timestamptz, item text, seller bigint) USING streamq;
SELECT streamq.create_pipe('q20_pipe',
	'SELECT b.auction, b.bidder, b.price, b.at AS bid_at, a.item, a.seller
	FROM bid b JOIN auction a ON b.auction = a.id AND b.at BETWEEN a.at AND a.at + interval ''1 day''
	WHERE a.category = 10', 'q20')$$,
'{q20_pipe}', 'TABLE q20',
$$SELECT b.auction, b.bidder, b.price, b.at, a.item, a.seller
FROM bid b JOIN auction a ON b.auction = a.id AND b.at BETWEEN a.at AND a.at + interval '1 day'
WHERE a.category = 10$$);
