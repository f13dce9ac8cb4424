#!/bin/bash
#
# run.sh: measures streamq against what PostgreSQL offers otherwise, on a
# private throw-away server, and prints a table with the bar for each figure.
# What each line is about is in docs/benchmarks.md.
#
# Environment:
#   ONLY      names of groups to run (all): copy produce client concurrent
#             insert bytes read scan vacuum jobs sessions; of consumer groups: consume single
#             workers keys retries outstanding dedup snapshot latency delay; of
#             views and pipes: catchup windows share pipe handler beside visible
#             nexmark; capture
#   ROWS      messages of 100 bytes in a table (500000)
#   ROUNDS    how often each thing is measured (5); medians count
#   SLOW_DISK flushing a file takes at least so long, e.g. "2ms" or "500us"
#   MODES     of consumer groups (ordered shared key_shared)
#   HELD_SECONDS  how long tables are in use while a snapshot is held (20)
#   HELD_ROWS     messages that are consumed while a snapshot is held (300000)
#   OPEN_SESSIONS sessions that are open at a time (1000000)
#   SHARED_ROWS   rows of the stream of two partitions (4000000)
#   WAITING       delayed messages that wait besides those that are due (100000)
#   SETTINGS  more settings of the server, e.g. "wal_buffers=64MB fsync=off"
#   PG_CONFIG or PGMAJOR, KEEP=1 (leave the directory for a look)
#
# This is no test: a figure below its bar does not make it fail.

set -u
top=$(cd "$(dirname "$0")/../.." && pwd)
# shellcheck source=test/bench/lib.sh
. "$top/test/bench/lib.sh"
# shellcheck source=test/bench/groups.sh
. "$top/test/bench/groups.sh"
# shellcheck source=test/bench/views.sh
. "$top/test/bench/views.sh"

all="copy produce client concurrent insert bytes read scan vacuum jobs sessions \
consume single workers keys retries outstanding dedup snapshot latency delay \
catchup windows share pipe handler beside visible nexmark capture"
only=${ONLY:-$all}
rows=${ROWS:-500000}
rounds=${ROUNDS:-5}
[ "$rows" -ge 20000 ] 2>/dev/null || die "ROWS must be a number, 20000 at least"
[ "$rounds" -ge 1 ] 2>/dev/null || die "ROUNDS must be a number, 1 at least"
for group in $only; do
	case " $all " in
		*" $group "*) ;;
		*) die "unknown group \"$group\": there are $all" ;;
	esac
done

rows_1k=$((rows / 5))
batches=$((rows / 1000))	# of 1,000
singles=20000

finish()
{
	stop_servers "$work"
	if [ "${KEEP:-}" = 1 ]; then
		echo "kept: $work"
	else
		rm -rf "$work"
	fi
}

# load TABLE FILE: empties it and copies the file into it
load()
{
	sql -c "TRUNCATE $1" -c "COPY $1 (at, key, payload) FROM '$work/$2' (FORMAT binary)"
}

make_tables()
{
	say "making $rows rows of 100 bytes and $rows_1k of 1 kB"
	sql -f "$top/test/bench/tables.sql" -v floor="$work/floor.so" -v rows="$rows" \
		-v rows_1k="$rows_1k" || die "cannot make the tables"
	sql -c "COPY input TO '$work/100.binary' (FORMAT binary)" -c "COPY input TO '$work/100.text'" \
		-c "COPY (SELECT * FROM input LIMIT $((rows / 2))) TO '$work/half.binary' (FORMAT binary)" \
		-c "COPY input_1k TO '$work/1k.binary' (FORMAT binary)" || die "cannot write the input"
}

# Every buffer is touched once, and WAL segments are made that are used again
# after the checkpoint before each round.
warm_up()
{
	say "touching all of shared_buffers, making WAL segments"
	sql -f "$top/test/bench/warm_up.sql" || die "cannot touch the buffers"
	for t in stream heap heap_pk; do load "$t" 100.binary; done
	sql -c 'TRUNCATE stream, heap, heap_pk' -c CHECKPOINT
}

