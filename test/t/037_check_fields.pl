# check_stream notices a change of a field in any of the structures of a stream's file,
# and a first offset that is wrong is an error for whoever reads, samples, analyzes,
# vacuums or appends.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $page = 8192;
my $node = PostgreSQL::Test::Cluster->new('main');
# from PostgreSQL 18 on there are checksums if nothing else is said
$node->init(extra => `initdb --help` =~ /--no-data-checksums/ ? ['--no-data-checksums'] : []);
$node->append_conf('postgresql.conf', q(
shared_preload_libraries = 'streamq'
autovacuum = off
));
$node->start;
sub sql { return $node->safe_psql('postgres', $_[0]); }

# partition 1 has come later, so that it has a parent; rows were rolled back below the
# frozen offset, and others are above it
sql(q{
CREATE EXTENSION streamq;
SELECT streamq.create_stream('s', 'id bigint, body text');
INSERT INTO s SELECT g, repeat('o', 900) FROM generate_series(1, 400) g;
INSERT INTO s SELECT g, repeat('o', 900) FROM generate_series(1, 400) g;
BEGIN;
INSERT INTO s SELECT g, repeat('r', 900) FROM generate_series(1, 7) g;
ROLLBACK;
INSERT INTO s SELECT g, repeat('o', 900) FROM generate_series(1, 100) g;
SELECT streamq.alter_stream('s', partitions => 2);
INSERT INTO s SELECT g, 'spread' FROM generate_series(1, 50) g;
SELECT count(*) FROM streamq.consume('s', 'g', max_messages => 5);
SELECT streamq.create_group('s', 'h');
});
sql('VACUUM s') for 1, 2;
sql(q{
INSERT INTO s SELECT g, 'above' FROM generate_series(1, 3) g;
BEGIN;
INSERT INTO s SELECT g, 'rolled back' FROM generate_series(1, 3) g;
ROLLBACK;
SELECT count(*) FROM s;
});
sql('CHECKPOINT');
is(sql(q{SELECT * FROM streamq.check_stream('s')}), '', 'sound');
my $rows = sql('SELECT count(*) FROM s');
my $path = $node->data_dir . '/' . sql(q{SELECT pg_relation_filepath('s')});
$node->stop;
my $sound = slurp_file($path);

sub field { my ($pos, $template) = @_; return unpack($template, substr($sound, $pos)); }
sub opaque { return $_[0] * $page + $page - 24; }
sub kind { return unpack('C', substr($sound, opaque($_[0]) + 23, 1)); }

my @blocks = (0 .. length($sound) / $page - 1);
my ($directory) = grep { kind($_) == 3 } @blocks;
my ($state_directory) = grep { kind($_) == 5 } @blocks;
my ($state) = grep { kind($_) == 6 } @blocks;
my $meta = 24;
my @heads = map { field($meta + 32 + 4 * $_, 'V') } 0, 1;
my @head = map { $_ * $page + 24 } @heads;
my $root = $head[0] + 80;
my $extents = $directory * $page + 24 + 8;
my $data = field($extents, 'V');

# where the runs stand: {position, offset, flags}
my @runs;
for my $block (grep { kind($_) == 4 } @blocks)
{
	my $at = opaque($block);
	my $lower = field($block * $page + 12, 'v');
	my $pos = 24 + field($at + 16, 'v');
	next if field($at + 18, 'C') != 0;
	while (($pos = ($pos + 7) & ~7) + 24 <= $lower)
	{
		my $run = $block * $page + $pos;
		push @runs, { pos => $run, flags => field($run + 22, 'v') };
		$pos += 24 + field($run + 18, 'v');
	}
}
my ($dead) = grep { $_->{flags} & 4 } @runs;
my ($aborted) = grep { ($_->{flags} & 6) == 2 } @runs;
my $committed = $runs[0];
ok($dead && $aborted, 'there are runs that were rolled back on both sides of the frozen offset');

