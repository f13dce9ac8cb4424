# State tables on a standby: a query there sees the state of one batch, also
# while the primary removes versions that it needs, and after a promotion.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::RealBin/../lib";
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Sessions;

my $primary = PostgreSQL::Test::Cluster->new('primary');
$primary->init(allows_streaming => 1);
$primary->append_conf('postgresql.conf', q{
shared_preload_libraries = 'streamq'
wal_consistency_checking = 'all'
autovacuum = off
});
$primary->start;
$primary->safe_psql('postgres', q{
CREATE EXTENSION streamq;
CREATE TABLE s (k int, v int) USING streamq;
SELECT streamq.create_continuous_view('byk', 'SELECT k, count(*) AS c, sum(v) AS s FROM s GROUP BY k');
SELECT streamq.pause('byk');
});
$primary->backup('b');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($primary, 'b', has_streaming => 1);
$standby->append_conf('postgresql.conf', q{
max_standby_streaming_delay = -1
hot_standby_feedback = off
});
$standby->start;

my $state = $primary->safe_psql('postgres', q{SELECT state_table FROM streamq.job});
my $sums = q{SELECT count(*), sum(c), sum(s) FROM byk};
my $next = 0;

sub batch
{
	my ($n) = @_;

	foreach my $i (1 .. $n)
	{
		$primary->safe_psql('postgres', "INSERT INTO s SELECT i % 200, $next FROM generate_series(1, 400) i; SELECT streamq.run_job('byk')");
		$next++;
	}
	return;
}

batch(3);
$primary->wait_for_catchup($standby);
my $reader = session($standby);
run_in($reader, 'BEGIN ISOLATION LEVEL REPEATABLE READ');
my $before = run_in($reader, $sums);
is($before, $primary->safe_psql('postgres', $sums), 'the standby sees the state');

# replay waits for the snapshot before it removes what it needs
batch(5);
$standby->poll_query_until('postgres', q{SELECT pg_last_wal_replay_lsn() < pg_last_wal_receive_lsn()});
is(run_in($reader, $sums), $before, 'a snapshot on the standby sees the same while batches run');
run_in($reader, 'COMMIT');
$primary->wait_for_catchup($standby);
is(run_in($reader, $sums), $primary->safe_psql('postgres', $sums), 'replay goes on when the snapshot has gone');

# VACUUM freezes what a snapshot does not see yet
run_in($reader, 'BEGIN ISOLATION LEVEL REPEATABLE READ');
$before = run_in($reader, $sums);
$primary->safe_psql('postgres', q{INSERT INTO s SELECT 1000 + i, i FROM generate_series(1, 100) i; SELECT streamq.run_job('byk')});
$primary->safe_psql('postgres', "VACUUM (FREEZE) $state");
$standby->poll_query_until('postgres', q{SELECT pg_last_wal_replay_lsn() < pg_last_wal_receive_lsn()});
is(run_in($reader, $sums), $before, 'rows that were frozen are not seen too early');
run_in($reader, 'COMMIT');
$primary->wait_for_catchup($standby);

# with feedback nothing is removed that the standby needs
$standby->append_conf('postgresql.conf', q{
hot_standby_feedback = on
wal_receiver_status_interval = 1s
});
$standby->reload;
run_in($reader, 'BEGIN ISOLATION LEVEL REPEATABLE READ');
$before = run_in($reader, $sums);
$primary->poll_query_until('postgres', q{SELECT bool_and(backend_xmin IS NOT NULL) FROM pg_stat_replication});
batch(5);
$primary->wait_for_catchup($standby);
is(run_in($reader, $sums), $before, 'with feedback replay does not wait');
run_in($reader, 'COMMIT');
finish($reader);

batch(2);
$before = $primary->safe_psql('postgres', $sums);
$primary->wait_for_catchup($standby);
$primary->stop('immediate');
$standby->promote;
is($standby->safe_psql('postgres', $sums), $before, 'the state after a promotion');
$standby->safe_psql('postgres', "INSERT INTO s SELECT i % 200, 1 FROM generate_series(1, 400) i; SELECT streamq.run_job('byk')");
is($standby->safe_psql('postgres', q{SELECT count(*) FROM ((SELECT * FROM byk EXCEPT SELECT k, count(*), sum(v) FROM s GROUP BY k) UNION ALL (SELECT k, count(*), sum(v) FROM s GROUP BY k EXCEPT SELECT * FROM byk)) d}),
	0, 'batches go on');

done_testing();
