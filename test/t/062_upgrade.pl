# pg_upgrade from older major versions, by copy, by link and by swap: streams with
# their offsets, groups with their positions, continuous views, pipes, joins and
# handlers go on.
#
# STREAMQ_OLD_INSTALL names the installations of older PostgreSQLs (the directories
# with their bin and lib) that have streamq installed too, oldest first, separated
# by ":"; one cluster goes through all of them to the PostgreSQL under test.
# Without, that is upgraded to itself, which gives objects other OIDs just so.
use strict;
use warnings;
use File::Basename;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $bindir = qx(pg_config --bindir);
chomp $bindir;
my ($version) = qx(pg_config --version) =~ /(\d+)/;
my @installs = split /:/, $ENV{STREAMQ_OLD_INSTALL} || dirname($bindir);

my $conf = q{
shared_preload_libraries = 'streamq'
max_worker_processes = 16
timezone = 'UTC'
};
my %equal = (
	per_minute => q{SELECT w.window_start, w.window_end, key, count(*), avg(ms), stddev(ms) FROM app.clicks, streamq.tumble(at, '1 minute') w GROUP BY w.window_start, w.window_end, key},
	total => q{SELECT count(*), sum(ms) FROM app.clicks},
	hopping => q{SELECT w.window_end, key, count(*), sum(ms), count(DISTINCT ms) FROM app.clicks, streamq.hop(at, '20 s', '1 minute') w GROUP BY w.window_end, key},
	sessions => q{SELECT min(at), max(at) + interval '5 s', key, count(*), sum(ms)
		FROM (SELECT *, count(*) FILTER (WHERE begins) OVER by_time AS session
			FROM (SELECT *, (at - lag(at) OVER by_time <= '5 s') IS NOT TRUE AS begins FROM app.clicks WINDOW by_time AS (PARTITION BY key ORDER BY at)) c
			WINDOW by_time AS (PARTITION BY key ORDER BY at)) c
		GROUP BY key, session},
	named => q{SELECT name, count(*), max(ms) FROM app.clicks JOIN app.names ON id = key GROUP BY name},
);
# what is in the target of a view, a pipe, a join and a handler: each once
my %once = (
	emitted => q{SELECT count(*) FROM (SELECT FROM app.results GROUP BY window_end, key HAVING count(*) <> max(revision) + 1 OR count(DISTINCT revision) <> count(*)) d},
	current => q{SELECT count(*) FROM (SELECT DISTINCT ON (window_end, key) window_end, key, n FROM app.results ORDER BY window_end, key, revision DESC) r
		FULL JOIN (SELECT * FROM app.emitting WHERE window_end <= streamq.watermark('app.emitting')) e USING (window_end, key) WHERE r.n IS DISTINCT FROM e.n},
	piped => q{SELECT count(*) FROM ((SELECT key, ms FROM app.clicks EXCEPT ALL TABLE app.piped) UNION ALL (TABLE app.piped EXCEPT ALL SELECT key, ms FROM app.clicks)) d},
	pairs => q{SELECT count(*) FROM ((SELECT a.id, b.id FROM app.a JOIN app.b ON a.id = b.id AND b.at BETWEEN a.at AND a.at + interval '1 minute' EXCEPT ALL TABLE app.pairs)
		UNION ALL (TABLE app.pairs EXCEPT ALL SELECT a.id, b.id FROM app.a JOIN app.b ON a.id = b.id AND b.at BETWEEN a.at AND a.at + interval '1 minute')) d},
	handled => q{SELECT count(*) FROM ((SELECT id FROM app.a EXCEPT ALL TABLE app.handled) UNION ALL (TABLE app.handled EXCEPT ALL SELECT id FROM app.a)) d},
);
my %look = (
	rows => q{SELECT count(*), md5(string_agg(ctid || c::text, ',' ORDER BY ctid)) FROM app.clicks c},
	places => q{SELECT count(*), sum((place).x), sum((place).name::int) FROM app.clicks},
	partitions => q{SELECT stream, partition, first_offset, next_offset, stable_offset, bytes, messages, oldest_at, newest_at FROM streamq.partitions ORDER BY stream::text, partition},
	groups => q{SELECT stream, group_name, partition, acked_offset, lag, in_flight FROM streamq.consumer_groups ORDER BY 3},
	leases => q{SELECT first_msg_id, last_msg_id, consumer FROM streamq.leases ORDER BY 1},
	jobs => q{SELECT name, kind, state, source, query, created_at, emit_into FROM streamq.jobs ORDER BY 1},
	results => q{SELECT count(*), md5(string_agg(r::text, ',' ORDER BY r)) FROM app.results r},
	# not the views: their states are those of another version
	written => q{SELECT (SELECT count(*) FROM app.piped), (SELECT count(*) FROM app.pairs), (SELECT count(*) FROM app.handled)},
	retry => q{SELECT deliveries, message FROM streamq.job_retry},
	check => q{SELECT * FROM streamq.check_stream('app.clicks')},
);
my ($node, $mode, $rows, $round);

