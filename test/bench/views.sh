# shellcheck shell=bash
#
# views.sh: benchmarks of continuous views, pipes and handlers.  To be sourced by
# run.sh; what each line is about is in docs/benchmarks.md.
#
# Jobs run in a session, and times are those of the session's processor, so that
# other work on the machine counts as little as can be.

: "${work:=}" "${rounds:=}" "${rows:=}" "${top:=}" "${pgbin:=}"

views_ready=
prepare_views()
{
	set_workers 0
	[ -z "$views_ready" ] || return 0
	sql -f "$top/test/bench/views.sql" -v rows="$rows" >"$work/ignored" || die "cannot make the streams of views"
	views_ready=1
}

# set_workers N: workers of the database
set_workers()
{
	sql -c "ALTER SYSTEM SET streamq.max_workers_per_database = $1" -c 'SELECT pg_reload_conf()' \
		-c 'SELECT pg_sleep(0.2)' >"$work/ignored"
}

quiet()
{
	sql -c 'SET client_min_messages = warning' "$@" >"$work/ignored" || die "a statement failed"
}

# record_query NAME QUERY, record_job NAME JOB: the second time in a session, when
# the pages are mapped
record_query()
{
	record_last "$1" -c "SELECT bench_run_query(\$q\$$2\$q\$)" -c "SELECT bench_run_query(\$q\$$2\$q\$)"
}

record_job()
{
	record_last "$1" -c "SELECT count(*) FROM bench_events" -c "SELECT bench_run_job('$2')"
}

# record_last NAME ARGUMENTS: what the last of psql's commands returns
record_last()
{
	local name=$1 output
	shift

	output=$(sql -At "$@") || die "cannot measure $name"
	record "$name" "$(tail -n 1 <<<"$output")"
}

# a rollup of bench_events: the window function's call, the key
rollup()
{
	echo "SELECT w.window_start, w.window_end, $2, count(*) AS n, sum(v) AS sum, max(v) AS most
		FROM bench_events, $1 w GROUP BY w.window_start, w.window_end, $2"
}

# run_view NAME CALL KEY
run_view()
{
	quiet -c "SELECT streamq.create_continuous_view('bench_view', \$q\$$(rollup "$2" "$3")\$q\$)"
	record_job "$1" bench_view
	quiet -c 'DROP VIEW bench_view'
}

group_catchup()
{
	local r t key minute="streamq.tumble(at, '1 minute')"

	prepare_views
	for r in $(seq "$rounds"); do
		for key in few many; do
			for t in $(in_turn "$r" view batch); do
				if [ "$t" = view ]; then
					run_view "catchup.$key.view" "$minute" "$key"
				else
					record_query "catchup.$key.batch" "SELECT count(*) FROM ($(rollup "$minute" "$key")) q"
				fi
			done
		done
	done
	faster "catch-up of a view, 1,000 keys" "GROUP BY" 0.8 catchup.few.view catchup.few.batch "$rows"
	faster "catch-up of a view, 100,000 keys" "GROUP BY" 0.5 catchup.many.view catchup.many.batch "$rows"
}

group_windows()
{
	local r t

	prepare_views
	for r in $(seq "$rounds"); do
		for t in $(in_turn "$r" hop tumble); do
			if [ "$t" = hop ]; then
				run_view windows.hop "streamq.hop(at, '1 minute', '1 hour')" few
			else
				run_view windows.tumble "streamq.tumble(at, '1 minute')" few
			fi
		done
	done
	faster "catch-up of a hop of 60 slides" "tumble of the slide" 0.67 windows.hop windows.tumble "$rows"
}

# share_once NAME WORKERS: seconds until a view over two partitions is caught up
share_once()
{
	local query name=bench_shared times

	query=$(rollup "streamq.tumble(at, '1 minute')" few)
	set_workers "$2"
	quiet -c "BEGIN" \
		-c "SELECT streamq.create_continuous_view('bench_view', \$q\$${query/bench_events/$name}\$q\$)" \
		-c "SELECT streamq.pause('bench_view')" -c "COMMIT"
	times=$(sql -At -c "SELECT streamq.resume('bench_view')" -c "SELECT extract(epoch FROM clock_timestamp())" \
		-c "SELECT streamq.wait_until_caught_up('bench_view', '10 min')" \
		-c "SELECT extract(epoch FROM clock_timestamp())") || die "cannot measure $1"
	record "$1" "$(awk '/^[0-9.]+$/ { a = a ? a : $1; b = $1 } END { print b - a }' <<<"$times")"
	quiet -c 'DROP VIEW bench_view'
}