# copy_each NAME FILE FORMAT: one COPY into each of the tables
copy_each()
{
	local r t

	for r in $(seq "$rounds"); do
		sql -c CHECKPOINT
		for t in $(in_turn "$r" stream heap heap_pk); do
			sql -c "TRUNCATE $t"
			measure "$1.$t" 1 1 "COPY $t (at, key, payload) FROM '$work/$2' (FORMAT $3)"
		done
	done
	[ "$(value "SELECT (SELECT count(*) FROM stream) = (SELECT count(*) FROM heap)")" = t ] ||
		die "the stream has lost rows"
	sql -c 'TRUNCATE stream, heap, heap_pk'
}

group_copy()
{
	copy_each text 100.text text
	faster "COPY text, 100 B" heap+pk 2.0 text.stream text.heap_pk "$rows"
	faster "COPY text, 100 B" heap 1.05 text.stream text.heap "$rows"
	copy_each binary 100.binary binary
	faster "COPY BINARY, 100 B" heap+pk 3.0 binary.stream binary.heap_pk "$rows"
	faster "COPY BINARY, 100 B" heap 1.35 binary.stream binary.heap "$rows"
	copy_each binary1k 1k.binary binary
	faster "COPY BINARY, 1 kB" heap+pk 1.7 binary1k.stream binary1k.heap_pk "$rows_1k"
	faster "COPY BINARY, 1 kB" heap 1.3 binary1k.stream binary1k.heap "$rows_1k"
}

# As many bare records of the same size as the stream's append makes.
group_produce()
{
	local n=$((rows / 1000)) query wal records bytes r t

	query="SELECT sum(cardinality(streamq.produce_batch('batch',
			(SELECT array_agg(repeat('x', 100)) FROM generate_series(1, 1000)))))
		FROM generate_series(1, $n)"
	sql -c "TRUNCATE batch" -c "$query" -c "TRUNCATE batch" >"$work/ignored"
	wal=$(value "EXPLAIN (ANALYZE, WAL, TIMING OFF, SUMMARY OFF) $query" | grep -m 1 'WAL:')
	records=$(sed -E 's/.*records=([0-9]+).*/\1/' <<<"$wal")
	bytes=$(sed -E 's/.*bytes=([0-9]+).*/\1/' <<<"$wal")
	for r in $(seq "$rounds"); do
		sql -c CHECKPOINT
		for t in $(in_turn "$r" stream floor); do
			if [ "$t" = stream ]; then
				sql -c "TRUNCATE batch"
				measure produce.stream 1 1 "$query"
			else
				# the header of a record and of its data take 29 bytes
				measure produce.floor 1 1 "SELECT bench_wal_floor($records, $((bytes / records - 29)))"
			fi
		done
	done
	sql -c "TRUNCATE batch"
	faster "produce_batch of 1,000, server side" "bare WAL records" 0.5 \
		produce.stream produce.floor "$((n * 1000))"
}

group_client()
{
	local r c t n
	local -A statement

	statement[stream]="SELECT streamq.produce_batch('batch', \$1)"
	# no msg_ids sent back, as the peer sends no ids
	statement[no_ids]="SELECT FROM streamq.produce_batch('batch', \$1)"
	statement[heap_pk]="INSERT INTO batch_pk (payload) SELECT unnest(\$1)"
	for r in $(seq "$rounds"); do
		sql -c CHECKPOINT
		for c in 1 4; do
			n=$((batches / c))
			for t in $(in_turn "$r" stream no_ids heap_pk); do
				sql -c "TRUNCATE batch, batch_pk"
				measure "client$c.$t" $c $n "${statement[$t]}" 1000 100
			done
		done
	done
	sql -c "TRUNCATE batch, batch_pk"
	for c in 1 4; do
		t=$([ $c = 1 ] && echo "1 client" || echo "$c clients")
		faster "produce_batch of 1,000 text[], $t" "INSERT unnest, heap+pk" $((c == 1 ? 4 : 5)).0 \
			client$c.stream client$c.heap_pk $((batches * 1000))
		faster "produce_batch of 1,000 text[], $t, no msg_ids back" "INSERT unnest, heap+pk" $((c == 1 ? 4 : 5)).0 \
			client$c.no_ids client$c.heap_pk $((batches * 1000))
	done
}

group_concurrent()
{
	local r t

	for r in $(seq "$rounds"); do
		sql -c CHECKPOINT
		for t in $(in_turn "$r" stream heap heap_pk); do
			sql -c "TRUNCATE $t"
			measure "concurrent.$t" 4 1 \
				"COPY $t (at, key, payload) FROM '$work/half.binary' (FORMAT binary)"
		done
		sql -c 'TRUNCATE stream, heap, heap_pk'
	done
	faster "4 COPYs at a time, one partition" "4 into one heap" 1.7 \
		concurrent.stream concurrent.heap $((rows * 2))
	faster "4 COPYs at a time, one partition" "4 into one heap+pk" 4.0 \
		concurrent.stream concurrent.heap_pk $((rows * 2))
}

