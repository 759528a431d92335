#!/bin/sh
# ^C: epserver and epwget end in order with idle and active connections, and
# so does mtcpd by SIGINT and SIGTERM.
set -u
. "$(dirname "$0")/lib.sh"
need curl ss
sys_begin "${1:-xdp}"
www
truncate -s 2G "$TMP/www/big"
mtcpd_start d "${2:-1}"

# ended PID - by itself within 3 s
ended() { wait_until 30 gone "$1"; }

# What the peers' kernels still take for open (told: CLOSE-WAIT, or gone).
none_open() { [ -z "$(in_peer ss -Htn state established dst $IP_D)" ]; }

load()
{
	rm -f "$TMP/ready"
	ip netns exec "$PEER" python3 "$SYS_DIR/hold.py" $IP_D 80 100 --hold 20 \
		--ready "$TMP/ready" >"$TMP/hold.log" 2>&1 &
	hold=$!
	# It reads what was on its way before it sees the end: some 40 MB at most.
	ip netns exec "$PEER" curl -s --limit-rate 10M -o /dev/null "http://$IP_D/big" &
	active=$!
	echo $hold $active >>"$TMP/pids"
	wait_until 100 test -e "$TMP/ready" || fail "no connections"
	sleep 0.3
}

serve "$TMP/www"
load
kill -s INT "$SERVER_PID"
ended "$SERVER_PID" || fail "epserver does not end by ^C"
wait "$SERVER_PID" || fail "epserver: status $? after ^C"
ended $hold || fail "idle peers hear nothing of it"
wait_until 100 gone $active || fail "the active peer hears nothing of it"
pass "epserver ends by ^C, its peers are told"

truncate -s 2G "$TMP/www/big"
serve "$TMP/www"
app epwget "$(bin epwget)" $IP_P:9/ 1 -f "$TMP/app.conf"
ip netns exec "$PEER" python3 - <<'EOF' >"$TMP/slow.log" 2>&1 &
import socket, time
s = socket.socket()
s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
s.bind(("10.77.0.1", 8080))
s.listen(64)
print("ready", flush=True)
held = []
end = time.monotonic() + 30
s.settimeout(1)
while time.monotonic() < end:
    try:
        held.append(s.accept()[0])
    except TimeoutError:
        pass
EOF
echo $! >>"$TMP/pids"
wait_until 50 grep -q ready "$TMP/slow.log" || fail "no silent server"
app epwget "$(bin epwget)" $IP_P:8080/ 20 -c 20 -f "$TMP/app.conf"
wget=$BG_PID
sleep 1
kill -s INT "$wget"
ended "$wget" || fail "epwget with waiting flows does not end by ^C"
pass "epwget ends by ^C"

load
for sig in INT TERM; do
	kill -s $sig "$MTCPD_PID_d"
	wait_until 80 gone "$MTCPD_PID_d" || fail "mtcpd does not end by SIG$sig"
	wait "$MTCPD_PID_d" || fail "mtcpd: status $? after SIG$sig"
	ended "$hold" || fail "peers hear nothing of mtcpd's end"
	wait_until 30 none_open || fail "a peer does not know that mtcpd ended"
	[ ! -e "$TMP/d.sock" ] || fail "its socket stays"
	[ ! -e "$TMP/d.pid" ] || fail "its pid file stays"
	[ "$DRIVER" = tap ] || ! xdp_left "$NS_D" mtd ||
		fail "its XDP program stays"
	pass "mtcpd ends in order by SIG$sig"
	[ $sig = TERM ] || { mtcpd_start d; again() { fetch / -o /dev/null; }
		wait_until 150 again || fail "not served again"; load; }
done
sys_end
