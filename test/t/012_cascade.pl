# A standby and a cascading standby show what the primary shows: rows,
# partitions, groups and continuous views, while readers are at work on them.
# After promotion consumers and continuous views go on on the new primary.
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $primary = PostgreSQL::Test::Cluster->new('primary');
$primary->init(allows_streaming => 1);
$primary->append_conf('postgresql.conf', q{
shared_preload_libraries = 'streamq'
wal_consistency_checking = 'streamq'
max_worker_processes = 16
max_standby_streaming_delay = 60s
timezone = 'UTC'
});
$primary->start;
$primary->safe_psql('postgres', q{
CREATE EXTENSION streamq;
CREATE TABLE s (at timestamptz NOT NULL, key text, n int, payload text) USING streamq;
SELECT streamq.alter_stream('s', partitions => 3);
SELECT streamq.create_stream('msgs', partitions => 2);
SELECT streamq.create_group('s', 'g', lease => '1 hour');
SELECT streamq.create_continuous_view('per_minute', $$
	SELECT w.window_start, key, count(*) AS n, sum(n) AS total, avg(n) AS mean
	FROM s, streamq.tumble(at, '1 minute') w GROUP BY w.window_start, w.window_end, key $$);
});

$primary->backup('b1');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($primary, 'b1', has_streaming => 1);
$standby->start;
$standby->backup('b2');
my $cascade = PostgreSQL::Test::Cluster->new('cascade');
$cascade->init_from_backup($standby, 'b2', has_streaming => 1);
$cascade->start;

my %look = (
	rows => q{SELECT count(*), sum(length(payload)), md5(string_agg(ctid || ':' || coalesce(key, '-') || n, ',' ORDER BY ctid)) FROM s},
	partitions => q{SELECT stream, partition, first_offset, next_offset, bytes, extents, reserved_extents, messages, oldest_at, newest_at
		FROM streamq.partitions ORDER BY 1, 2},
	groups => q{SELECT stream, group_name, partition, acked_offset, lag, in_flight, redelivered, last_consumed_at, expired
		FROM streamq.consumer_groups ORDER BY 1, 2, 3},
	leases => q{SELECT * FROM streamq.leases ORDER BY 1, 2, 3, 4},
	view => q{SELECT md5(string_agg(v::text, ',' ORDER BY v::text)) FROM per_minute v},
	read => q{SELECT count(*), md5(string_agg(msg_id || payload::text, ',')) FROM streamq.read('msgs', 0, 100000)},
);

sub same
{
	my ($what) = @_;
	$primary->safe_psql('postgres', q{SELECT streamq.wait_until_caught_up('per_minute')});
	# nothing moves now; commits of the view's worker are behind us
	my $lsn = $primary->safe_psql('postgres', 'SELECT pg_current_wal_insert_lsn()');
	$primary->wait_for_catchup($standby, 'replay', $lsn);
	$standby->wait_for_catchup($cascade, 'replay', $lsn);
	for my $name (sort keys %look)
	{
		my $there = $primary->safe_psql('postgres', $look{$name});
		is($standby->safe_psql('postgres', $look{$name}), $there, "$what: $name on the standby");
		is($cascade->safe_psql('postgres', $look{$name}), $there, "$what: $name on the cascading standby");
	}
}

$primary->safe_psql('postgres', q{
INSERT INTO s SELECT timestamptz '2026-01-01' + i * interval '1 s', 'k' || i % 20, i, repeat('x', i % 700)
	FROM generate_series(1, 5000) i;
SELECT count(streamq.produce('msgs', jsonb_build_object('i', i), 'key' || i % 7)) FROM generate_series(1, 500) i;
});
is($primary->safe_psql('postgres', q{SELECT count(*) FROM streamq.consume('s', 'g', 300, consumer => 'c')}), 300, 'consume');
$primary->safe_psql('postgres', q{
SELECT streamq.ack(m.stream, 'g', m.first_msg_id + 10) FROM streamq.leases m WHERE group_name = 'g';
SELECT streamq.ack_through(stream, 'g', first_msg_id + 5) FROM streamq.leases WHERE group_name = 'g';
SELECT count(*) FROM streamq.consume('msgs', 'auto', 200, auto_ack => true);
});
same('after consuming');