my @cases = (
	[ 'meta: partitions, fewer', $meta, 'V', 1 ],
	[ 'meta: partitions, more', $meta, 'V', 3 ],
	[ 'meta: state directory', $meta + 4, 'V', 0xFFFFFFFF ],
	[ 'meta: blocks handed out', $meta + 8, 'V', sub { $_[0] + 1 } ],
	[ 'meta: states', $meta + 16, 'V', sub { $_[0] + 1 } ],
	[ 'meta: reserved', $meta + 28, 'V', 1 ],
	[ 'meta: a head', $meta + 32, 'V', sub { $_[0] + 1 } ],
	[ 'meta: a head too many', $meta + 32 + 4 * 9, 'V', $heads[0] ],
	[ 'opaque: flags', opaque(0) + 19, 'C', 2 ],
	[ 'opaque: flags of a data page', opaque($data) + 19, 'C', 1 ],
	[ 'opaque: owner of a head', opaque($heads[0]) + 8, 'V', 1 ],
	[ 'opaque: owner of a data page', opaque($data) + 8, 'V', 1 ],
	[ 'opaque: owner of a directory page', opaque($directory) + 8, 'V', 77 ],
	[ 'opaque: owner of a state', opaque($state) + 8, 'V', 77 ],
	[ 'opaque: kind of a state', opaque($state) + 12, 'v', 2 ],
	[ 'opaque: number of a state', opaque($state), 'q<', 1 ],
	[ 'opaque: base of a data page', opaque($data + 1), 'q<', sub { $_[0] + 1 } ],
	[ 'opaque: rows of a data page', opaque($data) + 12, 'v', sub { $_[0] - 1 } ],
	[ 'opaque: last run', opaque($data) + 14, 'v', sub { $_[0] + 8 } ],
	[ 'opaque: continuation', opaque($data + 1) + 16, 'v', sub { $_[0] + 8 } ],
	[ 'opaque: partition', opaque($data) + 18, 'C', 1 ],
	[ 'opaque: magic', opaque($data) + 20, 'v', 1 ],
	[ 'opaque: version', opaque($data) + 22, 'C', 2 ],
	[ 'opaque: kind', opaque($data) + 23, 'C', 6 ],
	[ 'head: first offset', $head[0], 'q<', 20 ],
	[ 'head: expired offset', $head[0] + 8, 'q<', 5 ],
	[ 'head: origin offset', $head[0] + 16, 'q<', 1 ],
	[ 'head: frozen offset', $head[0] + 24, 'q<', sub { $_[0] + 6 } ],
	[ 'head: dead rows, more', $head[0] + 32, 'q<', sub { $_[0] + 1 } ],
	[ 'head: dead rows, none', $head[0] + 32, 'q<', 0 ],
	[ 'head: next leaf', $head[0] + 40, 'V', 1 ],
	[ 'head: parents', $head[1] + 44, 'v', 0 ],
	[ 'head: directory pages', $head[0] + 46, 'v', 0 ],
	[ 'head: reserved', $head[0] + 72, 'q<', 1 ],
	[ 'parent: offset', $head[1] + 80, 'q<', 1000000 ],
	[ 'parent: partition', $head[1] + 88, 'V', 1 ],
	[ 'parent: reserved', $head[1] + 92, 'V', 1 ],
	[ 'root: block', $root, 'V', $data ],
	[ 'root: leaf', $root + 4, 'V', 7 ],
	[ 'root: base', $root + 8, 'q<', 1 ],
	[ 'directory: extents', $directory * $page + 24, 'V', 1 ],
	[ 'directory: reserved', $directory * $page + 28, 'V', 1 ],
	[ 'extent: start', $extents, 'V', sub { $_[0] + 1 } ],
	[ 'extent: blocks', $extents + 4, 'V', sub { $_[0] - 1 } ],
	[ 'extent: base', $extents + 32 + 8, 'q<', sub { $_[0] + 1 } ],
	[ 'extent: first time', $extents + 16, 'q<', sub { $_[0] + 3600000000 } ],
	[ 'extent: last time', $extents + 24, 'q<', sub { $_[0] - 3600000000 } ],
	[ 'run: time', $committed->{pos} + 8, 'q<', sub { $_[0] - 3600000000 } ],
	[ 'run: rows', $committed->{pos} + 16, 'v', sub { $_[0] + 1 } ],
	[ 'run: bytes', $committed->{pos} + 18, 'v', sub { $_[0] + 2 } ],
	[ 'run: attributes', $committed->{pos} + 20, 'v', 1 ],
	[ 'run: marked as rolled back', $committed->{pos} + 22, 'v', 2 ],
	[ 'run: marked as dead', $committed->{pos} + 22, 'v', 4 ],
	[ 'run: no longer dead', $dead->{pos} + 22, 'v', 0 ],
	[ 'run: dead and committed', $dead->{pos} + 22, 'v', 5 ],
	[ 'run: committed above the frozen offset', $aborted->{pos} + 22, 'v', 1 ],
	[ 'run: unknown flag', $committed->{pos} + 22, 'v', sub { $_[0] | 0x100 } ],
	[ 'run: compressed', $committed->{pos} + 22, 'v', sub { $_[0] | 8 } ],
	[ 'state directory: level', $state_directory * $page + 24, 'v', 1 ],
	[ 'state directory: reserved', $state_directory * $page + 26, 'v', 1 ],
	[ 'state directory: entries', $state_directory * $page + 28, 'V', 1 ],
	[ 'state directory: owner', $state_directory * $page + 32, 'V', 99 ],
	[ 'state directory: kind', $state_directory * $page + 36, 'C', 2 ],
	[ 'state directory: partition', $state_directory * $page + 37, 'C', 7 ],
	[ 'state directory: number', $state_directory * $page + 40, 'V', 1 ],
	[ 'state directory: block', $state_directory * $page + 44, 'V', 1 ]);

