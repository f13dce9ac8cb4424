# Without shared_preload_libraries every entry point fails with SQLSTATE 55000
# and the line to add to postgresql.conf; with it the extension can be created,
# dropped with everything that depends on it, and created again.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('main');
$node->init;
$node->start;

# The error of a statement, SQLSTATE first.
sub error_of
{
	my ($sql) = @_;
	my ($rc, $out, $err) = $node->psql('postgres', "\\set VERBOSITY verbose\n$sql");
	return $err;
}

sub fails_unloaded
{
	my ($sql, $name) = @_;
	my $err = error_of($sql);
	like($err, qr/ERROR: +55000: /, "$name: SQLSTATE 55000");
	like($err, qr/HINT: .*shared_preload_libraries = 'streamq'/,
		"$name: the hint has the line to add");
}

fails_unloaded('CREATE EXTENSION streamq', 'CREATE EXTENSION');

# Make the extension with the library loaded, then take the library away.
$node->append_conf('postgresql.conf', "shared_preload_libraries = 'streamq'");
$node->restart;
$node->safe_psql('postgres', q{
	CREATE EXTENSION IF NOT EXISTS streamq;
	CREATE TABLE t (at timestamptz, v int) USING streamq;
	INSERT INTO t VALUES ('2026-01-01 00:00:00+00', 1);
	SELECT streamq.create_stream('e');
	SELECT streamq.create_group('e', 'g');
	SELECT streamq.produce('e', '{}');
	SELECT streamq.create_continuous_view('v', $$
		SELECT w.window_start, w.window_end, count(*) AS n, avg(v) AS mean
		FROM t, streamq.tumble(at, '1 minute') w
		GROUP BY w.window_start, w.window_end $$);
	SELECT streamq.create_continuous_view('plain', 'SELECT v AS key, count(*) AS n, max(v) AS most FROM t GROUP BY v HAVING count(*) > 0');
	CREATE VIEW on_it AS SELECT sum(n) AS n FROM plain;
	SELECT streamq.create_continuous_view('refused', 'SELECT count(*) FROM t');
});
$node->safe_psql('postgres', q{SELECT streamq.wait_until_caught_up('v'), streamq.wait_until_caught_up('plain')});
$node->append_conf('postgresql.conf', "shared_preload_libraries = ''");
$node->restart;

fails_unloaded($_->[1], $_->[0])
  for (
	[ 'INSERT', q{INSERT INTO t VALUES (now(), 2)} ],
	[ 'COPY', qq{COPY t FROM STDIN;\n2026-01-01 00:00:00+00\t2\n\\.\n} ],
	[ 'SELECT', q{SELECT * FROM t} ],
	[ 'CREATE TABLE', q{CREATE TABLE u (v int) USING streamq} ],
	[ 'TRUNCATE', q{TRUNCATE t} ],
	[ 'DROP TABLE', q{DROP TABLE t CASCADE} ],
	[ 'DROP VIEW', q{DROP VIEW refused} ],
	[ 'VACUUM', q{VACUUM t} ],
	[ 'create_stream', q{SELECT streamq.create_stream('x')} ],
	[ 'alter_stream', q{SELECT streamq.alter_stream('e', partitions => 2)} ],
	[ 'drop_stream', q{SELECT streamq.drop_stream('e')} ],
	[ 'produce', q{SELECT streamq.produce('e', '{}')} ],
	[ 'produce_batch', q{SELECT streamq.produce_batch('e', ARRAY['{}'])} ],
	[ 'create_group', q{SELECT streamq.create_group('e', 'h')} ],
	[ 'drop_group', q{SELECT streamq.drop_group('e', 'g')} ],
	[ 'consume', q{SELECT * FROM streamq.consume('e', 'g')} ],
	[ 'ack', q{SELECT streamq.ack('e', 'g', 0)} ],
	[ 'ack_through', q{SELECT streamq.ack_through('e', 'g', 0)} ],
	[ 'seek', q{SELECT streamq.seek('e', 'g', 'earliest')} ],
	[ 'read', q{SELECT * FROM streamq.read('e')} ],
	[ 'channel', q{SELECT streamq.channel('e')} ],
	[ 'create_continuous_view', q{SELECT streamq.create_continuous_view('v2', 'SELECT 1')} ],
	[ 'reading a continuous view', q{SELECT * FROM v} ],
	[ 'reading one whose columns are plain', q{SELECT * FROM plain} ],
	[ 'reading a view on it', q{SELECT * FROM on_it} ],
	[ 'watermark', q{SELECT streamq.watermark('v')} ],
	[ 'wait_until_caught_up', q{SELECT streamq.wait_until_caught_up('v')} ],
	[ 'pause', q{SELECT streamq.pause('v')} ],
	[ 'streamq.streams', q{SELECT * FROM streamq.streams} ],
	[ 'streamq.partitions', q{SELECT * FROM streamq.partitions} ],
	[ 'streamq.consumer_groups', q{SELECT * FROM streamq.consumer_groups} ],
	[ 'streamq.jobs', q{SELECT * FROM streamq.jobs} ],
	[ 'drop_continuous_view', q{SELECT streamq.drop_continuous_view('v')} ]);

