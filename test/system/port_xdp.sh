#!/bin/sh
# port_xdp.sh - the xdp port on a veth pair: answers, what it leaves to the
# kernel, tags, sizes, queues, sentences, and that it is gone when it is killed
. "$(dirname "$0")/port_lib.sh"

attached() { ip -n $NS_M link show pm0 | grep -q xdp; }

veth 1500 1
start xdp pm0 1
attached || fail "no program on pm0"
peer ping 10.78.0.2 1000 56 || fail "lost pings"
peer ping 10.78.0.2 50 1472 || fail "lost full frames"
peer ping 10.78.0.3 20 56 || fail "the kernel's own address lost pings"
peer flood 10.78.0.2 3 || fail "flood"
peer raw pk0 $MAC 10.78.0.2 tagged | grep answers=20 || fail "802.1Q"
for kind in double short random; do
	peer raw pk0 $MAC 10.78.0.2 $kind || fail "raw $kind"
done
peer ping 10.78.0.2 20 56 || fail "dead after bad frames"
stop
attached && fail "program left behind by a clean end"
ok "one queue; detached at the end"

# A change of addresses at run time.
start xdp pm0 1 change=10.78.0.9
kernel ip neigh flush dev pk0
kill -USR1 $PID
sleep 0.3
peer ping 10.78.0.9 20 56 || fail "new address"
peer ping 10.78.0.2 1 56 && fail "old address still answers"
ok "set_addrs"

# Killed: the kernel drops the link with the process.
kill -KILL $PID
wait $PID 2>/dev/null
PID=
for _ in $(seq 40); do attached || break; sleep 0.05; done
attached && fail "program left behind by kill -9"
peer ping 10.78.0.3 5 56 || fail "kernel address after kill -9"
ok "kill -9 leaves no program"

# More engines than device queues: two send through the first.
seen() { kernel cat /proc/net/dev | awk '$1 == "pk0:" { print $3 }'; }
before=$(seen)
start xdp pm0 3 blast=100000
for _ in $(seq 100); do
	[ "$(grep -c ^blast "$TMP/echo.log")" = 3 ] && break
	sleep 0.1
done
[ "$(grep -c ^blast "$TMP/echo.log")" = 3 ] || fail "hand-over hangs"
peer ping 10.78.0.2 200 56 || fail "lost pings, 3 engines"
stop
sent=$(awk '/^queue/ { n += $6 - $12 } END { print n }' "$TMP/echo.log")
got=$(($(seen) - before))
# A few frames more are the kernel's own.
[ $got -ge $sent ] && [ $got -lt $((sent + 100)) ] ||
	fail "hand-over: sent $sent, the peer has seen $got"
ok "hand-over: sent $sent by three engines, the peer has seen $got"

# Sentences.
refused "no network device is called" xdp nosuch0 1
refused "'ip link set pm0 mtu 3000' first" xdp pm0 1 mtu=3000
refused "xdp takes 68 to" xdp pm0 1 mtu=60
start xdp pm0 1
refused "another XDP program is attached" xdp pm0 1
stop
WRAP="setpriv --reuid 65534 --clear-groups --no-new-privs"
cp "$ECHO" "$TMP/port_echo" && chmod 755 "$TMP" "$TMP/port_echo"
saved=$ECHO ECHO=$TMP/port_echo
refused "CAP_BPF" xdp pm0 1
ECHO=$saved WRAP=

# Four device queues, two engines; larger frames.
ip -n $NS_M link del pm0
veth 3498 4
start xdp pm0 2
grep -q '4 rx' "$TMP/echo.log" || fail "did not see four queues"
peer ping 10.78.0.2 200 3400 || fail "lost large frames"
peer raw pk0 $MAC 10.78.0.2 big | grep answers=20 || fail "big frames"
for cpu in 0 1; do
	taskset -c $cpu ip netns exec $NS_K python3 "$DIR/port_peer.py" \
		ping 10.78.0.2 100 56 || fail "from CPU $cpu"
done
stop
ok "four device queues, 3,498 byte frames"

# A device with jumbo frames, of which we take part in small ones only.
ip -n $NS_M link del pm0
veth 9000 1
start xdp pm0 1 mtu=1500
grep -q native "$TMP/echo.log" || fail "not in the driver"
peer ping 10.78.0.2 100 1472 || fail "lost frames, device MTU 9000"
peer ping 10.78.0.2 1 8000 && fail "answered a jumbo frame"
sleep 1.2
peer ping 10.78.0.2 10 56 || fail "dead after a jumbo frame"
stop
[ "$(awk '/^queue 0/ { print $8 }' "$TMP/echo.log")" -gt 0 ] ||
	fail "jumbo frame not counted"
ok "jumbo frames on the device are dropped and counted"

# Jumbo frames taken whole, where the kernel can; several engines send them.
start xdp pm0 3 blast=2000 len=9000
for _ in $(seq 100); do
	[ "$(grep -c ^blast "$TMP/echo.log")" = 3 ] && break
	sleep 0.1
done
peer ping 10.78.0.2 200 8972 || fail "lost jumbo frames"
peer ping 10.78.0.2 200 56 || fail "lost small frames"
for size in 3400 3798 3799 3800 3840 4054 4096 8150 8192; do
	peer ping 10.78.0.2 5 $size || fail "lost frames of $size bytes"
done
peer flood 10.78.0.2 1 || fail "flood, jumbo"
for kind in tagged big random; do
	peer raw pk0 $MAC 10.78.0.2 $kind || fail "raw $kind"
done
stop
awk '/^queue/ && $12 + 0 { bad = 1 } END { exit bad }' "$TMP/echo.log" ||
	fail "frames dropped on sending"
ok "9,000 byte frames in several buffers"
ip -n $NS_M link del pm0
veth 10000 1
refused "xdp takes 68 to 9216" xdp pm0 1
