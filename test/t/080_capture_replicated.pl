# Capture of a table that logical replication writes: its apply process fires only
# row triggers, and the copy at the beginning is made by COPY.
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $publisher = PostgreSQL::Test::Cluster->new('publisher');
$publisher->init(allows_streaming => 'logical');
$publisher->start;
$publisher->safe_psql('postgres', q{
CREATE TABLE t (id int PRIMARY KEY, v text);
INSERT INTO t SELECT i, 'first' FROM generate_series(1, 3) i;
CREATE PUBLICATION p FOR TABLE t;
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
CREATE TABLE t (id int, v text, PRIMARY KEY (id)) PARTITION BY HASH (id);
CREATE TABLE t1 PARTITION OF t FOR VALUES WITH (MODULUS 2, REMAINDER 0);
CREATE TABLE t2 PARTITION OF t FOR VALUES WITH (MODULUS 2, REMAINDER 1);
SELECT streamq.create_stream('changes');
SELECT streamq.capture('t', 'changes');
CREATE SUBSCRIPTION sub CONNECTION '$connection' PUBLICATION p;
});
$subscriber->wait_for_subscription_sync($publisher, 'sub');
sub news
{
	return $subscriber->safe_psql('postgres', q{SELECT string_agg(concat_ws(' ', payload->>'op', key, payload->'after'->>'v'), ', ' ORDER BY msg_id)
FROM streamq.consume('changes', 'news', auto_ack => true)});
}
is(news(), 'insert 1 first, insert 2 first, insert 3 first', 'the first copy');

$publisher->safe_psql('postgres', q{
INSERT INTO t VALUES (4, 'four');
UPDATE t SET v = 'eins' WHERE id = 1;
UPDATE t SET id = 5 WHERE id = 2;
BEGIN; INSERT INTO t VALUES (6, 'six'); DELETE FROM t WHERE id = 3; COMMIT;
TRUNCATE t;
INSERT INTO t VALUES (7, 'seven');
});
$publisher->wait_for_catchup('sub');
is(news(), 'insert 4 four, update 1 eins, delete 2, insert 5 first, insert 6 six, delete 3, truncate, insert 7 seven', 'changes that are replicated');
$subscriber->safe_psql('postgres', q{INSERT INTO t VALUES (8, 'eight')});
is(news(), 'insert 8 eight', 'and those of the subscriber');
is($subscriber->safe_psql('postgres', 'SELECT messages FROM streamq.captures'), 12, 'all are counted');

done_testing();