# A cluster made by the programs of one installation, the one under test without.
sub new_cluster
{
	my ($name, $install) = @_;
	my $new = PostgreSQL::Test::Cluster->new($name, $install ? (install_path => $install) : ());
	$new->init(extra => ['--data-checksums', '--locale=C', '--encoding=UTF8']);
	$new->append_conf('postgresql.conf', $conf);
	return $new;
}

# Takes the running cluster $node to the installation and makes it $node.
sub upgrade
{
	my ($name, $old_install, $install) = @_;
	my %before = map { $_ => $node->safe_psql('postgres', $look{$_}) } keys %look;
	$node->stop;

	my $new = new_cluster($name, $install);
	my $bin = $install ? "$install/bin" : $bindir;
	chdir $new->basedir or die $!;
	command_ok([ "$bin/pg_upgrade", '--no-sync', '-d', $node->data_dir, '-D', $new->data_dir,
		'-b', "$old_install/bin", '-B', $bin, '-s', $new->host, '-p', $node->port, '-P', $new->port,
		$mode eq 'copy' ? () : $mode eq 'swap' && $new->pg_version >= 18 ? '--swap' : '--link' ], "$name: pg_upgrade")
		or diag(map { slurp_file($_) } glob($new->data_dir . '/pg_upgrade_output.d/*/log/*.log'));
	$node = $new;
	$node->start;
	note($node->safe_psql('postgres', 'SELECT version()'));
	is($node->safe_psql('postgres', $look{$_}), $before{$_}, "$name: $_") for sort keys %look;

	$node->safe_psql('postgres', q{INSERT INTO app.clicks SELECT timestamptz '2026-01-03' + i * interval '1 s', 'k' || i % 10, i, ROW(i, i, i)::app.place FROM generate_series(1, 1000) i});
	$rows += 1000;
	for my $view (sort keys %equal)
	{
		is($node->safe_psql('postgres', "SELECT streamq.wait_until_caught_up('app.$view', '30 s')"), 't', "$name: $view catches up");
		is($node->safe_psql('postgres', "SELECT count(*), (SELECT count(*) > 0 FROM app.$view) FROM ((TABLE app.$view EXCEPT ALL $equal{$view}) UNION ALL ($equal{$view} EXCEPT ALL TABLE app.$view)) x"),
			'0|t', "$name: $view equals its query");
	}
	is($node->safe_psql('postgres', 'SELECT sum(n) FROM app.on_it'), $rows, "$name: a view on it");

	# matches of messages that waited, and corrections of windows that were emitted
	$node->safe_psql('postgres', qq{
INSERT INTO app.clicks SELECT timestamptz '2026-01-01' + i * interval '30 s', 'k' || i % 10, i, NULL FROM generate_series(1, 50) i;
INSERT INTO app.b SELECT id, at + interval '10 s' FROM app.a WHERE id > 100 * $round;
INSERT INTO app.a SELECT i, timestamptz '2026-01-01' + i * interval '1 s' FROM generate_series(100 * $round + 101, 100 * $round + 200) i;
INSERT INTO app.allowed VALUES ($round);
UPDATE streamq.job_retry SET retry_at = now();
});
	$rows += 50;
	$round++;
	is($node->safe_psql('postgres', "SELECT streamq.wait_until_caught_up('$_', '30 s')"), 't', "$name: $_ catches up") for 'app.emitting', 'piping', 'joining', 'handling';
	is($node->safe_psql('postgres', $once{$_}), 0, "$name: $_ once") for sort keys %once;
	is($node->safe_psql('postgres', 'SELECT count(*) FROM streamq.job_errors'), 0, "$name: no row failed");
	wait_for_retry();
}

