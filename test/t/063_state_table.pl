# State tables: rows are updated in place, and every snapshot sees the state of
# one batch, however many batches ran since and whatever was rolled back.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::RealBin/../lib";
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Sessions;

my $node = PostgreSQL::Test::Cluster->new('main');
$node->init;
$node->append_conf('postgresql.conf', q{
shared_preload_libraries = 'streamq'
wal_consistency_checking = 'all'
max_prepared_transactions = 4
autovacuum = off
});
$node->start;
$node->safe_psql('postgres', q{
CREATE EXTENSION streamq;
CREATE TABLE s (k int, v int) USING streamq;
SELECT streamq.create_continuous_view('byk', 'SELECT k, count(*) AS c, sum(v) AS s, max(v) AS m FROM s GROUP BY k');
SELECT streamq.pause('byk');
});
my $state = $node->safe_psql('postgres', q{SELECT state_table FROM streamq.job});

# rows for all of 500 groups, and the batch that takes them
my $next = 0;
sub batch
{
	my ($n) = @_;
	my $sql = '';

	for (1 .. $n // 1)
	{
		$sql .= "INSERT INTO s SELECT i % 500, $next + i FROM generate_series(1, 1000) i; SELECT streamq.run_job('byk');\n";
		$next++;
	}
	$node->safe_psql('postgres', $sql);
	return;
}

# rows that the view and its query have not in common
my $differences = q{SELECT count(*) FROM (
	(SELECT * FROM byk EXCEPT ALL SELECT k, count(*), sum(v), max(v) FROM s GROUP BY k) UNION ALL
	(SELECT k, count(*), sum(v), max(v) FROM s GROUP BY k EXCEPT ALL SELECT * FROM byk)) d};
my $sums = q{SELECT count(*), sum(c), sum(s), sum(m) FROM byk};

sub size_of_state
{
	return $node->safe_psql('postgres', "SELECT pg_relation_size('$state')");
}

# ---- held snapshots ----

batch();
my @held;
for (1 .. 3)
{
	my $s = session($node);

	run_in($s, 'BEGIN ISOLATION LEVEL REPEATABLE READ');
	push @held, { session => $s, sums => run_in($s, $sums) };
	is(run_in($s, $differences), 0, "snapshot $_ sees what its query gives");
	batch(3);
}
my $size = size_of_state();
batch(50);
is(size_of_state(), $size, 'fifty batches beside three held snapshots leave the size as it is');
for (0 .. $#held)
{
	is(run_in($held[$_]{session}, $sums), $held[$_]{sums}, 'a held snapshot ' . ($_ + 1) . ' sees the same');
	is(run_in($held[$_]{session}, $differences), 0, 'and what its query gives');
	is(run_in($held[$_]{session}, "SET enable_seqscan = off; $sums"), $held[$_]{sums}, 'also by the index');
}
is($node->safe_psql('postgres', $differences), 0, 'a new snapshot sees all batches');

# an exported snapshot, also after the one who exported it goes on
my $id = run_in($held[1]{session}, 'SELECT pg_export_snapshot()');
my $importer = session($node);
run_in($importer, "BEGIN ISOLATION LEVEL REPEATABLE READ; SET TRANSACTION SNAPSHOT '$id'");
batch(3);
run_in($held[1]{session}, 'COMMIT');
batch(3);
is(run_in($importer, $sums), $held[1]{sums}, 'an imported snapshot sees the same');
run_in($importer, 'COMMIT');
run_in($_->{session}, 'COMMIT') for @held;
batch(3);
is(size_of_state(), $size, 'the size stays when the snapshots have gone');

# a cursor keeps the snapshot of its beginning
my $reader = $held[0]{session};
my $expected = $node->safe_psql('postgres', 'SELECT k, c, s, m FROM byk ORDER BY k');
run_in($reader, "BEGIN; DECLARE c SCROLL CURSOR FOR SELECT k, c, s, m FROM byk ORDER BY k; DECLARE d CURSOR FOR SELECT k, c, s, m FROM byk");
my $first = run_in($reader, 'FETCH 10 FROM d');
batch(5);
is(run_in($reader, 'FETCH ALL FROM c'), $expected, 'a cursor sees the state of its beginning');
my @rows = sort { (split /\|/, $a)[0] <=> (split /\|/, $b)[0] } split /\n/, $first . "\n" . run_in($reader, 'FETCH ALL FROM d');
is(join("\n", @rows), $expected, 'also one that has read a part');
run_in($reader, 'COMMIT');

# several snapshots of one backend: each cursor keeps its own
run_in($reader, 'BEGIN; DECLARE a CURSOR FOR SELECT k, c, s, m FROM byk ORDER BY k; FETCH 0 FROM a');
my @expected = ($expected = $node->safe_psql('postgres', 'SELECT k, c, s, m FROM byk ORDER BY k'));
foreach my $c ('b', 'c')
{
	batch(3);
	run_in($reader, "DECLARE $c CURSOR FOR SELECT k, c, s, m FROM byk ORDER BY k");
	push @expected, $node->safe_psql('postgres', 'SELECT k, c, s, m FROM byk ORDER BY k');
}
batch(5);
is(run_in($reader, "FETCH ALL FROM $_"), shift @expected, "cursor $_ of a transaction") for 'a' .. 'c';
is(run_in($reader, $sums), $node->safe_psql('postgres', $sums), 'a statement beside cursors');
run_in($reader, 'COMMIT');

# what is read with another snapshot than that of the statement is not wrong
run_in($reader, q{CREATE FUNCTION late() RETURNS text STABLE LANGUAGE plpgsql AS $$ BEGIN
	PERFORM pg_advisory_xact_lock(1);
	RETURN (SELECT sum(c) FROM byk); END $$});
my $locker = session($node);
run_in($locker, 'SELECT pg_advisory_lock(1)');
run_in($reader, 'BEGIN; DECLARE a CURSOR FOR SELECT * FROM byk; FETCH 1 FROM a');
batch(2);
send_to($reader, '\set VERBOSITY verbose' . "\nSELECT late()");
$node->poll_query_until('postgres', q{SELECT count(*) = 1 FROM pg_stat_activity WHERE wait_event = 'advisory'});
batch(5);
run_in($locker, 'SELECT pg_advisory_unlock(1)');
like(answer($reader), qr/ERROR:  72000: snapshot too old/, 'a version that is gone is noticed');
run_in($reader, 'ROLLBACK');

# beside a transaction that has run for long, all snapshots have the same xmin
run_in($locker, 'BEGIN; SELECT pg_current_xact_id()');
run_in($reader, 'BEGIN ISOLATION LEVEL REPEATABLE READ');
my $fixed = run_in($reader, $sums);
my $moving = session($node);
batch(3);
$size = size_of_state();
batch(30);
cmp_ok(size_of_state(), '<=', $size * 1.1, 'an old transaction does not matter');
is(run_in($reader, $sums), $fixed, 'a snapshot with the xmin of others');
run_in($moving, "BEGIN; $sums");
batch(2);
is(run_in($moving, $sums), $node->safe_psql('postgres', $sums), 'the next snapshot of a transaction');
run_in($moving, 'DECLARE a CURSOR FOR SELECT sum(c) FROM byk');
$expected = $node->safe_psql('postgres', 'SELECT sum(c) FROM byk');
batch(4);
is(run_in($moving, 'FETCH a'), $expected, 'and one that is read later');
run_in($_, 'COMMIT') for $moving, $reader, $locker;
finish($moving, $locker);
finish(map { $_->{session} } @held);
finish($importer);

# ---- rollback ----

my $before = $node->safe_psql('postgres', $sums);
$node->safe_psql('postgres', qq{
INSERT INTO s SELECT i % 500, i FROM generate_series(1, 1000) i;
BEGIN; SELECT streamq.run_job('byk'); ROLLBACK;
});
is($node->safe_psql('postgres', $sums), $before, 'a batch that was rolled back leaves nothing');
my $saver = session($node);
my $taken = '';
foreach my $step ('', 'SAVEPOINT a', 'SAVEPOINT b', 'ROLLBACK TO a', 'RELEASE a', 'SAVEPOINT c', 'ROLLBACK TO c')
{
	run_in($saver, 'BEGIN') if $step eq '';
	run_in($saver, $step) if $step ne '';
	$node->safe_psql('postgres', 'INSERT INTO s SELECT i % 500, i FROM generate_series(1, 600) i');
	$taken .= run_in($saver, q{SELECT streamq.run_job('byk')}) . ' ';
	is(run_in($saver, $differences), 0, "after $step") if $step;
}
is($node->safe_psql('postgres', $sums), $before, 'nobody else sees that');
run_in($saver, 'COMMIT');
is($taken, '1600 600 600 1800 600 600 1200 ', 'what was rolled back is taken again');
is($node->safe_psql('postgres', $differences), 0, 'savepoints');
finish($saver);

# a row that fails is left out: the round before it is repeated
$node->safe_psql('postgres', q{
CREATE TABLE f (k int, v int) USING streamq;
SELECT streamq.create_continuous_view('fails', 'SELECT k, sum(100 / v) AS s FROM f GROUP BY k');
SELECT streamq.pause('fails');
INSERT INTO f SELECT i % 5, CASE WHEN i % 100 = 99 THEN 0 ELSE 1 END FROM generate_series(1, 1000) i;
SELECT streamq.run_job('fails');
});
is($node->safe_psql('postgres', q{SELECT sum(s) FROM fails}), 99000, 'rounds that are repeated');

batch();
$node->safe_psql('postgres', q{
INSERT INTO s SELECT i % 500, i FROM generate_series(1, 1000) i;
BEGIN; SELECT streamq.run_job('byk'); PREPARE TRANSACTION 'p';
});
$before = $node->safe_psql('postgres', $sums);
$node->stop('immediate');
$node->start;
is($node->safe_psql('postgres', $sums), $before, 'a prepared batch is not seen');
$node->safe_psql('postgres', q{COMMIT PREPARED 'p'});
is($node->safe_psql('postgres', $differences), 0, 'until it is committed');
batch();

# ---- crash ----

my $writer = session($node);
run_in($writer, q{BEGIN; INSERT INTO s SELECT i % 700, i FROM generate_series(1, 1000) i});
run_in($writer, q{COMMIT; BEGIN; SELECT streamq.run_job('byk')});
$node->stop('immediate');
$node->start;
is($node->safe_psql('postgres', q{SELECT count(*) FROM byk}), 500, 'a batch that a crash ended is not seen');
is($node->safe_psql('postgres', qq{SELECT streamq.run_job('byk'); $differences}), "1000\n0", 'and is repeated');
eval { finish($writer) };

# VACUUM removes rows that never committed, and only their index entries
$node->safe_psql('postgres', "VACUUM $state");
is($node->safe_psql('postgres', "SET enable_seqscan = off; SELECT count(*) FROM $state WHERE group_hash IS NOT NULL"), 700, 'all rows are in the index after VACUUM');
is($node->safe_psql('postgres', "SELECT n_live_tup, n_dead_tup FROM pg_stat_all_tables WHERE relid = '$state'::regclass"), '700|0', 'and counted');

# ---- rows that grow ----

$node->safe_psql('postgres', q{
CREATE TABLE t (k int, v text) USING streamq;
SELECT streamq.create_continuous_view('grows', 'SELECT k, max(v) AS m, count(*) AS c, max(v COLLATE "C") AS x FROM t GROUP BY k');
SELECT streamq.pause('grows');
});
my $grows = q{SELECT count(*) FROM (
	(SELECT * FROM grows EXCEPT ALL SELECT k, max(v), count(*), max(v COLLATE "C") FROM t GROUP BY k) UNION ALL
	(SELECT k, max(v), count(*), max(v COLLATE "C") FROM t GROUP BY k EXCEPT ALL SELECT * FROM grows)) d};
my $holder = session($node);
my $old;
for my $round (1 .. 12)
{
	$node->safe_psql('postgres', qq{
INSERT INTO t SELECT i % 300, repeat(chr(96 + $round), 1 + (i * 7919 % 97) * $round) FROM generate_series(1, 900) i;
INSERT INTO t SELECT i, $round || (SELECT string_agg(md5(j::text), '') FROM generate_series(1, i * $round) j) FROM generate_series(1, 20) i;
SELECT streamq.run_job('grows')});
	is($node->safe_psql('postgres', $grows), 0, "rows that move and large values, round $round") if $round % 4 == 0;
	if ($round == 3)
	{
		run_in($holder, 'BEGIN ISOLATION LEVEL REPEATABLE READ');
		$old = run_in($holder, 'SELECT md5(string_agg(g::text, $$,$$ ORDER BY k)) FROM grows g');
	}
	$node->safe_psql('postgres', 'VACUUM') if $round == 8;
}
is(run_in($holder, 'SELECT md5(string_agg(g::text, $$,$$ ORDER BY k)) FROM grows g'), $old, 'a held snapshot sees the old values');
is(run_in($holder, $grows), 0, 'as its query does');
is(run_in($holder, 'SET enable_seqscan = off; ' . $grows), 0, 'by an index scan');
run_in($holder, 'COMMIT');
finish($holder);

# ---- maintenance ----

$node->safe_psql('postgres', "CREATE INDEX more ON $state (key_1); CREATE INDEX CONCURRENTLY again ON $state (key_1, group_hash)");
batch();
$node->safe_psql('postgres', 'INSERT INTO s SELECT 1000 + i, i FROM generate_series(1, 100) i');
batch();
is($node->safe_psql('postgres', "SET enable_seqscan = off; SELECT s FROM byk WHERE k = 1050"), 50, 'an index of a user');
$node->safe_psql('postgres', "DROP INDEX streamq.more; REINDEX INDEX CONCURRENTLY streamq.again");
is($node->safe_psql('postgres', "SET enable_seqscan = off; SELECT s FROM byk WHERE k = 1050"), 50, 'built again beside batches');
$node->safe_psql('postgres', "ANALYZE $state");
is($node->safe_psql('postgres', "SELECT reltuples FROM pg_class WHERE oid = '$state'::regclass"),
	$node->safe_psql('postgres', 'SELECT count(*) FROM byk'), 'ANALYZE counts rows');
is($node->safe_psql('postgres', "SELECT count(*) > 0 FROM $state TABLESAMPLE BERNOULLI (50)"), 't', 'a sample');
is($node->safe_psql('postgres', "SELECT count(*) FROM $state TABLESAMPLE SYSTEM (100)"),
	$node->safe_psql('postgres', 'SELECT count(*) FROM byk'), 'a sample of all');
my $parallel = $node->safe_psql('postgres', qq{
SET parallel_setup_cost = 0; SET parallel_tuple_cost = 0; SET min_parallel_table_scan_size = 0; SET max_parallel_workers_per_gather = 2;
SELECT count(*), sum(agg_1), sum(group_hash::numeric) FROM $state;
EXPLAIN (COSTS OFF) SELECT sum(agg_1) FROM $state});
like($parallel, qr/Parallel Seq Scan/, 'a parallel plan');
like($parallel, qr/^\Q@{[$node->safe_psql('postgres', "SET max_parallel_workers_per_gather = 0; SELECT count(*), sum(agg_1), sum(group_hash::numeric) FROM $state")]}\E\n/, 'and its result');

$node->safe_psql('postgres', "VACUUM (FREEZE) $state");
my $horizon = $node->safe_psql('postgres', 'SELECT txid_current()');
cmp_ok($node->safe_psql('postgres', "SELECT relfrozenxid FROM pg_class WHERE oid = '$state'::regclass"), '>=', $horizon - 5, 'VACUUM freezes all');
is($node->safe_psql('postgres', $differences), 0, 'and changes nothing');
batch(2);
is($node->safe_psql('postgres', $differences), 0, 'nor does it disturb batches');
$node->safe_psql('postgres', 'VACUUM FULL');
is($node->safe_psql('postgres', $differences), 0, 'VACUUM FULL of the database leaves state tables out');

# ---- what users cannot do ----

sub error_of
{
	my ($sql) = @_;
	my ($status, $out, $err) = $node->psql('postgres', "\\set VERBOSITY verbose\n$sql");

	return $err =~ /ERROR:  (.*)/ ? $1 : "no error: $out";
}
is(error_of("UPDATE $state SET agg_1 = 0"), '0A000: cannot change continuous view "byk"', 'the table of a view');
$node->safe_psql('postgres', 'CREATE TABLE streamq.bare (a int PRIMARY KEY, t text) USING streamq_state; INSERT INTO streamq.bare VALUES (1), (2)');
is(error_of('UPDATE streamq.bare SET a = 0'), '0A000: cannot change state table "bare"', 'UPDATE');
is(error_of('DELETE FROM streamq.bare'), '0A000: cannot change state table "bare"', 'DELETE');
is(error_of('INSERT INTO streamq.bare VALUES (1) ON CONFLICT DO NOTHING'), 'no error: ', 'ON CONFLICT with a row that is there');
is(error_of('INSERT INTO streamq.bare VALUES (3) ON CONFLICT DO NOTHING'), '0A000: cannot change state table "bare"', 'ON CONFLICT without');
is(error_of('INSERT INTO streamq.bare VALUES (1) ON CONFLICT (a) DO UPDATE SET t = 1'), '0A000: cannot lock rows in state table "bare"', 'DO UPDATE');
is(error_of('INSERT INTO streamq.bare VALUES (1)'), '23505: duplicate key value violates unique constraint "bare_pkey"', 'a unique index');
is(error_of('SELECT 1 FROM streamq.bare FOR UPDATE'), '0A000: cannot lock rows in state table "bare"', 'row locks');
is($node->safe_psql('postgres', q{ALTER TABLE streamq.bare ADD b int DEFAULT 7, ALTER a TYPE bigint; SELECT * FROM streamq.bare WHERE ctid = '(0,1)'; TRUNCATE streamq.bare; SELECT count(*) FROM streamq.bare}),
	"1||7\n0", 'ALTER TABLE and TRUNCATE');
$node->safe_psql('postgres', 'DROP TABLE streamq.bare');
is(error_of("VACUUM FULL $state"), '0A000: cannot rewrite state table "view_state_1"', 'VACUUM FULL');
is(error_of("CLUSTER $state USING again"), '0A000: cannot rewrite state table "view_state_1"', 'CLUSTER');
is(error_of('CREATE TABLE x (a int) USING streamq_state'), '0A000: cannot use access method "streamq_state" for table "x"', 'other tables');

done_testing();
