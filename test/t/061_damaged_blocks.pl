# Scans that go through the file block by block (parallel scans, samples, ANALYZE) do not
# pass over a block that should hold messages and does not, as ordered scans do not.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $page_size = 8192;
my $data = 4;
my $node = PostgreSQL::Test::Cluster->new('main');
$node->init;
$node->append_conf('postgresql.conf', q{
shared_preload_libraries = 'streamq'
autovacuum = off
parallel_setup_cost = 0
parallel_tuple_cost = 0
min_parallel_table_scan_size = 0
});
$node->start;
$node->safe_psql('postgres', q{
	CREATE EXTENSION streamq;
	SELECT streamq.create_stream('s', 'id bigint, body text', partitions => 3);
	SELECT streamq.create_group('s', 'g');
	ALTER TABLE s ALTER body SET STORAGE EXTERNAL;
	INSERT INTO s SELECT g, md5(g::text) FROM generate_series(1, 20000) g;
	INSERT INTO s VALUES (0, repeat('long', 10000));
	INSERT INTO s SELECT g, md5(g::text) FROM generate_series(20001, 22000) g;
	BEGIN; INSERT INTO s SELECT g, md5(g::text) FROM generate_series(1, 3000) g; ROLLBACK;
	INSERT INTO s SELECT g, md5(g::text) FROM generate_series(1, 500) g;
	SELECT count(*) FROM streamq.consume('s', 'g');
	VACUUM s;
});

my $whole = 'count(*), sum(length(body)), count(DISTINCT ctid) FROM s';
my $expected = $node->safe_psql('postgres', "SET max_parallel_workers_per_gather = 0; SELECT $whole");

my %scans = (
	'parallel scan' => "SELECT $whole",
	'sample of blocks' => 'SELECT count(*) FROM s TABLESAMPLE SYSTEM (100)',
	'sample of rows' => 'SELECT count(*) FROM s TABLESAMPLE BERNOULLI (100)',
	'ANALYZE' => 'ANALYZE s');
like($node->safe_psql('postgres', "EXPLAIN SELECT $whole"), qr/Parallel/, 'a parallel scan');

sub sound
{
	my ($name) = @_;

	is($node->safe_psql('postgres', "SELECT $whole"), $expected, "$name: parallel scan");
	is($node->safe_psql('postgres', $scans{'sample of blocks'}), 22501, "$name: sample of blocks");
	is($node->safe_psql('postgres', $scans{'sample of rows'}), 22501, "$name: sample of rows");
	is($node->safe_psql('postgres', 'ANALYZE s; SELECT reltuples FROM pg_class WHERE oid = \'s\'::regclass'), 22501, "$name: ANALYZE");
}

sound('sound');
my $path = $node->data_dir . '/' . $node->safe_psql('postgres', "SELECT pg_relation_filepath('s')");
$node->stop;
my $file = slurp_file($path);
my $blocks = length($file) / $page_size;

# data pages by partition, in the order of their offsets; how many rows start there
my %pages;
for my $block (0 .. $blocks - 1)
{
	my ($base, $owner, $nrows, $last_run, $cont_len, $partition, $flags, $magic, $version, $kind) =
	  unpack('qLSSSCCSCC', substr($file, ($block + 1) * $page_size - 24, 24));
	push @{ $pages{$partition} }, { block => $block, base => $base, nrows => $nrows } if $kind == $data;
}
my @middle = map { $pages{$_}[ @{ $pages{$_} } / 2 ]{block} } sort keys %pages;
my @first = map { $pages{$_}[0]{block} } sort keys %pages;
my ($amid) = map { $_->{block} } grep { $_->{nrows} == 0 } map { @$_ } values %pages;
ok(defined $amid, 'a page amid a row');

sub damaged
{
	my ($name, $content) = @_;

	open(my $fh, '>:raw', $path) or die "$path: $!";
	print $fh $content;
	close($fh);
	$node->start;
	for my $scan (sort keys %scans)
	{
		my ($out, $err) = ('', '');

		$node->psql('postgres', "\\set VERBOSITY verbose\n$scans{$scan}", stdout => \$out, stderr => \$err);
		like($err, qr/ERROR:  XX001: (block \d+ of stream "s" is damaged|messages of stream "s" are missing|invalid page in block)/, "$name: $scan");
	}
	$node->stop;
}

sub with_page
{
	my ($block, $page) = @_;
	my $content = $file;

	substr($content, $block * $page_size, $page_size) = $page;
	return $content;
}

srand(1);
damaged("zeroed page $_", with_page($_, "\0" x $page_size)) for (@middle, $first[1], $amid);
damaged('random page', with_page($middle[1], join('', map { chr(int(rand(256))) } 1 .. $page_size)));
damaged('a head in place of data', with_page($middle[0], substr($file, $page_size, $page_size)));
damaged('a state in place of data', with_page($middle[2],
	substr($file, (grep { ord(substr($file, ($_ + 1) * $page_size - 1, 1)) == 6 } 0 .. $blocks - 1)[0] * $page_size, $page_size)));
damaged('a version that is not known', with_page($middle[1], do {
	my $page = substr($file, $middle[1] * $page_size, $page_size);
	substr($page, $page_size - 2, 1) = chr(77);
	$page }));
damaged('cut off', substr($file, 0, $middle[0] * $page_size));

# what is free, reserved or left over is no damage
open(my $fh, '>:raw', $path) or die "$path: $!";
print $fh $file;
close($fh);
$node->start;
sound('sound again');
$node->safe_psql('postgres', q{
	SELECT streamq.alter_stream('s', max_messages => 3000);
	INSERT INTO s SELECT g, md5(g::text) FROM generate_series(1, 100) g;
});
ok($node->poll_query_until('postgres', 'SELECT sum(messages) < 15000 FROM streamq.partitions'), 'messages expire') or diag($node->safe_psql('postgres', 'TABLE streamq.partitions'));
my ($serial, $parallel) = map { $node->safe_psql('postgres', "SET max_parallel_workers_per_gather = $_; SELECT count(*) FROM s") } (0, 2);
is($parallel, $serial, 'a parallel scan of a file with free blocks');
is($node->safe_psql('postgres', $scans{'sample of blocks'}), $serial, 'a sample of it');
$node->safe_psql('postgres', 'ANALYZE s; TRUNCATE s; ANALYZE s');
is($node->safe_psql('postgres', 'SELECT count(*) FROM s'), 0, 'an empty one');
is($node->safe_psql('postgres', $scans{'sample of blocks'}), 0, 'a sample of it');
$node->stop;
done_testing();
