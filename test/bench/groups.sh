# shellcheck shell=bash
#
# groups.sh: benchmarks of consumer groups.  To be sourced by run.sh; what each line
# is about is in docs/benchmarks.md.

: "${work:=}" "${rounds:=}" "${batches:=}" "${rows:=}" "${top:=}" "${pgbin:=}"

modes=${MODES:-ordered shared key_shared}
held_seconds=${HELD_SECONDS:-20}	# a table is in use while a snapshot is held
held_rows=${HELD_ROWS:-300000}		# messages consumed while a snapshot is held
seconds=${SECONDS_EACH:-4}		# of a measurement with workers
waiting=${WAITING:-100000}		# delayed messages that wait besides

skip_locked()
{
	echo "DELETE FROM $1 WHERE id IN (SELECT id FROM $1 ORDER BY id LIMIT $2 FOR UPDATE SKIP LOCKED) RETURNING *"
}

# PgQ's way to consume; in a transaction, as its own consumers do it
pgq_batch="BEGIN ;; SELECT batch_id FROM pgq.next_batch('q', 'c') AS n(batch_id) ;;
	SELECT * FROM pgq.get_batch_events((\$1)[1]) ;; SELECT pgq.finish_batch((\$1)[1]) ;; COMMIT"

# then_ack STREAM MODE N: consume and then acknowledge, in a transaction
then_ack()
{
	echo "BEGIN ;; SELECT * FROM streamq.consume('$1', '$2', $3) ;;
		SELECT streamq.ack_batch('$1', '$2', \$1) ;; COMMIT"
}

auto_ack()
{
	echo "SELECT * FROM streamq.consume('$1', '$2', $3, auto_ack => true)"
}

# another session keeps its snapshot, until release_snapshot
hold_snapshot()
{
	PGAPPNAME=holder sql -c 'BEGIN ISOLATION LEVEL REPEATABLE READ' -c 'SELECT' \
		-c 'SELECT pg_sleep(3600)' >"$work/ignored" 2>&1 &
	until [ "$(value "SELECT count(*) FROM pg_stat_activity
			WHERE application_name = 'holder' AND wait_event = 'PgSleep'")" = 1 ]; do
		sleep 0.1
	done
}

release_snapshot()
{
	sql -c "SELECT FROM pg_stat_activity, pg_terminate_backend(pid) WHERE application_name = 'holder'" >"$work/ignored"
	wait
}

# The tables of these groups, once.
groups_ready=
prepare_groups()
{
	[ -z "$groups_ready" ] || return 0
	sql -f "$top/test/bench/groups.sql" >"$work/ignored" || die "cannot make the tables of groups"
	pgq=
	if [ -e "$("$PG_CONFIG" --sharedir)/extension/pgq.control" ]; then
		sql -f "$top/test/bench/pgq.sql" >"$work/ignored" || die "cannot make the queue of PgQ"
		pgq=pgq
	else
		say "no PgQ for PostgreSQL $PGMAJOR (Debian: postgresql-$PGMAJOR-pgq3): lines with it are left out"
	fi
	groups_ready=1
}

# fill TABLE ROWS: empties it and puts messages in, as frozen as can be
fill()
{
	sql -c "TRUNCATE $1" -c "INSERT INTO $1 (key, payload)
		SELECT key, payload FROM input, generate_series(0, $2 / $rows) LIMIT $2"
	sql -c "VACUUM (FREEZE, ANALYZE) $1"
}

# all_done STREAM GROUP: dies if something is left
all_done()
{
	[ "$(value "SELECT bench_lag('$1', '$2')")" = 0 ] || die "not everything was consumed by group $2 of $1"
}

