# pg_upgrade from older major versions, by copy, by link and by swap: streams with
# their offsets, groups with their positions and continuous views go on.
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
);
my %look = (
	rows => q{SELECT count(*), md5(string_agg(ctid || c::text, ',' ORDER BY ctid)) FROM app.clicks c},
	places => q{SELECT count(*), sum((place).x), sum((place).name::int) FROM app.clicks},
	partitions => q{SELECT stream, partition, first_offset, next_offset, stable_offset, bytes, messages, oldest_at, newest_at FROM streamq.partitions ORDER BY 2},
	groups => q{SELECT stream, group_name, partition, acked_offset, lag, in_flight FROM streamq.consumer_groups ORDER BY 3},
	leases => q{SELECT first_msg_id, last_msg_id, consumer FROM streamq.leases ORDER BY 1},
	jobs => q{SELECT name, state, source, query, created_at FROM streamq.jobs ORDER BY 1},
	check => q{SELECT * FROM streamq.check_stream('app.clicks')},
);
my ($node, $mode, $rows);

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
CREATE VIEW app.on_it AS SELECT key, sum(n) AS n FROM app.per_minute GROUP BY key;
INSERT INTO app.clicks SELECT timestamptz '2026-01-01' + i * interval '1 s', 'k' || i % 10, i, ROW(i, i)::app.place FROM generate_series(1, 5000) i;
BEGIN; INSERT INTO app.clicks SELECT now(), 'undone', 1 FROM generate_series(1, 200) i; ROLLBACK;
RESET ROLE;
ALTER TYPE app.place ADD ATTRIBUTE y int;
SET ROLE app_owner;
INSERT INTO app.clicks SELECT timestamptz '2026-01-02' + i * interval '1 s', 'k' || i % 10, i, ROW(i, i, i)::app.place FROM generate_series(1, 500) i;
SELECT count(*) FROM streamq.consume('app.clicks', 'g', 700, auto_ack => true);
SELECT count(*) FROM streamq.consume('app.clicks', 'g', 100);
SELECT streamq.wait_until_caught_up('app.per_minute');
SELECT streamq.wait_until_caught_up('app.total');
});
	$rows = 5500;
	for my $i (0 .. $#installs)
	{
		upgrade("${mode}_$i", $installs[$i], $installs[$i + 1]);
	}

	# what was leased to sessions of the old server comes again
	$node->safe_psql('postgres', q{SELECT streamq.seek('app.clicks', 'g', to_position => 'earliest')});
	my $got = 0;
	for (1 .. 10) { $got += $node->safe_psql('postgres', q{SELECT count(*) FROM streamq.consume('app.clicks', 'g', 5000, auto_ack => true)}); }
	is($got, $rows, "$mode: the group goes on");
	$node->safe_psql('postgres', 'VACUUM (FREEZE) app.clicks; DROP TABLE app.clicks CASCADE');
	is($node->safe_psql('postgres', q{SELECT (SELECT count(*) FROM streamq.job), (SELECT count(*) FROM pg_class WHERE relname LIKE 'view_state%' AND relkind = 'r'), (SELECT count(*) FROM streamq.consumer_group)}),
		'0|0|0', "$mode: nothing stays after DROP");
	$node->stop;
	command_ok([ 'pg_checksums', '--check', '-D', $node->data_dir ], "$mode: checksums");
	unlike(slurp_file($node->logfile), qr/PANIC|TRAP|terminated by signal/, "$mode: clean log");
}
chdir "/";
done_testing();
