# Another partition_by: the order per key holds after a crash right behind the
# change, on a promoted standby, and while messages are written and consumed.
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('main');
$node->init(allows_streaming => 1);
$node->append_conf('postgresql.conf', q{
shared_preload_libraries = 'streamq'
max_worker_processes = 24
wal_consistency_checking = 'streamq'
});
$node->start;
$node->backup('backup');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($node, 'backup', has_streaming => 1);
$standby->start;

$node->safe_psql('postgres', q{
CREATE EXTENSION streamq;
CREATE TABLE s (a int, b int, n int) USING streamq;
CREATE UNLOGGED TABLE u (a int, b int, n int) USING streamq;
CREATE TABLE got (at serial, b int, n int);
SELECT streamq.alter_stream('s', partitions => 8, partition_by => 'a');
SELECT streamq.alter_stream('u', partitions => 8, partition_by => 'a');
SELECT streamq.create_group('s', 'g');
INSERT INTO s SELECT 1, i % 5, i FROM generate_series(1, 500) i;
INSERT INTO u SELECT 1, i % 5, i FROM generate_series(1, 500) i;
SELECT streamq.alter_stream('s', partition_by => 'b');
SELECT streamq.alter_stream('u', partition_by => 'b');
});
$node->stop('immediate');
$node->start;

# the unlogged stream is empty, and nothing waits for what it had
is($node->safe_psql('postgres', q{
INSERT INTO u SELECT 1, i % 5, i FROM generate_series(1, 10) i;
SELECT count(*) FROM streamq.consume('u', 'g')}), '10', 'an unlogged stream begins anew');

my $take = q{
INSERT INTO s SELECT i, i % 5, i FROM generate_series((SELECT max(n) + 1 FROM s), (SELECT max(n) + 500 FROM s)) i;
DO $$
DECLARE
	taken int;
BEGIN
	LOOP
		INSERT INTO got (b, n) SELECT (payload ->> 'b')::int, (payload ->> 'n')::int
		FROM streamq.consume('s', 'g', 7, auto_ack => true);
		GET DIAGNOSTICS taken = ROW_COUNT;
		EXIT WHEN taken = 0;
	END LOOP;
END $$;
SELECT count(*), count(*) FILTER (WHERE n < before)
FROM (SELECT n, lag(n) OVER (PARTITION BY b ORDER BY at) AS before FROM got) x;
};
$node->wait_for_catchup($standby);
is($node->safe_psql('postgres', $take), '1000|0', 'after a crash');
$node->stop;
$standby->promote;
is($standby->safe_psql('postgres', q{SELECT streamq.seek('s', 'g', 'earliest'); TRUNCATE got;} . $take),
	"\n1500|0", 'on a promoted standby');