# Batches of 1,000.
group_consume()
{
	local r m t how n=$((batches / 5)) each="" then_each=""

	prepare_groups
	for m in $modes; do
		each="$each auto.$m"
		then_each="$then_each then.$m"
	done
	for r in $(seq "$rounds"); do
		for how in alone held; do
			# one more than are counted: the first is for warming up
			fill batch $(((n + 1) * 1000))
			fill batch_pk $(((n + 1) * 1000))
			[ -z "$pgq" ] || sql -c "CALL bench_make_pgq($((n + 1)), 1000)"
			sql -c 'VACUUM ANALYZE' -c "SELECT bench_make_groups('batch', '$modes')" -c CHECKPOINT >"$work/ignored"
			[ $how = alone ] || hold_snapshot
			# shellcheck disable=SC2086	# lists of words
			for t in $(in_turn "$r" $each heap_pk $pgq); do
				case $t in
					auto.*) measure_warm "$how.$t" 1 $n "$(auto_ack batch "${t#*.}" 1000)" ;;
					heap_pk) measure_warm "$how.$t" 1 $n "$(skip_locked batch_pk 1000)" ;;
					pgq) measure_warm "$how.$t" 1 $n "$pgq_batch" ;;
				esac
			done
			[ $how = alone ] || release_snapshot
			for m in $modes; do all_done batch "$m"; done
			[ $how = alone ] || continue
			sql -c "SELECT bench_make_groups('batch', '$modes')" >"$work/ignored"
			# shellcheck disable=SC2086
			for t in $(in_turn "$r" $then_each); do
				measure_warm "$how.$t" 1 $n "$(then_ack batch "${t#*.}" 1000)"
			done
			for m in $modes; do all_done batch "$m"; done
		done
	done
	sql -c "TRUNCATE batch, batch_pk"
	for m in $modes; do
		for how in auto 'then'; do
			t="consume 1,000, $m, $([ $how = auto ] && echo auto_ack || echo ack_batch)"
			[ -z "$pgq" ] || faster "$t" PgQ 2.0 "alone.$how.$m" alone.pgq $((n * 1000))
			faster "$t" "SKIP LOCKED, heap+pk" 5.0 "alone.$how.$m" alone.heap_pk $((n * 1000))
		done
		t="consume 1,000, $m, a snapshot is held"
		[ -z "$pgq" ] || faster "$t" PgQ 2.0 "held.auto.$m" held.pgq $((n * 1000))
		faster "$t" "SKIP LOCKED, heap+pk" 5.0 "held.auto.$m" held.heap_pk $((n * 1000))
	done
}

# single_statement WHAT MODE: one message, prepared
single_statement()
{
	case $1 in
		auto) auto_ack jobs "$2" 1 ;;
		ack) echo "SELECT m.*, streamq.ack('jobs', '$2', m.msg_id) FROM streamq.consume('jobs', '$2', 1) m" ;;
		heap) skip_locked jobs_pk 1 ;;
	esac
}

# single NAME GROUP CLIENTS TIMES STATEMENT: records the seconds.  A call that was given
# nothing is no work: the time counts for what was taken.
single()
{
	local before after seconds expected=$(($3 * ($4 + 1)))

	before=$(value "SELECT bench_lag('jobs', '$2')")
	seconds=$(client_seconds "-w -p" "$3" "$4" "$5") || die "$1 could not be measured"
	after=$(value "SELECT bench_lag('jobs', '$2')")
	if [ $((before - after)) != $expected ]; then
		say "   $1: $((before - after)) messages in $expected calls"
		seconds=$(calc "$seconds * $expected / ($before - $after + 0.001)")
	fi
	record "$1" "$seconds"
}

# use SECONDS: jobs come and are taken one by one, for so long, by 4 workers each
use()
{
	echo "INSERT INTO jobs (key, payload) VALUES ('k', repeat('x', 100));
		SELECT * FROM streamq.consume('jobs', 'shared', 1, auto_ack => true);" >"$work/use_stream.pgbench"
	echo "INSERT INTO jobs_pk (key, payload) VALUES ('k', repeat('x', 100));
		$(skip_locked jobs_pk 1);" >"$work/use_heap.pgbench"
	run_pgbench use_stream.pgbench 4 "$1" >/dev/null
	run_pgbench use_heap.pgbench 4 "$1" >/dev/null
}