group_insert()
{
	local r c t tps

	for t in stream heap; do
		echo "INSERT INTO $t VALUES (now(), 'abcdef', '$(printf 'x%.0s' {1..100})');" >"$work/$t.pgbench"
		run_as_user "$pgbin/pgbench" -n -M prepared -c 8 -T 1 -f "$work/$t.pgbench" \
			-h "$work" -U postgres postgres >"$work/ignored" 2>&1
	done
	for r in $(seq "$rounds"); do
		sql -c CHECKPOINT
		for c in 1 8 32; do
			for t in $(in_turn "$r" stream heap); do
				tps=$(run_as_user "$pgbin/pgbench" -n -M prepared -c $c -j 2 -T 2 \
					-f "$work/$t.pgbench" -h "$work" -U postgres postgres 2>&1 |
					sed -nE 's/^tps = ([0-9.]+) .*/\1/p')
				[ -n "$tps" ] || die "pgbench failed"
				record "insert$c.$t" "$(calc "1000 / $tps")"
			done
		done
	done
	sql -c 'TRUNCATE stream, heap'
	for c in 1 8 32; do
		faster "single-row INSERT, prepared, clients: $c" heap 0.95 "insert$c.stream" "insert$c.heap" 1000
	done
}

# wal_bytes ROWS SQL [SETTING]: bytes of WAL for each row
wal_bytes()
{
	local from to

	from=$(value "SELECT pg_current_wal_insert_lsn()")
	sql ${3:+-c "SET $3"} -c "$2"
	to=$(value "SELECT pg_current_wal_insert_lsn()")
	value "SELECT round(('$to'::pg_lsn - '$from'::pg_lsn) / $1, 1)"
}

# disk_bytes TABLE ROWS
disk_bytes()
{
	value "SELECT round(pg_relation_size('$1')::numeric / $2, 1)"
}

group_bytes()
{
	local t loop copy single disk disk_1k

	for t in stream heap; do
		# shellcheck disable=SC2016	# not for the shell
		loop='DO $$ BEGIN FOR i IN 1 .. '$singles' LOOP
			INSERT INTO '$t' VALUES (now(), '"'abcdef'"', repeat('"'x'"', 100)); COMMIT; END LOOP; END $$'
		sql -c "TRUNCATE $t"
		copy=$(wal_bytes "$rows" "COPY $t FROM '$work/100.binary' (FORMAT binary)")
		disk=$(disk_bytes "$t" "$rows")
		sql -c "TRUNCATE $t"
		single=$(wal_bytes "$singles" "$loop" synchronous_commit=off)
		load "$t" 1k.binary
		disk_1k=$(disk_bytes "$t" "$rows_1k")
		record "bytes.copy.$t" "$copy"
		record "bytes.single.$t" "$single"
		record "bytes.disk.$t" "$disk"
		record "bytes.disk1k.$t" "$disk_1k"
		sql -c "TRUNCATE $t"
	done
	bytes_row copy "WAL bytes per message, COPY" 122
	bytes_row single "WAL bytes per message, single INSERT" 225
	bytes_row disk "disk bytes per message, 100 B" 121
	bytes_row disk1k "disk bytes per message, 1 kB" 1060
}

bytes_row()
{
	local ours

	ours=$(median "bytes.$1.stream")
	result "$2" "" "$ours" "<$3" "heap $(median "bytes.$1.heap")"
}

# read_loop QUERY: for each place, the query for the 1,000 rows there
read_loop()
{
	# shellcheck disable=SC2016	# not for the shell
	echo 'DO $$ DECLARE o bigint; m bigint; a tid; b tid; n bigint; s bigint; BEGIN
		FOR o, m, a, b IN SELECT * FROM places LOOP
			'"$1"';
			IF n <> 1000 THEN RAISE EXCEPTION '"'% rows', n"'; END IF;
		END LOOP; END $$'
}

