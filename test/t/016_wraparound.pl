# Transaction ids run out and begin again: streams stay readable, groups stand
# where they stood, the oldest xid of the database and the commit log move on,
# and autovacuum comes by itself.  Jumping ahead is done on a stopped server.
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('main');
$node->init;
$node->append_conf('postgresql.conf', q{
shared_preload_libraries = 'streamq'
wal_consistency_checking = 'streamq'
max_worker_processes = 16
max_prepared_transactions = 4
autovacuum = off
timezone = 'UTC'
});
$node->start;
$node->safe_psql('postgres', q{
CREATE EXTENSION streamq;
CREATE TABLE s (at timestamptz NOT NULL, key text, n int) USING streamq;
SELECT streamq.alter_stream('s', partitions => 2);
SELECT streamq.create_group('s', 'g', lease => '1 day');
SELECT streamq.create_group('s', mode, mode => mode, lease => '1 day', max_in_flight => 100000)
FROM unnest('{shared, key_shared}'::text[]) mode;
CREATE TABLE expected (n int);
SELECT streamq.create_continuous_view('per_key', $$ SELECT key, count(*) AS n, sum(n) AS total FROM s GROUP BY key $$);
});

my $next = 0;
my $taken = 0;
sub produce
{
	my $to = $next + 100;
	# rows, savepoints, rows of aborted transactions, each an xid of its own
	$node->safe_psql('postgres', qq{
INSERT INTO s SELECT timestamptz '2026-01-01' + i * interval '1 s', 'k' || i % 5, i FROM generate_series($next, $to - 11) i;
BEGIN; INSERT INTO s SELECT now(), 'k' || i % 5, -i FROM generate_series(1, 200) i; ROLLBACK;
BEGIN; SAVEPOINT a; INSERT INTO s SELECT now(), 'k1', -7; ROLLBACK TO a; SAVEPOINT b;
INSERT INTO s SELECT timestamptz '2026-01-01' + i * interval '1 s', 'k' || i % 5, i FROM generate_series($to - 10, $to - 1) i; RELEASE b; COMMIT;
INSERT INTO expected SELECT generate_series($next, $to - 1);
});
	$next = $to;
}
sub consume
{
	my ($how) = @_;
	return $node->safe_psql('postgres', qq{BEGIN;
SELECT count(*) FROM streamq.consume('s', 'g', 30, auto_ack => true); $how;});
}
# In the other modes, acknowledge every other message.  Of the rest, keep them in
# key_shared mode, and give half of them back in shared mode.
my $acked = 0;
my %held = (shared => 0, key_shared => 0);
sub consume_side_by_side
{
	for my $mode (sort keys %held)
	{
		my $given_back = $mode eq 'shared' ? 10 : 0;

		is($node->safe_psql('postgres', qq{
CREATE TEMP TABLE got AS SELECT msg_id, row_number() OVER (ORDER BY msg_id) AS i FROM streamq.consume('s', '$mode', 40, consumer => 'c');
SELECT streamq.ack_batch('s', '$mode', ARRAY(SELECT msg_id FROM got WHERE i % 2 = 0));
SELECT streamq.nack_batch('s', '$mode', ARRAY(SELECT msg_id FROM got WHERE i % 4 = 1 LIMIT $given_back), retry_after => '1 day');
BEGIN; SELECT count(*) FROM streamq.consume('s', '$mode', 20, consumer => 'c', auto_ack => true); ROLLBACK}),
			"20\n$given_back\n20", "$mode: acknowledged, given back and rolled back");
		$held{$mode} += 20 - $given_back;
	}
	$acked += 20;
}
sub check
{
	my ($name) = @_;
	is($node->safe_psql('postgres', q{
SELECT count(*) FROM ((SELECT n FROM s EXCEPT ALL TABLE expected) UNION ALL (TABLE expected EXCEPT ALL SELECT n FROM s)) x}),
		0, "$name: rows");
	is($node->safe_psql('postgres', q{SELECT sum(lag) FROM streamq.consumer_groups WHERE group_name = 'g'}), $next - $taken, "$name: the group");
	is($node->safe_psql('postgres', "SELECT sum(lag), sum(in_flight) FROM streamq.consumer_groups WHERE group_name = '$_'"),
		($next - $acked) . "|$held{$_}", "$name: the group $_") for sort keys %held;
	is($node->safe_psql('postgres', q{SELECT count(*) FROM streamq.check_stream('s')}), 0, "$name: the stream is sound");
}

