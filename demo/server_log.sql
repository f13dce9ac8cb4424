-- The stream: a table with the columns of PostgreSQL's csvlog.
CREATE TABLE server_log (
	log_time timestamptz(3) NOT NULL,
	user_name text,
	database_name text,
	process_id int,
	connection_from text,
	session_id text,
	session_line_num bigint,
	command_tag text,
	session_start_time timestamptz,
	virtual_transaction_id text,
	transaction_id bigint,
	error_severity text,
	sql_state_code text,
	message text,
	detail text,
	hint text,
	internal_query text,
	internal_query_pos int,
	context text,
	query text,
	query_pos int,
	location text,
	application_name text,
	backend_type text,
	leader_pid int,
	query_id bigint
) USING streamq;

-- Statistics of every two seconds, kept up to date while the log flows in.
SELECT streamq.create_continuous_view('statements', $$
	SELECT w.window_start, w.window_end,
		upper(substring(message FROM 'statement: *([A-Za-z]+)')) AS kind,
		count(*) AS statements,
		avg(substring(message FROM '^duration: ([0-9.]+) ms')::float8) AS avg_ms,
		max(substring(message FROM '^duration: ([0-9.]+) ms')::float8) AS max_ms
	FROM server_log, streamq.tumble(log_time, '2 seconds') w
	WHERE message LIKE 'duration: %statement: %'
	GROUP BY w.window_start, w.window_end,
		upper(substring(message FROM 'statement: *([A-Za-z]+)'))
	$$, watermark_delay => '1 second') AS continuous_view;

-- The load of the last ten seconds, every two seconds: hopping windows.
SELECT streamq.create_continuous_view('load', $$
	SELECT w.window_start, w.window_end, count(*) AS statements
	FROM server_log, streamq.hop(log_time, '2 seconds', '10 seconds') w
	WHERE message LIKE 'duration: %statement: %'
	GROUP BY w.window_start, w.window_end
	$$, watermark_delay => '1 second') AS continuous_view;

-- Bursts of a connection, which end when it is quiet for a tenth of a second:
-- sessions.
SELECT streamq.create_continuous_view('bursts', $$
	SELECT w.window_start, w.window_end, process_id, count(*) AS statements
	FROM server_log, streamq.session(log_time, '100 ms') w
	WHERE message LIKE 'duration: %statement: %'
	GROUP BY w.window_start, w.window_end, process_id
	$$, watermark_delay => '1 second') AS continuous_view;

-- What the consumer writes.
CREATE TABLE slow_statements (msg_id bigint PRIMARY KEY, at timestamptz, ms float8, statement text);
SELECT streamq.create_group('server_log', 'slow');
