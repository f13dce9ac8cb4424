# A batch that takes long ends when its owner wants it to, when somebody waits for what it
# has locked, and by streamq.job_timeout; other jobs go on meanwhile.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('cancel');
$node->init;
$node->append_conf('postgresql.conf', q(
shared_preload_libraries = 'streamq'
max_worker_processes = 20
streamq.naptime = '200ms'
streamq.max_workers_per_database = 2
deadlock_timeout = '1h'
log_line_prefix = '%b: '
));
$node->start;

sub sql
{
	my ($query, %params) = @_;
	return $node->safe_psql($params{db} || 'postgres', $query);
}

# as the owner, who is no superuser; waits for nothing longer than a long time
sub owner
{
	return sql("SET ROLE alice; SET statement_timeout = '150s'; $_[0]");
}

sub becomes
{
	my ($query, $name) = @_;
	ok($node->poll_query_until('postgres', $query), $name);
}

# forever($key): a row whose evaluation does not end by itself
sql(q(
CREATE EXTENSION streamq;
CREATE ROLE alice;
CREATE ROLE bob;
CREATE SCHEMA s AUTHORIZATION alice;
GRANT USAGE ON SCHEMA s TO bob;
GRANT CREATE ON SCHEMA public TO alice;
));
owner(q(
CREATE FUNCTION s.slow(k text) RETURNS text LANGUAGE plpgsql STABLE AS $$
BEGIN
	IF k = 'sleep' THEN PERFORM pg_sleep(3600); END IF;
	IF k = 'loop' THEN LOOP END LOOP; END IF;
	IF k = 'cross' THEN PERFORM count(*) FROM generate_series(1, 1000000) a, generate_series(1, 1000000) b; END IF;
	IF k = 'catch' THEN
		BEGIN PERFORM pg_sleep(3600); EXCEPTION WHEN query_canceled THEN PERFORM pg_sleep(3600); END;
	END IF;
	RETURN k;
END $$;
CREATE FUNCTION s.make(n int) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	EXECUTE format('CREATE TABLE s.t%s (k text) USING streamq', n);
	PERFORM streamq.create_continuous_view(format('s.v%s', n), format('SELECT s.slow(k) AS k, count(*) AS n FROM s.t%s GROUP BY 1', n));
END $$;
));

