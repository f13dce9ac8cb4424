# Messages of 64 MB go in and out every way, in memory of a small multiple of their size, and
# on a standby and through a dump; what does not fit anywhere is a clear error.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $size = 64 * 1024 * 1024;
my $node = PostgreSQL::Test::Cluster->new('primary');
$node->init(allows_streaming => 1);
$node->append_conf('postgresql.conf', q(
shared_preload_libraries = 'streamq'
max_worker_processes = 16
shared_buffers = 32MB
max_wal_size = 4GB
log_statement = none
log_min_duration_statement = -1
));
$node->start;
$node->backup('backup');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($node, 'backup', has_streaming => 1);
$standby->start;

sub sql { return $node->safe_psql('postgres', $_[0]); }

# the result of a query, and how much memory of its own the backend took at most, in MB
sub peak
{
	my ($query) = @_;
	my $read = q(SELECT coalesce(substring(pg_read_file('/proc/self/status') FROM 'VmHWM:\s+(\d+)')::int / 1024, 0));
	my $out = $node->safe_psql('postgres', "$query;\n$read");
	my @lines = split /\n/, $out;
	my $mb = pop @lines;
	return (join("\n", @lines), $mb);
}

# as many bytes as the message's, so many times at most
sub ok_within
{
	my ($times, $query, $expected, $name) = @_;
	my ($result, $mb) = peak($query);
	is($result, $expected, $name);
	cmp_ok($mb, '<=', $times * 64 + 64, "$name: memory") if -r '/proc/self/status';
}

sql(qq(
CREATE EXTENSION streamq;
CREATE TABLE source (d text);
ALTER TABLE source ALTER d SET STORAGE EXTERNAL;
INSERT INTO source SELECT repeat('abcdefgh', $size / 8);
CREATE TABLE texts (key text, payload text) USING streamq;
CREATE TABLE bytes (payload bytea) USING streamq;
CREATE TABLE docs (payload jsonb) USING streamq;
CREATE TABLE rows (id int, big text) USING streamq;
ALTER TABLE texts ALTER payload SET STORAGE EXTERNAL;
ALTER TABLE bytes ALTER payload SET STORAGE EXTERNAL;
ALTER TABLE docs ALTER payload SET STORAGE EXTERNAL;
ALTER TABLE rows ALTER big SET STORAGE EXTERNAL;
SELECT streamq.create_continuous_view('sizes', 'SELECT id % 2 AS odd, count(*) AS n, sum(length(big)) AS bytes, max(left(big, 8)) AS beginning FROM rows GROUP BY id % 2');
));

ok_within(4, 'INSERT INTO rows SELECT n, d FROM source, generate_series(1, 2) n', '', 'INSERT of two');
ok_within(4, q(SELECT streamq.produce('texts', (SELECT d FROM source), 'k')), 0, 'produce of text');
ok_within(5, q(SELECT streamq.produce('bytes', (SELECT d::bytea FROM source))), 0, 'produce of bytea');
ok_within(6, q(SELECT streamq.produce('docs', (SELECT jsonb_build_object('d', d) FROM source))), 0, 'produce of jsonb');
my $copy = $node->basedir . '/rows.copy';
ok_within(6, "COPY rows TO '$copy'", '', 'COPY TO');
ok_within(7, "COPY rows FROM '$copy'", '', 'COPY FROM');
unlink $copy;