# the xid the stopped server will begin with; needs its page of the commit log
sub jump
{
	my ($xid) = @_;
	$node->stop;
	command_ok([ 'pg_resetwal', '-x', $xid, '-D', $node->data_dir ], "xid $xid comes next");
	my $segment = sprintf('%s/pg_xact/%04X', $node->data_dir, $xid / (8192 * 4 * 32));
	my $page = int($xid / (8192 * 4)) % 32;
	my $size = -s $segment // 0;
	open(my $fh, '>>', $segment) or die $!;
	binmode $fh;
	print $fh "\0" x (($page + 1) * 8192 - $size) if $size < ($page + 1) * 8192;
	close($fh);
	$node->start;
}
sub age
{
	return $node->safe_psql('postgres', q{SELECT age(relfrozenxid) FROM pg_class WHERE oid = 's'::regclass});
}

produce();
$taken += consume('COMMIT');
check('at first');
is(consume('ROLLBACK'), 30, 'taken and given back');

for my $xid (1_000_000_000, 2_000_000_000, 3_000_000_000, 4_000_000_000, 700_000_000, 1_700_000_000)
{
	$node->safe_psql('postgres', 'VACUUM (FREEZE) s');
	cmp_ok(age(), '<', 100, 'relfrozenxid after VACUUM FREEZE');
	produce();
	$taken += consume('COMMIT');
	is(consume('ROLLBACK'), 30, 'taken and given back');
	consume_side_by_side();
	check('before the jump');
	# rows and the group's page hold xids that relfrozenxid must not pass
	is($node->safe_psql('postgres', q{SELECT (SELECT relfrozenxid FROM pg_class WHERE oid = 's'::regclass)::text::bigint <= min(xmin::text::bigint) FROM expected WHERE n >= } . ($next - 100)),
		't', 'relfrozenxid is true');
	$node->safe_psql('postgres', q{SELECT streamq.wait_until_caught_up('per_key', '30 s')});
	# every database must be young enough for the next thousand million
	$node->safe_psql($_, 'VACUUM (FREEZE)') for ('postgres', 'template1');
	$node->safe_psql('postgres', 'UPDATE pg_database SET datallowconn = true WHERE datname = $$template0$$');
	$node->safe_psql('template0', 'VACUUM (FREEZE)');
	jump($xid);
	check("at xid $xid");
	produce();
	$taken += consume('COMMIT');
	consume_side_by_side();
	check("written at xid $xid");
}
is($node->safe_psql('postgres', q{SELECT streamq.wait_until_caught_up('per_key', '30 s'), (SELECT sum(n) FROM per_key) = (SELECT count(*) FROM s)}),
	't|t', 'the view has everything');
$node->safe_psql($_, 'VACUUM (FREEZE)') for ('postgres', 'template0', 'template1');
cmp_ok($node->safe_psql('postgres', 'SELECT max(age(datfrozenxid)) FROM pg_database'), '<', 10000, 'datfrozenxid moves on');
$node->safe_psql('postgres', 'CHECKPOINT');
my @segments = glob($node->data_dir . '/pg_xact/*');
cmp_ok(scalar @segments, '<=', 2, 'the commit log is truncated: ' . join(' ', map { s{.*/}{}r } @segments));
check('at the end');

