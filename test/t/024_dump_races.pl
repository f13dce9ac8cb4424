# The messages of a dump and what says where they belong are restored by two
# sessions at once, or never both, or after a crash; and what is no restore is
# not taken for one.
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('main');
$node->init(allows_streaming => 1);
$node->append_conf('postgresql.conf', q{
shared_preload_libraries = 'streamq'
autovacuum = off
});
$node->start;
$node->backup('base');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($node, 'base', has_streaming => 1);
$standby->start;

my $table = 'CREATE TABLE public.s (key text, n int) USING streamq;';
my $alter = q{SELECT streamq.alter_stream('public.s', partitions => 3);};
$node->safe_psql('postgres', 'CREATE DATABASE src');
$node->safe_psql('src', qq{CREATE EXTENSION streamq; $table $alter
INSERT INTO s SELECT nullif('k' || i % 5, 'k2'), i FROM generate_series(1, 500) i;
INSERT INTO s SELECT NULL, i FROM generate_series(501, 510) i;
SELECT streamq.create_group('s', 'g');
SELECT count(*) FROM streamq.consume('s', 'g', 60, auto_ack => true);
SELECT count(*) FROM streamq.consume('s', 'g', 60, auto_ack => true);});

# what a restore does: its settings, the messages, what is said of them
my $settings = q{SET check_function_bodies = off; SELECT pg_catalog.set_config('search_path', '', false);};
my $messages = $node->safe_psql('src', q{SELECT 'INSERT INTO public.s VALUES ' || string_agg(format('(%L, %s)', key, n), ',' ORDER BY streamq.msg_id(tableoid, ctid)) || ';' FROM s});
my $places = $node->safe_psql('src', q{SELECT format('INSERT INTO streamq.stream_dump VALUES (%L, %L, %L, %L, %L, %L);', d.stream, d.options, d.messages, d.firsts, d.prints, d.barriers) FROM streamq.dump_streams() d});
my $group = $node->safe_psql('src', q{SELECT format('INSERT INTO streamq.group_dump VALUES (%L, %L, %L, %L, %L, %L, %L, %L, %L);', d.stream, d.group_name, d.owner, d.grantees, d.options, d.messages, d.done, d.prints, d.islands) FROM streamq.dump_groups() d});

my $look = q{SELECT streamq.msg_id(tableoid, ctid) >> 48 AS p, count(*), md5(string_agg(n::text, ',' ORDER BY streamq.msg_id(tableoid, ctid))) FROM public.s GROUP BY p ORDER BY p};
my $lag = q{SELECT partition, acked_offset, lag FROM streamq.consumer_groups ORDER BY partition};
my $want = $node->safe_psql('src', $look);
my $want_lag = $node->safe_psql('src', $lag);
my $left = q{SELECT (SELECT count(*) FROM streamq.restored_stream), (SELECT count(*) FROM streamq.restored_order)};

