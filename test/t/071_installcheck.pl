# "make installcheck" on a server that has other modules loaded which see every
# statement: the output stays the same.  pg_stat_statements and auto_explain come
# with PostgreSQL; pgaudit and pg_cron are loaded where they are installed.
use strict;
use warnings;

use Cwd qw(abs_path);
use File::Basename;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $source = $ENV{STREAMQ_SOURCE} || abs_path(dirname(__FILE__) . '/../..');
my $pg_config = $ENV{PG_CONFIG} || 'pg_config';
chomp(my $lib = `$pg_config --pkglibdir`);

# Those that show plans, messages and errors, and whose views are run by workers.
my $regress = 'consume_scan group_error group_privilege message planning prepared produce refusals stream view window';
my $isolation = 'planned-scan view';

my $settings = q{
compute_query_id = auto
pg_stat_statements.track = all
auto_explain.log_min_duration = 0
auto_explain.log_analyze = on
auto_explain.log_verbose = on
auto_explain.log_nested_statements = on
};
my @modules = qw(streamq pg_stat_statements auto_explain);
if (-e "$lib/pgaudit.so")
{
	push @modules, 'pgaudit';
	$settings .= "pgaudit.log = 'all'\npgaudit.log_parameter = on\n";
}
if (-e "$lib/pg_cron.so")
{
	# its worker is connected to that database, which must not be one of the tests
	push @modules, 'pg_cron';
	$settings .= "cron.database_name = 'postgres'\n";
}
note "loaded: @modules";

my $node = PostgreSQL::Test::Cluster->new('main');
$node->init;
$node->append_conf('postgresql.conf',
	$settings . "max_worker_processes = 32\nshared_preload_libraries = '" . join(', ', @modules) . "'\n");
$node->start;

# the modules are at work
$node->safe_psql('postgres', 'CREATE EXTENSION pg_stat_statements');
like($node->safe_psql('postgres', 'EXPLAIN VERBOSE SELECT 1'), qr/Query Identifier/,
	'without more ado EXPLAIN VERBOSE shows query identifiers');
for my $module (grep { /^pgaudit|^pg_cron/ } @modules)
{
	$node->safe_psql('postgres', "CREATE EXTENSION $module");
}
$node->safe_psql('postgres', "SELECT cron.schedule('often', '* * * * *', 'SELECT 1')")
  if grep { $_ eq 'pg_cron' } @modules;

# a tree of its own, for its results
my $tree = $node->basedir . '/tree';
mkdir $tree or die $!;
system_or_bail('cp', '-R', map({ "$source/$_" } qw(Makefile streamq.control streamq_pgmq.control sql src test expected)), $tree);

local $ENV{PGHOST} = $node->host;
local $ENV{PGPORT} = $node->port;
delete @ENV{qw(MAKEFLAGS MAKELEVEL MFLAGS MAKEOVERRIDES PGOPTIONS PGDATABASE)};
my $log = $node->basedir . '/installcheck.log';
my $failed = system(qq{make -C '$tree' installcheck with_llvm=no PG_CONFIG='$pg_config' } .
	  qq{REGRESS='$regress' ISOLATION='$isolation' >'$log' 2>&1});
my $output = slurp_file($log);
is($failed, 0, "make installcheck with @modules") or diag($output);
note $output;
for my $name (split / /, "$regress $isolation")
{
	like($output, qr/^(ok \d+ +[-+] \Q$name\E |test \Q$name\E +\.\.\. ok )/m, $name);
}
for my $diffs (glob("$tree/regression.diffs $tree/output_iso/regression.diffs"))
{
	diag(slurp_file($diffs)) if -s $diffs;
}
cmp_ok($node->safe_psql('postgres', q{SELECT count(*) FROM pg_stat_statements WHERE query ~ 'streamq'}),
	'>', 0, 'pg_stat_statements has seen them');
like(slurp_file($node->logfile), qr/duration: .* plan:/, 'auto_explain has seen them');

$node->stop;
done_testing();
