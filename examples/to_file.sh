#!/bin/bash
#
# to_file.sh STREAM GROUP FILE: appends each message of the stream to the file,
# as a line of JSON.  The database is that of psql's environment variables.
# The stream has one partition, so msg_id grows, and the end of the file tells
# what is in it: nothing is lost or written twice, whatever fails.  After a
# crash the messages that were under way come again when their lease ends.
#
# ONCE=1: end when there is nothing left, instead of waiting.

set -eu
stream=$1 group=$2 file=$3

sql()
{
	psql -XAtq -v ON_ERROR_STOP=1 -v stream="$stream" -v group="$group" "$@"
}

last_id()
{
	tail -n 1 "$file" | sed -E 's/^\{"msg_id" : ([0-9]+),.*/\1/'
}

touch "$file"
# a line that was not finished was not acknowledged either
[ -z "$(tail -c 1 "$file")" ] || sed -i '$d' "$file"
sql <<<"SELECT streamq.create_group(:'stream', :'group', if_not_exists => true)" >/dev/null

while true; do
	last=$(last_id)
	lines=$(sql -v me="file $$" -v last="${last:--1}" <<-'SQL'
		SELECT json_build_object('msg_id', msg_id, 'key', key, 'payload', payload, 'produced_at', produced_at)
		FROM streamq.consume(:'stream', :'group', 1000, lease => '1 minute', consumer => :'me')
		WHERE msg_id > :last
	SQL
	)
	if [ -n "$lines" ]; then
		printf '%s\n' "$lines" >>"$file"
		sync -d "$file"
	fi
	last=$(last_id)
	[ -z "$last" ] ||
		sql -v id="$last" <<<"SELECT streamq.ack_through(:'stream', :'group', :id)" >/dev/null
	if [ -z "$lines" ]; then
		[ -z "${ONCE:-}" ] || exit 0
		sql <<<"CALL streamq.wait_for_messages(:'stream', :'group', '1 minute')" >/dev/null
	fi
done
