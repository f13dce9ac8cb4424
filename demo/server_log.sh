# shellcheck shell=bash
#
# server_log.sh: PostgreSQL's own log as a stream.  Part of run.sh, which sets
# "load".

src=${work:?}/src/demo
csv=$work/data/log/server.csv

sql -f "$src/server_log.sql" >/dev/null || die "cannot set up the stream"

# a loader that follows the log, a consumer of the slow statements, and a
# session that listens for closed windows
(run_as_user perl "$src/follow_csv.pl" "$csv" "$work/stop" "$work/records" | sql) &
loader=$!
consume "$src/consume_slow.sql" &
consumer=$!
listen statements &

say "pgbench runs for ${load:?} s; its statements come in through the server's log"
run_as_user "${pgbin:?}/createdb" -h "$work" -U postgres bench
run_as_user "$pgbin/pgbench" -h "$work" -U postgres -i -q bench >"$work/pgbench.log" 2>&1
sql -c 'ALTER DATABASE bench SET log_min_duration_statement = 0'
run_as_user "$pgbin/pgbench" -h "$work" -U postgres -n -c 4 -j 2 -T "$load" --rate=120 \
	-b tpcb-like@5 -b select-only@4 -f "$src/slow.sql@1" bench >>"$work/pgbench.log" 2>&1 ||
	die "pgbench failed, see $work/pgbench.log"
touch "$work/stop"
wait "$loader" || die "the loader failed"
wait "$consumer" || die "the consumer failed"
wait

sql -v lines="$(cat "$work/records")" -f "$src/server_log_report.sql" ||
	die "the report failed"
how_to_look_around statements
