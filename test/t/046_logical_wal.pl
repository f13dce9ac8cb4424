# What WAL says about appended rows: with wal_level = logical each record names the
# partition, the first offset and the number of attributes, and has the rows even
# if it has an image of the page.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my %node;
for my $level ('replica', 'logical')
{
	my $node = PostgreSQL::Test::Cluster->new($level);
	$node->init;
	$node->append_conf('postgresql.conf', qq{
shared_preload_libraries = 'streamq'
autovacuum = off
full_page_writes = on
wal_level = $level
});
	$node->start;
	if ($node->psql('postgres', 'CREATE EXTENSION pg_walinspect') != 0)
	{
		$node->stop;
		plan skip_all => 'needs pg_walinspect';
	}
	$node->safe_psql('postgres', q{
		CREATE EXTENSION streamq;
		SELECT streamq.create_stream('s', 'id int8, body text');
	});
	$node{$level} = $node;
}

# records [type, description, bytes besides image] of what a statement appends to s
sub records
{
	my ($level, $sql) = @_;
	my $node = $node{$level};
	my $from = $node->safe_psql('postgres', 'SELECT pg_current_wal_insert_lsn()');
	$node->safe_psql('postgres', $sql);
	my $to = $node->safe_psql('postgres', 'SELECT pg_switch_wal(); SELECT pg_current_wal_flush_lsn()');
	$to =~ s/.*\n//s;
	my $out = $node->safe_psql('postgres', qq{
		SELECT record_type, description, record_length - fpi_length, fpi_length > 0
		FROM pg_get_wal_records_info('$from', '$to')
		WHERE resource_manager = 'streamq' AND record_type LIKE 'APPEND%' ORDER BY start_lsn});
	return map { [ split /\|/ ] } split /\n/, $out;
}

my $produce = sub {
	my ($ids, $partition) = @_;
	return "SELECT streamq.produce_batch('p', ARRAY[$ids]::text[], partition => $partition);";
};
for my $level ('replica', 'logical')
{
	$node{$level}->safe_psql('postgres', q{SELECT streamq.create_stream('p', 'payload text', partitions => 3);
		ALTER TABLE p ALTER payload SET STORAGE EXTERNAL});
	# partition 2 has 5 messages, on one page
	my @first = records($level, $produce->(join(',', map { "'" . 'a' x 100 . "'" } 1 .. 5), 2));
	my @second = records($level, 'BEGIN;' . $produce->("'b'", 2) . $produce->("'c', 'd'", 2) . 'COMMIT');
	my @image = records($level, 'CHECKPOINT;' . $produce->("'" . 'e' x 1000 . "'", 2));
	my @large = records($level, $produce->("'" . 'f' x 20000 . "', 'g'", 2));
	note join ' | ', @$_ for @first, @second, @image, @large;

	is(scalar @first, 1, "$level: a batch on one page is one record");
	is($first[0][0], 'APPEND+INIT', "$level: the first record begins the page");
	like($first[0][1], qr/^rows 5, partition 2, offset 0, run of command \d+, attributes \d+$/, "$level: it tells all");
	is(scalar @second, 2, "$level: two commands are two records");
	like($second[0][1], $level eq 'logical' ? qr/^rows 1, partition 2, offset 5, run of command \d+, attributes \d+$/ :
		qr/^rows 1, run of command \d+, attributes \d+$/, "$level: a run");
	like($second[1][1], $level eq 'logical' ? qr/^rows 2, partition 2, offset 6, (run of command \d+, )?attributes \d+$/ :
		qr/^rows 2(, run of command \d+, attributes \d+)?$/, "$level: the next command");
	is($image[0][3], 't', "$level: the first change after a checkpoint has an image");
	if ($level eq 'logical')
	{
		like($image[0][1], qr/^rows 1, partition 2, offset 8, /, "$level: with the offset");
		cmp_ok($image[0][2], '>', 1000, "$level: and the bytes of the row");
	}
	else
	{
		cmp_ok($image[0][2], '<', 200, "$level: without the bytes of the row");
	}
	cmp_ok(scalar @large, '>=', 3, "$level: a large row takes several records");
	like($large[1][1], qr/^rows 0, partition 2, offset 10, continuation \d+/, "$level: one that goes on with the row");
	like($large[-1][1], qr/^rows 1, partition 2, offset 10, continuation \d+/, "$level: and one with its end and the next row");
}

# other levels pay nothing
my $many = 'DO $$ BEGIN FOR i IN 1 .. 200 LOOP INSERT INTO s VALUES (i, repeat(\'x\', 100)); COMMIT; END LOOP; END $$';
my ($replica, $logical) = map {
	my @r = records($_, $many);
	my $sum = 0;
	$sum += $_->[2] for grep { $_->[3] eq 'f' && $_->[0] eq 'APPEND' } @r;
	my $n = grep { $_->[3] eq 'f' && $_->[0] eq 'APPEND' } @r;
	$sum / $n } ('replica', 'logical');
note "bytes of a record: replica $replica, logical $logical";
cmp_ok($replica, '<=', 175, 'replica: a row of 100 bytes');
cmp_ok($logical - $replica, '<=', 5, 'logical: partition and offset');

$_->stop for values %node;
done_testing();
