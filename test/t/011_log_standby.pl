# A standby sees what its primary sees, also after promotion, and WAL redo makes
# the same pages (wal_consistency_checking stops the standby if it does not).
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use IPC::Run ();
use Time::HiRes ();

my $primary = PostgreSQL::Test::Cluster->new('primary');
$primary->init(allows_streaming => 1);
$primary->append_conf('postgresql.conf', qq{
shared_preload_libraries = 'streamq'
wal_consistency_checking = 'streamq'
autovacuum = off
});
$primary->start;
$primary->safe_psql('postgres', q{
CREATE EXTENSION streamq;
CREATE TABLE s (id int, key text, payload text) USING streamq;
SELECT streamq.alter_stream('s', partitions => 3);
INSERT INTO s SELECT i, 'k' || i % 50, repeat('x', i % 3000) FROM generate_series(1, 3000) i;
});

my $backup = 'b';
$primary->backup($backup);
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($primary, $backup, has_streaming => 1);
$standby->start;

my $digest = q{SELECT count(*), sum(length(payload)), md5(string_agg(id || '@' || ctid, ',' ORDER BY ctid)) FROM s};

sub same
{
	my ($name) = @_;
	$primary->wait_for_catchup($standby);
	is($standby->safe_psql('postgres', $digest), $primary->safe_psql('postgres', $digest), $name);
}

same('rows of the base backup');
$primary->safe_psql('postgres', q{
INSERT INTO s SELECT i, 'k' || i % 50, repeat('y', i % 20000) FROM generate_series(3001, 4000) i;
BEGIN; INSERT INTO s SELECT i, NULL, 'undone' FROM generate_series(1, 1000) i; ROLLBACK;
INSERT INTO s VALUES (4001, NULL, repeat('z', 1000000));
});
same('rows streamed since, large ones, none of a rollback');
$primary->safe_psql('postgres', 'VACUUM s');
same('after VACUUM');
is($standby->safe_psql('postgres', q{SELECT count(*) FROM s WHERE ctid >= '(0,101)' AND ctid < '(0,201)'}),
	$primary->safe_psql('postgres', q{SELECT count(*) FROM s WHERE ctid >= '(0,101)' AND ctid < '(0,201)'}),
	'a range of offsets');
is($standby->safe_psql('postgres', 'SELECT partition, first_offset, next_offset, stable_offset FROM streamq.partitions ORDER BY 1'),
	$primary->safe_psql('postgres', 'SELECT partition, first_offset, next_offset, stable_offset FROM streamq.partitions ORDER BY 1'),
	'partitions as the primary shows them');

my ($ret, $out, $err) = $standby->psql('postgres', q{\set VERBOSITY verbose
INSERT INTO s VALUES (1)});
like($err, qr/25006/, 'writing on a standby is refused');
($ret, $out, $err) = $standby->psql('postgres', q{\set VERBOSITY verbose
SELECT count(*) FROM streamq.consume('s', 'g')});
like($err, qr/25006/, 'consuming on a standby is refused');

$primary->safe_psql('postgres', q{TRUNCATE s; INSERT INTO s SELECT i, 'k' || i, 'new' FROM generate_series(1, 100) i});
same('after TRUNCATE');

# what is in an unlogged stream is not in the WAL
$primary->safe_psql('postgres', q{
CREATE UNLOGGED TABLE light (id int) USING streamq;
SELECT streamq.alter_stream('light', partitions => 3);
INSERT INTO light SELECT generate_series(1, 300);
SELECT count(*) FROM streamq.consume('light', 'g', 20, auto_ack => true);
});
$primary->wait_for_catchup($standby);
my $shown = q{SELECT stream FROM streamq.streams UNION ALL SELECT stream FROM streamq.partitions WHERE partition = 0
	UNION ALL SELECT stream FROM streamq.consumer_groups UNION ALL SELECT stream FROM streamq.leases};