# a prepared producer and a prepared consumer hold relfrozenxid where they are
$node->safe_psql('postgres', q{BEGIN; INSERT INTO s VALUES (now(), 'k1', 1000000); INSERT INTO expected VALUES (1000000); PREPARE TRANSACTION 'p'});
$node->safe_psql('postgres', q{BEGIN; SELECT count(*) FROM streamq.consume('s', 'g', 10, auto_ack => true); PREPARE TRANSACTION 'c'});
produce();
my $xid = $node->safe_psql('postgres', q{SELECT transaction FROM pg_prepared_xacts WHERE gid = 'p'});
$node->safe_psql('postgres', 'VACUUM (FREEZE) s');
is($node->safe_psql('postgres', q{SELECT relfrozenxid FROM pg_class WHERE oid = 's'::regclass}), $xid, 'not frozen beyond a prepared transaction');
$node->restart;
is($node->safe_psql('postgres', q{SELECT sum(next_offset - stable_offset) > 0, count(blocked_since) FROM streamq.partitions WHERE stream = 's'::regclass}),
	't|1', 'a prepared producer is shown, also after a restart');
is($node->safe_psql('postgres', q{SELECT count(*) FROM streamq.read('s', 0, 1000000) WHERE payload ->> 'n' = '1000000'}), 0, 'and readers wait for it');
$node->safe_psql('postgres', q{COMMIT PREPARED 'p'});
$node->safe_psql('postgres', q{COMMIT PREPARED 'c'});
$taken += 10;
$node->safe_psql('postgres', 'VACUUM (FREEZE) s');
cmp_ok(age(), '<', 10, 'but after its commit');
$next++;
check('with what was prepared');
$next--;

# freezing a log nobody froze writes next to nothing; a second VACUUM reads next to nothing
$node->safe_psql('postgres', q{CREATE TABLE fresh (id bigint, payload text) USING streamq;
INSERT INTO fresh SELECT i, repeat('x', 100) FROM generate_series(1, 200000) i;});
my $written = $node->safe_psql('postgres', q{SELECT pg_stat_reset_shared('wal');
SELECT pg_current_wal_insert_lsn() AS lsn \gset
VACUUM (FREEZE) fresh;
SELECT (pg_current_wal_insert_lsn() - :'lsn') / pg_relation_size('fresh')});
$written =~ s/^\n//;
cmp_ok($written, '<', 0.01, 'VACUUM FREEZE writes ' . sprintf('%.5f', $written) . ' of the log as WAL');
sub blocks
{
	return $node->safe_psql('postgres', q{SELECT pg_stat_force_next_flush();
SELECT heap_blks_read + heap_blks_hit FROM pg_statio_user_tables WHERE relname = 'fresh'}) =~ s/^\s+//r;
}
my $before = blocks();
$node->safe_psql('postgres', 'VACUUM fresh');
my $reads = blocks() - $before;
cmp_ok($reads, '<', 10, "a second VACUUM reads $reads pages");

# autovacuum comes after inserts, without being asked, when there are ids to freeze
$node->safe_psql('postgres', q{DO $$ BEGIN FOR i IN 1 .. 200 LOOP PERFORM pg_current_xact_id(); COMMIT; END LOOP; END $$});
$node->append_conf('postgresql.conf', q{
autovacuum = on
autovacuum_naptime = 1s
autovacuum_vacuum_insert_threshold = 100
autovacuum_vacuum_insert_scale_factor = 0.01
});
$node->reload;
$node->safe_psql('postgres', q{INSERT INTO fresh SELECT i, 'more' FROM generate_series(1, 10000) i});
ok($node->poll_query_until('postgres', q{SELECT autovacuum_count > 0 FROM pg_stat_user_tables WHERE relname = 'fresh'}), 'autovacuum comes by itself');
cmp_ok($node->safe_psql('postgres', q{SELECT age(relfrozenxid) FROM pg_class WHERE relname = 'fresh'}), '<', 50, 'and freezes');

unlike(slurp_file($node->logfile), qr/inconsistent page|PANIC|TRAP|could not access status|terminated by signal/, 'clean log');
$node->stop;
done_testing();
