#!/bin/sh
# Socket options through the whole of mtcpd: those set before a connect and on
# a listener are on the wire from the first segment on; TCP_INFO; Fast Open
# with the kernel's, both ways; SO_LINGER; SO_BINDTODEVICE.
set -u
. "$(dirname "$0")/lib.sh"
sys_begin "${1:-xdp}"
dev=mtp
[ "$DRIVER" = tap ] && dev=mtd
mtcpd_conf d "${2:-1}" <<-EOF2
	[tcp]
	local_ports = 40000-40063
EOF2
mtcpd_start d "${2:-1}"
conf=$(app_conf 1000)
in_peer sysctl -qw net.ipv4.tcp_fastopen=3 || skip "no tcp_fastopen here"
stat() { ctl d --json stats | json "d['tcp']['$1']"; }
in_bg sniff "$PEER" python3 "$SYS_DIR/options_peer.py" ttl $dev $IP_D "$TMP/seen"
in_bg peer "$PEER" python3 "$SYS_DIR/options_peer.py" server $IP_P 7000
wait_until 50 test -e "$TMP/seen" || fail "nobody listens on the wire"
sleep 0.3

in_daemon timeout 60 "$(bin sockopts)" "$conf" client $IP_P 7000 \
	>"$TMP/client.log" 2>&1 || { cat "$TMP/client.log"; fail "client"; }
pass "client: $(grep -c ^ok "$TMP/client.log") checks"
grep -q "^ttl=33 tos=0 syn=1" "$TMP/seen" || fail "no SYN has TTL 33"
pass "an option set before the connect is in its SYN"
grep -q "syn=1 data=5" "$TMP/seen" || fail "no SYN carries data"
[ "$(stat tfo_active)" -ge 1 ] || fail "no SYN had a cookie"
[ "$(stat tfo_refused)" -eq 0 ] || fail "the kernel did not take the data"
pass "Fast Open to the kernel: $(stat tfo_active) SYNs with data, all taken"

app server "$(bin sockopts)" "$conf" server 7001 5
wait_until 50 grep -q "ok listen" "$TMP/server.log" || fail "it does not listen"
in_peer timeout 40 python3 "$SYS_DIR/options_peer.py" client $IP_D 7001 5 ||
	fail "the kernel's Fast Open client"
wait_until 50 gone $BG_PID || fail "the server does not end"
if grep -q FAILED "$TMP/server.log"; then
	cat "$TMP/server.log"
	fail "server"
fi
pass "server: $(grep -c ^ok "$TMP/server.log") checks"
grep -q "^ttl=44 .* syn=0" "$TMP/seen" || fail "the listener's TTL is not seen"
[ "$(stat tfo_passive)" -ge 1 ] || fail "no SYN with data was taken"
[ "$(stat tfo_bad)" -eq 0 ] || fail "a cookie of ours was bad"
pass "Fast Open from the kernel: $(stat tfo_passive) of 5 with their SYN"

# Eight local ports, one engine: the ninth connection to one peer finds none.
kill "$MTCPD_PID_d"
wait_until 50 gone "$MTCPD_PID_d" || fail "mtcpd does not end"
mtcpd_conf d 1 <<-EOF2
	[tcp]
	local_ports = 40100-40107
EOF2
mtcpd_start d 1
in_daemon timeout 60 "$(bin sockopts)" "$conf" ports $IP_P 7000 \
	>"$TMP/ports.log" 2>&1 || { cat "$TMP/ports.log"; fail "ports"; }
pass "no local port left: EADDRNOTAVAIL"
sys_end
