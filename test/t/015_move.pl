# Databases with streams as templates, files that move between tablespaces and
# back, numbers of databases and files that come again: what shared memory knew
# about an older file never counts for a newer one.
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('main');
$node->init(extra => ['--data-checksums']);
$node->append_conf('postgresql.conf', q{
shared_preload_libraries = 'streamq'
wal_consistency_checking = 'streamq'
max_worker_processes = 24
timezone = 'UTC'
});
$node->start;
my $dir = $node->basedir . '/space';
mkdir $dir or die $!;
$node->safe_psql('postgres', "CREATE TABLESPACE space LOCATION '$dir'");

$node->safe_psql('postgres', 'CREATE DATABASE app');
$node->safe_psql('app', q{
CREATE EXTENSION streamq;
CREATE TABLE s (at timestamptz NOT NULL, key text, n int) USING streamq;
SELECT streamq.alter_stream('s', partitions => 2);
SELECT streamq.create_group('s', 'g');
SELECT streamq.create_continuous_view('per_key', $$
	SELECT key, count(*) AS n, sum(n) AS total FROM s GROUP BY key $$);
CREATE TABLE expected (n int);
});

# appends go on and consumers too; the heap table knows what has to be there
my $next = 0;
sub work
{
	my ($db, $name) = @_;
	my $from = $next;
	$next += 300;
	$node->safe_psql($db, qq{
INSERT INTO s SELECT timestamptz '2026-01-01' + i * interval '1 s', 'k' || i % 10, i FROM generate_series($from, $next - 1) i;
INSERT INTO expected SELECT generate_series($from, $next - 1);
});
	is($node->safe_psql($db, q{SELECT count(*) FROM ((SELECT n FROM s EXCEPT ALL TABLE expected) UNION ALL (TABLE expected EXCEPT ALL SELECT n FROM s)) x}),
		0, "$name: rows");
	is($node->safe_psql($db, q{SELECT sum(messages) = (SELECT count(*) FROM expected), sum(next_offset - first_offset) = (SELECT count(*) FROM expected) FROM streamq.partitions WHERE stream = 's'::regclass}),
		't|t', "$name: offsets are dense");
	my $got = 0;
	for (1 .. 20)
	{
		my $n = $node->safe_psql($db, q{SELECT count(*) FROM streamq.consume('s', 'g', 1000, auto_ack => true)});
		last if $n == 0;
		$got += $n;
	}
	is($got, 300, "$name: the group gets what is new");
	is($node->safe_psql($db, q{SELECT streamq.wait_until_caught_up('per_key', '30 s'), (SELECT sum(n) FROM per_key) = (SELECT count(*) FROM s)}),
		't|t', "$name: the view has everything");
}

work('app', 'at first');
for my $strategy ('wal_log', 'file_copy')
{
	$node->safe_psql('postgres', "CREATE DATABASE copy_$strategy TEMPLATE app STRATEGY $strategy");
	work("copy_$strategy", "copy by $strategy");
	$next -= 300;
}
$next += 300;
$node->safe_psql('app', q{INSERT INTO expected SELECT i FROM generate_series(300, 599) i; INSERT INTO s SELECT timestamptz '2026-01-01' + i * interval '1 s', 'k' || i % 10, i FROM generate_series(300, 599) i;
	SELECT count(*) FROM streamq.consume('s', 'g', 1000, auto_ack => true);
	SELECT count(*) FROM streamq.consume('s', 'g', 1000, auto_ack => true)});
work('app', 'the template after that');
# a copy that goes makes room for another
$node->safe_psql('postgres', 'DROP DATABASE copy_wal_log; CREATE DATABASE copy_wal_log TEMPLATE app STRATEGY file_copy');
work('copy_wal_log', 'second copy');
$next -= 300;

# a database there and back, with appends in between
for my $round (1 .. 2)
{
	$node->safe_psql('postgres', 'ALTER DATABASE app SET TABLESPACE space');
	work('app', "database moved, round $round");
	$node->safe_psql('postgres', 'ALTER DATABASE app SET TABLESPACE pg_default');
	work('app', "database moved back, round $round");
}

# the same with one table; the session stays
my $session = $node->background_psql('app', on_error_stop => 1);
$session->query_safe('SELECT count(*) FROM s');
for my $round (1 .. 2)
{
	$node->safe_psql('app', 'ALTER TABLE s SET TABLESPACE space');
	work('app', "table moved, round $round");
	is($session->query_safe('SELECT count(*) FROM s'), $next, 'a session that was there before');
	$node->safe_psql('app', 'BEGIN; ALTER TABLE s SET TABLESPACE pg_default; INSERT INTO s VALUES (now(), NULL, -1); ROLLBACK');
	work('app', "move rolled back, round $round");
	$node->safe_psql('app', 'ALTER TABLE s SET TABLESPACE pg_default');
	work('app', "table moved back, round $round");
}
is($session->query_safe('SELECT count(*) FROM s'), $next, 'and is there still');
$session->quit;

# numbers come again: a file of the same name, other content
my $file = sub { $node->safe_psql('app', "SELECT pg_relation_filepath('$_[0]')") };
{
	$node->safe_psql('app', q{
CREATE TABLE old (i int) USING streamq;
INSERT INTO old SELECT generate_series(1, 5000);
SELECT count(*) FROM streamq.consume('old', 'g', 100, auto_ack => true);
});
	my $oid = $node->safe_psql('app', q{SELECT 'old'::regclass::oid});
	my $path = $file->('old');
	$node->safe_psql('app', 'DROP TABLE old');
	$node->safe_psql('app', 'VACUUM pg_class; CHECKPOINT');
	# the counter of OIDs is in the control file
	$node->stop;
	command_ok([ 'pg_resetwal', '-o', $oid, '-D', $node->data_dir ], 'the counter of OIDs goes back');
	$node->start;
	my $found = 0;
	for (1 .. 60)
	{
		$node->safe_psql('app', 'CREATE TABLE young (i int) USING streamq; INSERT INTO young VALUES (1), (2)');
		my $young = $file->('young');
		note("old $path, young $young");
		$found = $young eq $path;
		is($node->safe_psql('app', 'SELECT count(*), sum(i), max(ctid) FROM young'), '2|3|(0,2)', 'a new stream in an old file') if $found;
		last if $found;
		$node->safe_psql('app', 'DROP TABLE young');
	}
	ok($found, 'the number of the file came again');
	is($node->safe_psql('app', q{SELECT count(*) FROM streamq.consumer_groups WHERE stream = 'young'::regclass}), 0, 'without the groups of the old one');
	is($node->safe_psql('app', q{SELECT count(*) FROM streamq.consume('young', 'g', 100, auto_ack => true)}), 2, 'and with its own');
	$node->safe_psql('app', 'DROP TABLE young');
}
work('app', 'at the end');

$node->stop;
command_ok([ 'pg_checksums', '--check', '-D', $node->data_dir ], 'checksums');
unlike(slurp_file($node->logfile), qr/inconsistent page|PANIC|TRAP|terminated by signal/, 'clean log');
done_testing();
