# Clients of pgmq work with the extension streamq_pgmq as they are: pgmq-js and
# @waiting/pgmq-js from npm.  They are looked for in the folder node_modules of
# STREAMQ_NPM, or else installed by npm, and skipped if that fails.
use strict;
use warnings;

use IPC::Run qw(run timeout);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('main');
$node->init;
$node->append_conf('postgresql.conf', "shared_preload_libraries = 'streamq'\nlisten_addresses = '127.0.0.1'\n");
$node->append_conf('pg_hba.conf', "host all all 127.0.0.1/32 trust");
$node->start;
$node->safe_psql('postgres', 'CREATE EXTENSION streamq_pgmq CASCADE');
my $dir = PostgreSQL::Test::Utils::tempdir();

sub works
{
	my (@command) = @_;

	return scalar(eval { run(\@command, '<', \'', '>', \my $out, '2>', \my $err, timeout(15)) });
}

# ---- many consumers, and a dump ----
$node->safe_psql('postgres', q{
	SELECT pgmq.create('work');
	SELECT pgmq.send_batch('work', ARRAY(SELECT to_jsonb(i) FROM generate_series(1, 600) i));
	CREATE TABLE done (n bigint, pid int DEFAULT pg_backend_pid());
});
my $file = "$dir/work.sql";
append_to_file($file, q{WITH r AS (SELECT * FROM pgmq.read('work', 60, 3)), d AS (INSERT INTO done (n) SELECT message::bigint FROM r RETURNING n)
SELECT count(*), pgmq.delete('work', (SELECT array_agg(msg_id) FROM r)) FROM d;
});
$node->command_ok([ 'pgbench', '-n', '-c', '4', '-t', '60', '-f', $file, '-h', $node->host, '-p', $node->port, 'postgres' ],
	'four workers read and delete');
is($node->safe_psql('postgres', 'SELECT count(*), count(DISTINCT n), min(n), max(n) FROM done'), '600|600|1|600',
	'each message was read once');
is($node->safe_psql('postgres', q{SELECT queue_length, total_messages FROM pgmq.metrics('work')}), '0|600', 'the queue is empty');

$node->safe_psql('postgres', q{
	SELECT pgmq.send('work', '"read"'), pgmq.send('work', '"new"'), pgmq.send('work', '"late"', 3600), pgmq.send('work', '"gone"');
	SELECT pgmq.read('work', 3600, 1);
	SELECT pgmq.delete('work', 604), pgmq.archive('work', 602);
	SELECT pgmq.bind_topic('a.#', 'work'), pgmq.enable_notify_insert('work', 10);
});
my $queue = q{SELECT string_agg(message::text, ' ' ORDER BY msg_id) FROM pgmq.q_work};
$node->stop('immediate');
$node->start;
is($node->safe_psql('postgres', $queue), '"read" "late"', 'the queue after a crash');
is($node->safe_psql('postgres', q{SELECT count(*) FROM pgmq.read('work', 10, 5)}), '0', 'what was read or is to come later stays hidden');
my $dump = "$dir/dump.sql";
$node->command_ok([ 'pg_dump', '-f', $dump, $node->connstr('postgres') ], 'pg_dump');
$node->safe_psql('postgres', 'CREATE DATABASE restored');
$node->command_ok([ 'psql', '-X', '-q', '-v', 'ON_ERROR_STOP=1', '-f', $dump, $node->connstr('restored') ], 'restore');
is($node->safe_psql('restored', $queue), '"read" "late"', 'the queue after a restore');
is($node->safe_psql('restored', q{SELECT string_agg(message::text, ' ') FROM pgmq.read('work', 10, 5)}), '"read"',
	'a message that was being read is visible, one for later is not');
is($node->safe_psql('restored', q{SELECT (SELECT count(*) FROM pgmq.a_work), pgmq.send_topic('a.b', '1')}), '1|1',
	'archive and topics are there');
like($node->safe_psql('restored', q{LISTEN "pgmq.q_work.INSERT"; SELECT pgmq.send('work', '2') FROM pg_sleep(0.1)}),
	qr/Asynchronous notification "pgmq.q_work.INSERT" received/, 'and notifications');

