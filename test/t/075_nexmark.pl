# The queries of the Nexmark benchmark, as continuous views and pipes, against the same as
# batches.  Half of the events are there before the jobs, the others come in two portions.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('nexmark');
$node->init;
$node->append_conf('postgresql.conf', q(
shared_preload_libraries = 'streamq'
fsync = off
));
$node->start;

sub sql
{
	return $node->safe_psql('postgres', $_[0]);
}

sql('CREATE EXTENSION streamq');
sql(slurp_file("$ENV{STREAMQ_SOURCE}/test/bench/nexmark.sql"));
sql('CALL nexmark_load(0, 10000)');

my @queries = split /\n/, sql(q(SELECT name FROM nexmark_query ORDER BY substr(name, 2)::int));

my %made;
foreach my $name (@queries)
{
	my ($ret, $out, $err) = $node->psql('postgres', sql("SELECT setup FROM nexmark_query WHERE name = '$name'"));
	$made{$name} = $ret == 0;
	ok($made{$name}, "$name can be set up") or diag($err);
}
sql('CALL nexmark_load(10000, 15000)');
sql('CALL nexmark_load(15000, 20000)');

foreach my $name (grep { $made{$_} } @queries)
{
	my ($jobs, $result, $batch) = map { sql("SELECT $_ FROM nexmark_query WHERE name = '$name'") }
	  (q(array_to_string(jobs, ' ')), 'result', 'batch');

	is(sql("SELECT streamq.wait_until_caught_up('$_', '2 min')"), 't', "$_ has caught up") for split / /, $jobs;
	cmp_ok(sql("SELECT count(*) FROM ($batch) q"), '>', 0, "$name has a result");
	is(sql("SELECT (SELECT count(*) FROM (($result) EXCEPT ALL ($batch)) a)
			+ (SELECT count(*) FROM (($batch) EXCEPT ALL ($result)) b)"), '0', "$name equals its batch");
}
is(sql('SELECT count(*) FROM streamq.job_errors'), '0', 'no event failed');

done_testing();
