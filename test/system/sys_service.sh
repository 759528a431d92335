#!/bin/sh
# What systemd asks of mtcpd, without systemd: readiness, status, watchdog,
# reload under load, drain, capabilities and the filter on system calls; as a
# user of its own with the unit's three capabilities.
set -u
. "$(dirname "$0")/lib.sh"
need ab curl setpriv
sys_begin xdp
www
chmod 755 "$TMP" "$TMP/www"; chmod 644 "$TMP/www/index.html"

# A notification socket that writes down what it is told.
cat >"$TMP/notify.py" <<'PY'
import os, socket, sys
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.bind(sys.argv[1])
os.chmod(sys.argv[1], 0o666)
log = open(sys.argv[2], "w")
while True:
    log.write(s.recv(4096).decode() + "\n")
    log.flush()
PY
in_bg listener "$NS_D" python3 "$TMP/notify.py" "$TMP/notify" "$TMP/told"
there() { [ -S "$TMP/notify" ]; }
wait_until 50 there || fail "no notification socket"

mkdir "$TMP/run"; chmod 755 "$TMP/run"
# few frames: what such a user may lock without LimitMEMLOCK=
printf 'frames = 1024\n[tcp]\nretries = 9\n' | mtcpd_conf d
sed -i "s,= $TMP/d\.,= $TMP/run/d.," "$TMP/d.conf"
sed -i 's/^\[engine\]/drain_s = 20\n[engine]/' "$TMP/d.conf"
chmod 644 "$TMP/d.conf"
for f in sock admin pid; do ln -s "run/d.$f" "$TMP/d.$f"; done

# start_as SETPRIV_OPTIONS... - mtcpd, told of a watchdog of one second
start_as()
{
	: >"$TMP/told"
	in_bg mtcpd-d "$NS_D" env NOTIFY_SOCKET="$TMP/notify" \
		WATCHDOG_USEC=1000000 "$@" "$(bin mtcpd)" -f -c "$TMP/d.conf"
	MTCPD_PID_d=$BG_PID
	wait_until 100 answers d "$BG_PID" || fail "mtcpd does not answer"
}
told() { grep -q -- "$1" "$TMP/told"; }

