-- Views of jobs.  Roles that may read a continuous view see its job; other
-- jobs are seen by their owners.  Only its
-- owner sees errors, because they may quote messages.

CREATE VIEW streamq.jobs WITH (security_barrier = true) AS
SELECT COALESCE(j.name COLLATE pg_catalog."default", j.target::pg_catalog.text) AS name,
	   j.kind,
	   CASE WHEN NOT j.enabled THEN 'paused'
			WHEN s.failing THEN 'failing'
			WHEN w.reason IS NOT NULL THEN 'waiting'
			ELSE 'running' END AS state,
	   j.source,
	   streamq.job_lag(j.job_id) AS lag,
	   s.watermark,
	   s.rows_processed,
	   s.late_rows,
	   s.errors,
	   CASE WHEN pg_catalog.pg_has_role(c.relowner, 'USAGE') THEN s.last_error END AS last_error,
	   streamq.job_worker_pid(j.job_id) AS worker_pid,
	   j.watermark_delay,
	   j.late_rows_policy,
	   j.allowed_lateness,
	   j.query,
	   j.created_at,
	   s.expired,
	   w.reason AS waiting_for,
	   j.job_timeout,
	   j.emit_into,
	   j.late_stream,
	   j.dead_letter,
	   s.rows_written,
	   j.idle_timeout,
	   j.retention,
	   j.error_limit,
	   j.batch_size,
	   j.max_deliveries,
	   j.retry_backoff,
	   j.retry_backoff_max,
	   j.other_source
FROM streamq.job j
JOIN streamq.job_stats s ON s.job_id OPERATOR(pg_catalog.=) j.job_id
JOIN pg_catalog.pg_class c ON c.oid OPERATOR(pg_catalog.=) j.target
CROSS JOIN LATERAL (SELECT CASE WHEN j.enabled THEN streamq.job_waits_for(j.job_id) END AS reason) w
WHERE pg_catalog.pg_has_role(c.relowner, 'USAGE')
   OR pg_catalog.has_table_privilege(c.oid, 'SELECT');
COMMENT ON VIEW streamq.jobs IS 'jobs with their state, lag and counters';
COMMENT ON COLUMN streamq.jobs.name IS 'name of the job; for a continuous view, that of the view';
COMMENT ON COLUMN streamq.jobs.kind IS 'what the job is: continuous view, pipe, handler';
COMMENT ON COLUMN streamq.jobs.state IS 'running; waiting (no process can run it); paused; or failing (the last batch raised an error and is tried again)';
COMMENT ON COLUMN streamq.jobs.source IS 'the stream that the job reads';
COMMENT ON COLUMN streamq.jobs.lag IS 'messages that the job has not processed yet';
COMMENT ON COLUMN streamq.jobs.watermark IS 'windows that end at or before this time are closed';
COMMENT ON COLUMN streamq.jobs.rows_processed IS 'rows of the stream that were read';
COMMENT ON COLUMN streamq.jobs.late_rows IS 'rows that were late for at least one of their windows';
COMMENT ON COLUMN streamq.jobs.errors IS 'messages that the job left out because the query raised an error on them: see streamq.job_errors';
COMMENT ON COLUMN streamq.jobs.last_error IS 'the last error; for the owner of the job';
COMMENT ON COLUMN streamq.jobs.worker_pid IS 'process that runs the job now; null: none';
COMMENT ON COLUMN streamq.jobs.watermark_delay IS 'how far the watermark is behind the greatest event time';
COMMENT ON COLUMN streamq.jobs.late_rows_policy IS 'what is done with late rows: update (the view is corrected), drop or route (they go to late_stream)';
COMMENT ON COLUMN streamq.jobs.allowed_lateness IS 'how long a window takes rows as if it were open after the watermark has passed its end';
COMMENT ON COLUMN streamq.jobs.query IS 'the query as it was given by the user; for a handler, its function';
COMMENT ON COLUMN streamq.jobs.created_at IS 'time at which the job was created';
COMMENT ON COLUMN streamq.jobs.expired IS 'offsets that retention took before the job had read them, rolled-back messages included';
COMMENT ON COLUMN streamq.jobs.waiting_for IS 'reason why no process can run the job, in state waiting';
COMMENT ON COLUMN streamq.jobs.job_timeout IS 'longest time that a batch of the job may take; null: the setting streamq.job_timeout';
COMMENT ON COLUMN streamq.jobs.emit_into IS 'stream or table to which the job writes its results';
COMMENT ON COLUMN streamq.jobs.late_stream IS 'stream to which late rows go';
COMMENT ON COLUMN streamq.jobs.dead_letter IS 'stream to which messages go that a handler could not handle';
COMMENT ON COLUMN streamq.jobs.rows_written IS 'rows that the job has written to emit_into';
COMMENT ON COLUMN streamq.jobs.idle_timeout IS 'time after which a quiet partition does not hold the watermark back; null: it always does';
COMMENT ON COLUMN streamq.jobs.retention IS 'how long closed windows are kept; null: for ever';
COMMENT ON COLUMN streamq.jobs.error_limit IS 'number of failing messages after which the job pauses; null: no limit';
COMMENT ON COLUMN streamq.jobs.batch_size IS 'most messages in a call of a handler';
COMMENT ON COLUMN streamq.jobs.max_deliveries IS 'how often a handler is called for a message that fails';
COMMENT ON COLUMN streamq.jobs.retry_backoff IS 'time before a handler is called again for a message that failed; doubled each time';
COMMENT ON COLUMN streamq.jobs.retry_backoff_max IS 'limit of that time; null: no limit';
COMMENT ON COLUMN streamq.jobs.other_source IS 'the second stream that the job reads; null: none';
GRANT SELECT ON streamq.jobs TO PUBLIC;

CREATE VIEW streamq.job_errors WITH (security_barrier = true) AS
SELECT COALESCE(j.name COLLATE pg_catalog."default", j.target::pg_catalog.text) AS job,
	   e.msg_id,
	   e.at,
	   e.sqlstate,
	   e.message,
	   e.stream
FROM streamq.job_error_log e
JOIN streamq.job j ON j.job_id OPERATOR(pg_catalog.=) e.job_id
JOIN pg_catalog.pg_class c ON c.oid OPERATOR(pg_catalog.=) j.target
WHERE pg_catalog.pg_has_role(c.relowner, 'USAGE');
COMMENT ON VIEW streamq.job_errors IS 'messages that a job left out because the query raised an error on them';
COMMENT ON COLUMN streamq.job_errors.job IS 'name of the job';
COMMENT ON COLUMN streamq.job_errors.msg_id IS 'the message';
COMMENT ON COLUMN streamq.job_errors.at IS 'time at which the error was raised';
COMMENT ON COLUMN streamq.job_errors.sqlstate IS 'SQLSTATE of the error';
COMMENT ON COLUMN streamq.job_errors.message IS 'text of the error';
COMMENT ON COLUMN streamq.job_errors.stream IS 'the stream that the message is in';
GRANT SELECT ON streamq.job_errors TO PUBLIC;