for (@cases)
{
	my ($name, $pos, $template, $value) = @$_;
	my $bytes = $sound;
	my $old = field($pos, $template);
	my $new = ref $value ? $value->($old) : $value;
	my $length = length pack($template, 0);

	isnt($new, $old, "$name: changed");
	substr($bytes, $pos, $length) = pack($template, $new);
	open(my $fh, '>:raw', $path) or die "$path: $!";
	print $fh $bytes;
	close $fh;
	$node->start;
	my ($rc, $out, $err) = $node->psql('postgres', q{SELECT DISTINCT problem FROM streamq.check_stream('s')});
	ok($rc == 0 && $out ne '', "$name: reported") or diag("$out $err");
	note $out;
	if ($name eq 'head: first offset')
	{
		for my $query ('SELECT count(*) FROM s', 'SELECT count(*) FROM s TABLESAMPLE SYSTEM (100)',
			'SELECT count(*) FROM s TABLESAMPLE BERNOULLI (100)', 'ANALYZE s', 'VACUUM s',
			q{SELECT count(*) FROM streamq.read('s')}, q{SELECT count(*) FROM streamq.consume('s', 'h')},
			q{INSERT INTO s SELECT g, 'new' FROM generate_series(1, 10) g})
		{
			($rc, $out, $err) = $node->psql('postgres', "\\set VERBOSITY verbose\n$query");
			like($err, qr/XX001: .*its first offset is not where its first extent begins/, $query);
		}
	}
	$node->stop('immediate');
}

open(my $fh, '>:raw', $path) or die "$path: $!";
print $fh $sound;
close $fh;
$node->start;
is(sql(q{SELECT * FROM streamq.check_stream('s')}), '', 'sound again');
is(sql('SELECT count(*) FROM s'), $rows, 'and complete');
$node->stop;
done_testing();