# ---- the clients ----
my $npm = $ENV{STREAMQ_NPM};
if (works('node', '--version') && !defined $npm)
{
	$npm = "$dir/npm";
	mkdir $npm;
	undef $npm
	  unless works('timeout', '10', 'npm', 'install', '--prefix', $npm, '--no-audit', '--no-fund', '--prefer-offline',
		'--fetch-retries=0', '--fetch-timeout=5000', 'pgmq-js@1', '@waiting/pgmq-js@6');
}

# run a program, which prints a line for each thing that it has checked
sub client
{
	my ($name, $program, $prepare) = @_;
	my $out = '';
	my $err = '';
	my $path = "$dir/test" . ($name =~ s/\W+/-/gr) . ($name =~ /^@/ ? '.mjs' : '.cjs');

	$node->safe_psql('postgres', $prepare) if $prepare;
	append_to_file($path, $program);
	# an ES module finds packages only in the folders above it
	symlink("$npm/node_modules", "$dir/node_modules") unless -e "$dir/node_modules";
	my $done = eval { run([ 'node', $path, $node->port, $ENV{PGUSER} // scalar(getpwuid($<)) ],
		'<', \'', '>', \$out, '2>', \$err, timeout(60)) };
	is($out, "done\n", "$name works") or diag($err);
	return;
}

SKIP:
{
	skip 'node and the package pgmq-js are not here', 1 unless defined $npm && -d "$npm/node_modules/pgmq-js";
	client('pgmq-js', <<'JS');
const assert = require('assert');
const { Pgmq } = require('pgmq-js');

async function main() {
	const [port, user] = process.argv.slice(2);
	// creates the extension pgmq, unless it exists
	const pgmq = await Pgmq.new({ host: '127.0.0.1', port: Number(port), user, database: 'postgres', ssl: false });
	const q = 'js_queue';

	await pgmq.queue.create(q);
	await pgmq.queue.createUnlogged('js_unlogged');
	const names = (await pgmq.queue.list()).map((x) => x.name);
	assert(names.includes(q) && names.includes('js_unlogged'));

	assert.strictEqual(await pgmq.msg.send(q, { id: 1, text: 'one' }), 1);
	assert.deepStrictEqual(await pgmq.msg.sendBatch(q, [{ id: 2 }, { id: 3 }, { id: 4 }]), [2, 3, 4]);
	const late = await pgmq.msg.send(q, { id: 5 }, 3600);
	assert.strictEqual(late, 5);

	const first = await pgmq.msg.read(q, 30);
	assert.strictEqual(first.msgId, 1);
	assert.strictEqual(first.readCount, 1);
	assert.deepStrictEqual(first.message, { id: 1, text: 'one' });
	assert(first.vt - first.enqueuedAt > 29000);
	const more = await pgmq.msg.readBatch(q, 30, 10);
	assert.deepStrictEqual(more.map((m) => m.msgId), [2, 3, 4]);
	assert.strictEqual(await pgmq.msg.read(q, 30), undefined);

	const again = await pgmq.msg.setVt(q, 2, 0);
	assert.strictEqual(again.msgId, 2);
	assert.strictEqual((await pgmq.msg.read(q, 30)).readCount, 2);

	let m = await pgmq.queue.getMetrics(q);
	assert.deepStrictEqual([m.queueName, m.queueLength, m.totalMessages], [q, 5, 5]);
	assert((await pgmq.queue.getAllMetrics()).length >= 2);

	assert.strictEqual(await pgmq.msg.delete(q, 1), true);
	assert.strictEqual(await pgmq.msg.delete(q, 1), false);
	assert.deepStrictEqual(await pgmq.msg.deleteBatch(q, [2, 77]), [2]);
	assert.strictEqual(await pgmq.msg.archive(q, 3), true);
	assert.deepStrictEqual(await pgmq.msg.archiveBatch(q, [4, 5, 78]), [4, 5]);

	await pgmq.msg.send(q, { id: 6 });
	assert.deepStrictEqual((await pgmq.msg.pop(q)).message, { id: 6 });
	assert.strictEqual(await pgmq.msg.pop(q), undefined);
	await pgmq.msg.send(q, 'a string');
	await pgmq.queue.purge(q);
	m = await pgmq.queue.getMetrics(q);
	assert.strictEqual(m.queueLength, 0);
	await pgmq.queue.detachArchive(q);
	await pgmq.queue.drop(q);
	await pgmq.queue.drop('js_unlogged');
	await assert.rejects(pgmq.msg.send(q, {}), /does not exist/);
	await pgmq.close();
	console.log('done');
}
main();
JS
}

SKIP:
{
	my $own = defined $npm ? "$npm/node_modules/\@waiting/pgmq-js/database/default/ddl" : '';
	skip 'node and the package @waiting/pgmq-js are not here', 1 unless -d $own;
	# the client has tables of its own in the schema
	client('@waiting/pgmq-js', <<'JS', join('', map { slurp_file("$own/$_.sql") } 'tb_queue_meta', 'tb_route'));
import assert from 'node:assert';
import { Pgmq } from '@waiting/pgmq-js';

const [port, user] = process.argv.slice(2);
const mq = new Pgmq('test', { connection: { host: '127.0.0.1', port: Number(port), user, database: 'postgres' } });
const queue = 'waiting_queue';

await mq.queue.create({ queue });
await assert.rejects(mq.queue.create({ queue }), /already exists/);
assert.equal(await mq.queue.hasQueue({ queue }), true);
assert.equal((await mq.queue.getOne({ queue })).queue, queue);

const id = await mq.msg.send({ queue, msg: { id: 1 }, headers: { trace: 'x' } });
assert.equal(id, '1');
const ids = await mq.msg.sendBatch({ queue, msgs: [{ id: 2 }, { id: 3 }], msg: [{ id: 2 }, { id: 3 }] });
assert.deepEqual(ids, ['2', '3']);
await mq.msg.send({ queue, msg: { id: 4 }, delay: 3600 });

const chosen = await mq.msg.read({ queue, vt: 30, conditional: { id: 3 } });
assert.equal(chosen.msgId, '3');
const first = await mq.msg.read({ queue, vt: 30 });
assert.equal(first.msgId, '1');
assert.deepEqual(first.message, { id: 1 });
const polled = await mq.msg.readWithPoll({ queue, vt: 30, numMessages: 5, maxPollSeconds: 1, pollIntervalMs: 50 });
assert.deepEqual(polled.map((m) => m.msgId), ['2']);
const visible = await mq.msg.setVt({ queue, msgId: '2', vt: 0 });
assert.equal(visible.readCt, 1);

// reading, deleting and archiving in a transaction that is rolled back
const trx = await mq.startTransaction();
assert.equal((await mq.msg.read({ queue, vt: 30, trx })).msgId, '2');
await mq.msg.delete({ queue, msgId: '2', trx });
await trx.rollback();
assert.equal((await mq.msg.pop({ queue })).msgId, '2');

assert.deepEqual(await mq.msg.delete({ queue, msgId: '1' }), ['1']);
assert.deepEqual(await mq.msg.archiveBatch({ queue, msgIds: ['3', '4'] }), ['3', '4']);
const metrics = await mq.queue.getMetrics({ queue });
assert.equal(Number(metrics.queueLength), 0);
assert.equal(Number(metrics.totalMessages), 4);
await mq.queue.purge({ queue });

// a route to several queues
await mq.queue.create({ queue: 'other_queue' });
await mq.router.createMatch({ routeName: 'both', routeRules: '*' });
const sent = await mq.sendRouteMsg({ routeName: 'both', msg: { hello: 1 } });
assert.equal(sent.length, 2);
assert.equal(await mq.queue.drop({ queue }), true);
await mq.queue.drop({ queue: 'other_queue' });
await mq.destroy();
console.log('done');
JS
}

$node->stop;
done_testing();