ok_within(3, 'SELECT count(*), sum(length(big)), sum(id) FROM rows', join('|', 4, 4 * $size, 6), 'SELECT');
ok_within(7, q(SELECT msg_id, length(payload #>> '{}') FROM streamq.read('texts')), "0|$size", 'read of text');
ok_within(9, q(SELECT msg_id, length(payload #>> '{}') FROM streamq.read('bytes')), '0|' . 4 * int(($size + 2) / 3), 'read of bytea');
ok_within(7, q(SELECT msg_id, length(payload ->> 'd') FROM streamq.read('docs')), "0|$size", 'read of jsonb');
ok_within(8, q(SELECT count(*), sum(length(payload ->> 'big')) FROM streamq.consume('rows', 'g')), join('|', 4, 4 * $size), 'consume of four');
ok_within(6, q(SELECT count(*), sum(length((message).big)) FROM streamq.consume_as(NULL::rows, 'h', auto_ack => true)), join('|', 4, 4 * $size), 'consume_as of four');
is(sql(q(SELECT streamq.wait_until_caught_up('sizes', '3 minutes'))), 't', 'the view catches up');
is(sql('SELECT * FROM sizes ORDER BY 1'), join("\n", map { join('|', $_, 2, 2 * $size, 'abcdefgh') } 0, 1), 'and is right');
if (-r '/proc/self/status')
{
	my $mb = sql(q(SELECT max(substring(pg_read_file('/proc/' || worker_pid || '/status') FROM 'VmHWM:\s+(\d+)')::int / 1024) FROM streamq.jobs));
	like($mb, qr/^\d+$/, 'its worker is there');
	cmp_ok($mb, '<=', 5 * 64 + 64, 'its worker does not keep the rows in memory');
}
is(sql(q(SELECT count(*) FROM streamq.check_stream('rows'))), 0, 'nothing wrong in the file');

# too large for jsonb: which message, and how to get it
sql(q(INSERT INTO bytes SELECT convert_to(repeat(d, 4), 'UTF8') FROM source));
my ($rc, $out, $err) = $node->psql('postgres', "\\set VERBOSITY verbose\nSELECT length(payload::text) FROM streamq.read('bytes', 1)");
like($err, qr/ERROR: +54000: message 1 of stream "bytes" cannot be returned\nDETAIL: +value is too large to be returned as jsonb/, 'too large for jsonb');
like($err, qr/HINT: +Use SELECT.*, or read from message 2 on/, 'it says what to do');
($rc, $out, $err) = $node->psql('postgres', "\\set VERBOSITY verbose\nSELECT length(payload::text) FROM streamq.consume('bytes', 'h', auto_ack => true)");
is($out, 4 * int(($size + 2) / 3) + 2, 'what is before it is consumed');
($rc, $out, $err) = $node->psql('postgres', "\\set VERBOSITY verbose\nSELECT length(payload::text) FROM streamq.consume('bytes', 'h', auto_ack => true)");
like($err, qr/ERROR: +54000: message 1 of stream "bytes" cannot be returned\nDETAIL: +value is too large.*\n(.*\n)?HINT: +Use consume_as\(\) or SELECT/, 'then it is an error');
is(sql(q(SELECT msg_id, length((message).payload) FROM streamq.consume_as(NULL::bytes, 'g') WHERE msg_id = 1)), '1|' . 4 * $size, 'consume_as gives it');

# too large for anything
sql('CREATE TABLE two (a text, b text, c text, d text) USING streamq');
sql("ALTER TABLE two ALTER $_ SET STORAGE EXTERNAL") for qw(a b c d);
($rc, $out, $err) = $node->psql('postgres', "\\set VERBOSITY verbose\nINSERT INTO two SELECT r, r, r, r FROM (SELECT repeat(d, 5) AS r FROM source OFFSET 0) x");
like($err, qr/ERROR: +54000: row is too big for a stream/, 'a row of more than 1 GB');
like($err, qr/HINT: /, 'and a hint');
is(sql('SELECT count(*) FROM two'), 0, 'and nothing of it');

$node->wait_for_catchup($standby);
is($standby->safe_psql('postgres', 'SELECT count(*), sum(length(big)), count(DISTINCT md5(big)) FROM rows'), join('|', 4, 4 * $size, 1), 'the standby has them');
is($standby->safe_psql('postgres', q(SELECT length(payload #>> '{}') FROM streamq.read('texts'))), $size, 'and reads them');
$standby->stop;

# dumped and restored
sql('CREATE DATABASE restored');
my $dump = $node->basedir . '/dump';
command_ok([ 'pg_dump', '-Fc', '-Z0', '-f', $dump, '-p', $node->port, '-h', $node->host, '-T', 'source', '-T', 'bytes', 'postgres' ], 'pg_dump');
command_ok([ 'pg_restore', '-d', 'restored', '-p', $node->port, '-h', $node->host, $dump ], 'pg_restore');
unlink $dump;
is($node->safe_psql('restored', 'SELECT count(*), sum(length(big)), (SELECT length(payload) FROM texts) FROM rows'), join('|', 4, 4 * $size, $size), 'restored');
is($node->safe_psql('restored', q(SELECT streamq.wait_until_caught_up('sizes', '3 minutes'))), 't', 'with its view');
unlike(slurp_file($node->logfile), qr/PANIC|TRAP|terminated by|out of memory/, 'nothing died');
$node->stop;
done_testing();
