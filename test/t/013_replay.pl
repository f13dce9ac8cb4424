# The whole regression suite replayed on a standby: redo makes the same pages
# (wal_consistency_checking ends the standby if it does not), and what the
# scripts leave behind is the same on both.
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $source = $ENV{STREAMQ_SOURCE};
my $primary = PostgreSQL::Test::Cluster->new('primary');
$primary->init(allows_streaming => 1);
$primary->append_conf('postgresql.conf', slurp_file("$source/test/streamq.conf"));
$primary->append_conf('postgresql.conf', q{
fsync = off
max_locks_per_transaction = 256
});
$primary->start;
# the scripts write many gigabytes of WAL: none is kept that the standby has
$primary->safe_psql('postgres', q{SELECT pg_create_physical_replication_slot('standby', true)});
$primary->backup('b');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($primary, 'b', has_streaming => 1);
$standby->append_conf('postgresql.conf', q{primary_slot_name = 'standby'});
$standby->start;

$primary->safe_psql('postgres', 'CREATE EXTENSION streamq');
my @scripts = sort glob("$source/test/sql/*.sql");
cmp_ok(scalar @scripts, '>', 5, 'there are scripts');
for my $file (@scripts)
{
	(my $name = $file) =~ s{.*/}{};
	my $script = slurp_file($file);

	# what they made stays, to be compared
	$script =~ s/^DROP (SCHEMA|TABLE|OWNED|ROLE|USER|VIEW|DATABASE)\b[^;]*;\s*$//mg;
	my $copy = $primary->basedir . "/$name";
	open(my $fh, '>', $copy) or die $!;
	print $fh $script;
	close($fh);
	IPC::Run::run([ 'psql', '-X', '-q', '-f', $copy, $primary->connstr('postgres') ],
		'<', '/dev/null', '>', "$copy.out", '2>&1');
	is($?, 0, "$name: the connection held");
}

# jobs may go on, maintenance too: what is looked at has to stand still
$primary->append_conf('postgresql.conf', 'streamq.max_workers_per_database = 0');
$primary->restart;
my $lsn = $primary->safe_psql('postgres', 'CHECKPOINT; SELECT pg_current_wal_insert_lsn()');
$primary->wait_for_catchup($standby, 'replay', $lsn);

my @streams = split /\n/, $primary->safe_psql('postgres', q{
SELECT c.oid::regclass FROM pg_class c JOIN pg_am a ON a.oid = c.relam
WHERE amname = 'streamq' AND relkind = 'r' AND relpersistence = 'p' ORDER BY 1});
cmp_ok(scalar @streams, '>', 20, scalar(@streams) . ' streams are left');
my $rows = join(' UNION ALL ', map { "SELECT '$_', count(*), md5(string_agg(t.ctid || t::text, ',' ORDER BY t.ctid)) FROM $_ t" }
	map { s/'/''/gr } @streams) . ' ORDER BY 1';
is($standby->safe_psql('postgres', $rows), $primary->safe_psql('postgres', $rows), 'the rows of every stream');
my $partitions = q{SELECT p.stream, p.partition, first_offset, next_offset, stable_offset, bytes, extents, reserved_extents, messages, oldest_at, newest_at
	FROM streamq.partitions p JOIN pg_class c ON c.oid = stream WHERE relpersistence = 'p' ORDER BY 1, 2};
is($standby->safe_psql('postgres', $partitions), $primary->safe_psql('postgres', $partitions), 'the partitions of every stream');
# a standby does not know that sessions of the primary have ended, so leases
# that ended with them are left out
my $groups = q{SELECT stream, group_name, partition, acked_offset, lag, redelivered, dead_lettered, expired, last_consumed_at
	FROM streamq.consumer_groups ORDER BY 1, 2, 3};
is($standby->safe_psql('postgres', $groups), $primary->safe_psql('postgres', $groups), 'the groups');
my $leases = q{SELECT * FROM streamq.leases WHERE consumer NOT LIKE 'pid %' ORDER BY 1, 2, 3, 4};
is($standby->safe_psql('postgres', $leases), $primary->safe_psql('postgres', $leases), 'the leases');
my $jobs = q{SELECT name, source, watermark, rows_processed, late_rows, errors FROM streamq.jobs ORDER BY 1};
is($standby->safe_psql('postgres', $jobs), $primary->safe_psql('postgres', $jobs), 'the jobs');

unlike(slurp_file($_->logfile), qr/inconsistent page|PANIC|TRAP|terminated by signal/, 'clean log of ' . $_->name) for ($primary, $standby);
$standby->stop;
$primary->stop;
done_testing();
