#!/bin/sh
# 200,000 SYNs a second of hosts that do not exist, and every legitimate
# connection succeeds; memory stays what it is; the CPU's share is told.
set -u
. "$(dirname "$0")/lib.sh"
need curl
sys_begin xdp
seconds=$(count 3 10)
conns=$(count 100 1000)
rate=200000
www
mtcpd_conf d "${1:-1}" <<-EOF2
	[route]
	default = $IP_P
EOF2
mtcpd_start d
serve "$TMP/www" 4000
# Answers to nobody end here, cheaply.
ip -n "$PEER" route add blackhole 198.18.0.0/15
mac=$(ip -n "$NS_D" -o link show dev mtd | sed 's/.*link.ether \([0-9a-f:]*\).*/\1/')
rss() { awk '/^VmRSS/ { print $2 }' "/proc/$MTCPD_PID_d/status"; }
stat() { ctl d --json stats | json "d['tcp']['$1']"; }

# The tables are filled once: what they cost is not a leak.
in_peer "$(bin synflood)" mtp "$mac" $IP_D 80 $rate 1 >>"$TMP/flood.log" ||
	fail "the flood does not begin"
before=$(rss)
syns=$(stat syns_in)
ticks=$(cpu_ticks "$MTCPD_PID_d")
in_bg flood "$PEER" "$(bin synflood)" mtp "$mac" $IP_D 80 $rate "$seconds"
flood=$BG_PID
in_peer timeout 60 python3 "$SYS_DIR/clients.py" $IP_D 80 "$conns" "$seconds" \
	>"$TMP/clients.log" 2>&1
status=$?
wait_until 300 gone "$flood" || fail "the flood does not end"
ticks=$(($(cpu_ticks "$MTCPD_PID_d") - ticks))
syns=$(($(stat syns_in) - syns))
after=$(rss)
[ $status -eq 0 ] || fail "not all of $conns were served: $(tail -n 1 "$TMP/clients.log")"
pass "$(tail -n 1 "$TMP/clients.log")"
[ "$syns" -gt $((conns * 10)) ] || fail "$syns SYNs arrived: that was no flood"
pass "flood: $(tail -n 1 "$TMP/flood.log"), $syns arrived, mtcpd used $ticks/100 s of CPU"
sent=$(stat syncookies_sent)
[ "$sent" -gt 0 ] || fail "no SYN cookie was sent"
records=$(stat syn_received)
[ "$records" -le $((16384 * ${1:-1})) ] || fail "$records half-open records"
pass "$sent cookies, $(stat syncookies_accepted) accepted, $records records"
grown=$((after - before))
[ $grown -lt 4096 ] || fail "mtcpd grew by $grown KiB"
pass "memory: $before KiB before, $after KiB after"
few_conns() { [ "$(ctl d --json conns |
	json 'len([c for c in d if c["state"] == "ESTABLISHED"])')" -lt 10 ]; }
wait_until 100 few_conns || fail "connections are left"
pass "none left"
sys_end