# Loaded again, everything is as it was.
$node->append_conf('postgresql.conf', "shared_preload_libraries = 'streamq'");
$node->restart;
is($node->safe_psql('postgres', 'SELECT v FROM t'), '1', 'the rows are still there');
is($node->safe_psql('postgres', q{SELECT streamq.wait_until_caught_up('v')}),
	't', 'the view goes on');
is($node->safe_psql('postgres', 'SELECT n FROM v'), '1', 'the view has its row');
is($node->safe_psql('postgres', 'SELECT n FROM on_it'), '1', 'a view on a view has its row');
$node->safe_psql('postgres', 'DROP VIEW refused');
is($node->safe_psql('postgres', 'SELECT count(*) FROM streamq.job'), '2', 'the job of a dropped view is gone');
is($node->safe_psql('postgres', 'SELECT count(*) FROM streamq.job_stats'), '2', '... with all it had');
unlike($node->safe_psql('postgres', 'EXPLAIN (VERBOSE, COSTS OFF) SELECT * FROM plain'),
	qr/is_loaded/, 'that the library is loaded is not asked for every row');

# DROP EXTENSION names what depends on it and takes it along with CASCADE.
like(error_of('DROP EXTENSION streamq'), qr/ERROR: +2BP01: /,
	'DROP EXTENSION without CASCADE is refused while there are streams');
$node->safe_psql('postgres', 'DROP EXTENSION streamq CASCADE');
is( $node->safe_psql('postgres',
		q{SELECT count(*) FROM pg_class WHERE relname IN ('t', 'e', 'v')}),
	'0', 'CASCADE drops streams and views');
is( $node->safe_psql('postgres',
		q{SELECT count(*) FROM pg_class WHERE relnamespace = 'streamq'::regnamespace}),
	'0', 'nothing is left in the schema');
is( $node->safe_psql('postgres', q{SELECT count(*) FROM pg_am WHERE amname = 'streamq'}),
	'0', 'the access method is gone');

for my $round (1 .. 2)
{
	$node->safe_psql('postgres', 'CREATE EXTENSION streamq');
	is( $node->safe_psql('postgres', q{
			CREATE TABLE t (v int) USING streamq;
			INSERT INTO t VALUES (7);
			SELECT v FROM t}),
		'7', "created again, round $round");
	$node->safe_psql('postgres', 'DROP EXTENSION streamq CASCADE');
}

is( $node->safe_psql('postgres', q{
		CREATE EXTENSION streamq;
		SET default_table_access_method = streamq;
		DROP EXTENSION streamq;
		CREATE EXTENSION streamq;
		DROP EXTENSION streamq;
		SELECT count(*) FROM pg_am WHERE amname = 'streamq'}),
	'0', 'CREATE EXTENSION where streams are the default');

is( $node->safe_psql('postgres', q{
		BEGIN; CREATE EXTENSION streamq; ROLLBACK;
		CREATE EXTENSION streamq; SELECT count(*) FROM streamq.streams}),
	'0', 'CREATE EXTENSION can be rolled back');

$node->stop;
done_testing();
