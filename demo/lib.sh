# shellcheck shell=bash
#
# lib.sh: the private server of the demo.  To be sourced; the caller sets "top".

# shellcheck source=test/lib/env.sh
. "${top:?the caller sets it}/test/lib/env.sh"

state=$top/build/demo

# The server lives in build/demo.  Where the unprivileged user cannot reach
# that (root's own directory, say), or the path is too long for a socket or has
# something in it that PGXS cannot take, such as a space, it lives in /tmp and
# build/demo/place says where.
make_place()
{
	mkdir -p "$state" || die "cannot write to $top/build"
	[ -z "$RUN_USER" ] || chown "$RUN_USER" "$state"
	if [ ${#state} -lt 80 ] && [[ $state != *[!A-Za-z0-9/._+-]* ]] && can_run_in "$state"; then
		work=$state
	else
		make_work_dir streamq-demo
	fi
	echo "$work" >"$state/place"
}

# find_place: sets "work" and "pgbin", false if there is no demo
find_place()
{
	local postgres

	[ -e "$state/place" ] || return 1
	read -r work <"$state/place"
	postgres=$(find "$work/pg" -path '*/bin/postgres' 2>/dev/null | head -n 1)
	pgbin=$(dirname "${postgres:-/nonexistent/postgres}")
}

remove_place()
{
	find_place || return 0
	touch "$work/stop"
	stop_servers "$work"
	case $work in
		"$state" | /tmp/streamq-demo.* | /var/tmp/streamq-demo.*) rm -rf "$work" ;;
	esac
	rm -rf "$state"
	[ ! -e "$state" ] || die "cannot remove $state: it belongs to another user, who can run make demo-clean"
	rmdir "$top/build" 2>/dev/null
	return 0
}

start_server()
{
	say "starting a private server in $work"
	run_as_user "$pgbin/initdb" -D "$work/data" -U postgres -A trust -E UTF8 --no-sync \
		>"$work/initdb.log" 2>&1 || { tail -n 5 "$work/initdb.log"; die "initdb failed, see $work/initdb.log"; }
	cat "$top/demo/postgresql.conf" >>"$work/data/postgresql.conf"
	echo "unix_socket_directories = '$work'" >>"$work/data/postgresql.conf"
	# not in the way of any other server: no TCP, a socket in a directory of our own
	run_as_user "$pgbin/pg_ctl" -D "$work/data" -l "$work/start.log" -w start \
		>/dev/null || { tail -n 5 "$work/start.log"; die "the server does not start, see $work/start.log"; }
	run_as_user "$pgbin/createdb" -h "$work" -U postgres demo
	run_as_user "$pgbin/psql" -X -q -h "$work" -U postgres -d demo \
		-c 'CREATE EXTENSION streamq' || die "CREATE EXTENSION failed"
	printf '#!/bin/bash\nexec %q -h %q -U postgres -d demo "$@"\n' "$pgbin/psql" "$work" >"$work/psql"
	chmod +x "$work/psql"
	[ "$work" = "$state" ] || ln -sf "$work/psql" "$state/psql"
}

# sql [PSQL OPTION]...: psql on the demo's database, errors end it
sql()
{
	run_as_user "$pgbin/psql" -X -q -v ON_ERROR_STOP=1 -h "$work" -U postgres -d demo "$@"
}

# listen RELATION: prints the notifications of a stream or view until the file
# "stop" appears.  psql shows what has arrived whenever it gets a command.
listen()
{
	{
		echo "SELECT format('LISTEN %I', streamq.channel('$1')) \\gexec"
		while [ ! -e "$work/stop" ]; do
			sleep 0.5
			echo 'SELECT 1 \g /dev/null'
		done
	} | sql -At | sed -uE 's/^Asynchronous notification .* with payload "(.*)" received.*/notified: \1/'
}

# consume FILE: runs a consumer's transaction again and again until the file
# "stop" appears and one more round after that
consume()
{
	local last=no

	while [ $last = no ]; do
		[ ! -e "$work/stop" ] || last=yes
		sql -f "$1" || return 1
	done
}

how_to_look_around()
{
	cat <<-EOF

		The server is still running. To look around:
		    build/demo/psql
		    demo=# \\d+
		    demo=# SELECT * FROM streamq.streams;
		    demo=# SELECT * FROM $1 ORDER BY window_start DESC LIMIT 10;
		Its files are in $work,
		its log is $work/data/log. Nothing was installed into your PostgreSQL.
		To stop it and remove everything: make demo-clean
	EOF
	say_what_stays
}
