# A web server's access log of 10,000 lines: requests per minute and status from
# the continuous view equal the same GROUP BY run by hand, also after the
# server was stopped in the middle, and while rows still come in.
use strict;
use warnings;

use Cwd qw(abs_path);
use File::Basename;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $source = $ENV{STREAMQ_SOURCE} || abs_path(dirname(__FILE__) . '/../..');
my $log = $ENV{STREAMQ_TEST_DATA} || '';
$log .= '/apache_access.log.gz' if -d $log;
plan skip_all => 'no access log: set STREAMQ_TEST_DATA to the directory of apache_access.log.gz'
  unless -f $log;

my $node = PostgreSQL::Test::Cluster->new('main');
$node->init;
$node->append_conf('postgresql.conf', qq{
shared_preload_libraries = 'streamq'
timezone = 'UTC'
});
$node->start;
$node->safe_psql('postgres', 'CREATE EXTENSION streamq');
$node->safe_psql('postgres', slurp_file("$source/demo/access_log.sql"));

# the log as COPY commands of 500 lines each, as the demo loads it
my $dir = $node->basedir;
my $lines = "$dir/lines";
system("gzip -dc '$log' | perl '$source/demo/parse_access_log.pl' '$lines' > '$dir/load.sql'") == 0
  or die "cannot parse $log";
my @commands = split(/(?<=\n\\\.\n)/, slurp_file("$dir/load.sql"));
is(slurp_file($lines), "10000\n", 'the log has 10,000 lines');
is(scalar(grep { /^COPY rejects/ } @commands), 0, 'every line is a request');

sub load
{
	my $file = "$dir/part.sql";
	open(my $fh, '>', $file) or die $!;
	print $fh @_;
	close($fh);
	$node->command_ok([ 'psql', '-X', '-q', '-v', 'ON_ERROR_STOP=1', '-f', $file,
			$node->connstr('postgres') ], scalar(@_) . ' COPY commands');
}

my $by_hand = q{
	SELECT w.window_start, w.window_end, status, count(*) AS requests, sum(bytes) AS bytes
	FROM requests, streamq.tumble(at, '1 minute') w
	GROUP BY w.window_start, w.window_end, status};

sub view_is_right
{
	my ($rows, $what) = @_;
	is( $node->safe_psql('postgres',
			q{SELECT streamq.wait_until_caught_up('requests_per_minute')}),
		't', "$what: caught up");
	is( $node->safe_psql('postgres', qq{
			(TABLE requests_per_minute EXCEPT ALL ($by_hand))
			UNION ALL (($by_hand) EXCEPT ALL TABLE requests_per_minute)}),
		'', "$what: the view equals the query run by hand");
	is( $node->safe_psql('postgres', 'SELECT sum(requests) FROM requests_per_minute'),
		$rows, "$what: every request is counted once");
}

load(@commands[ 0 .. 4 ]);
view_is_right(2500, 'a quarter');
load(@commands[ 5 .. 9 ]);
$node->stop('immediate');
$node->start;
view_is_right(5000, 'after a crash');
load(@commands[ 10 .. 14 ]);
$node->restart;
load(@commands[ 15 .. $#commands ]);
view_is_right(10000, 'all of it');

is( $node->safe_psql('postgres', q{
		SELECT requests FROM requests_per_minute
		WHERE window_start = '2015-05-17 10:05:00+00' AND status = 200}),
	`gzip -dc '$log' | grep -c '17/May/2015:10:05:.* 200 '` =~ s/\s//gr,
	'one window against grep');
is( $node->safe_psql('postgres',
		q{SELECT rows_processed, late_rows, errors, lag FROM streamq.jobs
			WHERE name = 'requests_per_minute'}),
	'10000|0|0|0', 'the figures of the job');

# visits, which are sessions
is( $node->safe_psql('postgres', q{
		SELECT streamq.wait_until_caught_up('visits'),
			streamq.verify_continuous_view('visits'), (SELECT sum(requests) FROM visits)}),
	't|0|10000', 'visits equal their query');

# the consumer takes the server errors, exactly once
$node->safe_psql('postgres', slurp_file("$source/demo/consume_errors.sql")) for 1 .. 3;
is( $node->safe_psql('postgres', 'SELECT count(*) FROM server_errors'),
	'3', 'the consumer took the server errors');
is( $node->safe_psql('postgres',
		q{SELECT sum(lag) FROM streamq.consumer_groups WHERE group_name = 'errors'}),
	'0', 'nothing is left for the group');

$node->stop;
done_testing();