group_read()
{
	local r t l first n=1000
	local -A statement

	load stream 100.binary
	sql -c 'TRUNCATE heap_pk RESTART IDENTITY' \
		-c "COPY heap_pk (at, key, payload) FROM '$work/100.binary' (FORMAT binary)"
	sql -c 'VACUUM (FREEZE, ANALYZE) stream' -c 'VACUUM (FREEZE, ANALYZE) heap_pk'
	# offsets go on over a TRUNCATE
	first=$(value "SELECT (ctid::text::point)[0] * 32768 + (ctid::text::point)[1] - 1 FROM stream LIMIT 1")
	# an id of the table, the offset in the stream, TIDs
	sql -c "CREATE UNLOGGED TABLE places AS
		SELECT o, o + $first AS m, bench_tid(o + $first) AS a, bench_tid(o + $first + 1000) AS b
		FROM (SELECT bench_random(0, $((rows - 1001))) AS o FROM generate_series(1, $n)) x"
	# plan once: planning is not what is compared
	sql -c "ALTER DATABASE postgres SET plan_cache_mode = force_generic_plan"
	statement[msg_id]="(SELECT payload FROM stream WHERE streamq.msg_id(tableoid, ctid) >= m
		ORDER BY streamq.msg_id(tableoid, ctid) LIMIT 1000) x"
	statement[heap_pk]="(SELECT payload FROM heap_pk WHERE id > o ORDER BY id LIMIT 1000) x"
	statement[range]="stream WHERE ctid >= a AND ctid < b"
	for r in $(seq "$rounds"); do
		sql -c CHECKPOINT
		for l in length octet_length; do
			for t in $(in_turn "$r" msg_id heap_pk range); do
				measure_warm "$l.$t" 1 1 \
					"$(read_loop "SELECT count(*), sum($l(payload)) INTO n, s FROM ${statement[$t]}")"
			done
		done
	done
	sql -c "ALTER DATABASE postgres RESET plan_cache_mode" -c 'DROP TABLE places' \
		-c 'TRUNCATE stream, heap_pk'
	for l in length octet_length; do
		faster "1,000 from a random offset, $l: ORDER BY msg_id LIMIT" "ORDER BY id LIMIT" 1.5 \
			$l.msg_id $l.heap_pk $((n * 1000))
		faster "1,000 from a random offset, $l: range of ctid" "ORDER BY id LIMIT" 1.5 \
			$l.range $l.heap_pk $((n * 1000))
	done
}

group_scan()
{
	local r t

	for t in stream heap; do
		load $t 100.binary
		sql -c "VACUUM (FREEZE, ANALYZE) $t"
	done
	for r in $(seq $((rounds * 3))); do
		for t in $(in_turn "$r" stream heap); do
			measure_warm "count.$t" 1 1 "SELECT count(*) FROM $t"
			measure_warm "sum.$t" 1 1 "SELECT sum(octet_length(payload)) FROM $t"
			measure_warm "bin.$t" 1 1 "SELECT date_bin('1 minute', at, '2000-01-01'), count(*) FROM $t GROUP BY 1"
		done
	done
	sql -c 'TRUNCATE stream, heap'
	faster "full scan: count(*)" heap 1.0 count.stream count.heap "$rows"
	faster "full scan: sum(octet_length(payload))" heap 1.5 sum.stream sum.heap "$rows"
	faster "full scan: date_bin, GROUP BY" heap 1.05 bin.stream bin.heap "$rows"
}

# vacuum_pages TABLE: buffers of the table that a VACUUM reads, found or not
vacuum_pages()
{
	local query="SELECT heap_blks_read + heap_blks_hit FROM pg_statio_user_tables WHERE relname = '$1'"

	sql -At -c "SELECT pg_stat_force_next_flush()" -c "$query" \
		-c "VACUUM FREEZE $1" -c "SELECT pg_stat_force_next_flush()" -c "$query" |
		awk 'NF { v[++n] = $1 } END { print v[2] - v[1] }'
}

group_vacuum()
{
	local t from to size

	for t in stream heap; do
		load $t 100.binary
		size=$(value "SELECT pg_relation_size('$t')")
		sql -c CHECKPOINT
		from=$(value "SELECT pg_current_wal_insert_lsn()")
		sql -c "VACUUM FREEZE $t"
		to=$(value "SELECT pg_current_wal_insert_lsn()")
		record "vacuum.wal.$t" "$(value "SELECT round(100 * ('$to'::pg_lsn - '$from'::pg_lsn) / $size, 3)")"
		record "vacuum.pages.$t" "$(vacuum_pages "$t")"
		sql -c "TRUNCATE $t"
	done
	result "VACUUM FREEZE, first: WAL, % of the log" "" "$(median vacuum.wal.stream)" "<1" \
		"heap $(median vacuum.wal.heap)"
	result "VACUUM FREEZE, second: pages read" "" "$(median vacuum.pages.stream)" "<9" \
		"heap $(median vacuum.pages.heap)"
}

