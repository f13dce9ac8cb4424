# Views that join tables, and views that write to streams, in pg_restore with several
# jobs: a view is not computed before everything is there that it reads and writes.
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
my $dump = $node->basedir . '/dump';

$node->safe_psql('postgres', 'CREATE DATABASE src');
$node->safe_psql('src', q{
CREATE EXTENSION streamq;
CREATE SCHEMA app;
CREATE TABLE app.s (at timestamptz, k int) USING streamq;
CREATE TABLE app.joined (id int PRIMARY KEY, name text);
CREATE TABLE app.below (id int PRIMARY KEY, name text);
CREATE VIEW app.middle AS SELECT * FROM app.below;
CREATE VIEW app.above AS SELECT id, upper(name) AS name FROM app.middle WHERE id IN (SELECT id FROM app.joined);
CREATE TABLE app.parts (id int, name text) PARTITION BY LIST (id);
CREATE TABLE app.even PARTITION OF app.parts FOR VALUES IN (0, 2, 4, 6, 8);
CREATE TABLE app.odd PARTITION OF app.parts FOR VALUES IN (1, 3, 5, 7, 9);
INSERT INTO app.joined SELECT i, 'name ' || i FROM generate_series(0, 9) i;
INSERT INTO app.below TABLE app.joined;
INSERT INTO app.parts TABLE app.joined;
CREATE MATERIALIZED VIEW app.stored AS SELECT * FROM app.below;
CREATE VIEW app.on_stored AS SELECT * FROM app.stored;
SELECT streamq.create_continuous_view('app.by_table', 'SELECT name, count(*) AS n FROM app.s JOIN app.joined ON id = k GROUP BY name');
SELECT streamq.create_continuous_view('app.by_view', 'SELECT name, count(*) AS n FROM app.s JOIN app.above ON id = k GROUP BY name');
SELECT streamq.create_continuous_view('app.by_partition', 'SELECT name, count(*) AS n FROM app.s LEFT JOIN app.parts ON id = k GROUP BY name');
SELECT streamq.create_continuous_view('app.by_stored', 'SELECT name, count(*) AS n FROM app.s JOIN app.on_stored ON id = k GROUP BY name');
INSERT INTO app.s SELECT timestamptz '2026-03-01' + i * interval '1 s', i % 10 FROM generate_series(1, 1000) i;

CREATE TABLE app.events (at timestamptz, k int) USING streamq;
CREATE TABLE app.out (window_end timestamptz, k int, n bigint, revision int, deleted bool) USING streamq;
CREATE TABLE app.late (at timestamptz, k int) USING streamq;
SELECT streamq.create_continuous_view('app.emitting', $$
	SELECT w.window_end, k, count(*) AS n FROM app.events, streamq.tumble(at, '1 minute') w GROUP BY w.window_end, k $$, emit_into => 'app.out');
SELECT streamq.create_continuous_view('app.routing', $$
	SELECT w.window_end, k, count(*) AS n FROM app.events, streamq.tumble(at, '1 minute') w GROUP BY w.window_end, k $$,
	late_rows => 'route', late_stream => 'app.late');
INSERT INTO app.events SELECT timestamptz '2026-03-01' + i * interval '1 s', i % 5 FROM generate_series(1, 300) i;
INSERT INTO app.events SELECT timestamptz '2026-03-01' + i * interval '1 s', i % 5 FROM generate_series(1, 100) i;
SELECT streamq.wait_until_caught_up(name) FROM streamq.jobs;
});
my @views = map { "app.$_" } qw(by_table by_view by_partition by_stored emitting routing);
my %look = (
	(map { $_ => "SELECT string_agg(v::text, ' ' ORDER BY v::text) FROM $_ v" } @views),
	emitted => q{SELECT string_agg(o::text, ' ' ORDER BY o::text) FROM app.out o},
	late => q{SELECT count(*), count(DISTINCT (at, k)) FROM app.late},
	errors => q{SELECT count(*) FROM streamq.job_errors},
	jobs => q{SELECT name, state FROM streamq.jobs ORDER BY 1},
);
my %before = map { $_ => $node->safe_psql('src', $look{$_}) } keys %look;
is("$before{late} $before{errors}", '100|100 0', 'the source has late rows, and no errors');
command_ok([ 'pg_dump', '-Fc', '-f', $dump, '-d', $node->connstr('src') ], 'pg_dump');

