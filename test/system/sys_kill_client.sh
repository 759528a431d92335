#!/bin/sh
# kill -9 of a client under load, again and again: its peers get RST or FIN,
# its ports, connections and memory come back, another client sees nothing.
set -u
. "$(dirname "$0")/lib.sh"
need curl ab
sys_begin "${1:-xdp}"
www
mtcpd_start d "${2:-1}"
conf=$(app_conf 1000)
app other "$(bin echo2)" "$conf" 7001 7002
wait_until 50 grep -q ready "$TMP/other.log" || fail "echo2 does not start"
ip netns exec "$PEER" python3 "$SYS_DIR/echo.py" $IP_D 7001 3600 --until "$TMP/stop" \
	>"$TMP/echo.log" 2>&1 &
echo_pid=$!
echo $echo_pid >>"$TMP/pids"

fds() { find "/proc/$MTCPD_PID_d/fd" -mindepth 1 | wc -l; }
rss_kb() { awk '/^VmRSS/ { print $2 }' "/proc/$MTCPD_PID_d/status"; }
one_client() { [ "$(clients d)" = 1 ]; }
# 8 connections are the other client's
conns_back() { [ "$(conns d)" -le 12 ]; }

cycle()
{
	serve "$TMP/www" 2000
	ip netns exec "$PEER" timeout 10 ab -q -r -k -n 1000000 -c 50 "http://$IP_D/" \
		>"$TMP/ab.log" 2>&1 &
	ab_pid=$!
	sleep 0.3
	kill -s KILL "$SERVER_PID"
	wait "$SERVER_PID" 2>/dev/null
	wait_until 50 one_client || fail "cycle $1: the client is still listed"
	wait_until 50 conns_back || fail "cycle $1: $(conns d) connections left"
	# ab -r goes on after errors and meets RSTs: it never waits for long
	kill "$ab_pid" 2>/dev/null
	wait "$ab_pid" 2>/dev/null
	alive "$echo_pid" || fail "cycle $1: the other client's peer ended"
}

# A peer that waits for the killed one's answer is told at once.
serve "$TMP/www" 2000
ip netns exec "$PEER" python3 - $IP_D >"$TMP/peer.log" 2>&1 <<'EOF' &
import socket, sys
s = socket.create_connection((sys.argv[1], 80), 5)
print("connected", flush=True)
s.settimeout(10)
try:
    print("told: end" if s.recv(1) == b"" else "data?")
except ConnectionResetError:
    print("told: reset")
EOF
peer=$!
wait_until 50 grep -q connected "$TMP/peer.log" || fail "no connection"
kill -s KILL "$SERVER_PID"
wait $peer
grep -q told "$TMP/peer.log" || fail "the peer of a killed client hears nothing"
pass "the peer hears: $(grep told "$TMP/peer.log")"
in_peer curl -s --max-time 3 "http://$IP_D/" >/dev/null &&
	fail "port 80 still served"

n=$(count 10 200)
cycle 0
fds_before=$(fds)
rss_before=$(rss_kb)
i=1
while [ $i -le "$n" ]; do
	cycle $i
	i=$((i + 1))
done
[ "$(fds)" -le "$fds_before" ] ||
	fail "descriptors leak: $fds_before, then $(fds)"
grown=$(($(rss_kb) - rss_before))
[ $grown -lt $((4096 + n * 40)) ] || fail "memory grew by $grown KiB"
pass "$n cycles: $(fds) descriptors, memory $grown KiB more"
touch "$TMP/stop"
wait $echo_pid || fail "the other client was disturbed: $(cat "$TMP/echo.log")"
pass "the other client: $(cat "$TMP/echo.log")"
sys_end
