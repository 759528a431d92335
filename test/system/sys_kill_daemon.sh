#!/bin/sh
# kill -9 of mtcpd: clear errors at once, nothing hangs, no XDP program stays;
# when it is back, epserver serves again by itself.
set -u
. "$(dirname "$0")/lib.sh"
need curl
sys_begin xdp
www
conf=$(app_conf 1000)
socket=$TMP/d.sock

# No daemon yet: the error names the socket and what to do.
in_daemon timeout 20 "$(bin epserver)" -p "$TMP/www" -f "$conf" \
	>"$TMP/none.log" 2>&1 && fail "epserver runs without mtcpd"
grep -q "$socket" "$TMP/none.log" || fail "the error does not name the socket"
grep -q mtcpd "$TMP/none.log" || fail "the error does not say how to start mtcpd"
pass "no daemon: a clear error"

mtcpd_start d "${1:-1}"
xdp_left "$NS_D" mtd || fail "no XDP program on mtd, though mtcpd runs"
serve "$TMP/www" 1000
ip netns exec "$PEER" python3 "$SYS_DIR/hold.py" $IP_D 80 50 --hold 2 \
	--ready "$TMP/ready" >"$TMP/hold.log" 2>&1 &
echo $! >>"$TMP/pids"
wait_until 100 test -e "$TMP/ready" || fail "no connections"

kill -s KILL "$MTCPD_PID_d"
wait "$MTCPD_PID_d" 2>/dev/null
no_xdp() { ! xdp_left "$NS_D" mtd; }
wait_until 20 no_xdp || fail "its XDP program is still attached"
pass "kill -9 leaves no XDP program"
before=$(cpu_ticks "$SERVER_PID")
sleep 3
alive "$SERVER_PID" || fail "epserver died with mtcpd"
used=$(($(cpu_ticks "$SERVER_PID") - before))
[ $used -lt 60 ] || fail "epserver spins without mtcpd: $used/100 s in 3 s"
pass "epserver waits ($used/100 s of CPU in 3 s)"

for i in 1 2; do
	mtcpd_start d
	served_again() { fetch / -o /dev/null; }
	wait_until 150 served_again || fail "not served 15 s after restart $i"
	fetch / | cmp - "$TMP/www/index.html" || fail "wrong bytes"
	pass "served again after restart $i"
	[ $i = 2 ] || { kill -s KILL "$MTCPD_PID_d"; wait "$MTCPD_PID_d" 2>/dev/null; }
done
kill -s INT "$SERVER_PID"
wait_until 30 gone "$SERVER_PID" || fail "^C does not end epserver"
pass "^C ends epserver"
sys_end