# readers on a standby while the primary appends, rolls back, freezes, empties
my $session = $standby->background_psql('postgres', on_error_stop => 1);
$session->query_safe('BEGIN ISOLATION LEVEL REPEATABLE READ');
my $seen = $session->query_safe('SELECT count(*), sum(n) FROM s');
for my $round (1 .. 3)
{
	$primary->safe_psql('postgres', qq{
INSERT INTO s SELECT timestamptz '2026-01-02' + i * interval '1 s', 'k' || i % 20, i, repeat('y', i % 3000)
	FROM generate_series(1, 500) i;
BEGIN; INSERT INTO s SELECT now(), NULL, -1, 'undone' FROM generate_series(1, 500); ROLLBACK;
BEGIN; SELECT count(*) FROM streamq.consume('msgs', 'auto', 20, auto_ack => true); ROLLBACK;
});
	is($session->query_safe('SELECT count(*), sum(n) FROM s'), $seen, "the snapshot of a reader stays, round $round");
}
$session->query_safe('COMMIT');
$session->quit;
$primary->safe_psql('postgres', 'VACUUM (FREEZE) s; VACUUM (FREEZE) msgs');
same('after rollbacks and freezing');
is($standby->safe_psql('postgres', 'SELECT count(*) FROM s WHERE n < 0'), 0, 'nothing rolled back on the standby');

$primary->safe_psql('postgres', q{
SELECT streamq.alter_stream('s', partitions => 5);
TRUNCATE msgs;
SELECT count(streamq.produce('msgs', '{}', 'k' || i)) FROM generate_series(1, 50) i;
INSERT INTO s SELECT timestamptz '2026-01-03' + i * interval '1 s', 'k' || i % 20, i, 'z' FROM generate_series(1, 500) i;
});
same('after adding partitions and TRUNCATE');

# a write that is open on the primary at its end is nowhere afterwards
my $open = $primary->background_psql('postgres', on_error_stop => 1);
$open->query_safe(q{BEGIN; INSERT INTO s SELECT now(), 'k1', -2, 'open' FROM generate_series(1, 100)});
$primary->safe_psql('postgres', q{INSERT INTO s SELECT timestamptz '2026-01-04' + i * interval '1 s', 'k' || i % 20, i, 'behind' FROM generate_series(1, 100) i});
my $lsn = $primary->safe_psql('postgres', 'SELECT pg_current_wal_flush_lsn()');
$primary->wait_for_catchup($standby, 'replay', $lsn);
$primary->stop('immediate');
eval { $open->quit };

my $groups = $standby->safe_psql('postgres', q{SELECT stream, group_name, partition, acked_offset, redelivered FROM streamq.consumer_groups ORDER BY 1, 2, 3});
my $sessions = $standby->background_psql('postgres', on_error_stop => 1);
my $before = $sessions->query_safe('SELECT count(*), sum(n) FROM s');
$standby->promote;
is($sessions->query_safe('SELECT count(*), sum(n) FROM s'), $before, 'a session goes on over the promotion');
$sessions->query_safe(q{INSERT INTO s SELECT timestamptz '2026-01-05' + i * interval '1 s', 'k' || i % 20, i, 'new' FROM generate_series(1, 1000) i});
$sessions->quit;
is($standby->safe_psql('postgres', 'SELECT count(*) FROM s WHERE n = -2'), 0, 'an open transaction of the old primary is undone');
is($standby->safe_psql('postgres', q{SELECT stream, group_name, partition, acked_offset, redelivered FROM streamq.consumer_groups ORDER BY 1, 2, 3}),
	$groups, 'groups stand where they stood');
is($standby->safe_psql('postgres', q{SELECT streamq.wait_until_caught_up('per_minute', '30 s')}), 't', 'the view is worked on after promotion');
is($standby->safe_psql('postgres', q{
SELECT count(*) FROM ((SELECT window_start, key, n, total, mean FROM per_minute) EXCEPT ALL
	(SELECT w.window_start, key, count(*), sum(n), avg(n) FROM s, streamq.tumble(at, '1 minute') w GROUP BY w.window_start, w.window_end, key)) x}),
	0, 'and equals its query');
is($standby->safe_psql('postgres', q{
SELECT (SELECT sum(n) FROM per_minute) = (SELECT count(*) FROM s)}), 't', 'with every row in it');
my $taken = 0;
for (1 .. 200)
{
	my $n = $standby->safe_psql('postgres', q{SELECT count(*) FROM streamq.consume('s', 'late', 1000, auto_ack => true)});
	$taken += $n;
	last if $n == 0;
}
is($taken, $standby->safe_psql('postgres', 'SELECT count(*) FROM s'), 'a new group gets every message once');
is($standby->safe_psql('postgres', q{SELECT count(*) FROM streamq.consume('msgs', 'auto', 1000, auto_ack => true)}), 50, 'an old one goes on');

# the cascading standby follows its promoted upstream
$lsn = $standby->safe_psql('postgres', 'SELECT pg_current_wal_flush_lsn()');
$standby->wait_for_catchup($cascade, 'replay', $lsn);
is($cascade->safe_psql('postgres', $look{rows}), $standby->safe_psql('postgres', $look{rows}), 'the cascading standby follows');

unlike(slurp_file($_->logfile), qr/inconsistent page|PANIC|TRAP/, 'clean log of ' . $_->name) for ($primary, $standby, $cascade);
$cascade->stop;
$standby->stop;
done_testing();