# Batches of 1: a fresh table, and one that has been used while a snapshot was held.
group_single()
{
	local r m t c n=2000 work_modes=${modes/ordered/}

	prepare_groups
	for r in $(seq "$rounds"); do
		for c in 1 8; do
			fill jobs $((n * 5))
			fill jobs_pk $((n * 2))
			sql -c "SELECT bench_make_groups('jobs', '$modes')" -c CHECKPOINT >"$work/ignored"
			for m in $work_modes; do
				for t in $(in_turn "$r" auto ack); do
					single "single$c.$t.$m" "$m" $c $((n / c)) "$(single_statement "$t" "$m")"
				done
			done
			measure_with "-w -p" "single$c.heap" $c $((n / c)) "$(single_statement heap)"
		done
	done
	for m in $work_modes; do
		for c in 1 8; do
			t="clients: $c"
			faster "consume 1, $m, auto_ack, $t" "DELETE SKIP LOCKED" 1.0 single$c.auto.$m single$c.heap $n
			faster "consume 1, $m, and ack, $t" "DELETE SKIP LOCKED" 1.0 single$c.ack.$m single$c.heap $n
		done
	done
	case " $modes " in *" shared "*) ;; *) return ;; esac
	fill jobs $n
	fill jobs_pk $n
	sql -c "SELECT bench_make_groups('jobs', 'shared')" >"$work/ignored"
	hold_snapshot
	say "   using both for $held_seconds s while a snapshot is held"
	use "$held_seconds"
	for r in $(seq "$rounds"); do
		for t in jobs jobs_pk; do
			sql -c "INSERT INTO $t (key, payload) SELECT 'k', repeat('x', 100) FROM generate_series(1, $n)"
		done
		for t in $(in_turn "$r" auto ack heap); do
			if [ "$t" = heap ]; then
				measure_with "-w -p" used.heap 1 $((n / 4)) "$(single_statement heap)"
			else
				single "used.$t" shared 1 $((n / 4)) "$(single_statement "$t" shared)"
			fi
		done
	done
	release_snapshot
	faster "consume 1, shared, auto_ack, used $held_seconds s" "DELETE SKIP LOCKED" 3.0 used.auto used.heap $((n / 4))
	faster "consume 1, shared, and ack, used $held_seconds s" "DELETE SKIP LOCKED" 3.0 used.ack used.heap $((n / 4))
	sql -c 'TRUNCATE jobs, jobs_pk'
}

# run_pgbench SCRIPT CLIENTS SECONDS: prints transactions for each second
run_pgbench()
{
	local out tps

	out=$(run_as_user "$pgbin/pgbench" -n -M prepared -c "$2" -j 2 -T "$3" -f "$work/$1" \
		-h "$work" -U postgres postgres 2>&1)
	tps=$(sed -nE 's/^tps = ([0-9.]+) .*/\1/p' <<<"$out")
	if [ -z "$tps" ] || grep -q ERROR <<<"$out"; then
		echo "$out" | tail -n 5 >&2
		die "pgbench failed: $1"
	fi
	echo "$tps"
}

# work_script MODE N SLEEP: a transaction that is open while its worker works
work_script()
{
	echo "BEGIN;"
	echo "SELECT coalesce(array_agg(msg_id), '{}') AS ids FROM streamq.consume('jobs', '$1', $2) \\gset"
	[ -z "$3" ] || echo "SELECT pg_sleep($3);"
	echo "SELECT streamq.ack_batch('jobs', '$1', :ids::bigint[]);"
	echo "COMMIT;"
}

# run_workers NAME MODE WORKERS N SLEEP: records the seconds for a thousand messages
run_workers()
{
	local before after start

	work_script "$2" "$4" "$5" >"$work/$1.pgbench"
	before=$(value "SELECT bench_lag('jobs', '$2')")
	start=$(date +%s.%N)
	run_pgbench "$1.pgbench" "$3" "$seconds" >/dev/null
	start=$(calc "$(date +%s.%N) - $start")
	after=$(value "SELECT bench_lag('jobs', '$2')")
	[ "$after" -gt 1000 ] || die "$1: there were too few messages"
	[ "$before" -gt "$after" ] || die "$1: nothing was consumed"
	record "$1" "$(calc "1000 * $start / ($before - $after)")"
}