group_share()
{
	local r n

	prepare_views
	quiet -c "SELECT streamq.create_stream('bench_shared', 'at timestamptz, few int, many int, v int', partitions => 2, partition_by => 'few')" \
		-c "INSERT INTO bench_shared SELECT '2024-01-01'::timestamptz + i * interval '2 ms', i % 1000, i * 7919 % 100000, i % 977
			FROM generate_series(1::int8, ${SHARED_ROWS:-4000000}) i" -c 'VACUUM (FREEZE) bench_shared'
	for r in $(seq "$rounds"); do
		for n in $(in_turn "$r" 2 1); do
			share_once "share.$n" "$n"
		done
	done
	set_workers 0
	quiet -c 'DROP TABLE bench_shared'
	faster "catch-up of a view, 2 partitions, 2 workers" "1 worker" 1.6 share.2 share.1 "${SHARED_ROWS:-4000000}"
}

group_pipe()
{
	local r t query="SELECT at, many AS few, few AS many, v FROM bench_events WHERE v % 4 <> 0"

	prepare_views
	for r in $(seq "$rounds"); do
		for t in $(in_turn "$r" pipe insert); do
			quiet -c 'TRUNCATE bench_output' -c CHECKPOINT
			if [ "$t" = pipe ]; then
				quiet -c "SELECT streamq.create_pipe('bench_pipe', '$query', 'bench_output')"
				record_job pipe.pipe bench_pipe
				quiet -c "SELECT streamq.drop_pipe('bench_pipe')"
			else
				record pipe.insert "$(value "SELECT bench_run_query('INSERT INTO bench_output $query')")"
			fi
		done
	done
	quiet -c 'TRUNCATE bench_output'
	faster "pipe with a filter and another key" "INSERT ... SELECT" 0.5 pipe.pipe pipe.insert "$rows"
}

group_handler()
{
	local r t n

	prepare_views
	n=$(value 'SELECT count(*) FROM bench_handled')
	for r in $(seq "$rounds"); do
		for t in $(in_turn "$r" handler loop); do
			if [ "$t" = handler ]; then
				quiet -c "SELECT streamq.create_handler('bench_handler', 'bench_handled', 'bench_handle(streamq.message)')"
				record_job handler.handler bench_handler
				quiet -c "SELECT streamq.drop_handler('bench_handler')"
			else
				record_query handler.loop "CALL bench_loop()"
			fi
		done
	done
	faster "handler, called for each message" "loop over a table" 0.5 handler.handler handler.loop "$n"
}

# insert_rows TABLE NAME: single rows by 8 clients
insert_rows()
{
	local tps

	tps=$(run_as_user "$pgbin/pgbench" -n -M prepared -c 8 -j 2 -T 4 -f "$work/$1.pgbench" \
		-h "$work" -U postgres postgres 2>&1 | sed -nE 's/^tps = ([0-9.]+) .*/\1/p')
	[ -n "$tps" ] || die "pgbench failed"
	record "$2" "$(calc "1000 / $tps")"
}

group_beside()
{
	local r t

	prepare_views
	set_workers 1
	for t in bench_output bench_triggered; do
		printf '\\set k random(0, 999)\nINSERT INTO %s VALUES (now(), :k, 0, 1);\n' $t >"$work/$t.pgbench"
	done
	for r in $(seq "$rounds"); do
		for t in $(in_turn "$r" alone view trigger); do
			quiet -c 'TRUNCATE bench_output, bench_triggered, bench_rollup' -c CHECKPOINT
			case $t in
				alone) insert_rows bench_output beside.alone ;;
				trigger) insert_rows bench_triggered beside.trigger ;;
				view)
					quiet -c "SELECT streamq.create_continuous_view('bench_view', \$q\$$(rollup \
						"streamq.tumble(at, '1 minute')" few | sed s/bench_events/bench_output/)\$q\$)"
					insert_rows bench_output beside.view
					quiet -c 'DROP VIEW bench_view'
					;;
			esac
		done
	done
	set_workers 0
	faster "single-row INSERT of 8 clients, a view beside" "no view" 0.95 beside.view beside.alone 1000
	faster "single-row INSERT of 8 clients, a view beside" "trigger, ON CONFLICT" 0.95 beside.view beside.trigger 1000
}

# follow STATEMENT NAME HOW: a bulk statement on a table that is followed
follow()
{
	record_last "capture.$2.$3" -c "SELECT count(*) FROM bench_followed_$3" \
		-c "SELECT bench_run_query(\$q\$${1//TABLE/bench_followed_$3}\$q\$)"
}

