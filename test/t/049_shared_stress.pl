# Several consumers of one partition in the modes shared and key_shared, with transactions that
# acknowledge, give back, roll back to savepoints or altogether, and sessions that are killed: each
# message is in the ledger exactly once, and in key_shared mode in order.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time sleep);

my $seconds = $ENV{STRESS_SECONDS} // 20;
my $workers = 6;
my $messages = 4000;

my $node = PostgreSQL::Test::Cluster->new('stress');
$node->init;
$node->append_conf(
	'postgresql.conf', q(
shared_preload_libraries = 'streamq'
max_connections = 50
fsync = off
));
$node->start;
$node->safe_psql(
	'postgres', q(
CREATE EXTENSION streamq;
SELECT streamq.create_stream('events', partitions => 2);
CREATE TABLE ledger (mode text, msg_id bigint, key text, at bigserial);
CREATE FUNCTION failed(text) RETURNS void LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION '%', $1; END $$;

-- One transaction of a worker.  Each message is worked on in a subtransaction of its own; one in
-- ten fails there, and is given back.  One transaction in ten fails as a whole.
CREATE PROCEDURE work(mode text, name text) LANGUAGE plpgsql AS $$
DECLARE
	m record;
	given_back boolean := false;
BEGIN
	FOR m IN SELECT msg_id, key FROM streamq.consume('events', mode, 1 + (random() * 9)::int, consumer => name,
		lease => '2 s', wait => '50 ms')
	LOOP
		IF given_back THEN
			PERFORM streamq.nack('events', mode, m.msg_id);
			CONTINUE;
		END IF;
		BEGIN
			INSERT INTO ledger (mode, msg_id, key) VALUES (mode, m.msg_id, m.key);
			IF NOT streamq.ack('events', mode, m.msg_id) THEN
				RAISE EXCEPTION 'lost %', m.msg_id;
			END IF;
			IF random() < 0.1 THEN
				RAISE EXCEPTION 'work';
			END IF;
		EXCEPTION WHEN raise_exception THEN
			IF sqlerrm <> 'work' THEN
				RAISE WARNING '%', sqlerrm;
			END IF;
			PERFORM streamq.nack('events', mode, m.msg_id, retry_after => random() * interval '20 ms');
			-- in key_shared mode what follows of the key is not worked on before
			given_back := mode = 'key_shared';
		END;
	END LOOP;
	IF random() < 0.1 THEN
		RAISE EXCEPTION 'whole transaction';
	END IF;
END $$;
));

sub run_mode
{
	my ($mode) = @_;
	my (@running, $killed);
	my $begin = time;
	my $left = $messages;

	$node->safe_psql('postgres', "SELECT streamq.create_group('events', '$mode', mode => '$mode', start_at => 'latest', max_in_flight => 200)");
	my $script = PostgreSQL::Test::Utils::tempdir . "/work.$mode.sql";
	append_to_file($script, "\\set VERBOSITY terse\nSET client_min_messages = warning;\n"
		. "CALL work('$mode', 'w' || :worker);\n" x 200);
	my $start = sub {
		my ($n) = @_;
		my ($out, $err) = ('', '');
		$running[$n] = IPC::Run::start([ 'psql', '-XAtq', '-v', "worker=$n", '-d', $node->connstr('postgres'), '-f', $script ],
			'>', "$script.$n.out", '2>>', "$script.$n.err");
	};
	$start->($_) for 0 .. $workers - 1;
	while ($left > 0 || time - $begin < $seconds / 2)
	{
		if ($left > 0)
		{
			my $n = $left < 100 ? $left : 100;
			$node->safe_psql('postgres', qq(
				INSERT INTO events (key, payload) SELECT 'k' || (random() * 20)::int, to_jsonb(i) FROM generate_series(1, $n) i;
				BEGIN; INSERT INTO events (key, payload) VALUES ('k1', '0'); ROLLBACK));
			$left -= $n;
		}
		# whoever is gone comes again, under the same name
		for my $n (0 .. $workers - 1)
		{
			$running[$n]->reap_nb;
			next if $running[$n]->pumpable;
			$running[$n]->finish;
			$start->($n);
		}
		$killed += $node->safe_psql('postgres', q(
			SELECT count(pg_terminate_backend(pid)) FROM (SELECT pid FROM pg_stat_activity
				WHERE query LIKE 'CALL work%' AND random() < 0.1) x));
		sleep(0.1);
	}
	$_->kill_kill for @running;
	cmp_ok($killed, '>', 0, "$mode: $killed sessions were killed");
	$node->safe_psql('postgres', 'SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE query LIKE $$CALL work%$$');

	# what is left, by one worker
	my $until = time + 60;
	while (time < $until && $node->safe_psql('postgres', "SELECT sum(lag) FROM streamq.consumer_groups WHERE group_name = '$mode'") > 0)
	{
		$node->psql('postgres', "CALL work('$mode', 'last');\n" x 20);
	}
	is($node->safe_psql('postgres', "SELECT count(*), count(DISTINCT msg_id) FROM ledger WHERE mode = '$mode'"),
		"$messages|$messages", "$mode: each message once");
	is($node->safe_psql('postgres', "SELECT sum(lag), sum(in_flight) FROM streamq.consumer_groups WHERE group_name = '$mode'"),
		'0|0', "$mode: nothing is left");
	is($node->safe_psql('postgres', "SELECT * FROM streamq.check_stream('events')"), '', "$mode: sound");
	for my $n (0 .. $workers - 1)
	{
		my $err = slurp_file("$script.$n.err");
		unlike($err, qr/lost \d|deadlock|corrupt|missing/, "$mode: worker $n met no other errors");
		my @other = grep { !/whole transaction|terminat|connection|server closed|before or while/ } split /\n/, $err;
		is(join("\n", @other[0 .. ($#other < 5 ? $#other : 5)]), '', "$mode: nor any unknown ones");
	}
	return;
}

run_mode($_) for qw(shared key_shared);
is($node->safe_psql('postgres', q(
	SELECT count(*) FROM (
		SELECT msg_id < lag(msg_id) OVER (PARTITION BY key ORDER BY at) AS x FROM ledger WHERE mode = 'key_shared') l
	WHERE x)), '0', 'key_shared: in order');
is($node->safe_psql('postgres', q(
	SELECT count(*) FROM pg_stat_user_tables WHERE schemaname = 'streamq' AND n_dead_tup > 1000)), '0', 'no dead tuples');

$node->stop;
done_testing();
