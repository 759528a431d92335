#!/bin/sh
# Two programs at once, with two listeners each, on one mtcpd: every byte
# comes back from the right one.
set -u
. "$(dirname "$0")/lib.sh"
sys_begin "${1:-xdp}"
mtcpd_start d "${2:-1}"
conf=$(app_conf 1000)
app one "$(bin echo2)" "$conf" 7001 7002
app two "$(bin echo2)" "$conf" 7003 7004
ready() { grep -q ready "$TMP/one.log" && grep -q ready "$TMP/two.log"; }
wait_until 50 ready || fail "echo2 does not start"
[ "$(clients d)" = 2 ] || fail "mtcpctl counts $(clients d) clients, not 2"
pids=
for port in 7001 7002 7003 7004; do
	ip netns exec "$PEER" python3 "$SYS_DIR/echo.py" $IP_D $port "$(count 3 20)" \
		>"$TMP/echo$port.log" 2>&1 &
	pids="$pids $!"
done
for pid in $pids; do
	wait "$pid" || fail "an echo failed"
done
pass "four listeners of two clients: $(cat "$TMP"/echo7*.log | head -n 1)"

# A port that is taken, and one that nobody has.
app three "$(bin echo2)" "$conf" 7001
three=$BG_PID
wait_until 50 gone "$three" || fail "a second program got port 7001 too"
grep -qi 'in use' "$TMP/three.log" || fail "no clear word of a port in use"
pass "a port in use is refused"
in_peer python3 "$SYS_DIR/echo.py" $IP_D 7999 1 >"$TMP/no.log" 2>&1 &&
	fail "a port without listener accepts"
grep -q ConnectionRefused "$TMP/no.log" || fail "port 7999 gives no RST"
pass "a port without listener gives RST"
sys_end
