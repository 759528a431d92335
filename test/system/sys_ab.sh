#!/bin/sh
# ab -n 50000 -c 200, connections closed and kept: no failed request.
set -u
. "$(dirname "$0")/lib.sh"
need ab curl
sys_begin "${1:-xdp}"
www
mtcpd_start d "${2:-1}"
serve "$TMP/www"
n=$(count 20000 50000)
for kept in "" -k; do
	# shellcheck disable=SC2086
	in_peer timeout 120 ab -q $kept -n "$n" -c 200 "http://$IP_D/" \
		>"$TMP/ab.log" 2>&1 || fail "ab $kept ended with an error"
	grep -q "^Complete requests: *$n$" "$TMP/ab.log" ||
		fail "ab $kept did not complete $n requests"
	grep -q '^Failed requests: *0$' "$TMP/ab.log" ||
		fail "ab $kept: failed requests"
	! grep -q '^Non-2xx' "$TMP/ab.log" || fail "ab $kept: not 200"
	pass "ab $kept -n $n -c 200: $(awk '/^Requests per/ { print $4 }' \
		"$TMP/ab.log") requests/s"
done
# ab's own ports again within a minute, against our TIME_WAIT
in_peer timeout 120 ab -q -n "$n" -c 50 "http://$IP_D/" >"$TMP/ab.log" 2>&1 ||
	fail "second ab"
grep -q '^Failed requests: *0$' "$TMP/ab.log" || fail "second ab: failures"
pass "ports used again"
sys_end
