# The examples do what they say, also after failures.
use strict;
use warnings;

use IO::Socket::INET;
use JSON::PP;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $source = $ENV{STREAMQ_SOURCE};
my $dir = PostgreSQL::Test::Utils::tempdir;
my $node = PostgreSQL::Test::Cluster->new('main');
$node->init;
$node->append_conf('postgresql.conf', q{
shared_preload_libraries = 'streamq'
max_worker_processes = 16
streamq.naptime = '100ms'
});
$node->start;
$node->safe_psql('postgres', 'CREATE EXTENSION streamq');

sub example
{
	my ($file, @options) = @_;

	$node->command_ok([ 'psql', '-XAtq', '-v', 'ON_ERROR_STOP=1', @options, '-f', "$source/examples/$file", $node->connstr('postgres') ],
		"$file runs");
}

# a script, once
sub script
{
	my ($file, @arguments) = @_;
	my ($out, $err) = ('', '');

	local %ENV = (%ENV, PGHOST => $node->host, PGPORT => $node->port, PGDATABASE => 'postgres', ONCE => 1, RETRY_AFTER => '100 ms');
	my $ok = IPC::Run::run([ "$source/examples/$file", @arguments ], '<', '/dev/null', '>', \$out, '2>', \$err, IPC::Run::timeout(120));
	diag($err) unless $ok;
	return $ok;
}

# ---- alert.sql ----

example('alert.sql');
my $listener = $node->background_psql('postgres');
$listener->query_safe('LISTEN alerts');
$node->safe_psql('postgres', q{
	INSERT INTO service_log
	SELECT '2026-01-01 00:00:00+00'::timestamptz + n * interval '1 second', s, CASE WHEN s = 'shop' AND n % 4 = 0 THEN 503 ELSE 200 END
	FROM generate_series(0, 119) n, unnest(ARRAY['shop', 'mail']) s;
	INSERT INTO service_log VALUES ('2026-01-01 01:00:00+00', 'mail', 200);
	SELECT streamq.wait_until_caught_up('errors_per_minute');
	SELECT streamq.wait_until_caught_up('alerting')});
is( $node->safe_psql('postgres', q{SELECT key, payload->>'errors', payload->>'requests' FROM alerts ORDER BY payload->>'window_start'}),
	"shop|15|60\nshop|15|60", 'two minutes of errors are alerts');
like($listener->query_safe('SELECT 1'), qr/Asynchronous notification "alerts" with payload "shop"/, 'and were notified');
$listener->quit;

# ---- webhook.sh ----

SKIP:
{
	skip 'curl is not installed', 4 if system('curl --version >/dev/null 2>&1') != 0;
	my $server = IO::Socket::INET->new(LocalAddr => '127.0.0.1', Listen => 5) or die $!;
	my $url = 'http://127.0.0.1:' . $server->sockport . '/hook';

	# answers 500 to the first request, then 200
	my $pid = fork // die $!;
	if ($pid == 0)
	{
		my $requests = 0;

		open(my $log, '>>', "$dir/hooks") or die $!;
		$log->autoflush(1);
		while (my $client = $server->accept)
		{
			my $length = 0;

			while (defined(my $line = <$client>))
			{
				$length = $1 if $line =~ /^content-length: (\d+)/i;
				last if $line =~ /^\r?\n$/;
			}
			read($client, my $body, $length);
			$body =~ s/\n//g;
			my $status = $requests++ == 0 ? '500 Internal Server Error' : '200 OK';
			print $log substr($status, 0, 3) . " $body\n";
			print $client "HTTP/1.1 $status\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
			close($client);
		}
		require POSIX;
		POSIX::_exit(0);
	}
	ok(script('webhook.sh', 'alerts', 'hooks', $url), 'webhook.sh runs');
	for (1 .. 100)
	{
		last if $node->safe_psql('postgres', q{SELECT lag FROM streamq.consumer_groups WHERE group_name = 'hooks'}) eq '0';
		select(undef, undef, undef, 0.1);
		script('webhook.sh', 'alerts', 'hooks', $url);
	}
	kill('KILL', $pid);
	waitpid($pid, 0);
	my @hooks = map { [ /^(\d+) (.*)/ ] } split /\n/, slurp_file("$dir/hooks");
	is(join(' ', map { $_->[0] } @hooks), '500 200 200', 'the one that failed was sent again');
	is(join(' ', sort map { decode_json($_->[1])->{msg_id} } grep { $_->[0] == 200 } @hooks), '0 1', 'each alert arrived once');
	is(decode_json($hooks[0][1])->{payload}{service}, 'shop', 'with its payload');
}