sub made
{
	my ($db, $more) = @_;
	$node->safe_psql('postgres', "CREATE DATABASE $db");
	$node->safe_psql($db, "CREATE EXTENSION streamq; $table " . ($more // ''));
}

# restored as it was, also in the eyes of a standby
sub right
{
	my ($db, $how) = @_;
	is($node->safe_psql($db, $look), $want, "$how: messages");
	is($node->safe_psql($db, $lag), $want_lag, "$how: group");
	is($node->safe_psql($db, q{SELECT * FROM streamq.check_stream('s')}), '', "$how: sound");
	is($node->safe_psql($db, $left), '0|0', "$how: nothing left");
	$node->wait_for_catchup($standby, 'replay', $node->lsn('insert'));
	is($standby->safe_psql($db, $look), $want, "$how: on the standby");
	is($standby->safe_psql($db, $lag), $want_lag, "$how: group on the standby");
}

sub begun
{
	my ($db) = @_;
	my $session = $node->background_psql($db, on_error_stop => 1);
	$session->query_safe("$settings BEGIN;");
	return $session;
}

# whoever is first, the other waits and sees what was done
for my $made ('one', 'three')
{
	for my $order ([ $messages, $places, 'messages' ], [ $places, $messages, 'places' ])
	{
		my ($first, $second, $name) = @$order;
		my $db = "race_${made}_$name";
		made($db, $made eq 'three' ? $alter : '');
		my $a = begun($db);
		my $b = begun($db);
		$a->query_safe($first);
		$b->query_until(qr/begun/, "\\echo begun\n$second\nCOMMIT;\n");
		$node->poll_query_until('postgres', q{SELECT count(*) > 0 FROM pg_locks WHERE NOT granted}) or die;
		$a->query_safe('COMMIT');
		$a->quit;
		$b->quit;
		$node->safe_psql($db, $group);
		right($db, "$name first, stream of $made");
	}
}

# all in one transaction, and undone before
made('undone');
$node->safe_psql('undone', "$settings BEGIN; $messages $places ROLLBACK; BEGIN; $places $messages ROLLBACK;");
$node->safe_psql('undone', "$settings BEGIN; $group $messages SAVEPOINT a; $places ROLLBACK TO a; $places COMMIT;");
right('undone', 'after rollbacks');

# a crash while messages move
made('crash');
$node->safe_psql('crash', "$settings $messages $group");
my $session = begun('crash');
$session->query_safe($places);
$node->stop('immediate');
$session->{run}->finish if $session->{run};
$node->start;
is($node->safe_psql('crash', 'SELECT count(*), max(streamq.msg_id(tableoid, ctid)) FROM s'), '510|509', 'after a crash all is where it was');
is($node->safe_psql('crash', q{SELECT * FROM streamq.check_stream('s')}), '', 'and sound');
$node->safe_psql('crash', "$settings $places");
right('crash', 'once more after a crash');
$node->restart;
right('crash', 'and a restart');

# no restore: messages go where their keys say
sub by_key
{
	my ($db, $how, $count) = @_;
	is($node->safe_psql($db, q{SELECT count(*) FROM (SELECT key FROM s WHERE key IS NOT NULL GROUP BY key HAVING count(DISTINCT streamq.msg_id(tableoid, ctid) >> 48) > 1) x}), 0, "$how: each key in its partition");
	is($node->safe_psql($db, 'SELECT count(*) FROM s'), $count, "$how: all messages");
	is($node->safe_psql($db, q{SELECT * FROM streamq.check_stream('s')}), '', "$how: sound");
	cmp_ok($node->safe_psql($db, q{SELECT count(DISTINCT streamq.msg_id(tableoid, ctid) >> 48) FROM s WHERE key IS NULL}), '>', 0, "$how: others");
}
my $others = q{INSERT INTO public.s SELECT 'k' || i % 20, i FROM generate_series(1, 100) i;};
made('ordinary', $alter);
$node->safe_psql('ordinary', $others);
is($node->safe_psql('ordinary', $left), '0|0', 'an ordinary session notes nothing');
made('no_data');
$node->safe_psql('no_data', "$settings $places");
$node->safe_psql('no_data', $others);
is($node->safe_psql('no_data', q{SELECT count(*) FROM (SELECT key FROM s GROUP BY key HAVING count(DISTINCT streamq.msg_id(tableoid, ctid) >> 48) > 1) x}), 0, 'messages of others before those of the dump go by their keys');
$node->safe_psql('no_data', "$settings $messages");
by_key('no_data', 'then those of the dump, too', 610);
is($node->safe_psql('no_data', $left), '0|0', 'and what was said of them is forgotten');
made('other_data');
$node->safe_psql('other_data', "$settings $places $others");
is($node->safe_psql('other_data', q{SELECT count(*) FROM (SELECT key FROM s GROUP BY key HAVING count(DISTINCT streamq.msg_id(tableoid, ctid) >> 48) > 1) x}), 0, 'another dump');
made('used', $alter);
$node->safe_psql('used', $others);
my $before = $node->safe_psql('used', $look);
$node->safe_psql('used', "$settings $places");
is($node->safe_psql('used', $look), $before, 'a stream with messages of its own');
$node->safe_psql('used', "$settings $messages $group");
by_key('used', 'and those of the dump', 610);
is($node->safe_psql('used', 'SELECT sum(lag) FROM streamq.consumer_groups'), 610, 'where its group begins with the first one');
made('twice');
$node->safe_psql('twice', "$settings $places $messages");
$node->safe_psql('twice', "$settings $messages");
is($node->safe_psql('twice', 'SELECT count(*) FROM s'), 1020, 'messages that were restored twice');
by_key('twice', 'restored twice', 1020);
$node->safe_psql('twice', "$settings TRUNCATE public.s; $messages $places");
is($node->safe_psql('twice', 'SELECT count(*) FROM s'), 510, 'and once more after TRUNCATE');
is($node->safe_psql('twice', $look), $want, 'in their places');
made('one_table', $alter);
$node->safe_psql('one_table', "$settings $messages");
by_key('one_table', 'a single table', 510);

$standby->stop;
$node->stop;
unlike(slurp_file($node->logfile) . slurp_file($standby->logfile), qr/PANIC|TRAP|deadlock|terminated by signal/, 'clean logs');
done_testing();