# rows of other kinds first: they are not lost when the batch is
sub stuck
{
	my ($n, $kind) = @_;
	owner("SELECT s.make($n); INSERT INTO s.t$n VALUES ('a'), ('b'), ('$kind'), ('c')");
	becomes("SELECT count(*) = 1 FROM streamq.jobs j JOIN pg_stat_activity a ON a.pid = j.worker_pid
		WHERE j.name = 's.v$n' AND a.state = 'active' AND clock_timestamp() > a.query_start + interval '100 ms'", "view $n: a batch runs");
}

# somebody else's job, that goes on all the time
owner(q(SELECT s.make(0)));
sub others_go_on
{
	my ($name) = @_;
	owner(q(INSERT INTO s.t0 VALUES ('x')));
	is(owner(q(SELECT streamq.wait_until_caught_up('s.v0', '140 s'))), 't', "$name: other jobs go on");
}

# ---- cancel_job

stuck(1, 'sleep');
my $res = $node->psql('postgres', q(SET ROLE bob; SELECT streamq.cancel_job('s.v1')), stderr => \my $err);
like($err, qr/must be owner of view v1/, 'not everybody may cancel a job');
is(owner(q(SELECT streamq.cancel_job('s.v1'))), 't', 'its owner may');
becomes(q(SELECT worker_pid IS NULL FROM streamq.jobs WHERE name = 's.v1'), 'the worker is free');
is(owner(q(SELECT state, errors, rows_processed FROM streamq.jobs WHERE name = 's.v1')), 'running|0|0', 'it is no error of the job');
others_go_on('cancelled');
is(owner(q(SELECT streamq.cancel_job('s.v0'))), 'f', 'there is nothing to cancel between batches');

# ---- pause, in all places where a batch can hang

owner(q(SELECT streamq.pause('s.v1')));
is(owner(q(SELECT state, errors FROM streamq.jobs WHERE name = 's.v1')), 'paused|0', 'pause ends the batch');
my $n = 2;
for my $kind ('loop', 'cross', 'catch')
{
	stuck($n, $kind);
	owner("SELECT streamq.pause('s.v$n')");
	is(owner("SELECT state, errors FROM streamq.jobs WHERE name = 's.v$n'"), 'paused|0', "$kind: pause ends the batch");
	$n++;
}
others_go_on('paused');

# nothing is lost: what the rows do is changed, and the view goes on
owner(q(CREATE OR REPLACE FUNCTION s.slow(k text) RETURNS text LANGUAGE sql STABLE AS 'SELECT k'));
owner(q(SELECT streamq.resume('s.v1')));
is(owner(q(SELECT streamq.wait_until_caught_up('s.v1', '140 s'))), 't', 'a resumed job catches up');
is(owner(q(SELECT string_agg(k || n, ' ' ORDER BY k) FROM s.v1)), 'a1 b1 c1 sleep1', 'with every row once');
owner(q(CREATE OR REPLACE FUNCTION s.slow(k text) RETURNS text LANGUAGE plpgsql STABLE AS $$
BEGIN
	IF k = 'sleep' THEN PERFORM pg_sleep(3600); END IF;
	RETURN k;
END $$));

# several at a time
stuck(5, 'sleep');
my @sessions = map { $node->background_psql('postgres', on_error_stop => 0) } 1 .. 3;
$_->query_until(qr/^ready$/m, "SELECT 'ready';\nSELECT streamq.pause('s.v5');\n") for @sessions;
becomes(q(SELECT state = 'paused' FROM streamq.jobs WHERE name = 's.v5'), 'concurrent pauses');
$_->quit for @sessions;

# ---- what waits for a lock that the batch holds

stuck(6, 'sleep');
owner(q(DROP VIEW s.v6));
pass('DROP VIEW ends the batch');
stuck(7, 'sleep');
owner(q(SELECT streamq.drop_continuous_view('s.v7')));
pass('so does drop_continuous_view');
stuck(8, 'sleep');
owner(q(DROP TABLE s.t8 CASCADE));
pass('DROP TABLE of the stream');
stuck(9, 'sleep');
owner(q(ALTER TABLE s.t9 ADD COLUMN more text));
pass('and ALTER TABLE');
is(owner(q(SELECT errors FROM streamq.jobs WHERE name = 's.v9')), '0', 'none is an error');
others_go_on('dropped');
owner(q(SELECT streamq.pause('s.v9')));

# a DROP in an open transaction keeps no worker waiting
owner(q(SELECT s.make(10); SELECT s.make(11)));
my $session = $node->background_psql('postgres');
$session->query_safe('BEGIN; DROP VIEW s.v10; DROP VIEW s.v11');
owner(q(INSERT INTO s.t10 VALUES ('x'); INSERT INTO s.t11 VALUES ('x')));
others_go_on('a DROP that is not committed');
$session->query_safe('ROLLBACK');
is(owner(q(SELECT streamq.wait_until_caught_up('s.v10', '140 s'))), 't', 'when it is rolled back the job goes on');

# it gives way to nobody who only runs the job
stuck(12, 'sleep');
$res = $node->psql('postgres', q(SET lock_timeout = '1s'; SELECT streamq.run_job('s.v12')), stderr => \$err);
like($err, qr/canceling statement due to lock timeout/, 'run_job waits for the batch');
is(owner(q(SELECT streamq.cancel_job('s.v12'))), 't', 'which still runs');
owner(q(SELECT streamq.pause('s.v12')));
$session->quit;

# ---- streamq.job_timeout

sql(q(ALTER SYSTEM SET streamq.job_timeout = '300ms'; SELECT pg_reload_conf();));
owner(q(SELECT s.make(13); INSERT INTO s.t13 VALUES ('a'), ('sleep')));
becomes(q(SELECT state = 'failing' FROM streamq.jobs WHERE name = 's.v13'), 'a batch that takes too long fails');
is(owner(q(SELECT last_error FROM streamq.jobs WHERE name = 's.v13')),
	q(canceling batch that took longer than the job's timeout of 300 ms (SQLSTATE 57014)), 'and says why');
others_go_on('timed out');
becomes(q(SELECT errors >= 2 FROM streamq.jobs WHERE name = 's.v13'), 'it is tried again');
owner(q(CREATE OR REPLACE FUNCTION s.slow(k text) RETURNS text LANGUAGE sql STABLE AS 'SELECT k'));
is(owner(q(SELECT streamq.wait_until_caught_up('s.v13', '140 s'))), 't', 'and goes on when the reason is gone');
is(owner(q(SELECT string_agg(k || n, ' ' ORDER BY k) FROM s.v13)), 'a1 sleep1', 'with every row once');

# of a job
owner(q(CREATE OR REPLACE FUNCTION s.slow(k text) RETURNS text LANGUAGE plpgsql STABLE AS $$
BEGIN
	IF k = 'sleep' THEN PERFORM pg_sleep(2); END IF;
	RETURN k;
END $$));
owner(q(SELECT streamq.alter_job('s.v13', '0'); INSERT INTO s.t13 VALUES ('sleep')));
is(owner(q(SELECT streamq.wait_until_caught_up('s.v13', '140 s'))), 't', 'a job can have no limit');
is(owner(q(SELECT job_timeout FROM streamq.jobs WHERE name = 's.v13')), '00:00:00', 'streamq.jobs shows it');
owner(q(SELECT streamq.alter_job('s.v13', default_job_timeout => true)));
# a batch that begins before the scheduler has seen the change has the old limit
my $failing = q(SELECT state = 'failing' FROM streamq.jobs WHERE name = 's.v13');
for my $try (1 .. 20)
{
	owner(q(INSERT INTO s.t13 VALUES ('sleep')));
	for my $look (1 .. 50)
	{
		last if sql($failing) eq 't';
		select undef, undef, undef, 0.1;
	}
	last if sql($failing) eq 't';
}
is(sql($failing), 't', 'or that of the setting again');
owner(q(SELECT streamq.pause('s.v13')));
sql(q(ALTER SYSTEM RESET streamq.job_timeout; SELECT pg_reload_conf();));
owner(q(CREATE TABLE s.t14 (k text) USING streamq;
	SELECT streamq.create_continuous_view('s.v14', 'SELECT s.slow(k) AS k, count(*) AS n FROM s.t14 GROUP BY 1', job_timeout => '250 ms');
	INSERT INTO s.t14 VALUES ('sleep')));
becomes(q(SELECT last_error ~ 'timeout of 250 ms' FROM streamq.jobs WHERE name = 's.v14'), 'or one of its own');
owner(q(SELECT streamq.pause('s.v14')));
$node->psql('postgres', q(SELECT streamq.alter_job('s.v14', '-1 s')), stderr => \$err);
like($err, qr/argument "job_timeout" must not be negative/, 'which is not negative');

# ---- the scheduler may end in between; DROP EXTENSION and DROP DATABASE

owner(q(CREATE OR REPLACE FUNCTION s.slow(k text) RETURNS text LANGUAGE plpgsql STABLE AS $$
BEGIN
	IF k = 'sleep' THEN PERFORM pg_sleep(3600); END IF;
	RETURN k;
END $$));
stuck(15, 'sleep');
sql(q(SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type = 'streamq scheduler'));
owner(q(DROP VIEW s.v15));
pass('DROP VIEW with a new scheduler');
stuck(16, 'sleep');
sql('CREATE DATABASE other');
sql(q(CREATE EXTENSION streamq; CREATE TABLE t (k text) USING streamq;
	CREATE FUNCTION slow(k text) RETURNS text LANGUAGE plpgsql STABLE AS $$ BEGIN PERFORM pg_sleep(3600); RETURN k; END $$;
	SELECT streamq.create_continuous_view('v', 'SELECT slow(k) AS k, count(*) AS n FROM t GROUP BY 1');
	INSERT INTO t VALUES ('x')), db => 'other');
becomes(q(SELECT count(*) = 1 FROM pg_stat_activity WHERE datname = 'other' AND backend_type = 'streamq worker' AND state = 'active'), 'a batch in another database');
sql('DROP DATABASE other');
pass('DROP DATABASE ends it');
sql(q(SET statement_timeout = '150s'; DROP EXTENSION streamq CASCADE));
pass('DROP EXTENSION ends the other');

my $log = slurp_file($node->logfile);
unlike($log, qr/deadlock detected|PANIC|TRAP/, 'no deadlock');
like($log, qr/streamq worker: LOG:  canceled a batch of streamq job \d+/, 'the log says what was cancelled');

$node->stop;
done_testing();
