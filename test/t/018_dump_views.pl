# Continuous views in pg_dump and pg_restore: they come back with their owners,
# privileges and what depends on them, compute their state anew from the restored
# stream and go on.
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('main');
$node->init;
$node->append_conf('postgresql.conf', q{
shared_preload_libraries = 'streamq'
max_worker_processes = 32
timezone = 'UTC'
});
$node->start;
my $dir = $node->basedir;
$node->safe_psql('postgres', q{
CREATE DATABASE src;
CREATE ROLE app_owner;
CREATE ROLE app_reader;
});
$node->safe_psql('src', q{
CREATE EXTENSION streamq;
CREATE SCHEMA app;
GRANT ALL ON SCHEMA app TO app_owner;
CREATE TABLE app.clicks (at timestamptz NOT NULL, key text, ms numeric) USING streamq;
SELECT streamq.alter_stream('app.clicks', partitions => 2);
ALTER TABLE app.clicks OWNER TO app_owner;
CREATE FUNCTION app.twice(numeric) RETURNS numeric LANGUAGE sql IMMUTABLE AS 'SELECT $1 * 2';
INSERT INTO app.clicks SELECT timestamptz '2026-01-01' + i * interval '1 s', 'k' || i % 10, i FROM generate_series(1, 5000) i;
});
# dropped, so that the numbers of jobs and state tables differ afterwards
$node->safe_psql('src', q{
SELECT streamq.create_continuous_view('app.gone', 'SELECT count(*) FROM app.clicks');
DROP VIEW app.gone;
SET ROLE app_owner;
SET search_path = app;
SET timezone = 'Europe/Berlin';
SELECT streamq.create_continuous_view('per_minute', $$
	SELECT w.window_start, w.window_end, key, count(*) AS n, avg(twice(ms)) AS mean, stddev(ms) AS dev
	FROM clicks, streamq.tumble(at, '1 minute') w GROUP BY w.window_start, w.window_end, key $$, watermark_delay => '5 s', allowed_lateness => '1 minute');
SELECT streamq.create_continuous_view('per_day', $$
	SELECT date_trunc('day', at) AS day, count(*) AS n, max(key) AS greatest FROM clicks GROUP BY 1 $$);
SELECT streamq.create_continuous_view('named', $$
	SELECT upper(key) AS name, min(ms) AS least, max(at) AS latest FROM clicks GROUP BY 1 HAVING count(*) > 1 $$);
SELECT streamq.create_continuous_view('hourly', $$
	SELECT w.window_end, upper(key) COLLATE "C" AS name, count(*) AS n, avg(twice(ms)) AS mean, max(key) AS greatest
	FROM clicks, streamq.hop(at, '7 minutes', '1 hour') w GROUP BY w.window_end, upper(key) COLLATE "C" HAVING count(*) > 3 $$);
SELECT streamq.create_continuous_view('total', 'SELECT count(*) AS n, sum(ms) AS ms FROM clicks');
GRANT SELECT ON per_minute TO app_reader;
COMMENT ON VIEW per_minute IS 'every minute';
CREATE VIEW on_it AS SELECT key, sum(n) AS n FROM per_minute GROUP BY key;
SELECT streamq.wait_until_caught_up('per_minute');
SELECT streamq.wait_until_caught_up('per_day');
SELECT streamq.wait_until_caught_up('named');
SELECT streamq.wait_until_caught_up('hourly');
SELECT streamq.wait_until_caught_up('total');
SELECT streamq.pause('total');
});

my %views = (
	per_minute => q{SELECT w.window_start, w.window_end, key, count(*), avg(app.twice(ms)), stddev(ms)
		FROM app.clicks, streamq.tumble(at, '1 minute') w GROUP BY w.window_start, w.window_end, key},
	per_day => q{SELECT date_trunc('day', at AT TIME ZONE 'Europe/Berlin') AT TIME ZONE 'Europe/Berlin', count(*), max(key) FROM app.clicks GROUP BY 1},
	named => q{SELECT upper(key), min(ms), max(at) FROM app.clicks GROUP BY 1 HAVING count(*) > 1},
	hourly => q{SELECT w.window_end, upper(key) COLLATE "C", count(*), avg(app.twice(ms)), max(key)
		FROM app.clicks, streamq.hop(at, '7 minutes', '1 hour') w GROUP BY w.window_end, upper(key) COLLATE "C" HAVING count(*) > 3},
	total => q{SELECT count(*), sum(ms) FROM app.clicks},
);

