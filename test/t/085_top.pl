# streamq_top: what it prints once, and what it does in a terminal.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $source = $ENV{STREAMQ_SOURCE};
my $dir = PostgreSQL::Test::Utils::tempdir;
my $top = "$dir/streamq_top/streamq_top";

# it needs more than streamq itself
if (system("echo '#include <ncurses.h>' | \${CC:-cc} -E - >$dir/out 2>&1") != 0)
{
	plan skip_all => 'libncurses-dev is not installed';
}
system('cp', '-R', "$source/tools/streamq_top", "$dir/streamq_top") == 0 or die;
system("make -s -C '$dir/streamq_top' clean && make -s -C '$dir/streamq_top' COPT=-Werror >$dir/out 2>&1") == 0
	or die slurp_file("$dir/out");

my $node = PostgreSQL::Test::Cluster->new('main');
$node->init;
$node->append_conf('postgresql.conf', "shared_preload_libraries = 'streamq'");
$node->start;

sub top
{
	my ($out, $err) = ('', '');

	IPC::Run::run([ $top, '-h', $node->host, '-p', $node->port, @_ ], '<', \'', '>', \$out, '2>', \$err);
	return ($? >> 8, $out, $err);
}

# wrong use
my ($rc, $out, $err) = top('--once', 'postgres');
is($rc, 1, 'without the extension');
is($err, qq{streamq_top: extension "streamq" is not installed in database "postgres"\n}, '... it says so');
is((top('--nonsense'))[0], 2, 'unknown option');
is((top('--interval=0', 'postgres'))[0], 2, 'invalid interval');
is((top('--sort=luck', 'postgres'))[0], 2, 'invalid order');
is((top('postgres', 'more'))[0], 2, 'too many arguments');
like((top('--help'))[1], qr/^Usage:/m, 'help');
like((top('--once', 'nothing'))[2], qr/database "nothing" does not exist/, 'no such database');

$node->safe_psql('postgres', q{
	CREATE EXTENSION streamq;
	SELECT streamq.create_stream('a_quiet');
	CREATE TABLE busy (at timestamptz, key text, n int) USING streamq;
	SELECT streamq.alter_stream('busy', partitions => 2);
	SELECT streamq.create_group('busy', 'workers', mode => 'shared');
	SELECT streamq.create_continuous_view('per_key', 'SELECT key, count(*) FROM busy GROUP BY key');
	INSERT INTO busy SELECT now(), n, n FROM generate_series(1, 12345) n});
$node->safe_psql('postgres', q{SELECT count(*) FROM streamq.consume('busy', 'workers', 10, consumer => 'me')});
$node->safe_psql('postgres', q{SELECT streamq.wait_until_caught_up('per_key')});

like((top('postgres'))[2], qr/not a terminal; use --once/, 'without a terminal');
($rc, $out, $err) = top('--once', '--interval=0.1', 'postgres');
is($rc, 0, 'once');
is($err, '', '... without a complaint');
like($out, qr/^busy +2 +12k +\d+k? +0 +12k +1 +1\b/m, 'the stream with rate and lag');
like($out, qr/^a_quiet +1 +0 +0 +0 +0 +0 +0\b/m, 'the quiet one');
like($out, qr/^busy +workers +shared +12k +[\d:]+ +10 +0 +1 +0$/m, 'the group');
like($out, qr/^per_key +continuous view +running +0 +0 +0 +0 +busy$/m, 'the view');
($rc, $out, $err) = top('--once', '--interval=0.1', '--stream=busy', 'postgres');
like($out, qr/^ +1 +6\d{3} +\d+k? +0 +6\d{3} +6\d{3} +0$/m, 'a partition');
like($out, qr/^workers +me +(\d+ +)?10 +[\d:]+ +\{/m, 'a consumer');

# in a terminal: sort, look into, back, quit
SKIP:
{
	skip 'script(1) is not installed, or there are no terminals', 4
		if system('script -qec true /dev/null </dev/null >/dev/null 2>&1') != 0;
	my ($in, $screen) = ('', '');
	my $command = join(' ', $top, '-h', $node->host, '-p', $node->port, '-i', '0.2', 'postgres');
	local $ENV{TERM} = 'vt100';
	my $h = IPC::Run::start([ 'script', '-qec', "stty rows 40 cols 160; $command", '/dev/null' ],
		'<', \$in, '>', \$screen, '2>&1', IPC::Run::timeout(60));

	$h->pump until $screen =~ /per_key/;
	pass('the overview');
	# sorted by lag, the first stream is the one with a consumer
	$in .= "ss\n";
	$h->pump until $screen =~ /\{[01]/;
	pass('into the stream with the greatest lag');
	$screen = '';
	$in .= "\e";
	$h->pump until $screen =~ /a_quiet/;
	pass('back');
	$in .= 'q';
	$h->finish;
	is($? >> 8, 0, 'the end');
}

$node->stop;
done_testing();
