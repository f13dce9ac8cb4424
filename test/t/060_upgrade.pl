# pg_upgrade from an older major version, by copy and by link: streams with
# their offsets, groups with their positions and continuous views go on.
#
# STREAMQ_OLD_INSTALL names the installation of an older PostgreSQL (the directory
# with its bin and lib) that has streamq installed too; skipped without.
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $old_install = $ENV{STREAMQ_OLD_INSTALL};
plan skip_all => 'STREAMQ_OLD_INSTALL is not set' unless $old_install;

my $conf = q{
shared_preload_libraries = 'streamq'
max_worker_processes = 16
timezone = 'UTC'
};
my %equal = (
	per_minute => q{SELECT w.window_start, w.window_end, key, count(*), avg(ms), stddev(ms) FROM app.clicks, streamq.tumble(at, '1 minute') w GROUP BY w.window_start, w.window_end, key},
	total => q{SELECT count(*), sum(ms) FROM app.clicks},
);

for my $mode ('--copy', '--link')
{
	(my $name = $mode) =~ s/-//g;
	my $old = PostgreSQL::Test::Cluster->new("old_$name", install_path => $old_install);
	$old->init(extra => ['--data-checksums', '--locale=C', '--encoding=UTF8']);
	$old->append_conf('postgresql.conf', $conf);
	$old->start;
	$old->safe_psql('postgres', q{
CREATE EXTENSION streamq;
CREATE ROLE app_owner;
CREATE SCHEMA app;
GRANT ALL ON SCHEMA app TO app_owner;
CREATE TABLE app.clicks (at timestamptz NOT NULL, key text, ms numeric) USING streamq;
SELECT streamq.alter_stream('app.clicks', partitions => 3);
ALTER TABLE app.clicks OWNER TO app_owner;
SET ROLE app_owner;
SELECT streamq.create_continuous_view('app.per_minute', $$
	SELECT w.window_start, w.window_end, key, count(*) AS n, avg(ms) AS mean, stddev(ms) AS dev
	FROM app.clicks, streamq.tumble(at, '1 minute') w GROUP BY w.window_start, w.window_end, key $$);
SELECT streamq.create_continuous_view('app.total', 'SELECT count(*) AS n, sum(ms) AS ms FROM app.clicks');
CREATE VIEW app.on_it AS SELECT key, sum(n) AS n FROM app.per_minute GROUP BY key;
INSERT INTO app.clicks SELECT timestamptz '2026-01-01' + i * interval '1 s', 'k' || i % 10, i FROM generate_series(1, 5000) i;
BEGIN; INSERT INTO app.clicks SELECT now(), 'undone', 1 FROM generate_series(1, 200) i; ROLLBACK;
INSERT INTO app.clicks SELECT timestamptz '2026-01-02' + i * interval '1 s', 'k' || i % 10, i FROM generate_series(1, 500) i;
SELECT count(*) FROM streamq.consume('app.clicks', 'g', 700, auto_ack => true);
SELECT count(*) FROM streamq.consume('app.clicks', 'g', 100);
SELECT streamq.wait_until_caught_up('app.per_minute');
SELECT streamq.wait_until_caught_up('app.total');
});
	my %look = (
		rows => q{SELECT count(*), md5(string_agg(ctid || c::text, ',' ORDER BY ctid)) FROM app.clicks c},
		partitions => q{SELECT stream, partition, first_offset, next_offset, stable_offset, bytes, messages, oldest_at, newest_at FROM streamq.partitions ORDER BY 2},
		groups => q{SELECT stream, group_name, partition, acked_offset, lag, in_flight FROM streamq.consumer_groups ORDER BY 3},
		leases => q{SELECT first_msg_id, last_msg_id, consumer FROM streamq.leases ORDER BY 1},
		jobs => q{SELECT name, state, source, query, created_at FROM streamq.jobs ORDER BY 1},
	);
	my %before = map { $_ => $old->safe_psql('postgres', $look{$_}) } keys %look;
	$old->stop;

	my $new = PostgreSQL::Test::Cluster->new("new_$name");
	$new->init(extra => ['--data-checksums', '--locale=C', '--encoding=UTF8']);
	$new->append_conf('postgresql.conf', $conf);
	chdir $new->basedir or die $!;
	command_ok([ 'pg_upgrade', '--no-sync', '-d', $old->data_dir, '-D', $new->data_dir,
		'-b', "$old_install/bin", '-B', $new->config_data('--bindir'),
		'-s', $new->host, '-p', $old->port, '-P', $new->port, $mode ], "pg_upgrade $mode");
	$new->start;
	note($new->safe_psql('postgres', 'SELECT version()'));
	is($new->safe_psql('postgres', $look{$_}), $before{$_}, "$mode: $_") for sort keys %look;

	$new->safe_psql('postgres', q{INSERT INTO app.clicks SELECT timestamptz '2026-01-03' + i * interval '1 s', 'k' || i % 10, i FROM generate_series(1, 1000) i});
	for my $view (sort keys %equal)
	{
		is($new->safe_psql('postgres', "SELECT streamq.wait_until_caught_up('app.$view', '30 s')"), 't', "$mode: $view catches up");
		is($new->safe_psql('postgres', "SELECT count(*), (SELECT count(*) > 0 FROM app.$view) FROM ((TABLE app.$view EXCEPT ALL $equal{$view}) UNION ALL ($equal{$view} EXCEPT ALL TABLE app.$view)) x"),
			'0|t', "$mode: $view equals its query");
	}
	is($new->safe_psql('postgres', 'SELECT sum(n) FROM app.on_it'), 6500, "$mode: a view on it");
	# what was leased to sessions of the old server comes again
	$new->safe_psql('postgres', q{SELECT streamq.seek('app.clicks', 'g', to_position => 'earliest')});
	my $got = 0;
	for (1 .. 10) { $got += $new->safe_psql('postgres', q{SELECT count(*) FROM streamq.consume('app.clicks', 'g', 5000, auto_ack => true)}); }
	is($got, 6500, "$mode: the group goes on");
	$new->safe_psql('postgres', 'VACUUM (FREEZE) app.clicks; DROP TABLE app.clicks CASCADE');
	is($new->safe_psql('postgres', q{SELECT (SELECT count(*) FROM streamq.job), (SELECT count(*) FROM pg_class WHERE relname LIKE 'view_state%' AND relkind = 'r'), (SELECT count(*) FROM streamq.consumer_group)}),
		'0|0|0', "$mode: nothing stays after DROP");
	$new->stop;
	command_ok([ 'pg_checksums', '--check', '-D', $new->data_dir ], "$mode: checksums");
	unlike(slurp_file($new->logfile), qr/PANIC|TRAP|terminated by signal/, "$mode: clean log");
}
chdir "/";
done_testing();
