# CREATE EXTENSION takes no schema in which somebody else has a say, and a dump
# comes back whoever restores it.
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('main');
$node->init;
$node->append_conf('postgresql.conf', q{
shared_preload_libraries = 'streamq'
max_worker_processes = 24
});
$node->start;
my $dump = $node->basedir . '/dump.sql';
$node->safe_psql('postgres', q{
CREATE ROLE mallory;
CREATE ROLE first_admin SUPERUSER LOGIN;
CREATE ROLE second_admin SUPERUSER LOGIN;
CREATE DATABASE db;
GRANT CREATE ON DATABASE db TO mallory;
});

# refused SQL, PATTERN, NAME: in a new schema that SQL has prepared
sub refused
{
	my ($sql, $pattern, $name) = @_;

	my ($rc, $out, $err) = $node->psql('db', "\\set VERBOSITY verbose\n$sql; CREATE EXTENSION streamq;");
	isnt($rc, 0, "$name: refused");
	like($err, $pattern, "$name: why");
	is($node->safe_psql('db', q{SELECT count(*) FROM pg_extension WHERE extname = 'streamq'}), 0,
		"$name: no extension");
	$node->safe_psql('db', 'DROP SCHEMA streamq CASCADE');
}

refused('SET ROLE mallory; CREATE SCHEMA streamq; RESET ROLE',
	qr/42501: schema "streamq" belongs to role "mallory"/, 'schema of another role');
refused('SET ROLE mallory; CREATE SCHEMA streamq; CREATE FUNCTION streamq.version(int) RETURNS text LANGUAGE sql AS $$SELECT 1$$; RESET ROLE',
	qr/42501: schema "streamq" belongs to role "mallory"/, 'with a function planted');
refused('CREATE SCHEMA streamq; GRANT CREATE ON SCHEMA streamq TO mallory',
	qr/42501: roles other than the owner of schema "streamq" may create objects in it/, 'others may create');
refused('CREATE SCHEMA streamq; GRANT CREATE ON SCHEMA streamq TO PUBLIC',
	qr/42501: roles other than the owner of schema "streamq" may create objects in it/, 'everybody may create');
for my $case (
	[ 'CREATE FUNCTION streamq.consume(text, text) RETURNS int LANGUAGE sql AS $$SELECT 1$$', 'function streamq.consume\(text,text\)' ],
	[ 'CREATE TABLE streamq.t ()', 'table streamq.t' ],
	[ 'CREATE TYPE streamq.e AS ENUM ()', 'type streamq.e' ],
	[ 'CREATE OPERATOR streamq.<> (FUNCTION = int4ne, LEFTARG = int, RIGHTARG = int)', 'operator streamq.<>\(integer,integer\)' ],
	[ 'CREATE COLLATION streamq.c (LOCALE = \'C\')', 'collation streamq.c' ],
	[ 'CREATE TEXT SEARCH CONFIGURATION streamq.ts (PARSER = "default")', 'text search configuration streamq.ts' ],
	[ 'ALTER DEFAULT PRIVILEGES IN SCHEMA streamq GRANT SELECT ON TABLES TO mallory', 'default privileges on new relations' ])
{
	refused("CREATE SCHEMA streamq; $case->[0]",
		qr/42P06: schema "streamq" is not empty\nDETAIL:  It has $case->[1]/, "not empty: $case->[1]");
}

# One's own, empty.
$node->safe_psql('db', q{CREATE SCHEMA streamq; CREATE EXTENSION streamq; DROP EXTENSION streamq; CREATE EXTENSION streamq});
is($node->safe_psql('db', 'SELECT streamq.version() IS NOT NULL'), 't', 'in a schema of its own, and again');
$node->safe_psql('db', 'DROP EXTENSION streamq; DROP SCHEMA streamq');

# A dump makes the schema before the extension, and gives it the owner it had.
$node->safe_psql('db', q{
CREATE EXTENSION streamq;
CREATE TABLE s (n int) USING streamq;
INSERT INTO s SELECT generate_series(1, 10);
}, extra_params => [ '-U', 'first_admin' ]);
$node->command_ok([ 'pg_dump', '-f', $dump, 'db' ], 'dump');
like(slurp_file($dump), qr/ALTER SCHEMA streamq OWNER TO first_admin;.*CREATE EXTENSION/s, 'the dump has the owner of the schema');
for my $user ('first_admin', 'second_admin')
{
	$node->safe_psql('postgres', "CREATE DATABASE $user");
	$node->command_ok([ 'psql', '-X', '-q', '-v', 'ON_ERROR_STOP=1', '-U', $user, '-d', $user, '-f', $dump ], "restored by $user");
	is($node->safe_psql($user, 'SELECT count(*), sum(n) FROM s'), '10|55', "messages restored by $user");
}

$node->stop;
done_testing();
