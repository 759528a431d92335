#!/bin/sh
# 1,000 idle connections: under 1 % of a core, and hardly a system call.
set -u
. "$(dirname "$0")/lib.sh"
need curl
sys_begin "${1:-xdp}"
www
mtcpd_start d "${2:-1}"
serve "$TMP/www"
seconds=$(count 5 20)
ip netns exec "$PEER" python3 "$SYS_DIR/hold.py" $IP_D 80 1000 --hold $((seconds + 15)) \
	--ready "$TMP/ready" >"$TMP/hold.log" 2>&1 &
echo $! >>"$TMP/pids"
wait_until 200 test -e "$TMP/ready" || fail "no 1,000 connections"
sleep 2

# quiet NAME PID - CPU and sleeps of a process over $seconds
quiet()
{
	cpu=$(cpu_ticks "$2") slept=$(sleeps "$2")
	sleep "$seconds"
	cpu=$(($(cpu_ticks "$2") - cpu)) slept=$(($(sleeps "$2") - slept))
	[ $cpu -le "$seconds" ] ||
		fail "$1: $cpu/100 s of CPU in $seconds s, over 1 %"
	[ $slept -le $((seconds * 100)) ] ||
		fail "$1: slept $slept times in $seconds s"
	pass "$1: $cpu/100 s of CPU, $slept wake-ups in $seconds s"
}

n=$(conns d)
[ "$n" -ge 1000 ] || fail "only $n connections"
quiet mtcpd "$MTCPD_PID_d"
quiet epserver "$SERVER_PID"
fetch / | cmp - "$TMP/www/index.html" || fail "not served after idling"
pass "served after idling"
sys_end