# ---- upsert.sql ----

example('upsert.sql');
$node->safe_psql('postgres', q{
	SELECT streamq.produce('device_events', format('{"n": %s}', n)::jsonb, key => 'd' || n % 3) FROM generate_series(1, 2000) n;
	SELECT streamq.produce('device_events', '{"deleted": true}', key => 'd1');
	SELECT streamq.wait_until_caught_up('device_states')});
is($node->safe_psql('postgres', 'SELECT id, state FROM devices ORDER BY id'), qq(d0|{"n": 1998}\nd2|{"n": 2000}), 'the latest state of each device');

# ---- copy_to_server.sql ----

SKIP:
{
	skip 'postgres_fdw is not installed', 3
		if $node->safe_psql('postgres', q{SELECT count(*) FROM pg_available_extensions WHERE name = 'postgres_fdw'}) eq '0';
	my $other = PostgreSQL::Test::Cluster->new('other');
	my $user = $node->safe_psql('postgres', 'SELECT current_user');

	$other->init;
	$other->start;
	$other->safe_psql('postgres', 'CREATE TABLE orders_copy (msg_id bigint PRIMARY KEY, produced_at timestamptz, key text, payload jsonb)');
	example('copy_to_server.sql', '-v', 'host=' . $other->host, '-v', 'port=' . $other->port, '-v', 'dbname=postgres', '-v', "role=$user");
	$node->safe_psql('postgres', q{
		SELECT streamq.produce('orders', to_jsonb(n), key => n::text) FROM generate_series(1, 1000) n;
		SELECT streamq.wait_until_caught_up('order_copies')});
	is($other->safe_psql('postgres', 'SELECT count(*), sum(payload::int) FROM orders_copy'), '1000|500500', 'all orders are there');

	# the other server goes away meanwhile
	$other->stop('immediate');
	$node->safe_psql('postgres', q{SELECT streamq.produce('orders', to_jsonb(n), key => n::text) FROM generate_series(1001, 1100) n});
	$other->start;
	ok($node->poll_query_until('postgres', q{SELECT lag = 0 FROM streamq.jobs WHERE name = 'order_copies'}), 'it goes on')
		or diag($node->safe_psql('postgres', 'SELECT * FROM streamq.jobs'));
	is($other->safe_psql('postgres', 'SELECT count(*), sum(payload::int) FROM orders_copy'), '1100|605550', 'nothing is lost or doubled');
	$node->safe_psql('postgres', q{SELECT streamq.drop_handler('order_copies')});
	$other->stop;
}

# ---- to_file.sh ----

$node->safe_psql('postgres', q{
	SELECT streamq.create_stream('lines');
	SELECT streamq.produce('lines', to_jsonb(repeat('x', n % 50) || E'\n"' || n)) FROM generate_series(0, 2999) n});
ok(script('to_file.sh', 'lines', 'file', "$dir/lines"), 'to_file.sh runs');

# a crash after a part was written and before it was acknowledged: the last line is cut
$node->safe_psql('postgres', q{SELECT streamq.seek('lines', 'file', to_msg_id => 2000)});
my @lines = split /\n/, slurp_file("$dir/lines");
is(scalar(@lines), 3000, 'the file has all messages');
open(my $fh, '>', "$dir/lines") or die $!;
print $fh join('', map { "$_\n" } @lines[ 0 .. 2499 ]) . substr($lines[2500], 0, 20);
close($fh);
for (1 .. 5)
{
	script('to_file.sh', 'lines', 'file', "$dir/lines");
	last if $node->safe_psql('postgres', q{SELECT lag FROM streamq.consumer_groups WHERE group_name = 'file'}) eq '0';
}
@lines = split /\n/, slurp_file("$dir/lines");
is(scalar(@lines), 3000, 'after a crash the file has all messages once');
is(join(',', map { decode_json($_)->{msg_id} } @lines), join(',', 0 .. 2999), 'in their order');

$node->stop;
done_testing();
