#!/bin/sh
# wrk with 512 connections, as many threads in epserver as engines: no error of
# any kind.
set -u
. "$(dirname "$0")/lib.sh"
need wrk curl
sys_begin "${1:-xdp}"
www
mtcpd_start d "${2:-1}"
APP_CORES=${2:-1}
serve "$TMP/www"
in_peer timeout 60 wrk -t2 -c512 "-d$(count 4 10)s" "http://$IP_D/" \
	>"$TMP/wrk.log" 2>&1 || fail "wrk ended with an error"
! grep -qE 'Socket errors|Non-2xx' "$TMP/wrk.log" || {
	cat "$TMP/wrk.log"
	fail "wrk saw errors"
}
n=$(awk '/requests in/ { print $1 }' "$TMP/wrk.log")
[ "${n:-0}" -gt 1000 ] || fail "only ${n:-0} requests"
pass "wrk -c512: $(awk '/^Requests\/sec/ { print $2 }' "$TMP/wrk.log") requests/s"
sys_end
