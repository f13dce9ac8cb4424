# Messages that a scan of read() or consume() writes to the client directly are the same
# bytes as those that PostgreSQL makes of the rows of the function.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

plan skip_all => 'this test needs Unix sockets' unless $PostgreSQL::Test::Utils::use_unix_sockets;

my $node = PostgreSQL::Test::Cluster->new('sent');
$node->init(extra => [ '-E', 'UTF8', '--no-locale' ]);
$node->append_conf(
	'postgresql.conf', q(
shared_preload_libraries = 'streamq'
fsync = off
));
$node->start;
$node->safe_psql(
	'postgres', q(
CREATE EXTENSION streamq;
CREATE DOMAIN short AS varchar(40);
CREATE TABLE texts (key text, payload text, headers jsonb) USING streamq;
CREATE TABLE latin (payload text) USING streamq;
CREATE TABLE bytes (key int, payload bytea, headers json) USING streamq;
CREATE TABLE jsons (payload json) USING streamq;
CREATE TABLE jsonbs (key short, payload jsonb) USING streamq;
CREATE TABLE shorts (payload short) USING streamq;
CREATE TABLE plain (id int, at timestamptz, half float8, list int[], name text) USING streamq;
CREATE TABLE timed (at timestamptz) USING streamq;
SELECT streamq.alter_stream('plain', partition_by => 'at, id');
SELECT streamq.alter_stream('timed', partition_by => 'at');
-- every character below 256 at each place of 17 bytes
INSERT INTO texts SELECT 'k' || c, repeat('a', p) || chr(c) || repeat('b', 17 - p),
		CASE WHEN c % 3 = 0 THEN jsonb_build_object(chr(c), c) END
	FROM generate_series(1, 255) c, generate_series(0, 17) p;
INSERT INTO texts SELECT NULLIF(i % 4, 0)::text, NULLIF(repeat('x', i), 'xxx') FROM generate_series(0, 40) i;
INSERT INTO texts VALUES ('large', repeat('x"y', 100000)), ('', '');
INSERT INTO latin SELECT repeat(chr(c), c % 20) FROM generate_series(160, 255) c;
INSERT INTO bytes SELECT i, CASE WHEN i % 7 > 0 THEN decode(repeat('fe00', i) || 'ff', 'hex') END, '{"a" :  1}'
	FROM generate_series(0, 30) i;
INSERT INTO jsons VALUES ('{"a" : 1,   "a": 2}'), (NULL), ('"x"'), ('[1, null]'), ('1.50');
INSERT INTO jsonbs SELECT i::text, jsonb_build_object('n', i, 's', repeat('"', i)) FROM generate_series(0, 20) i;
INSERT INTO jsonbs VALUES ('a', '"x"'), ('b', 'null'), ('c', NULL);
INSERT INTO shorts VALUES ('a "b"'), (NULL), ('');
INSERT INTO plain SELECT i, timestamptz '2026-01-01' + i * interval '1 hour', i / 3.0, ARRAY[i, NULL],
		CASE WHEN i % 2 = 0 THEN 'n' || i END FROM generate_series(0, 20) i;
INSERT INTO timed SELECT timestamptz '2026-06-01' + i * interval '7 hours' FROM generate_series(0, 5) i;
));

# ---- the protocol ----

my $sock = $node->raw_connect;

sub send_message
{
	my ($type, $body) = @_;

	$sock->print($type . pack('N', length($body) + 4) . $body);
	return;
}

sub read_bytes
{
	my ($n) = @_;
	my $all = '';

	while (length $all < $n)
	{
		my $got = $sock->read(my $part, $n - length $all);
		die 'the server has closed the connection' unless $got;
		$all .= $part;
	}
	return $all;
}

# Until the server is ready: the rows, and errors, as they came.
sub read_answer
{
	my @rows;

	while (1)
	{
		my ($type, $len) = unpack('aN', read_bytes(5));
		my $body = read_bytes($len - 4);

		push @rows, "$type$body" if $type eq 'D' || $type eq 's';
		push @rows, $body =~ s/\0[FLR][^\0]*//gr if $type eq 'E';
		return @rows if $type eq 'Z';
	}
}

sub run_simple
{
	my ($sql) = @_;

	send_message('Q', "$sql\0");
	$sock->flush;
	return read_answer();
}

# run_extended SQL, FORMATS, MOST: by parts of so many rows
sub run_extended
{
	my ($sql, $formats, $most) = @_;

	send_message('P', "\0$sql\0" . pack('n', 0));
	send_message('B', "\0\0" . pack('nn', 0, 0) . pack('n*', scalar(@$formats), @$formats));
	send_message('E', "\0" . pack('N', $most)) for 1 .. ($most ? 4 : 1);
	send_message('S', '');
	$sock->flush;
	return read_answer();
}

my $startup = pack('N', 196608) . join("\0", 'user', $PostgreSQL::Test::Utils::windows_os ? 'postgres' : (getpwuid($<))[0], 'database', 'postgres') . "\0\0";
$sock->print(pack('N', length($startup) + 4) . $startup);
$sock->flush;
is_deeply([ read_answer() ], [], 'connected');

# ---- comparing ----

