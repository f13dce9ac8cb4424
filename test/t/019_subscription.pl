# A subscription writes what is inserted elsewhere into a stream; changes and deletions are
# refused with a hint what to publish.
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $publisher = PostgreSQL::Test::Cluster->new('publisher');
$publisher->init(allows_streaming => 'logical');
$publisher->start;
$publisher->safe_psql('postgres', q{
CREATE TABLE s (key text, n int, note text);
ALTER TABLE s REPLICA IDENTITY FULL;
INSERT INTO s SELECT 'k' || i % 10, i, 'first' FROM generate_series(1, 100) i;
CREATE PUBLICATION p FOR TABLE s;
});

my $subscriber = PostgreSQL::Test::Cluster->new('subscriber');
$subscriber->init(allows_streaming => 'logical');
$subscriber->append_conf('postgresql.conf', qq{
shared_preload_libraries = 'streamq'
wal_retrieve_retry_interval = 100ms
});
$subscriber->start;
my $connection = $publisher->connstr . ' dbname=postgres';
$subscriber->safe_psql('postgres', qq{
CREATE EXTENSION streamq;
CREATE TABLE s (key text, n int, note text) USING streamq;
SELECT streamq.alter_stream('s', partitions => 4);
CREATE SUBSCRIPTION sub CONNECTION '$connection' PUBLICATION p;
});
$subscriber->wait_for_subscription_sync($publisher, 'sub');
is($subscriber->safe_psql('postgres', 'SELECT count(*), sum(n) FROM s'), '100|5050', 'what was there is copied');

$publisher->safe_psql('postgres', q{
BEGIN;
INSERT INTO s SELECT 'k' || i % 10, i, repeat('later', i * 20) FROM generate_series(101, 200) i;
SAVEPOINT a;
INSERT INTO s VALUES ('k', 1000000, 'undone');
ROLLBACK TO a;
COMMIT;
});
$publisher->wait_for_catchup('sub');
is($subscriber->safe_psql('postgres', 'SELECT count(*), sum(n), sum(length(note)) FROM s'),
	$publisher->safe_psql('postgres', 'SELECT count(*), sum(n), sum(length(note)) FROM s'), 'what came later is appended');
is($subscriber->safe_psql('postgres', q{SELECT max(n) FROM (SELECT count(DISTINCT partition) AS n FROM streamq.read('s', 0, 1000) GROUP BY key) AS x}),
	'1', 'a key to one partition');
is($subscriber->safe_psql('postgres', q{SELECT count(*) FROM streamq.consume('s', 'g', 1000, auto_ack => true)}), '200',
	'a group gets it');

my $from = -s $subscriber->logfile;
$publisher->safe_psql('postgres', q{UPDATE s SET note = 'changed' WHERE n = 150});
ok($subscriber->wait_for_log(qr/cannot update or delete from stream "s".*Set the publication's parameter "publish" to 'insert'/s, $from),
	'a change is refused, with a hint');
$subscriber->safe_psql('postgres', 'ALTER SUBSCRIPTION sub DISABLE; ALTER SUBSCRIPTION sub SET (slot_name = NONE); DROP SUBSCRIPTION sub');
is($subscriber->safe_psql('postgres', q{SELECT count(*) FROM streamq.check_stream('s')}), '0', 'the stream is sound');
$subscriber->stop;
$publisher->stop;
done_testing();
