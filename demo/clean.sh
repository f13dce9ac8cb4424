#!/bin/bash
#
# clean.sh: stops the demo's server and removes everything the demo made.

set -u
top=$(cd "$(dirname "$0")/.." && pwd)
# shellcheck source=demo/lib.sh
. "$top/demo/lib.sh"

choose_user
stays=$(say_what_stays)
rm -f "$installed_list"
remove_place
[ -z "$stays" ] || echo "$stays"
