-- The stream: one row for each request.
CREATE TABLE requests (
	at timestamptz NOT NULL,
	host text NOT NULL,
	auth_user text,
	method text,
	url text,
	protocol text,
	status int,
	bytes bigint,
	referer text,
	agent text
) USING streamq;

-- Lines of the log that are no requests.
CREATE TABLE rejects (line_number bigint, line text);

-- Requests per minute and status.  The log is written when a request ends, so
-- it is not quite in time order: a window stays open for a minute longer.
SELECT streamq.create_continuous_view('requests_per_minute', $$
	SELECT w.window_start, w.window_end, status, count(*) AS requests, sum(bytes) AS bytes
	FROM requests, streamq.tumble(at, '1 minute') w
	GROUP BY w.window_start, w.window_end, status
	$$, watermark_delay => '1 minute') AS continuous_view;

-- Visits: requests of a host, until it is quiet for half an hour.
SELECT streamq.create_continuous_view('visits', $$
	SELECT w.window_start, w.window_end, host, count(*) AS requests, count(DISTINCT url) AS urls
	FROM requests, streamq.session(at, '30 minutes') w
	GROUP BY w.window_start, w.window_end, host
	$$, watermark_delay => '1 minute') AS continuous_view;

-- What the consumer writes.
CREATE TABLE server_errors (msg_id bigint PRIMARY KEY, at timestamptz, status int, host text, url text);
SELECT streamq.create_group('requests', 'errors');