# Several workers on one partition.
group_workers()
{
	local r m c work_modes=${modes/ordered/}

	prepare_groups
	for r in $(seq "$rounds"); do
		for m in $work_modes; do
			fill jobs $((rows < 500000 ? 500000 : rows))
			sql -c "SELECT bench_make_groups('jobs', '$m')" -c CHECKPOINT >"$work/ignored"
			for c in $(in_turn "$r" 1 8); do
				run_workers "sleep$c.$m" "$m" "$c" 10 0.02
				run_workers "busy$c.$m" "$m" "$c" 10 ""
			done
		done
	done
	sql -c 'TRUNCATE jobs'
	for m in $work_modes; do
		faster "8 workers, 20 ms open, 10 each, $m" "1 worker" 7.0 "sleep8.$m" "sleep1.$m" 1000
		faster "8 workers without sleep, 10 each, $m" "1 worker" 1.0 "busy8.$m" "busy1.$m" 1000
	done
}

# key_shared with a key that is stuck, its messages one of 10,000 or one of 10
group_keys()
{
	local r k stuck n=$((rows < 500000 ? 500000 : rows))

	case " $modes " in *" key_shared "*) ;; *) return ;; esac
	prepare_groups
	for k in 1 1000; do
		sql -c "TRUNCATE jobs" -c "INSERT INTO jobs (key, payload)
			SELECT CASE WHEN $k > 1 AND i % 10 = 0 THEN 'k0' ELSE 'k' || i % 10000 END, repeat('x', 100)
			FROM generate_series(0, $n - 1) i"
		sql -c "VACUUM (FREEZE, ANALYZE) jobs"
		for r in $(seq "$rounds"); do
			for stuck in $(in_turn "$r" free stuck); do
				sql -c "SELECT bench_make_groups('jobs', 'key_shared')" -c CHECKPOINT >"$work/ignored"
				[ "$stuck" = free ] || sql -c "SELECT count(*) FROM streamq.consume('jobs', 'key_shared', 1,
					consumer => 'stuck', lease => '1 day')" >"$work/ignored"
				run_workers "keys$k.$stuck" key_shared 8 100 ""
			done
		done
	done
	sql -c 'TRUNCATE jobs'
	faster "key_shared, 10,000 keys, one is stuck" "none is stuck" 0.95 keys1.stuck keys1.free 1000
	faster "the same, a tenth has the stuck key" "none is stuck" 0.85 keys1000.stuck keys1000.free 1000
}

# A shared group of the jobs that may have a million of them out.
make_wide_group()
{
	sql -c "SELECT bench_make_groups('jobs', 'shared')" \
		-c "SELECT streamq.alter_group('jobs', 'shared', max_in_flight => 1000000)" -c CHECKPOINT >"$work/ignored"
}

# Messages that wait for their retry, in front of those that are taken.
group_retries()
{
	local r t n=200000 taken=100000

	prepare_groups
	case " $modes " in *" shared "*) ;; *) return ;; esac
	fill jobs $((n + taken + 100))
	for r in $(seq "$rounds"); do
		for t in $(in_turn "$r" waiting none); do
			make_wide_group
			if [ "$t" = waiting ]; then
				sql -c "SELECT streamq.nack_batch('jobs', 'shared', array_agg(msg_id), retry_after => '1 h')
					FROM streamq.consume('jobs', 'shared', $n)" >"$work/ignored"
			else
				sql -c "SELECT count(*) FROM streamq.consume('jobs', 'shared', $n, auto_ack => true)" >"$work/ignored"
			fi
			measure_warm "retries.$t" 1 $((taken / 100)) "$(auto_ack jobs shared 100)"
		done
	done
	sql -c 'TRUNCATE jobs'
	faster "consume 100, shared, $n wait for their retry" "none waits" 0.9 retries.waiting retries.none $taken
}

