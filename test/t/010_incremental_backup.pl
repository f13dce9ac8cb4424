# Incremental backups (from PostgreSQL 17 on), which hold the blocks that the summaries
# of the WAL name: streams whose space is used again, truncated and frozen
# come back as they were.
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('main');
plan skip_all => 'needs PostgreSQL 17' if $node->pg_version < 17;
$node->init(allows_streaming => 1, extra => ['--data-checksums']);
$node->append_conf('postgresql.conf', q{
shared_preload_libraries = 'streamq'
max_worker_processes = 16
summarize_wal = on
timezone = 'UTC'
});
$node->start;
$node->safe_psql('postgres', q{
CREATE EXTENSION streamq;
CREATE TABLE s (key text, n int, payload text) USING streamq;
SELECT streamq.alter_stream('s', partitions => 3);
CREATE TABLE bounded (n int, payload text) USING streamq;
SELECT streamq.alter_stream('bounded', max_bytes => 2 * 1024 * 1024);
CREATE TABLE emptied (n int) USING streamq;
CREATE TABLE untouched (n int) USING streamq;
INSERT INTO untouched SELECT generate_series(1, 20000);
INSERT INTO emptied SELECT generate_series(1, 200000);
SELECT streamq.create_continuous_view('v', 'SELECT key, count(*) AS n, sum(n) AS total FROM s GROUP BY key');
});

sub work
{
	my ($round) = @_;
	$node->safe_psql('postgres', qq{
INSERT INTO s SELECT 'k' || i % 9, i, repeat('p', i * 37 % 900) FROM generate_series(1, 5000) i;
BEGIN; INSERT INTO s SELECT 'k' || i % 9, i, 'undone' FROM generate_series(1, 3000) i; ROLLBACK;
INSERT INTO s VALUES ('k1', $round, repeat(md5('large'), 10000));
SELECT count(*) FROM streamq.consume('s', 'g', 2000, auto_ack => true);
SELECT count(*) FROM streamq.consume('s', 'h', 100);
TRUNCATE emptied;
INSERT INTO emptied SELECT generate_series(1, 1000 * $round);
CREATE TABLE new_$round (n int) USING streamq;
INSERT INTO new_$round SELECT generate_series(1, 1000);
});
	$node->safe_psql('postgres', q{INSERT INTO bounded SELECT i, repeat('b', 500) FROM generate_series(1, 3000) i}) for 1 .. 4;
	$node->safe_psql('postgres', q{VACUUM (FREEZE) s; SELECT streamq.wait_until_caught_up('v')});
	$node->safe_psql('postgres', q{INSERT INTO s SELECT 'k' || i % 9, i, 'behind' FROM generate_series(1, 100) i; SELECT streamq.wait_until_caught_up('v')});
}

my @look = (
	(map { "SELECT count(*), md5(string_agg(ctid || x::text, ',' ORDER BY ctid)) FROM $_ x" } qw(s bounded emptied untouched new_1 new_2)),
	q{SELECT stream, partition, first_offset, next_offset, bytes, extents, reserved_extents FROM streamq.partitions ORDER BY 1, 2},
	q{SELECT stream, group_name, partition, acked_offset, lag, expired FROM streamq.consumer_groups ORDER BY 2, 3},
	q{SELECT * FROM v ORDER BY key},
);

work(1);
$node->backup('full');
work(2);
my $manifest = $node->backup_dir . '/full/backup_manifest';
$node->backup('first', backup_options => [ '--incremental', $manifest ]);
work(3);
$node->backup('second', backup_options => [ '--incremental', $node->backup_dir . '/first/backup_manifest' ]);
is($node->safe_psql('postgres', q{SELECT first_offset > 20000 FROM streamq.partitions WHERE stream = 'bounded'::regclass}), 't', 'space was used again');
my @before = map { $node->safe_psql('postgres', $_) } @look;

my $restored = PostgreSQL::Test::Cluster->new('restored');
$restored->init_from_backup($node, 'second', combine_with_prior => [ 'full', 'first' ]);
$restored->start;
is($restored->safe_psql('postgres', $look[$_]), $before[$_], "as it was: $look[$_]") for 0 .. $#look;
is($restored->safe_psql('postgres', q{SELECT c.relname, x.* FROM pg_class c JOIN pg_am a ON a.oid = c.relam, streamq.check_stream(c.oid) x WHERE amname = 'streamq'}), '', 'sound');
$restored->safe_psql('postgres', q{
INSERT INTO s SELECT 'k' || i % 9, i, 'more' FROM generate_series(1, 1000) i;
INSERT INTO bounded SELECT i, repeat('b', 500) FROM generate_series(1, 3000) i;
INSERT INTO emptied SELECT generate_series(1, 1000);
});
is($restored->safe_psql('postgres', q{SELECT streamq.wait_until_caught_up('v'), (SELECT count(*) FROM ((TABLE v) EXCEPT ALL SELECT key, count(*), sum(n) FROM s GROUP BY key) x)}), 't|0', 'the view goes on');
$restored->stop;
command_ok([ 'pg_checksums', '--check', '-D', $restored->data_dir ], 'checksums');

# blocks that did not change are not in it
my $path = $node->safe_psql('postgres', q{SELECT pg_relation_filepath('untouched')});
(my $increment = $node->backup_dir . "/second/$path") =~ s/([^\/]*)$/INCREMENTAL.$1/;
cmp_ok(-s $increment, '<', 8192, 'nothing of a stream that did not change');
done_testing();
