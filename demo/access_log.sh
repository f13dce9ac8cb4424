# shellcheck shell=bash
#
# access_log.sh: a web server's access log as a stream.  Part of run.sh, which
# sets "file".

src=${work:?}/src/demo

sql -f "$src/access_log.sql" >/dev/null || die "cannot set up the stream"

# a consumer of the server errors, and a session that listens for closed windows
consume "$src/consume_errors.sql" &
consumer=$!
listen requests_per_minute &

say "loading ${file:?}"
# gzip -f takes what is not compressed as it is
gzip -dcf <"$file" | run_as_user perl "$src/parse_access_log.pl" "$work/lines" | sql
status=("${PIPESTATUS[@]}")
[ "${status[*]}" = "0 0 0" ] || die "loading $file failed"
sql -At -c "SELECT streamq.wait_until_caught_up(name, '10 minutes') FROM streamq.jobs" >/dev/null
sleep 1
touch "$work/stop"
wait "$consumer" || die "the consumer failed"
wait

sql -v lines="$(cat "$work/lines")" -f "$src/access_log_report.sql" || die "the report failed"
how_to_look_around requests_per_minute
