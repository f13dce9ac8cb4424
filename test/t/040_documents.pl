# What the documents show works.  Every ```sql block of README.md and docs/ is run,
# in order, in a database of its own for each document.  Where a ```text block
# follows, it is the output that psql must print; without one the statements must
# succeed.  The reference names every function, view and setting there is.
use strict;
use warnings;

use Cwd qw(abs_path);
use File::Basename;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $source = $ENV{STREAMQ_SOURCE} || abs_path(dirname(__FILE__) . '/../..');

my $node = PostgreSQL::Test::Cluster->new('main');
$node->init;
$node->append_conf('postgresql.conf', q{
shared_preload_libraries = 'streamq'
max_worker_processes = 32
timezone = 'UTC'
});
$node->start;
my $file = $node->basedir . '/block.sql';

# The blocks of a document: line, statements, expected output or undef.
sub blocks
{
	my ($text) = @_;
	my @blocks;
	while ($text =~ /^[ \t]*```sql\n(.*?)^[ \t]*```\n(?:\n*```text\n(.*?)^```\n)?/msg)
	{
		my $line = 1 + (substr($text, 0, $-[0]) =~ tr/\n//);
		push @blocks, [ $line, $1, $2 ];
	}
	return @blocks;
}

# Output as it is compared: no white space at the ends of lines, no empty lines,
# errors without psql's prefix.
sub normal
{
	my ($text) = @_;
	$text =~ s/^psql:[^:]*:\d+: //mg;
	$text =~ s/[ \t]+$//mg;
	$text =~ s/\n{2,}/\n/g;
	$text =~ s/\A\n+|\n+\z//g;
	return $text;
}

for my $document (glob("$source/README.md $source/docs/*.md"))
{
	my $name = basename($document);
	my $text = slurp_file($document);
	my @blocks = blocks($text);
	my ($database) = $name =~ /^(\w+)/;

	next if !@blocks;
	$database = lc($database);
	$node->safe_psql('postgres', "CREATE DATABASE $database");
	$node->safe_psql($database, 'CREATE EXTENSION streamq')
	  unless $text =~ /^CREATE EXTENSION streamq;/m;
	for my $block (@blocks)
	{
		my ($line, $sql, $expected) = @$block;
		my $wants_error = defined $expected && $expected =~ /^ERROR:/m;
		open(my $fh, '>', $file) or die $!;
		print $fh $sql;
		close($fh);
		my $pid = open(my $psql, '-|') // die $!;
		if ($pid == 0)
		{
			open(STDERR, '>&', \*STDOUT);
			exec('psql', '-X', '-q', '-v', 'ON_ERROR_STOP=' . ($wants_error ? 0 : 1),
				'-f', $file, $node->connstr($database)) or die $!;
		}
		my $output = do { local $/; <$psql> } // '';
		my $succeeded = close($psql);

		ok($succeeded, "$name, line $line: runs") or diag($output);
		is(normal($output), normal($expected), "$name, line $line: output")
		  if defined $expected;
	}
	$node->safe_psql('postgres', "DROP DATABASE $database WITH (FORCE)");
}

# the reference is complete
my $reference = join('', map { slurp_file("$source/docs/$_.md") } qw(reference reference-jobs reference-views));
$node->safe_psql('postgres', 'CREATE EXTENSION streamq');
for my $function (
	split /\n/,
	$node->safe_psql('postgres', q{
		SELECT DISTINCT proname FROM pg_proc
		WHERE pronamespace = 'streamq'::regnamespace
			AND obj_description(oid, 'pg_proc') IS NOT NULL
			AND NOT proname LIKE '\_%'
			AND prorettype NOT IN ('trigger'::regtype, 'event_trigger'::regtype)}))
{
	ok($reference =~ /\b\Q$function\E\(/, "the reference has the function $function");
}
for my $view (
	split /\n/,
	$node->safe_psql('postgres', q{
		SELECT relname FROM pg_class
		WHERE relnamespace = 'streamq'::regnamespace AND relkind = 'v'
			AND has_table_privilege('public', oid, 'SELECT')}))
{
	ok($reference =~ /`streamq\.\Q$view\E`/, "the reference has the view $view");
}
for my $setting (
	split /\n/,
	$node->safe_psql('postgres', q{SELECT name FROM pg_settings WHERE name LIKE 'streamq.%'}))
{
	ok($reference =~ /`\Q$setting\E`/, "the reference has the setting $setting");
}

$node->stop;
done_testing();
