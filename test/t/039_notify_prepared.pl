# Notifications after COMMIT PREPARED have figures: committed by the session that
# prepared it, by another one, after a restart, in several streams and partitions.
use strict;
use warnings;

use IPC::Run;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('main');
$node->init;
$node->append_conf('postgresql.conf', q(
shared_preload_libraries = 'streamq'
max_prepared_transactions = 5
autovacuum = off
));
$node->start;
sub sql { return $node->safe_psql('postgres', $_[0]); }

sql(q(
CREATE EXTENSION streamq;
SELECT streamq.create_stream('one');
SELECT streamq.create_stream('many', 'n int', partitions => 3);
SELECT streamq.create_stream('empty');
));

my %s;
sub listen_to
{
	%s = (in => '', out => '');
	$s{run} = IPC::Run::start([ 'psql', '-XAtq', '-d', $node->connstr('postgres') ],
		'<', \$s{in}, '>', \$s{out}, '2>&1', IPC::Run::timeout(180));
	$s{in} .= join('', map { "SELECT format('LISTEN %I', streamq.channel('$_')) \\gexec\n" } @_) . "\\echo listening\n";
	$s{run}->pump until $s{out} =~ /listening/;
}

# asks until the payload has come
sub gets
{
	my ($payload, $name) = @_;
	my $tries = 0;

	while ($s{out} !~ /\Q$payload\E/ && $tries++ < 600)
	{
		$s{in} .= "SELECT pg_sleep(0.1) \\gset x\n\\echo asked $tries\n";
		$s{run}->pump until $s{out} =~ /asked $tries\n/;
	}
	like($s{out}, qr/\Q$payload\E/, $name);
	$s{out} = '';
}

listen_to('one', 'many');
sql(q(SELECT streamq.produce('one', '0')));
gets('{"stream": "public.one", "partition": 0, "last_msg_id": 0}', 'an ordinary commit');

sql(q(BEGIN; SELECT streamq.produce('one', '1'), streamq.produce('one', '2'); PREPARE TRANSACTION 'p'; COMMIT PREPARED 'p'));
gets('{"stream": "public.one", "partition": 0, "last_msg_id": 2}', 'the session that prepared it');

sql(q(BEGIN; SELECT streamq.produce('one', '3'); SAVEPOINT a; INSERT INTO one (payload) VALUES ('4'); ROLLBACK TO a; PREPARE TRANSACTION 'p'));
sql(q(COMMIT PREPARED 'p'));
gets('{"stream": "public.one", "partition": 0, "last_msg_id": 3}', 'another session');

# in one partition of several, after others were written
sql(q(INSERT INTO many SELECT g FROM generate_series(1, 9) g));
sql(q(BEGIN; INSERT INTO many VALUES (10); SELECT streamq.produce('one', '5'); PREPARE TRANSACTION 'p'));
my $id = q(SELECT streamq.msg_id(tableoid, ctid) FROM many WHERE n = 10);
$s{out} = '';
sql(q(COMMIT PREPARED 'p'));
$id = sql($id);
my $partition = $id >> 48;
gets(qq({"stream": "public.many", "partition": $partition, "last_msg_id": $id}), 'a partition of several');

sql(q(BEGIN; SELECT streamq.produce('one', '6'); PREPARE TRANSACTION 'p'));
$s{in} .= "\\q\n";
$s{run}->finish;
$node->restart;
listen_to('one', 'many', 'empty');
sql(q(COMMIT PREPARED 'p'));
my $last = sql('SELECT max(streamq.msg_id(tableoid, ctid)) FROM one');
gets(qq({"stream": "public.one", "partition": 0, "last_msg_id": $last}), 'after a restart');

# nothing to tell; and a stream that is locked holds up nobody
sql(q(BEGIN; SELECT streamq.produce('one', '7'); PREPARE TRANSACTION 'p'));
sql(q(BEGIN; LOCK TABLE many IN ACCESS EXCLUSIVE MODE; PREPARE TRANSACTION 'lock'));
sql(q(COMMIT PREPARED 'p'));
gets('{"stream": "public.many", "partition": null, "last_msg_id": null}', 'a locked stream');
sql(q(ROLLBACK PREPARED 'lock'));
sql(q(BEGIN; SELECT streamq.produce('one', '8'); PREPARE TRANSACTION 'p'; COMMIT PREPARED 'p'));
gets('{"stream": "public.empty", "partition": null, "last_msg_id": null}', 'an empty stream');

$s{in} .= "\\q\n";
$s{run}->finish;
$node->stop;
done_testing();