is($standby->safe_psql('postgres', $shown), "s\ns", 'views on a standby leave unlogged streams out');
($ret, $out, $err) = $standby->psql('postgres', q{\set VERBOSITY verbose
SELECT * FROM streamq.read('light')});
like($err, qr/0A000: cannot access unlogged stream "light" during recovery/, 'nor can they be read');
($ret, $out, $err) = $standby->psql('postgres', q{SELECT * FROM light});
like($err, qr/cannot access temporary or unlogged relations during recovery/, 'in whatever way');

# promotion comes in the middle of scans, of which each page is locked for a moment
$primary->safe_psql('postgres', q{
CREATE TABLE scanned (payload text) USING streamq;
SELECT streamq.alter_stream('scanned', partitions => 3);
SELECT cardinality(streamq.produce_batch('scanned', array_fill(repeat('x', 400), ARRAY[60000])));
});
$primary->wait_for_catchup($standby);
my $before = $standby->safe_psql('postgres', $digest);
$primary->stop;
my %readers = (
	forward => 'SELECT 1 / (count(payload) = 60000)::int FROM scanned;',
	backward => "SELECT 1 / (count(payload) = 60000)::int FROM (SELECT payload FROM scanned ORDER BY streamq.msg_id(tableoid, ctid) DESC OFFSET 0) x;",
	parallel => "SET parallel_setup_cost = 0; SET parallel_tuple_cost = 0; SET min_parallel_table_scan_size = 0;
SELECT 1 / (count(payload) = 60000)::int FROM scanned;",
	sample => 'SELECT 1 / (count(payload) = 60000)::int FROM scanned TABLESAMPLE SYSTEM (100);',
);
my $dir = PostgreSQL::Test::Utils::tempdir;
my @running;
for my $name (sort keys %readers)
{
	append_to_file("$dir/$name.sql", "$readers{$name}\n");
	my %r = (name => $name, out => '', err => '');
	$r{h} = IPC::Run::start(
		[ 'pgbench', '-h', $standby->host, '-p', $standby->port, '-n', '-T', 4,
			'-c', 2, '-f', "$dir/$name.sql", 'postgres' ],
		'>', \$r{out}, '2>', \$r{err});
	push @running, \%r;
}
Time::HiRes::sleep(2);
$standby->promote;
for my $r (@running)
{
	$r->{h}->finish;
	ok($r->{err} !~ /ERROR|aborted/, "promotion amid scans: $r->{name}") or diag($r->{err});
}
is($standby->safe_psql('postgres', $digest), $before, 'the same after promotion');
my $next = $standby->safe_psql('postgres', 'SELECT sum(next_offset) FROM streamq.partitions');
$standby->safe_psql('postgres', q{INSERT INTO s SELECT i, 'k' || i, 'promoted' FROM generate_series(1, 1000) i});
is($standby->safe_psql('postgres', 'SELECT sum(next_offset) FROM streamq.partitions'), $next + 1000, 'offsets go on');
is($standby->safe_psql('postgres', q{SELECT count(*) FROM s WHERE payload = 'promoted'}), 1000, 'the promoted server appends');
is($standby->safe_psql('postgres', q{SELECT count(*), (SELECT sum(lag) FROM streamq.consumer_groups) FROM light}), '0|0',
	'an unlogged stream is empty after promotion');
$standby->safe_psql('postgres', 'INSERT INTO light SELECT generate_series(1, 50)');
is($standby->safe_psql('postgres', q{SELECT count(*), count(DISTINCT partition) FROM streamq.consume('light', 'g')}), '50|3',
	'its group begins anew, like its offsets');
is($standby->safe_psql('postgres', q{SELECT count(*) FROM streamq.check_stream('light')}), '0', 'and it is sound');
unlike(slurp_file($standby->logfile), qr/inconsistent page/, 'redo made the same pages');
$standby->stop;
done_testing();
