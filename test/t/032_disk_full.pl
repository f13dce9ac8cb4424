# No room for a stream's file to grow, as on a full disk (here a limit on the size of
# files): a clear error, nothing committed is lost, reading and acknowledging go on,
# retention makes room, and all is well when there is space again.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $limit = 20 * 1024;			# kB; segments of WAL have 16 MB
my $node = PostgreSQL::Test::Cluster->new('main');
$node->init;
$node->append_conf('postgresql.conf', q(
shared_preload_libraries = 'streamq'
max_worker_processes = 16
shared_buffers = 32MB
log_statement = none
));

sub start_limited
{
	my ($data, $log) = ($node->data_dir, $node->logfile);

	system('bash', '-c', "ulimit -f $limit && pg_ctl -w -D '$data' -l '$log' -o '--cluster-name=limited' start >/dev/null") == 0
		or BAIL_OUT('could not start the server');
	$node->_update_pid(1);
}

sub sql { return $node->safe_psql('postgres', $_[0]); }

# the error of a statement, with SQLSTATE
sub error_of
{
	my ($rc, $out, $err) = $node->psql('postgres', "\\set VERBOSITY verbose\n$_[0]");
	return $err;
}

sub no_problems
{
	is(sql("SELECT count(*) FROM streamq.check_stream('s')"), 0, "$_[0]: nothing wrong in the file");
}

start_limited();
sql(q(
CREATE EXTENSION streamq;
CREATE TABLE s (id bigint, payload text) USING streamq;
SELECT streamq.alter_stream('s', partitions => 3, partition_by => 'id');
SELECT streamq.create_group('s', 'g');
SELECT streamq.create_continuous_view('total', 'SELECT count(*) AS n, sum(id) AS s FROM s');
INSERT INTO s SELECT n, repeat('x', 100) FROM generate_series(1, 50000) n;
CREATE TABLE taken (id bigint);
));

# more than there is room for
my $file = sql(q(SELECT pg_relation_filepath('s')));
my $many = q(SELECT n, repeat('x', 100) FROM generate_series(1, 400000) n);
like(error_of("INSERT INTO s $many"), qr/could not extend file "$file".*: File too large/, 'INSERT');
like(error_of("COPY s FROM PROGRAM 'yes 1 | head -n 2000000 | sed \"s/\$/\\tline/\"'"),
	qr/could not extend file "$file".*: File too large/, 'COPY');
like(error_of(q(SELECT count(streamq.produce_batch('s', ARRAY(SELECT repeat('y', 1000) FROM generate_series(1, 30000) n))))),
	qr/could not extend file "$file".*: File too large/, 'produce_batch');
unlike(slurp_file($node->logfile), qr/PANIC|terminated by/, 'the server goes on');
is(sql('SELECT count(*), sum(id) FROM s'), '50000|1250025000', 'what was committed is there, and nothing else');
no_problems('full');

# readers, groups and views do not need more space in the stream
my $take = q(WITH c AS (SELECT (message).id FROM streamq.consume_as(NULL::s, 'g', 1000, auto_ack => true))
	INSERT INTO taken SELECT id FROM c);
sql($take) for 1 .. 5;
is(sql('SELECT count(*), count(DISTINCT id) FROM taken'), '5000|5000', 'consumers go on');
is(sql(q(SELECT streamq.wait_until_caught_up('total'))), 't', 'the view has caught up');
is(sql('SELECT * FROM total'), '50000|1250025000', 'and is right');

# a crash in this state
$node->stop('immediate');
start_limited();
is(sql('SELECT count(*), sum(id) FROM s'), '50000|1250025000', 'all is there after a crash');
no_problems('after a crash');
like(error_of("INSERT INTO s $many"), qr/could not extend file "$file".*: File too large/, 'still full');

# a view whose state has no room shows it, and goes on later
sql(q(SELECT streamq.create_continuous_view('by_id', 'SELECT id, count(*) AS n, max(repeat(payload, 6)) AS p FROM s GROUP BY id')));
ok($node->poll_query_until('postgres', q(SELECT state = 'failing' AND last_error LIKE 'could not extend file%' FROM streamq.jobs WHERE name = 'by_id')),
	'a view without room for its state fails and says why')
	or diag(sql('SELECT * FROM streamq.jobs'));

# retention makes room inside the file
sql(q(SELECT streamq.alter_stream('s', max_messages => 3000)));
ok($node->poll_query_until('postgres', q(SELECT sum(bytes) < 5000000 FROM streamq.partitions)),
	'retention goes on');
sql(q(INSERT INTO s SELECT -n, repeat('x', 100) FROM generate_series(1, 20000) n));
no_problems('space used again');
sql(q(SELECT streamq.alter_stream('s', max_messages => 0)));

# TRUNCATE, then all over again
sql('TRUNCATE s');
is(sql('SELECT count(*) FROM s'), 0, 'TRUNCATE');
sql(q(INSERT INTO s SELECT n, repeat('x', 100) FROM generate_series(1, 30000) n));
no_problems('truncated');

# space again
$node->stop;
$node->start;
sql("INSERT INTO s $many");
no_problems('space again');
is(sql(q(SELECT streamq.wait_until_caught_up('by_id'), streamq.wait_until_caught_up('total'))), 't|t', 'the views go on');
is(sql('SELECT state FROM streamq.jobs ORDER BY name'), "running\nrunning", 'without an error');
is(sql('SELECT count(*) FROM by_id WHERE n > 0') >= 400000 ? 'all' : 'some', 'all', 'the view that had no room is complete');
unlike(slurp_file($node->logfile), qr/PANIC|TRAP|terminated by/, 'nothing died');
$node->stop;
done_testing();