sub equal
{
	my ($db, $how) = @_;
	for my $view (sort keys %views)
	{
		next if $view eq 'total' && $node->safe_psql($db, q{SELECT state FROM streamq.jobs WHERE name = 'app.total'}) eq 'paused';
		is($node->safe_psql($db, "SELECT streamq.wait_until_caught_up('app.$view', '30 s')"), 't', "$how: $view catches up");
		is($node->safe_psql($db, "SELECT count(*), (SELECT count(*) > 0 FROM app.$view) FROM ((TABLE app.$view EXCEPT ALL $views{$view}) UNION ALL ($views{$view} EXCEPT ALL TABLE app.$view)) x"),
			'0|t', "$how: $view equals its query");
	}
}
equal('src', 'source');

sub check
{
	my ($db, $how) = @_;
	equal($db, $how);
	my $jobs = q{SELECT name, kind, state, source, watermark_delay, late_rows_policy, allowed_lateness, query, created_at FROM streamq.jobs ORDER BY name};
	is($node->safe_psql($db, $jobs), $node->safe_psql('src', $jobs), "$how: jobs");
	is($node->safe_psql($db, q{SELECT relowner::regrole, relacl FROM pg_class WHERE oid = 'app.per_minute'::regclass}),
		$node->safe_psql('src', q{SELECT relowner::regrole, relacl FROM pg_class WHERE oid = 'app.per_minute'::regclass}), "$how: owner and privileges");
	is($node->safe_psql($db, q{SET ROLE app_owner; SELECT sum(n) FROM app.on_it}), 5000, "$how: a view on it");
	$node->safe_psql($db, q{INSERT INTO app.clicks SELECT timestamptz '2026-01-03' + i * interval '1 s', 'k' || i % 10, i FROM generate_series(1, 1000) i;
		SELECT streamq.resume('app.total')});
	equal($db, "$how, new messages");
	$node->safe_psql($db, q{SELECT streamq.create_continuous_view('app.another', 'SELECT min(ms) FROM app.clicks')});
	my ($ret, $out, $err) = $node->psql($db, 'DROP TABLE app.clicks');
	like($err, qr/other objects depend on it/, "$how: the stream cannot go without its views");
	$node->safe_psql($db, q{DROP VIEW app.named; DROP TABLE app.clicks CASCADE});
	is($node->safe_psql($db, q{SELECT (SELECT count(*) FROM streamq.job), (SELECT count(*) FROM streamq.job_stats), (SELECT count(*) FROM pg_class WHERE relname LIKE 'view_state%' AND relkind = 'r')}),
		'0|0|0', "$how: nothing stays after that");
}

sub made
{
	my ($db) = @_;
	$node->safe_psql('postgres', "CREATE DATABASE $db");
	return $node->connstr($db);
}
command_checks_all([ 'pg_dump', '-Fp', '-f', "$dir/plain.sql", '-d', $node->connstr('src') ], 0, [qr/^$/], [qr/^$/], 'pg_dump, plain');
command_checks_all([ 'pg_dump', '-Fc', '-f', "$dir/custom", '-d', $node->connstr('src') ], 0, [qr/^$/], [qr/^$/], 'pg_dump, custom');
command_ok([ 'psql', '-X', '-q', '-v', 'ON_ERROR_STOP=1', '-f', "$dir/plain.sql", '-d', made('plain') ], 'restored by psql');
check('plain', 'plain');
command_ok([ 'pg_restore', '-e', '-1', '-d', made('custom'), "$dir/custom" ], 'pg_restore in one transaction');
check('custom', 'one transaction');
made('sections');
for my $section ('pre-data', 'data', 'post-data')
{
	command_ok([ 'pg_restore', '-e', "--section=$section", '-d', $node->connstr('sections'), "$dir/custom" ], "section $section");
	sleep 1 if $section eq 'data';
}
check('sections', 'sections');
command_ok([ 'pg_restore', '-e', '-j', '2', '-d', made('parallel'), "$dir/custom" ], 'pg_restore, parallel');
check('parallel', 'parallel');

