# With too few background workers the state of a continuous view says that it waits and
# for what, the log says it once, and the view goes on when there are more.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('few');
$node->init;
$node->append_conf('postgresql.conf', q(
shared_preload_libraries = 'streamq'
max_worker_processes = 0
max_parallel_workers = 0
));
$node->start;
$node->safe_psql('postgres', q(
CREATE EXTENSION streamq;
CREATE TABLE clicks (i int) USING streamq;
SELECT streamq.create_continuous_view('total', 'SELECT count(*) AS n FROM clicks');
INSERT INTO clicks SELECT generate_series(1, 100);
));

my $look = q(SELECT state, waiting_for, lag, worker_pid IS NULL FROM streamq.jobs);

# true when the state has become the expected one, and says why
sub becomes
{
	my ($state, $why, $name) = @_;
	ok($node->poll_query_until('postgres', "SELECT state = '$state' FROM streamq.jobs"), $name);
	is($node->safe_psql('postgres', "SELECT coalesce(waiting_for, '') FROM streamq.jobs"), $why, "$name: waiting_for");
}

becomes('waiting', 'the streamq launcher ("max_worker_processes" is 0)', 'no launcher');
is($node->safe_psql('postgres', q(SELECT streamq.wait_until_caught_up('total', '1 s'))), 'f', 'waiting for it ends');

# the launcher and the scheduler, and nobody else
$node->append_conf('postgresql.conf', 'max_worker_processes = 2');
$node->restart;
becomes('waiting', 'a free background worker ("max_worker_processes" is 2)', 'no worker');
my $from = -s $node->logfile;
sleep 11;
is($node->safe_psql('postgres', $look), 'waiting|a free background worker ("max_worker_processes" is 2)|100|t', 'it still waits');
my $log = slurp_file($node->logfile);
my $said = () = $log =~ /no background worker is free/g;
is($said, 1, 'the log says it once');
like($log, qr/HINT:  You might need to increase "max_worker_processes"/, 'and what to do');
$node->safe_psql('postgres', q(SELECT streamq.pause('total')));
becomes('paused', '', 'paused is paused');
$node->safe_psql('postgres', q(SELECT streamq.resume('total')));

# enough of them, but none for jobs
$node->append_conf('postgresql.conf', "max_worker_processes = 8\nstreamq.max_workers_per_database = 0");
$node->restart;
becomes('waiting', '"streamq.max_workers_per_database" is 0', 'no workers allowed');
$node->append_conf('postgresql.conf', 'streamq.max_workers_per_database = 1');
$node->reload;
becomes('running', '', 'one is allowed');
is($node->safe_psql('postgres', q(SELECT streamq.wait_until_caught_up('total'))), 't', 'the view catches up');
is($node->safe_psql('postgres', 'SELECT n FROM total'), 100, 'and is right');
is($node->safe_psql('postgres', $look), 'running||0|f', 'it runs');

$node->stop;
done_testing();
