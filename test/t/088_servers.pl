# A stream that is spread over two servers as docs/servers.md says: a partitioned
# table of a stream here and a foreign table of a stream there.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my @nodes = map { PostgreSQL::Test::Cluster->new("server_$_") } 0 .. 1;
for my $node (@nodes)
{
	$node->init;
	$node->append_conf('postgresql.conf', "shared_preload_libraries = 'streamq'\nmax_worker_processes = 16\n");
	$node->start;
	$node->safe_psql('postgres', 'CREATE EXTENSION streamq');
}
my ($first, $second) = @nodes;
if ($first->safe_psql('postgres', q{SELECT count(*) FROM pg_available_extensions WHERE name = 'postgres_fdw'}) eq '0')
{
	$_->stop for @nodes;
	plan skip_all => 'postgres_fdw is not installed';
}

my $view = q{SELECT date_trunc('minute', at) AS minute, count(*) AS hits FROM clicks_%d GROUP BY 1};
$second->safe_psql('postgres', q{
	CREATE TABLE clicks_1 (user_id bigint NOT NULL, at timestamptz, url text) USING streamq;
	SELECT streamq.alter_stream('clicks_1', partitions => 2, partition_by => 'user_id')});
$second->safe_psql('postgres', qq{SELECT streamq.create_continuous_view('clicks_per_minute_1', \$\$@{[sprintf $view, 1]}\$\$)});
my ($host, $port, $user) = ($second->host, $second->port, $first->safe_psql('postgres', 'SELECT current_user'));
$first->safe_psql('postgres', qq{
	CREATE EXTENSION postgres_fdw;
	CREATE SERVER second FOREIGN DATA WRAPPER postgres_fdw OPTIONS (host '$host', port '$port', dbname 'postgres', batch_size '1000');
	CREATE USER MAPPING FOR CURRENT_USER SERVER second OPTIONS (user '$user');
	CREATE TABLE clicks (user_id bigint NOT NULL, at timestamptz, url text) PARTITION BY HASH (user_id);
	CREATE TABLE clicks_0 PARTITION OF clicks FOR VALUES WITH (MODULUS 2, REMAINDER 0) USING streamq;
	SELECT streamq.alter_stream('clicks_0', partitions => 2, partition_by => 'user_id');
	CREATE FOREIGN TABLE clicks_1 PARTITION OF clicks FOR VALUES WITH (MODULUS 2, REMAINDER 1) SERVER second;
	SELECT streamq.create_continuous_view('clicks_per_minute_0', \$\$@{[sprintf $view, 0]}\$\$);
	CREATE FOREIGN TABLE clicks_per_minute_1 (minute timestamptz, hits bigint) SERVER second;
	CREATE VIEW clicks_per_minute AS SELECT minute, sum(hits) AS hits
	FROM (SELECT * FROM clicks_per_minute_0 UNION ALL SELECT * FROM clicks_per_minute_1) AS parts GROUP BY minute});

# every way to write: INSERT, COPY, a transaction that is rolled back
$first->safe_psql('postgres', q{
	INSERT INTO clicks SELECT n % 100, '2026-01-01 00:00:00+00'::timestamptz + n * interval '1 second', n::text FROM generate_series(1, 3000) n;
	BEGIN;
	INSERT INTO clicks SELECT n, '2026-01-01 00:00:00+00', 'no' FROM generate_series(1, 100) n;
	ROLLBACK});
$first->safe_psql('postgres', "COPY clicks FROM STDIN;\n" . join('', map { $_ % 100 . "\t2026-01-01 02:00:00+00\t$_\n" } 3001 .. 3500) . "\\.\n");
my @here = map { $nodes[$_]->safe_psql('postgres', "SELECT count(*) FROM clicks_$_") } 0 .. 1;
is($here[0] + $here[1], 3500, 'all rows are there');
cmp_ok($_, '>', 1000, 'each server has a part') for @here;

# consumers on each server; the messages of a user are in order
my %last;
my ($got, $disorder) = (0, 0);
for my $n (0 .. 1)
{
	for (1 .. 100)
	{
		my $rows = $nodes[$n]->safe_psql('postgres',
			qq{SELECT payload->>'user_id', payload->>'url' FROM streamq.consume('clicks_$n', 'mailer', 500, auto_ack => true)});

		last if $rows eq '';
		for (split /\n/, $rows)
		{
			my ($user_id, $url) = split /\|/;
			$disorder++ if exists $last{$user_id} && $last{$user_id} >= $url;
			$last{$user_id} = $url;
			$got++;
		}
	}
}
is($got, 3500, 'each message was consumed once');
is($disorder, 0, 'in the order of its user');

# a view over both
$nodes[$_]->safe_psql('postgres', "SELECT streamq.wait_until_caught_up('clicks_per_minute_$_')") for 0 .. 1;
is( $first->safe_psql('postgres', q{
		SELECT count(*) FROM (
			(SELECT minute, hits FROM clicks_per_minute EXCEPT ALL SELECT date_trunc('minute', at), count(*) FROM clicks GROUP BY 1)
			UNION ALL
			(SELECT date_trunc('minute', at), count(*) FROM clicks GROUP BY 1 EXCEPT ALL SELECT minute, hits FROM clicks_per_minute)) d}),
	'0', 'the view over both servers equals the query over the parent');

# a server that is down: its part cannot be written, the other goes on
$second->stop('immediate');
my ($rc, $out, $err) = $first->psql('postgres', q{INSERT INTO clicks SELECT n, now(), 'down' FROM generate_series(1, 10) n});
isnt($rc, 0, 'INSERT of rows for the server that is down fails');
like($err, qr/could not connect to server "second"/, '... and says why');
is($first->safe_psql('postgres', q{SELECT count(*) FROM clicks_0 WHERE url = 'down'}), '0', '... as a whole');
$first->safe_psql('postgres', q{INSERT INTO clicks_0 SELECT user_id, now(), 'up' FROM clicks_0 LIMIT 5});
is($first->safe_psql('postgres', q{SELECT count(*) FROM streamq.consume('clicks_0', 'mailer', 100)}), '5', 'consumers of the other one go on');
$second->start;
$first->safe_psql('postgres', q{INSERT INTO clicks SELECT n, now(), 'again' FROM generate_series(1, 10) n});
is($first->safe_psql('postgres', q{SELECT count(*) FROM clicks WHERE url = 'again'}), '10', 'back again');

$_->stop for @nodes;
done_testing();
