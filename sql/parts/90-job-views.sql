-- Looking at jobs.  Who may read a continuous view sees its job; what is in
-- messages that failed is for its owner.

CREATE VIEW streamq.jobs AS
SELECT j.target::pg_catalog.text AS name,
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
	   j.late,
	   j.lateness,
	   j.query,
	   j.created_at,
	   s.lost_rows,
	   w.reason AS waiting_for
FROM streamq.job j
JOIN streamq.job_stats s ON s.job_id OPERATOR(pg_catalog.=) j.job_id
JOIN pg_catalog.pg_class c ON c.oid OPERATOR(pg_catalog.=) j.target
CROSS JOIN LATERAL (SELECT CASE WHEN j.enabled THEN streamq.job_waits_for(j.job_id) END AS reason) w
WHERE pg_catalog.pg_has_role(c.relowner, 'USAGE')
   OR pg_catalog.has_table_privilege(c.oid, 'SELECT');
COMMENT ON VIEW streamq.jobs IS 'continuous views with their state, lag and counters';
COMMENT ON COLUMN streamq.jobs.waiting_for IS 'what keeps the job from getting a process, if something does';
COMMENT ON COLUMN streamq.jobs.lost_rows IS 'messages that retention dropped before the job had read them, rolled-back ones included';
GRANT SELECT ON streamq.jobs TO PUBLIC;

CREATE VIEW streamq.job_errors AS
SELECT j.target::pg_catalog.text AS job,
	   e.msg_id,
	   e.at,
	   e.sqlstate,
	   e.message
FROM streamq.job_error_log e
JOIN streamq.job j ON j.job_id OPERATOR(pg_catalog.=) e.job_id
JOIN pg_catalog.pg_class c ON c.oid OPERATOR(pg_catalog.=) j.target
WHERE pg_catalog.pg_has_role(c.relowner, 'USAGE');
COMMENT ON VIEW streamq.job_errors IS 'messages that a job passed over because the query raised an error on them';
GRANT SELECT ON streamq.job_errors TO PUBLIC;
