# Many sessions append single rows where nearly every buffer is soon used for something
# else.  A session pins what was the tail page a moment ago before it has the
# append lock: by then the page may be another partition's, another file's, or
# that of a stream that was emptied meanwhile.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('appenders');
$node->init;
$node->append_conf('postgresql.conf', q{
shared_preload_libraries = 'streamq'
shared_buffers = 1MB
fsync = off
});
$node->start;
$node->safe_psql('postgres', q{
	CREATE EXTENSION streamq;
	CREATE TABLE one (session int, n int, filler text) USING streamq;
	CREATE TABLE three (session int, n int, filler text) USING streamq;
	SELECT streamq.alter_stream('three', partitions => 3);
	CREATE TABLE emptied (session int, n int, filler text) USING streamq;
	CREATE TABLE other (filler text);
	ALTER TABLE other ALTER filler SET STORAGE PLAIN;
	INSERT INTO other SELECT repeat('x', 5000) FROM generate_series(1, 400);
});

my ($clients, $times) = (8, 250);
my $script = $node->basedir . '/append.sql';
append_to_file($script, q{
INSERT INTO one VALUES (:client_id, 1, repeat('a', 300));
INSERT INTO three VALUES (:client_id, 1, repeat('b', 2000));
INSERT INTO emptied VALUES (:client_id, 1, repeat('c', 300));
\set random random(1, 25)
\if :random = 1
SELECT count(*) FROM other;
\endif
\if :random = 2
TRUNCATE emptied;
\endif
BEGIN;
INSERT INTO one VALUES (:client_id, 2, repeat('d', 300));
ROLLBACK;
});
$node->command_ok(
	[ 'pgbench', '-n', '-c', $clients, '-j', 2, '-t', $times, '-f', $script, 'postgres' ],
	"$clients sessions append");

my $rows = $clients * $times;
for my $stream ('one', 'three')
{
	is( $node->safe_psql('postgres', "SELECT count(*), min(n), max(n) FROM $stream"),
		"$rows|1|1", "\"$stream\" has every row that was committed and no other");
	is( $node->safe_psql('postgres',
			"SELECT string_agg(DISTINCT count::text, ',') FROM
				(SELECT count(*) FROM $stream GROUP BY session) x"),
		$times, "as many of each session in \"$stream\"");
}
is( $node->safe_psql('postgres',
		"SELECT next_offset FROM streamq.partitions WHERE stream = 'one'::regclass"),
	2 * $rows, 'no offset is missing and none was used twice');

my $sum = "SELECT count(*), sum(hashtext(t::text)) FROM one t";
my $before = $node->safe_psql('postgres', $sum);
$node->stop('immediate');
$node->start;
is($node->safe_psql('postgres', $sum), $before, 'the same rows after a crash');
for my $stream ('one', 'three', 'emptied')
{
	is( $node->safe_psql('postgres', "SELECT * FROM streamq.check_stream('$stream')"),
		'', "nothing is wrong with \"$stream\"");
}
$node->stop;

done_testing();