group_capture()
{
	local r t pgq='' n=100000
	local insert="INSERT INTO TABLE SELECT i, i % 1000, 'item number ' || i, i * 0.25,
		timestamptz '2026-01-01' + i * interval '1 s' FROM generate_series(1, $n) i"

	prepare_views
	sql -f "$top/test/bench/capture.sql" >"$work/ignored" || die "cannot make the captured tables"
	[ "$(value "SELECT count(*) FROM pg_extension WHERE extname = 'pgq'")" = 0 ] || pgq=pgq
	for r in $(seq "$rounds"); do
		quiet -c 'TRUNCATE bench_followed_alone, bench_followed_capture, bench_followed_plpgsql, bench_followed_pgq' \
			-c 'TRUNCATE bench_changes, bench_changes_plpgsql' -c CHECKPOINT
		for t in $(in_turn "$r" alone capture plpgsql $pgq); do follow "$insert" insert "$t"; done
		for t in $(in_turn "$r" alone capture plpgsql $pgq); do
			follow "UPDATE TABLE SET amount = amount + 1" update "$t"
		done
	done
	for t in insert update; do
		faster "$t of 100,000 rows, captured" "no capture" 0.625 "capture.$t.capture" "capture.$t.alone" $n
		faster "$t of 100,000 rows, captured" "trigger in PL/pgSQL" 2 "capture.$t.capture" "capture.$t.plpgsql" $n
		[ -z "$pgq" ] || faster "$t of 100,000 rows, captured" "PgQ, logutriga" 2 "capture.$t.capture" "capture.$t.pgq" $n
	done
}

# worker_ticks: processor time of the background workers, in ticks of the kernel
worker_ticks()
{
	local pid

	for pid in $(value "SELECT pid FROM pg_stat_activity WHERE backend_type LIKE 'streamq%'"); do
		awk '{ print $14 + $15 }' "/proc/$pid/stat" 2>/dev/null
	done | awk '{ n += $1 } END { print n + 0 }'
}

# one view at 1,000 rows a second; then 100 views without anything to do
group_visible()
{
	local p50 p99 before seconds=30 r

	sql -c "ALTER SYSTEM SET track_commit_timestamp = on" -f "$top/test/bench/jobs.sql"
	restart_bench_server
	printf 'INSERT INTO job_1 VALUES (pg_current_xact_id()::text::int8);\n' >"$work/visible.pgbench"
	for r in $(seq "$rounds"); do
		sql -c 'SELECT bench_make_jobs(1)' >"$work/ignored"
		run_as_user "$pgbin/pgbench" -n -M prepared -c 4 -j 2 -R 1000 -T 10 -f "$work/visible.pgbench" \
			-h "$work" -U postgres postgres >"$work/ignored" 2>&1 || die "pgbench failed"
		sql -At -c "SELECT streamq.wait_until_caught_up('job_view_1')" >"$work/ignored"
		read -r p50 p99 <<<"$(sql -At -F ' ' -c 'SELECT * FROM bench_latency()')"
		record visible.p50 "$p50"
		record visible.p99 "$p99"
		quiet -c 'SELECT bench_drop_jobs()'
	done
	sql -c 'SELECT bench_make_jobs(100)' >"$work/ignored"
	sleep 15
	before=$(worker_ticks)
	sleep "$seconds"
	record visible.idle "$(calc "100 * ($(worker_ticks) - $before) / $(getconf CLK_TCK) / $seconds")"
	quiet -c 'SELECT bench_drop_jobs()'
	sql -c 'ALTER SYSTEM RESET ALL'
	restart_bench_server
	result "1,000 rows/s in single commits, p50 until visible, ms" "" "$(median visible.p50)" "<100" ""
	result "1,000 rows/s in single commits, p99 until visible, ms" "" "$(median visible.p99)" "<100" ""
	result "100 idle views, % of a core" "" "$(median visible.idle | cut -c 1-4)" "<1" ""
}

group_nexmark()
{
	local name setup jobs batch job

	prepare_views
	quiet -f "$top/test/bench/nexmark.sql"
	quiet -c "CALL nexmark_load(0, $rows)"
	for name in $(sql -At -c "SELECT name FROM nexmark_query ORDER BY substr(name, 2)::int"); do
		setup=$(value "SELECT setup FROM nexmark_query WHERE name = '$name'")
		jobs=$(value "SELECT array_to_string(jobs, ' ') FROM nexmark_query WHERE name = '$name'")
		batch=$(value "SELECT batch FROM nexmark_query WHERE name = '$name'")
		if ! sql -c "$setup" >"$work/ignored" 2>&1; then
			say "$name: $(head -n 1 "$work/ignored")"
			continue
		fi
		for job in $jobs; do
			value "SELECT bench_run_job('$job')"
		done | awk '{ s += $1 } END { print s }' >"$work/seconds"
		record "nexmark.$name" "$(cat "$work/seconds")"
		record_query "nexmark.$name.batch" \
			"CREATE TEMPORARY TABLE bench_result AS $batch; DROP TABLE bench_result"
		faster "Nexmark $name" "batch" 0.1 "nexmark.$name" "nexmark.$name.batch" "$rows"
	done
}
