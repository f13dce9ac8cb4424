-- Jobs of all kinds side by side: the graph of them, and options that change while they run.
CREATE SCHEMA jobs_test;
CREATE ROLE jobs_owner;
CREATE ROLE jobs_other;
GRANT CREATE, USAGE ON SCHEMA jobs_test TO jobs_owner;
GRANT USAGE ON SCHEMA jobs_test TO jobs_other;
SET search_path = jobs_test;
SET ROLE jobs_owner;
CREATE TABLE clicks (at timestamptz, url text) USING streamq;
CREATE TABLE "late ""rows""" (LIKE clicks) USING streamq;
SELECT streamq.create_stream('minutes');
SELECT streamq.create_stream('letters');
CREATE TABLE hits (url text, n bigint);
SELECT streamq.create_continuous_view('per_minute', $$
	SELECT w.window_start, w.window_end, count(*) AS n FROM clicks, streamq.tumble(at, '1 minute') w
	GROUP BY w.window_start, w.window_end $$, late_rows => 'route', late_stream => '"late ""rows"""', emit_into => 'minutes');
SELECT streamq.create_pipe('to table', $$SELECT payload->>'window_start' AS url, (payload->>'n')::bigint AS n FROM minutes$$, 'hits');
CREATE FUNCTION handle(streamq.message) RETURNS void LANGUAGE sql AS '';
SELECT streamq.create_handler('a\b', 'minutes', 'handle(streamq.message)', dead_letter => 'letters');

SELECT streamq.job_graph();
-- others see only what they may
RESET ROLE;
GRANT SELECT ON per_minute TO jobs_other;
SET ROLE jobs_other;
SELECT streamq.job_graph();
SELECT streamq.alter_job('jobs_test.per_minute', error_limit => 1);
RESET ROLE;
SET ROLE jobs_owner;

-- a loop through a view
SELECT streamq.create_pipe('back', 'SELECT now() AS at, key AS url FROM minutes', 'clicks');

-- options: only those given change
SELECT streamq.alter_job('per_minute', watermark_delay => '5 s', allowed_lateness => '1 s', idle_timeout => '2 s', retention => '1 day', error_limit => 10, job_timeout => '1 min');
SELECT streamq.alter_job('to table', error_limit => 5);
SELECT streamq.alter_job('a\b', batch_size => 7, max_deliveries => 2, retry_backoff => '1 s', retry_backoff_max => '2 s');
SELECT name, job_timeout, error_limit, watermark_delay, allowed_lateness, idle_timeout, retention, batch_size, max_deliveries, dead_letter, retry_backoff, retry_backoff_max FROM streamq.jobs ORDER BY name COLLATE "C";
SELECT streamq.alter_job('per_minute', idle_timeout => '0', retention => '0', error_limit => 0, default_job_timeout => true);
SELECT streamq.alter_job('a\b', retry_backoff_max => '0', dead_letter => '-');
SELECT name, job_timeout, error_limit, watermark_delay, allowed_lateness, idle_timeout, retention, batch_size, max_deliveries, dead_letter, retry_backoff, retry_backoff_max FROM streamq.jobs ORDER BY name COLLATE "C";
DROP TABLE letters;
SELECT streamq.create_stream('letters');
SELECT streamq.alter_job('a\b', dead_letter => 'letters');
\set VERBOSITY terse
DROP TABLE letters;
\set VERBOSITY default
INSERT INTO clicks VALUES ('2026-01-01 00:00+00', '/'), ('2026-01-01 01:00+00', '/');
SELECT streamq.wait_until_caught_up('per_minute'), streamq.wait_until_caught_up('to table'), streamq.wait_until_caught_up('a\b');
SELECT n FROM hits;

SELECT streamq.alter_job('nothing', error_limit => 1);
SELECT streamq.alter_job(NULL, error_limit => 1);
SELECT streamq.alter_job('to table', error_limit => -1);
SELECT streamq.alter_job('to table', job_timeout => '-1 s');
SELECT streamq.alter_job('to table', watermark_delay => '1 s');
SELECT streamq.alter_job('to table', allowed_lateness => '1 s');
SELECT streamq.alter_job('to table', idle_timeout => '1 s');
SELECT streamq.alter_job('to table', retention => '1 s');
SELECT streamq.alter_job('per_minute', batch_size => 1);
SELECT streamq.alter_job('per_minute', max_deliveries => 1);
SELECT streamq.alter_job('per_minute', dead_letter => 'letters');
SELECT streamq.alter_job('per_minute', retry_backoff => '1 s');
SELECT streamq.alter_job('to table', retry_backoff_max => '1 s');
SELECT streamq.alter_job('per_minute', watermark_delay => '-1 s');
SELECT streamq.alter_job('a\b', batch_size => 0);
SELECT streamq.alter_job('a\b', max_deliveries => -1);
SELECT streamq.alter_job('a\b', retry_backoff => '-1 s');
SELECT streamq.alter_job('a\b', dead_letter => 'minutes');
SELECT streamq.alter_job('a\b', dead_letter => 'hits');
SELECT streamq.alter_job('a\b', default_job_timeout => NULL);
BEGIN READ ONLY;
SELECT streamq.alter_job('a\b', batch_size => 1);
ROLLBACK;
RESET ROLE;
SET client_min_messages = warning;
DROP SCHEMA jobs_test CASCADE;
DROP OWNED BY jobs_owner;
DROP ROLE jobs_owner, jobs_other;
