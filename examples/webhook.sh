#!/bin/bash
#
# webhook.sh STREAM GROUP URL: sends each message of the stream to the URL by
# POST, as a JSON object with msg_id, key, payload and produced_at.  The
# database is that of psql's environment variables (PGHOST, PGDATABASE, ...).
#
# A message is acknowledged when the receiver answers with 2xx.  Otherwise it
# comes again after RETRY_AFTER (default "10 seconds"), and the ones after it
# go on.  A script that ends in between leaves its lease, which ends after a
# minute, so a message may be sent twice: its msg_id is the same.  Several
# scripts may run side by side.
#
# ONCE=1: end when there is nothing left, instead of waiting.

set -eu
stream=$1 group=$2 url=$3
retry_after=${RETRY_AFTER:-10 seconds}

sql()
{
	psql -XAtq -v ON_ERROR_STOP=1 -v stream="$stream" -v group="$group" "$@"
}

sql <<<"SELECT streamq.create_group(:'stream', :'group', mode => 'shared', if_not_exists => true)" >/dev/null

while true; do
	message=$(sql -v me="webhook $$" <<-'SQL'
		SELECT json_build_object('msg_id', msg_id, 'key', key, 'payload', payload, 'produced_at', produced_at)
		FROM streamq.consume(:'stream', :'group', 1, lease => '1 minute', consumer => :'me')
	SQL
	)
	if [ -z "$message" ]; then
		[ -z "${ONCE:-}" ] || exit 0
		sql <<<"CALL streamq.wait_for_messages(:'stream', :'group', '1 minute')" >/dev/null
		continue
	fi
	msg_id=$(sed -E 's/^\{"msg_id" : ([0-9]+),.*/\1/' <<<"$message")
	if curl -fsS -o /dev/null --max-time 30 -H 'Content-Type: application/json' \
		--data-binary @- "$url" <<<"$message"; then
		sql -v id="$msg_id" <<<"SELECT streamq.ack(:'stream', :'group', :id)" >/dev/null
	else
		sql -v id="$msg_id" -v after="$retry_after" \
			<<<"SELECT streamq.nack(:'stream', :'group', :id, retry_after => :'after')" >/dev/null
	fi
done