# what the query names has other names by now, and its own name is somebody else's
$node->safe_psql('src', q{
ALTER TABLE app.clicks RENAME COLUMN key TO which;
ALTER TABLE app.clicks RENAME TO presses;
ALTER FUNCTION app.twice(numeric) RENAME TO doubled;
CREATE TABLE app.clicks (key text) USING streamq;
});
command_ok([ 'pg_dump', '-Fc', '-f', "$dir/renamed", '-d', $node->connstr('src') ], 'pg_dump, renamed');
command_ok([ 'pg_restore', '-e', '-d', made('renamed'), "$dir/renamed" ], 'restored');
command_ok([ 'pg_dump', '-Fc', '-f', "$dir/again", '-d', $node->connstr('renamed') ], 'pg_dump of that');
$node->safe_psql('renamed', q{SELECT streamq.wait_until_caught_up(name, '30 s') FROM streamq.jobs WHERE state <> 'paused'});
command_ok([ 'pg_restore', '-e', '-d', made('twice'), "$dir/again" ], 'restored again');
for my $db ('renamed', 'twice')
{
	is($node->safe_psql($db, q{SELECT streamq.wait_until_caught_up('app.per_minute', '30 s'); SELECT sum(n) FROM app.per_minute}),
		"t\n5000", "$db: a view of a stream that was renamed");
	is($node->safe_psql($db, q{SELECT streamq.wait_until_caught_up('app.named', '30 s'); SELECT count(*) FROM app.named}),
		"t\n10", "$db: another");
	is($node->safe_psql($db, q{SELECT source, query FROM streamq.jobs WHERE name = 'app.total'}),
		'app.presses|SELECT count(*) AS n, sum(ms) AS ms FROM clicks', "$db: the query is shown as it was written");
}
$node->safe_psql('src', q{
DROP TABLE app.clicks;
ALTER TABLE app.presses RENAME TO clicks;
ALTER TABLE app.clicks RENAME COLUMN which TO key;
ALTER FUNCTION app.doubled(numeric) RENAME TO twice;
});

# without the view
command_ok([ 'pg_dump', '-Fc', '-T', 'app.named', '-f', "$dir/less", '-d', $node->connstr('src') ], 'pg_dump without a view');
command_ok([ 'pg_restore', '-e', '-d', made('less'), "$dir/less" ], 'restored without a view');
is($node->safe_psql('less', 'SELECT count(*) FROM streamq.job'), 4, 'its job is not there');

# a view that nothing has run since holds together with its stream and its state already
$node->safe_psql('postgres', 'CREATE DATABASE paused');
$node->safe_psql('paused', q{
CREATE EXTENSION streamq;
CREATE TABLE s (n int) USING streamq;
INSERT INTO s SELECT generate_series(1, 100);
SELECT streamq.create_continuous_view('v', 'SELECT count(*) AS n FROM s');
SELECT streamq.create_continuous_view('w', 'SELECT sum(n) AS n FROM s');
SELECT streamq.run_job('v');
SELECT streamq.pause('v');
SELECT streamq.pause('w');
});
command_ok([ 'pg_dump', '-Fc', '-f', "$dir/paused", '-d', $node->connstr('paused') ], 'pg_dump of paused views');
command_ok([ 'pg_restore', '-e', '-d', made('unpaused'), "$dir/paused" ], 'restored');
my ($rc, $out, $err) = $node->psql('unpaused', 'DROP TABLE s');
like($err, qr/cannot drop table s because other objects depend on it.*view v depends on table s/s, 'the stream of a paused view');
$node->safe_psql('unpaused', 'DROP VIEW w');
is($node->safe_psql('unpaused', q{SELECT (SELECT count(*) FROM streamq.job), (SELECT count(*) FROM pg_class WHERE relname LIKE 'view_state%' AND relkind = 'r')}), '1|1', 'a paused view goes with its state');
$node->safe_psql('unpaused', q{SELECT streamq.resume('v')});
is($node->safe_psql('unpaused', q{SELECT streamq.run_job('v') >= 0; SELECT n FROM v}), "t\n100", 'and the other one goes on');
$node->safe_psql('unpaused', 'DROP TABLE s CASCADE');
is($node->safe_psql('unpaused', q{SELECT (SELECT count(*) FROM streamq.job), (SELECT count(*) FROM pg_class WHERE relname LIKE 'view_state%' AND relkind = 'r')}), '0|0', 'nothing stays');

$node->stop;
unlike(slurp_file($node->logfile), qr/PANIC|TRAP|terminated by signal/, 'clean log');
done_testing();