# same NAME, CODE: the code gives the same with the scan and without
sub same
{
	my ($name, $code) = @_;
	my %rows;

	foreach my $scan ('on', 'off')
	{
		run_simple('BEGIN');
		run_simple("SET LOCAL streamq.enable_stream_scan = $scan");
		$rows{$scan} = [ $code->() ];
		run_simple('ROLLBACK');
	}
	cmp_ok(scalar(@{ $rows{on} }), '>', 0, "$name: has rows");
	ok(join("\0", @{ $rows{on} }) eq join("\0", @{ $rows{off} }), "$name: same bytes");
	return;
}

foreach my $stream (qw(texts bytes jsons jsonbs shorts plain timed))
{
	my $all = "SELECT * FROM streamq.read('$stream', 0, 100000)";

	same("$stream, text", sub { run_simple($all) });
	same("$stream, text, prepared", sub { run_extended($all, [], 0) });
	same("$stream, binary", sub { run_extended($all, [1], 0) });
	same("$stream, mixed", sub { run_extended($all, [ 0, 1, 1, 0, 0, 1, 0, 1 ], 0) });
	same("$stream, mixed otherwise", sub { run_extended($all, [ 1, 0, 0, 1, 1, 0, 1, 0 ], 0) });
	same("$stream, in parts", sub { run_extended($all, [ 0, 1, 0, 1, 0, 1, 0, 1 ], 2) });
	same("$stream, consumed", sub { run_simple("SELECT * FROM streamq.consume('$stream', 'g', 3000)") });
}

foreach my $columns ('payload', 'key, payload, key', 'headers, msg_offset, msg_id', '', '*, *', '*, 1',
	'deliveries, produced_at, partition, payload', 'payload, payload || payload', 'read')
{
	foreach my $filter ('true', "key < 'k2'", "payload::text LIKE '%\"%' AND key IS NOT NULL", 'msg_offset % 7 = 2')
	{
		same("columns \"$columns\", $filter",
			sub { run_simple("SELECT $columns FROM streamq.read('texts', 0, 2000) read WHERE $filter") });
	}
}
same('limit, order', sub { run_simple("SELECT payload, msg_id FROM streamq.read('texts', 0, 900) ORDER BY msg_id LIMIT 5") });
same('order by a column that is not returned', sub { run_simple("SELECT payload FROM streamq.read('texts', 0, 900) ORDER BY msg_id") });
same('a portal of SQL', sub { run_simple("DECLARE c CURSOR FOR SELECT * FROM streamq.read('texts'); FETCH 3 FROM c; FETCH 2 FROM c") });
same('a binary cursor', sub { run_simple("DECLARE c BINARY CURSOR FOR SELECT * FROM streamq.read('texts'); FETCH 3 FROM c") });
same('a prepared statement', sub { run_simple("PREPARE p AS SELECT * FROM streamq.read('texts', 0, 5); EXECUTE p; EXECUTE p; DEALLOCATE p") });
same('a portal in parts', sub { run_extended("SELECT msg_id, payload FROM streamq.consume('texts', 'g', 7)", [1], 3) });

# ---- settings ----

foreach my $setting ("DateStyle = 'German'", "DateStyle = 'SQL, DMY'", "DateStyle = 'Postgres, MDY'",
	"TimeZone = 'Asia/Kathmandu'", "bytea_output = 'escape'", "client_encoding = 'SQL_ASCII'",
	"client_encoding = 'LATIN1'", "client_encoding = 'UTF8'")
{
	same($setting, sub { run_simple("SET LOCAL $setting"); run_simple("SELECT * FROM streamq.read('$_')") }) for qw(plain latin bytes);
}
same('settings that change between rows',
	sub { run_simple("SELECT * FROM streamq.read('latin')
		WHERE set_config('TimeZone', CASE WHEN msg_offset % 3 = 0 THEN 'UTC' ELSE 'Asia/Tokyo' END, true) <> ''
			AND set_config('DateStyle', CASE WHEN msg_offset % 2 = 0 THEN 'ISO' ELSE 'German' END, true) <> ''
			AND set_config('client_encoding', CASE WHEN msg_offset % 5 = 0 THEN 'UTF8' ELSE 'LATIN1' END, true) <> ''") });

# ---- errors ----

$node->safe_psql('postgres', q(
INSERT INTO jsons VALUES ('"\u0000"');
CREATE TABLE greek (payload text) USING streamq;
INSERT INTO greek VALUES ('a'), (U&'\03B1');
));
same('a character that the client does not know',
	sub { run_simple("SET LOCAL client_encoding = 'LATIN1'"); run_simple("SELECT * FROM streamq.read('greek')") });
# the scan returns what is before it, and does not look at columns that are not wanted
foreach my $formats ([0], [1])
{
	my @rows = run_extended("SELECT * FROM streamq.read('jsons')", $formats, 0);

	is(scalar(@rows), 6, "a payload that is no jsonb, format $formats->[0]: five rows and an error");
	like($rows[5], qr/22P05.*message 5 of stream "jsons" cannot be returned/s, 'the error names the message');
}
is(scalar(run_simple("SELECT msg_id FROM streamq.read('jsons')")), 6, 'the payload is not wanted');

done_testing();