# One message of the handler fails and waits for an hour, until it is allowed.
sub wait_for_retry
{
	$node->safe_psql('postgres', "INSERT INTO app.a VALUES (-$round, '2026-01-01')");
	ok($node->poll_query_until('postgres', 'SELECT count(*) = 1 FROM streamq.job_retry'), 'a message waits for its retry');
	is($node->safe_psql('postgres', q{SELECT streamq.wait_until_caught_up('joining', '30 s')}), 't', 'nothing else does');
}

for ('copy', 'link', $version >= 18 ? 'swap' : ())
{
	$mode = $_;
	$node = new_cluster("${mode}_old", $installs[0]);
	$node->start;
	$node->safe_psql('postgres', q{
CREATE EXTENSION streamq;
CREATE ROLE app_owner;
CREATE SCHEMA app;
GRANT ALL ON SCHEMA app TO app_owner;
CREATE TYPE app.place AS (x int, name text);
CREATE TABLE app.clicks (at timestamptz NOT NULL, key text, ms numeric, place app.place) USING streamq;
SELECT streamq.alter_stream('app.clicks', partitions => 3);
ALTER TABLE app.clicks OWNER TO app_owner;
SET ROLE app_owner;
SELECT streamq.create_continuous_view('app.per_minute', $$
	SELECT w.window_start, w.window_end, key, count(*) AS n, avg(ms) AS mean, stddev(ms) AS dev
	FROM app.clicks, streamq.tumble(at, '1 minute') w GROUP BY w.window_start, w.window_end, key $$);
SELECT streamq.create_continuous_view('app.total', 'SELECT count(*) AS n, sum(ms) AS ms FROM app.clicks');
SELECT streamq.create_continuous_view('app.hopping', $$
	SELECT w.window_end, key, count(*) AS n, sum(ms) AS ms, count(DISTINCT ms) AS d FROM app.clicks, streamq.hop(at, '20 s', '1 minute') w GROUP BY w.window_end, key $$);
SELECT streamq.create_continuous_view('app.sessions', $$
	SELECT w.window_start, w.window_end, key, count(*) AS n, sum(ms) AS ms FROM app.clicks, streamq.session(at, '5 s') w GROUP BY w.window_start, w.window_end, key $$);
CREATE TABLE app.names (id text PRIMARY KEY, name text);
INSERT INTO app.names SELECT 'k' || i, 'name ' || i FROM generate_series(0, 9) i;
SELECT streamq.create_continuous_view('app.named', 'SELECT name, count(*) AS n, max(ms) AS max FROM app.clicks JOIN app.names ON id = key GROUP BY name');
CREATE TABLE app.results (window_end timestamptz, key text, n bigint, revision int, deleted bool) USING streamq;
SELECT streamq.create_continuous_view('app.emitting', $$
	SELECT w.window_end, key, count(*) AS n FROM app.clicks, streamq.tumble(at, '1 minute') w GROUP BY w.window_end, key $$, emit_into => 'app.results');
CREATE TABLE app.piped (key text, amount numeric) USING streamq;
SELECT streamq.create_pipe('piping', 'SELECT key, ms AS amount FROM app.clicks', 'app.piped');
CREATE TABLE app.a (id int, at timestamptz) USING streamq;
CREATE TABLE app.b (id int, at timestamptz) USING streamq;
CREATE TABLE app.pairs (a int, b int);
SELECT streamq.create_pipe('joining', $$ SELECT a.id AS a, b.id AS b FROM app.a JOIN app.b
	ON a.id = b.id AND b.at BETWEEN a.at AND a.at + interval '1 minute' $$, 'app.pairs', watermark_delay => '1 day');
CREATE TABLE app.handled (id int);
CREATE TABLE app.allowed (id int);
CREATE FUNCTION app.handle(m streamq.message) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	n int := (m.payload->>'id')::int;
BEGIN
	INSERT INTO app.handled VALUES (n);
	IF n <= 0 AND NOT EXISTS (SELECT FROM app.allowed WHERE id = -n) THEN RAISE EXCEPTION 'not yet'; END IF;
END $$;
SELECT streamq.create_handler('handling', 'app.a', 'app.handle(streamq.message)', retry_backoff => '1 h');
INSERT INTO app.a SELECT i, timestamptz '2026-01-01' + i * interval '1 s' FROM generate_series(1, 100) i;
CREATE VIEW app.on_it AS SELECT key, sum(n) AS n FROM app.per_minute GROUP BY key;
INSERT INTO app.clicks SELECT timestamptz '2026-01-01' + i * interval '1 s', 'k' || i % 10, i, ROW(i, i)::app.place FROM generate_series(1, 5000) i;
BEGIN; INSERT INTO app.clicks SELECT now(), 'undone', 1 FROM generate_series(1, 200) i; ROLLBACK;
RESET ROLE;
ALTER TYPE app.place ADD ATTRIBUTE y int;
SET ROLE app_owner;
INSERT INTO app.clicks SELECT timestamptz '2026-01-02' + i * interval '1 s', 'k' || i % 10, i, ROW(i, i, i)::app.place FROM generate_series(1, 500) i;
SELECT count(*) FROM streamq.consume('app.clicks', 'g', 700, auto_ack => true);
SELECT count(*) FROM streamq.consume('app.clicks', 'g', 100);
SELECT streamq.wait_until_caught_up(name) FROM streamq.jobs;
RESET ROLE;
-- the column had another name when the pipe was created
ALTER TABLE app.piped RENAME amount TO ms;
});
	$rows = 5500;
	$round = 0;
	wait_for_retry();
	for my $i (0 .. $#installs)
	{
		upgrade("${mode}_$i", $installs[$i], $installs[$i + 1]);
	}

	# what was leased to sessions of the old server comes again
	$node->safe_psql('postgres', q{SELECT streamq.seek('app.clicks', 'g', to_position => 'earliest')});
	my $got = 0;
	for (1 .. 10) { $got += $node->safe_psql('postgres', q{SELECT count(*) FROM streamq.consume('app.clicks', 'g', 5000, auto_ack => true)}); }
	is($got, $rows, "$mode: the group goes on");
	$node->safe_psql('postgres', 'VACUUM (FREEZE) app.clicks; DROP TABLE app.clicks, app.a, app.b, app.results CASCADE');
	is($node->safe_psql('postgres', q{SELECT (SELECT count(*) FROM streamq.job), (SELECT count(*) FROM pg_class WHERE relname LIKE 'view_state%' AND relkind = 'r'), (SELECT count(*) FROM streamq.consumer_group)}),
		'0|0|0', "$mode: nothing stays after DROP");
	$node->stop;
	command_ok([ 'pg_checksums', '--check', '-D', $node->data_dir ], "$mode: checksums");
	unlike(slurp_file($node->logfile), qr/PANIC|TRAP|terminated by signal/, "$mode: clean log");
}
chdir "/";
done_testing();