# Acknowledging one of a million messages that are out, in any order.
group_outstanding()
{
	local r n first turns=500

	prepare_groups
	case " $modes " in *" shared "*) ;; *) return ;; esac
	fill jobs 1000000
	sql -c 'CREATE SEQUENCE acks'
	for r in $(seq "$rounds"); do
		for n in $(in_turn "$r" 1000 1000000); do
			make_wide_group
			first=$(value "SELECT min(msg_id) FROM streamq.consume('jobs', 'shared', $n, lease => '1 day', consumer => 'c')")
			measure_with "-w -p" "outstanding.$n" 1 $turns \
				"SELECT streamq.ack('jobs', 'shared', $first + nextval('acks') * 7919 % $n)"
		done
	done
	sql -c 'TRUNCATE jobs' -c 'DROP SEQUENCE acks'
	faster "ack 1 of 1,000,000 that are out, shared" "1 of 1,000" 0.8 outstanding.1000000 outstanding.1000 $turns
}

group_dedup()
{
	local r i t
	local -A statement

	prepare_groups
	statement[stream]="SELECT FROM streamq.produce_batch('dedup', \$1, dedup_ids => \$2)"
	statement[heap]="INSERT INTO dedup_pk (payload, dedup_id) SELECT * FROM unnest(\$1, \$2) ON CONFLICT DO NOTHING"
	for r in $(seq "$rounds"); do
		for i in 1 2; do
			sql -c 'TRUNCATE dedup, dedup_pk' -c CHECKPOINT
			for t in $(in_turn "$r" stream heap); do
				measure_with "-w -i $i" "dedup$i.$t" 1 $((batches / 2)) "${statement[$t]}" 1000 100
			done
			[ "$(value 'SELECT (SELECT count(*) FROM dedup) = (SELECT count(*) FROM dedup_pk)')" = t ] ||
				die "the stream has not as many messages as the table"
		done
	done
	sql -c 'TRUNCATE dedup, dedup_pk'
	faster "produce_batch of 1,000 with dedup_id" "ON CONFLICT DO NOTHING" 1.0 dedup1.stream dedup1.heap $((batches * 500))
	faster "the same, each batch twice" "ON CONFLICT DO NOTHING" 1.0 dedup2.stream dedup2.heap $((batches * 500))
}

# dead_tuples: of all tables of streamq, as the server counts them
dead_tuples()
{
	value "SELECT pg_stat_force_next_flush()" >/dev/null
	value "SELECT coalesce(sum(n_dead_tup), 0) FROM pg_stat_all_tables WHERE schemaname = '$1'"
}

# decay NAME STATEMENT PARTS TURNS: the seconds of each part
decay()
{
	local i

	for i in $(seq "$3"); do
		measure "$1.$i" 1 "$4" "$2"
	done
}

# A snapshot is held from before the first message until after the last.
group_snapshot()
{
	local m t parts=10 turns before after

	prepare_groups
	turns=$((held_rows / parts / 100))
	fill batch $((turns * parts * 100))
	fill batch_pk $((turns * parts * 100))
	[ -z "$pgq" ] || sql -c "CALL bench_make_pgq($((turns * parts)), 100)"
	sql -c "SELECT bench_make_groups('batch', '$modes')" -c CHECKPOINT >"$work/ignored"
	before=$(dead_tuples streamq)
	hold_snapshot
	for m in $modes; do
		decay "decay.$m" "$(auto_ack batch "$m" 100)" $parts $turns
		all_done batch "$m"
	done
	after=$(dead_tuples streamq)
	decay decay.heap "$(skip_locked batch_pk 100)" $parts $turns
	[ -z "$pgq" ] || decay decay.pgq "$pgq_batch" $parts $turns
	release_snapshot
	# medians of three parts each: one part alone may meet a pause of the machine
	for t in $modes heap $pgq; do
		for m in 1 2 3; do
			record "decay.$t.first" "$(median "decay.$t.$m")"
			record "decay.$t.last" "$(median "decay.$t.$((parts + 1 - m))")"
		done
	done
	for t in $modes; do
		result "a snapshot held, $t: last part's rate" "the first part's" \
			"$(calc "int(100 * $(median "decay.$t.first") / $(median "decay.$t.last")) / 100")" 0.95 \
			"table $(calc "int(100 * $(median decay.heap.first) / $(median decay.heap.last)) / 100")${pgq:+, PgQ $(calc "int(100 * $(median decay.pgq.first) / $(median decay.pgq.last)) / 100")}"
	done
	result "the same: dead rows in schema streamq" "" $((after - before)) "<1000" \
		"table $(dead_tuples public)${pgq:+, PgQ $(dead_tuples pgq)}"
	sql -c 'TRUNCATE batch, batch_pk'
}