# a dump in the middle, with a part acknowledged, restored in either order
$standby->safe_psql('postgres', q{
CREATE SCHEMA app;
CREATE TABLE app.d (a int, b int, n int) USING streamq;
SELECT streamq.alter_stream('app.d', partitions => 8, partition_by => 'a');
SELECT streamq.create_group('app.d', 'g');
BEGIN; INSERT INTO app.d SELECT 1, i % 5, i FROM generate_series(1, 5) i; ROLLBACK;
INSERT INTO app.d SELECT 1, i % 5, i FROM generate_series(1, 300) i;
SELECT streamq.alter_stream('app.d', partition_by => 'b');
INSERT INTO app.d SELECT i, i % 5, i FROM generate_series(301, 600) i;
SELECT streamq.alter_stream('app.d', partition_by => 'a');
INSERT INTO app.d SELECT i % 2, i % 5, i FROM generate_series(601, 900) i;
SELECT streamq.alter_stream('app.d', partition_by => 'b,a');
INSERT INTO app.d SELECT 1, i % 5, i FROM generate_series(901, 1200) i;
});
my $phases = q{
DO $$
DECLARE
	taken int;
BEGIN
	TRUNCATE got;
	LOOP
		INSERT INTO got (b, n) SELECT (payload ->> 'b')::int, (payload ->> 'n')::int
		FROM streamq.consume('app.d', 'g', 7, auto_ack => true);
		GET DIAGNOSTICS taken = ROW_COUNT;
		EXIT WHEN taken = 0;
	END LOOP;
END $$;
SELECT count(*), count(*) FILTER (WHERE phase < before)
FROM (SELECT (n - 1) / 300 AS phase, lag((n - 1) / 300) OVER (ORDER BY at) AS before FROM got) x;
};
$standby->safe_psql('postgres', q{SELECT count(*) FROM streamq.consume('app.d', 'g', 450, auto_ack => true)}) for 1 .. 2;
my $dump = $standby->basedir . '/dump';
$standby->command_ok([ 'pg_dump', '-Fc', '-f', $dump, '-d', $standby->connstr('postgres') ], 'a dump');
my $todo = $standby->safe_psql('postgres', $phases);
like($todo, qr/^[1-9]\d*\|0$/, 'the rest comes one change after the other');
for my $how ('messages last', 'messages first')
{
	my $list = `pg_restore -l $dump`;
	my @data = grep { /TABLE DATA/ } split /\n/, $list;
	my @rest = grep { !/TABLE DATA/ } split /\n/, $list;
	my @pre = grep { !/CONSTRAINT|INDEX|TRIGGER|MATERIALIZED VIEW DATA/ } @rest;
	my @app = grep { / app d / } @data;
	my @other = grep { !/ app d / } @data;
	my $file = $standby->basedir . '/list';

	unlink $file;
	append_to_file($file, join("\n", @pre, $how eq 'messages last' ? (@other, @app) : (@app, @other)) . "\n");
	$standby->safe_psql('postgres', 'CREATE DATABASE restored');
	$standby->command_ok([ 'pg_restore', '-e', '-L', $file, '-d', $standby->connstr('restored'), $dump ], "$how: restored");
	is($standby->safe_psql('restored', $phases), $todo, "$how: so it does from the restored stream");
	is($standby->safe_psql('restored', q{SELECT count(*) FROM streamq.check_stream('app.d')}), '0', "$how: which is sound");
	$standby->safe_psql('postgres', 'DROP DATABASE restored');
}

# one session writes, in transactions, and changes partition_by, others consume
$standby->safe_psql('postgres', q{
TRUNCATE s, got;
CREATE PROCEDURE write() LANGUAGE plpgsql AS $$
BEGIN
	FOR i IN 1 .. 3000 LOOP
		INSERT INTO s VALUES (i % 7, i % 5, i);
		IF i % 200 = 0 THEN
			PERFORM streamq.alter_stream('s', partition_by => (ARRAY['a,b', 'b', 'b,a'])[i / 200 % 3 + 1]);
		END IF;
		IF i % 10 = 0 THEN COMMIT; END IF;
	END LOOP;
END $$;
CREATE PROCEDURE take() LANGUAGE plpgsql AS $$
DECLARE
	taken int;
BEGIN
	LOOP
		INSERT INTO got (b, n) SELECT (payload ->> 'b')::int, (payload ->> 'n')::int
		FROM streamq.consume('s', 'g', 7, wait => '50 ms', auto_ack => true);
		COMMIT;
		EXIT WHEN (SELECT count(*) FROM got) >= 3000;
	END LOOP;
END $$;
});
my @handles;
for my $call ('CALL write()', 'CALL take()', 'CALL take()')
{
	my ($out, $err) = ('', '');
	push @handles, IPC::Run::start([ 'psql', '-X', '-v', 'ON_ERROR_STOP=1', '-d', $standby->connstr('postgres'), '-c', $call ],
		'>', \$out, '2>', \$err, IPC::Run::timeout($PostgreSQL::Test::Utils::timeout_default));
}
$_->finish for @handles;
is(scalar(grep { $_->result != 0 } @handles), 0, 'writer and consumers end well');
is($standby->safe_psql('postgres', 'SELECT count(*), count(DISTINCT n), max(n) FROM got'), '3000|3000|3000', 'every message once');
# A message is taken when all those of its key before it have been acknowledged, in
# transactions that have ended: "at" tells the order.
is($standby->safe_psql('postgres', q{SELECT count(*) FILTER (WHERE n < before)
	FROM (SELECT n, lag(n) OVER (PARTITION BY b, n % 7 ORDER BY at) AS before FROM got) x}), '0', 'in the order of each key');
is($standby->safe_psql('postgres', q{SELECT count(*) FROM streamq.check_stream('s')}), '0', 'the stream is sound');
done_testing();
