#!/bin/sh
# 10,000 connections open at once, every one of them served twice.
set -u
. "$(dirname "$0")/lib.sh"
need curl
sys_begin "${1:-xdp}"
www
mtcpd_start d "${2:-1}"
serve "$TMP/www" 20000
ip netns exec "$PEER" python3 "$SYS_DIR/hold.py" $IP_D 80 10000 --rounds 2 --hold 3 \
	--ready "$TMP/ready" >"$TMP/hold.log" 2>&1 &
hold=$!
echo $hold >>"$TMP/pids"
wait_until 700 eval "[ -e '$TMP/ready' ] || gone $hold"
[ -e "$TMP/ready" ] || fail "not all 10,000 were served"
n=$(conns d)
[ "$n" -ge 10000 ] || fail "mtcpctl counts $n connections, not 10000"
pass "10,000 open and served ($n in mtcpctl)"
wait $hold || fail "a connection broke while it was held"
pass "held and closed"
few_conns() { [ "$(conns d)" -lt 10 ]; }
wait_until 100 few_conns || fail "$(conns d) connections left 10 s later"
pass "none left"
sys_end
