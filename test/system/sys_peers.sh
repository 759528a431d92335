#!/bin/sh
# What broke in other stacks: crafted frames, each followed by proof that
# mtcpd still serves.
set -u
. "$(dirname "$0")/lib.sh"
need curl
sys_begin xdp
www
mtcpd_start d "${1:-1}"
serve "$TMP/www"

# frames TEST [ARGUMENTS] - and after it a page, within a second
frames()
{
	in_peer python3 "$SYS_DIR/frames.py" "$1" mtp ${2:+"$2"} \
		>"$TMP/frames.log" 2>&1 ||
		fail "frames.py $1: $(tail -n 1 "$TMP/frames.log")"
	alive "$MTCPD_PID_d" || fail "mtcpd died after $1"
	[ "$(fetch / --max-time 3 | wc -c)" = 64 ] || fail "not served after $1"
	pass "$1 ${2:-}"
}

# mtcpd's log lines so far
lines() { wc -l <"$TMP/mtcpd-d.log"; }

frames opt0
frames shortecho
frames oldack 80
frames oldack 81
frames fragment
frames vlan
frames mss12
frames afterclose
frames newmac
logged=$(lines)
frames arpflood "$(count 5000 20000)"
frames synflood "$(count 4000 12000)"
frames garbage "$(count 3000 50000)"
[ $(($(lines) - logged)) -lt 100 ] || fail "a log line a frame"
pass "floods are counted, not logged"
drops=$(ctl d --json stats | json \
	'sum(sum(d[k].values()) for k in ("net_drops", "tcp_drops"))')
[ "$drops" -gt 500 ] || fail "only $drops drops under a name"
pass "$drops drops under a name"

# The kernel's own peer changes its MAC, in the middle of everything.
ip -n "$NS_P" link set mtp down
ip -n "$NS_P" link set mtp address 02:00:00:00:00:77
ip -n "$NS_P" link set mtp up
moved() { [ "$(fetch / --max-time 3 | wc -c)" = 64 ]; }
wait_until 50 moved || fail "unreachable after the peer changed its MAC"
pass "the peer changed its MAC"

# The kernel's addresses on the same device stay the kernel's.
ip -n "$NS_D" addr add 10.77.0.9/24 dev mtd
in_bg http "$NS_D" python3 -m http.server --bind 10.77.0.9 -d "$TMP/www" 8000
kernels() { in_peer curl -sf -m 2 -o /dev/null http://10.77.0.9:8000/; }
wait_until 50 kernels || fail "the kernel behind the xdp port is cut off"
pass "the kernel keeps its own addresses"
sys_end