# jobs_once NAME VIEWS WORKERS: commits until the views have what was committed
jobs_once()
{
	sql -c "ALTER SYSTEM SET streamq.max_workers_per_database = $3" -c 'SELECT pg_reload_conf()' \
		-c "SELECT bench_make_jobs($2)" >"$work/ignored"
	sleep 2
	sql -c 'SET synchronous_commit = off' -c "CALL bench_produce($2, 8)"
	sql -At -c "SELECT streamq.wait_until_caught_up(name) FROM streamq.jobs" >"$work/ignored"
	read -r p50 p99 <<<"$(sql -At -F ' ' -c 'SELECT * FROM bench_latency()')"
	record "$1.p50" "$p50"
	record "$1.p99" "$p99"
	sql -c 'SET client_min_messages = warning' -c 'SELECT bench_drop_jobs()' >"$work/ignored"
}

# more views than workers
group_jobs()
{
	local r t p50 p99 few=8 views=22

	sql -c "ALTER SYSTEM SET max_worker_processes = 40" \
		-c "ALTER SYSTEM SET track_commit_timestamp = on" -f "$top/test/bench/jobs.sql"
	restart_bench_server
	for r in $(seq "$rounds"); do
		for t in $(in_turn "$r" $few $views); do
			jobs_once "jobs$t" $views "$t"
		done
	done
	sql -c 'ALTER SYSTEM RESET ALL'
	restart_bench_server
	result "$views views on $few workers, p50 until visible, ms" "" "$(median jobs$few.p50)" "<50" \
		"with a worker each $(median jobs$views.p50)"
	result "$views views on $few workers, p99 until visible, ms" "" "$(median jobs$few.p99)" "<150" \
		"with a worker each $(median jobs$views.p99)"
}

# sessions_once NAME CALL: a view over the windows that the call makes
sessions_once()
{
	local seconds megabytes

	sql -c "SELECT bench_make_view('bench_$1', '$2')" >"$work/ignored"
	IFS='|' read -r seconds megabytes < <(sql -At -c "SELECT * FROM bench_run('bench_$1')")
	record "sessions.$1" "$seconds"
	record "sessions.$1.mb" "$megabytes"
	sql -c "SET client_min_messages = warning" -c "DROP VIEW bench_$1" >"$work/ignored"
}

# a million sessions are open at a time
group_sessions()
{
	local r t n=${OPEN_SESSIONS:-1000000}

	sql -f "$top/test/bench/sessions.sql" -v sessions="$n" >"$work/ignored"
	for r in $(seq "$rounds"); do
		for t in $(in_turn "$r" session tumble); do
			sessions_once "$t" "streamq.$t(at, ''1 hour'')"
		done
	done
	sql -c "SET client_min_messages = warning" -c "DROP TABLE bench_visits CASCADE" >"$work/ignored"
	faster "$n open sessions" "tumble" 0.5 sessions.session sessions.tumble $((2 * n))
	result "$n open sessions: memory of the worker, MB" "" "$(median sessions.session.mb)" "<150" \
		"tumble $(median sessions.tumble.mb)"
}

need_postgres bench
choose_user
make_work_dir streamq-bench
trap finish EXIT
trap 'exit 130' INT TERM
cd "$work" || die "cannot enter $work"

say "building for PostgreSQL $PGMAJOR"
copy_tree "$work/src"
private_pg "$work/pg"
build_into "$work/src" >"$work/build.log" 2>&1 || { tail "$work/build.log"; die "the build failed"; }
build_programs
choose_disk
start_bench_server
make_tables
warm_up
say "what the disk gives"
disk_rates
for group in $only; do
	say "$group"
	"group_$group"
done
say "the disk: $rates"
say "$("$pgbin/postgres" --version), $rounds rounds, $rows rows, ${SETTINGS:-default settings}, $((SECONDS / 60)) min $((SECONDS % 60)) s"
print_table