group_latency()
{
	local r m p50 p99 n=500

	prepare_groups
	sql -c 'TRUNCATE jobs' -c "SELECT bench_make_groups('jobs', '$modes')" -c CHECKPOINT >"$work/ignored"
	for r in $(seq "$rounds"); do
		# shellcheck disable=SC2086	# a list of words
		for m in $(in_turn "$r" $modes); do
			sql -c "SELECT streamq.seek('jobs', '$m', 'latest')" >"$work/ignored"
			read -r p50 p99 <<<"$(run_as_user "$work/latency" "host=$work user=postgres dbname=postgres" $n \
				"SELECT streamq.produce('jobs', repeat('x', 100), key => 'k')" \
				"SELECT * FROM streamq.consume('jobs', '$m', 1, wait => '10 s', auto_ack => true)")"
			[ -n "$p99" ] || die "the latency could not be measured"
			record "latency.$m.p50" "$p50"
			record "latency.$m.p99" "$p99"
		done
	done
	sql -c 'TRUNCATE jobs'
	for m in $modes; do
		result "produce to a waiting consumer, $m, p50, ms" "" "$(median "latency.$m.p50")" "<1" ""
		result "produce to a waiting consumer, $m, p99, ms" "" "$(median "latency.$m.p99")" "<5" ""
	done
}

# 1,000 messages are due each second
group_delay()
{
	local r n=10000

	prepare_groups
	sql -c "SELECT count(streamq.produce('delayed', '{}', deliver_at => now() + interval '1 day'))
		FROM generate_series(1, $waiting)" >"$work/ignored"
	for r in $(seq "$rounds"); do
		sql -c 'TRUNCATE delayed_seen' -c CHECKPOINT
		sql -c "SELECT streamq.create_group('delayed', 'g', start_at => 'latest', if_not_exists => true)" >"$work/ignored"
		# those that wait are produced before the first is due
		sql -c "SELECT count(streamq.produce('delayed', jsonb_build_object('due', due), deliver_at => due))
			FROM (SELECT now() + interval '5 s' + i * interval '1 ms' AS due
				FROM generate_series(1, $n) i) x" >"$work/ignored"
		sql -c "CALL bench_take_delayed($((n / 1000 + 7)))"
		[ "$(value 'SELECT count(*) FROM delayed_seen')" = $n ] || die "delayed messages have not come exactly once"
		[ "$(value 'SELECT count(*) FROM delayed_seen WHERE late_ms < 0')" = 0 ] || die "delayed messages came too early"
		record delay.p50 "$(value 'SELECT percentile_disc(0.5) WITHIN GROUP (ORDER BY late_ms) FROM delayed_seen')"
		record delay.p99 "$(value 'SELECT percentile_disc(0.99) WITHIN GROUP (ORDER BY late_ms) FROM delayed_seen')"
	done
	sql -c "SELECT streamq.drop_stream('delayed')" -c "SELECT streamq.create_stream('delayed')" >"$work/ignored"
	result "1,000 due per second, $waiting wait: late p50, ms" "" "$(median delay.p50)" "<50" ""
	result "1,000 due per second, $waiting wait: late p99, ms" "" "$(median delay.p99)" "<100" ""
}
