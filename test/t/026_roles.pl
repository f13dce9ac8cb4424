# Roles that have consumer groups: known in other databases, after a restore and
# after pg_upgrade.
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $conf = q{
shared_preload_libraries = 'streamq'
max_worker_processes = 24
};
my $bindir = qx(pg_config --bindir);
chomp $bindir;

my $node = PostgreSQL::Test::Cluster->new('main');
$node->init;
$node->append_conf('postgresql.conf', $conf);
$node->start;
my $dump = $node->basedir . '/dump.sql';

# the groups that a database has dependencies for, by role
my $known = q{SELECT string_agg(r.rolname || ' ' || n, ', ' ORDER BY r.rolname)
FROM (SELECT refobjid, count(*) AS n FROM pg_shdepend
	WHERE dbid = (SELECT oid FROM pg_database WHERE datname = current_database())
	AND classid = 'pg_type'::regclass GROUP BY refobjid) d
JOIN pg_roles r ON r.oid = d.refobjid};

$node->safe_psql('postgres', 'CREATE ROLE app; CREATE ROLE guest; CREATE DATABASE db; CREATE DATABASE restored');
$node->safe_psql('db', q{
CREATE EXTENSION streamq;
CREATE TABLE s (n int) USING streamq;
INSERT INTO s SELECT generate_series(1, 10);
GRANT SELECT ON s TO PUBLIC;
SELECT streamq.create_group('s', 'of a superuser');
SET ROLE app;
SELECT streamq.create_group('s', 'one');
SELECT streamq.create_group('s', 'two');
SELECT streamq.grant_group('s', 'two', 'guest');
});
is($node->safe_psql('db', $known), 'app 2, guest 1', 'known');

# Another database cannot know the groups, but that there are some.
for my $role ([ 'app', 2 ], [ 'guest', 1 ])
{
	my ($rc, $out, $err) = $node->psql('postgres', "DROP ROLE $role->[0]");
	like($err, qr/role "$role->[0]" cannot be dropped because some objects depend on it\nDETAIL:  $role->[1] objects? in database db/,
		"in another database: $role->[0]");
}
$node->safe_psql('postgres', 'CREATE DATABASE copy TEMPLATE db');
is($node->safe_psql('copy', $known), 'app 2, guest 1', 'copy of the database');
$node->safe_psql('postgres', 'DROP DATABASE copy');

# A restored group has an owner in the same way.
$node->command_ok([ 'pg_dump', '-f', $dump, 'db' ], 'dump');
$node->command_ok([ 'psql', '-X', '-q', '-v', 'ON_ERROR_STOP=1', '-d', 'restored', '-f', $dump ], 'restore');
is($node->safe_psql('restored', $known), 'app 2, guest 1', 'restored');
$node->safe_psql('restored', 'DROP OWNED BY guest; DROP EXTENSION streamq CASCADE');
is($node->safe_psql('restored', $known), '', 'the extension was dropped');
$node->safe_psql('db', 'DROP OWNED BY guest');
$node->safe_psql('postgres', 'DROP ROLE guest');
is($node->safe_psql('postgres', 'SELECT count(*) FROM pg_shdepend d WHERE refclassid = \'pg_authid\'::regclass AND NOT EXISTS (SELECT FROM pg_roles WHERE oid = refobjid)'),
	'0', 'nothing is left');
$node->stop;

# pg_upgrade copies the groups and not the dependencies.
my $new = PostgreSQL::Test::Cluster->new('new');
$new->init;
$new->append_conf('postgresql.conf', $conf);
chdir $new->basedir or die $!;
command_ok([ 'pg_upgrade', '--no-sync', '-d', $node->data_dir, '-D', $new->data_dir, '-b', $bindir, '-B', $bindir,
	'-s', $new->host, '-p', $node->port, '-P', $new->port ], 'pg_upgrade')
	or diag(map { slurp_file($_) } glob($new->data_dir . '/pg_upgrade_output.d/*/log/*.log'));
$new->start;
ok($new->poll_query_until('db', "SELECT ($known) = 'app 2'"), 'known after pg_upgrade');
$new->restart;
$new->safe_psql('db', q{SELECT streamq.create_continuous_view('v', 'SELECT count(*) FROM s')});
is($new->safe_psql('db', q{SELECT streamq.wait_until_caught_up('v')}), 't', 'workers run');
is($new->safe_psql('db', $known), 'app 2', 'no more than there are');
$new->safe_psql('db', 'REASSIGN OWNED BY app TO ' . $new->safe_psql('db', 'SELECT quote_ident(current_user)'));
$new->safe_psql('postgres', 'DROP ROLE app');
is($new->safe_psql('db', q{SELECT count(*) FROM streamq.consumer_groups}), '3', 'the groups are there');
$new->stop;
done_testing();