# privileges PID - none: no capability in any thread, no new ones, the filter
privileges()
{
	for t in /proc/"$1"/task/*; do
		for c in CapInh CapPrm CapEff CapAmb; do
			[ "$(awk -v c=$c: '$1 == c { print $2 }' "$t/status")" = \
			  0000000000000000 ] || fail "$t has $c: $(cat "$t/status")"
		done
		grep -q '^NoNewPrivs:	1' "$t/status" || fail "$t: new privileges"
		grep -q '^Seccomp:	2' "$t/status" || fail "$t: no filter"
	done
}

start_as
privileges "$MTCPD_PID_d"
pass "root's mtcpd has no capability, and a filter, in every thread"
kill "$MTCPD_PID_d"
wait_until 50 gone "$MTCPD_PID_d" || fail "root's mtcpd does not end"
[ ! -e "$TMP/run/d.sock" ] || fail "a socket is left"

chown 65534:65534 "$TMP/run"
caps=+net_admin,+net_raw,+bpf
start_as setpriv --reuid 65534 --regid 65534 --clear-groups \
	--inh-caps "$caps" --ambient-caps "$caps" --bounding-set "-all,$caps"
privileges "$MTCPD_PID_d"
wait_until 50 told '^READY=1$' || fail "no READY: $(cat "$TMP/told")"
told '^STATUS=1 engine, 1 port' || fail "no STATUS: $(cat "$TMP/told")"
pass "a user of its own, ready with a line of state"

chmod 666 "$TMP"/run/d.sock "$TMP"/run/d.admin
serve "$TMP/www"
sleep 2
n=$(grep -c '^WATCHDOG=1' "$TMP/told")
[ "$n" -ge 2 ] || fail "$n watchdog pings in 2 s"
pass "the watchdog is fed: $n pings in some 2 s"

# An engine that stands still: no word to the watchdog, until it goes on.
mkfifo "$TMP/hold"
in_bg stuck "$NS_D" sh -c "exec python3 '$SYS_DIR/stuck.py' $MTCPD_PID_d engine \
	<'$TMP/hold'"
exec 7>"$TMP/hold"
stands() { grep -q '^stopped' "$TMP/stuck.log"; }
wait_until 50 stands || fail "no engine is stopped: $(cat "$TMP/stuck.log")"
stuck_told() { grep -q '1 of 1 engines have not answered' "$TMP/mtcpd-d.log"; }
wait_until 50 stuck_told || fail "a stuck engine is not told of"
n=$(grep -c '^WATCHDOG=1' "$TMP/told")
sleep 2
[ "$(grep -c '^WATCHDOG=1' "$TMP/told")" = "$n" ] ||
	fail "systemd hears that all is well"
exec 7>&-
recovered() { grep -q 'all engines answer again' "$TMP/mtcpd-d.log"; }
wait_until 50 recovered || fail "it went on, and nobody says so"
more() { [ "$(grep -c '^WATCHDOG=1' "$TMP/told")" -gt "$n" ]; }
wait_until 50 more || fail "it went on, and systemd hears nothing"
fetch / -o /dev/null || fail "it went on, and does not serve"
pass "a stuck engine: silence, and word of it; then it goes on"

in_peer sh -c "timeout 60 ab -q -t 4 -n 1000000 -c 20 http://$IP_D/ \
	>$TMP/ab.log 2>&1" &
AB=$!
echo $AB >>"$TMP/pids"
for i in 1 2 3 4 5 6 7 8; do
	sed -i "s/^retries = .*/retries = 1$i/" "$TMP/d.conf"
	kill -HUP "$MTCPD_PID_d"
	sleep 0.3
done
[ "$(ctl d config get tcp.retries)" = 18 ] || fail "not reloaded"
told '^RELOADING=1' || fail "systemd is not told of the reload"
wait $AB || fail "ab: $(cat "$TMP/ab.log")"
grep -q '^Failed requests: *0$' "$TMP/ab.log" || fail "failed requests"
pass "8 reloads under load, no failed request ($(awk \
	'/^Complete/ { print $3 }' "$TMP/ab.log"))"

# Drain: no new connection, the old one goes on, then mtcpd ends.
cat >"$TMP/kept.py" <<'PY'
import socket, sys, time
s = socket.create_connection((sys.argv[1], 80), 5)
s.settimeout(10)
def get():
    s.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    got = b""
    while b"xxxx" not in got or not got.endswith(b"x"):
        data = s.recv(4096)
        assert data, "closed"
        got += data
get()
print("open", flush=True)
time.sleep(3)
get()
print("served", flush=True)
PY
in_bg kept "$NS_P" python3 "$TMP/kept.py" "$IP_D"
opened() { grep -q open "$TMP/kept.log"; }
wait_until 50 opened || fail "no connection is kept"
kill "$MTCPD_PID_d"
draining() { told '^STATUS=draining: '; }
wait_until 30 draining || fail "not draining: $(tail -n 5 "$TMP/told")"
told '^EXTEND_TIMEOUT_USEC=' || fail "systemd is not asked to wait"
! in_peer curl -sf --connect-timeout 1 -o /dev/null "http://$IP_D/" ||
	fail "a new connection while draining"
alive "$MTCPD_PID_d" || fail "ended with a connection open"
wait_until 100 gone "$MTCPD_PID_d" || fail "does not end: $(ctl d conns)"
grep -q served "$TMP/kept.log" || fail "cut off: $(cat "$TMP/kept.log")"
told '^STOPPING=1' || fail "systemd is not told of the end"
grep -q 'drained: ' "$TMP/mtcpd-d.log" || fail "no word of it"
pass "drain: the last connection ends by itself, then mtcpd"
sys_end