# What a trigger waits for in a parallel restore is in the table of contents.
my (%name, %waits_for, $trigger);
foreach my $line (split /\n/, (run_command([ 'pg_restore', '-l', '-v', $dump ]))[0])
{
	$trigger = undef unless $line =~ /^;/;
	if ($line =~ /^(\d+); \d+ \d+ (TABLE|TRIGGER) (app|streamq) (\S+)/)
	{
		$name{$1} = $4 if $2 eq 'TABLE';
		$trigger = $4 if $2 eq 'TRIGGER';
	}
	$waits_for{$trigger} = $1 if defined $trigger && $line =~ /^;\s+depends on: (.*)/;
}
my %wanted = (
	by_table => 'joined s',
	by_view => 'below joined s',
	by_partition => 'even odd parts s',
	by_stored => 's',
	emitting => 'events out',
	routing => 'events late',
);
foreach my $view (sort keys %wanted)
{
	my $state = $node->safe_psql('src', "SELECT relname FROM streamq.job JOIN pg_class c ON c.oid = state_table WHERE target = 'app.$view'::regclass");
	my %found = map { $_ => 1 } grep { defined && !/^view_/ } map { $name{$_} } split / /, $waits_for{$state};
	is(join(' ', sort keys %found), $wanted{$view}, "$view waits for its tables");
}

$node->safe_psql('postgres', 'CREATE DATABASE dst');
# without the rows of the materialized view, which come last
append_to_file("$dump.list", join("\n", grep { !/MATERIALIZED VIEW DATA/ } split(/\n/, (run_command([ 'pg_restore', '-l', $dump ]))[0])));
command_ok([ 'pg_restore', '--exit-on-error', '-j', '4', '-L', "$dump.list", '-d', $node->connstr('dst'), $dump ], 'pg_restore -j 4');
is($node->safe_psql('dst', "SELECT streamq.wait_until_caught_up('app.by_table', '30 s')"), 't', 'a view runs');
is($node->safe_psql('dst', q{SELECT streamq.run_job('app.by_stored'); SELECT rows_processed, lag, state FROM streamq.jobs WHERE name = 'app.by_stored'}), "0\n0|1000|running", 'one that reads a materialized view without rows waits');
$node->safe_psql('dst', 'REFRESH MATERIALIZED VIEW app.stored');
is($node->safe_psql('dst', "SELECT streamq.wait_until_caught_up('$_', '30 s')"), 't', "$_ catches up") for @views;
is($node->safe_psql('dst', $look{$_}), $before{$_}, "restored: $_") for sort keys %look;

# the order of the restore needs no table that has gone
$node->safe_psql('dst', 'DROP VIEW app.by_view, app.by_table; DROP TABLE app.joined CASCADE; DROP TABLE app.odd');
my ($rc, $out, $err) = $node->psql('dst', 'DROP TABLE app.parts');
like($err, qr/DETAIL:  view app.by_partition depends on table app.parts\nHINT/, 'a message about a table of a view does not name the trigger');
is($node->safe_psql('dst', q{INSERT INTO app.s SELECT now(), 2; SELECT streamq.wait_until_caught_up('app.by_partition', '30 s'); SELECT n FROM app.by_partition WHERE name = 'name 2'}),
	"t\n101", 'a view of whose tables some were dropped goes on');

# a dump of the restored database has the order, too
command_ok([ 'pg_dump', '-Fc', '-f', "$dump.2", '-d', $node->connstr('dst') ], 'pg_dump of that');
like((run_command([ 'pg_restore', '-l', '-v', "$dump.2" ]))[0], qr/TRIGGER streamq view_state_\d+ refuse_change .*\n;\s+depends on: \d+ \d+ \d+ \d+/,
	'triggers wait there, too');

$node->stop;
unlike(slurp_file($node->logfile), qr/PANIC|TRAP|terminated by signal/, 'clean log');
done_testing();
