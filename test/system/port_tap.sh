#!/bin/sh
# port_tap.sh - the tap port against the kernel's end of it
. "$(dirname "$0")/port_lib.sh"

[ -c /dev/net/tun ] || skip "no /dev/net/tun"
local_peer() { ip netns exec $NS_M python3 "$DIR/port_peer.py" "$@"; }
configure()
{
	ip -n $NS_M addr add 10.78.0.1/24 dev tp0
	ip -n $NS_M link set tp0 up
}

start tap tp0 1
configure
local_peer ping 10.78.0.2 1000 56 || fail "lost pings"
local_peer ping 10.78.0.2 50 1472 || fail "lost full frames"
local_peer ping 10.78.0.2 1 20000 && fail "answered fragments"
local_peer flood 10.78.0.2 3 || fail "flood"
for kind in tagged double short random; do
	local_peer raw tp0 $MAC 10.78.0.2 $kind || fail "raw $kind"
done
local_peer ping 10.78.0.2 20 56 || fail "dead after bad frames"
refused "in use by another program" tap tp0 1
stop
ip -n $NS_M link show tp0 2>/dev/null && fail "tp0 stayed"
ok "one queue; the device went with it"

first=$MAC
start tap tp0 2 mtu=9000
configure
[ "$MAC" = "$first" ] || fail "our MAC changed"
ip -n $NS_M link show tp0 | grep -q 'mtu 9000' || fail "mtu not set"
local_peer ping 10.78.0.2 200 8972 || fail "lost jumbo frames"
stop
ok "two queues, 9,000 byte frames"

for bytes in 1000 30000 65000; do
	start tap tp0 1 tso=$bytes
	configure
	local_peer ping 10.78.0.2 2 56 || fail "lost pings"
	sleep 0.1
	stop
	grep -q "^reset acknowledges $bytes$" "$TMP/echo.log" ||
		fail "no reset for $bytes bytes uncut"
done
ok "unfinished sums and uncut segments reach the kernel's TCP"

# A device that its owner made to persist is taken over; a tun device is not.
ip netns exec $NS_M ip tuntap add tp0 mode tap multi_queue
start tap tp0 2
configure
local_peer ping 10.78.0.2 20 56 || fail "persistent device"
stop
ip -n $NS_M link del tp0 || fail "persistent device went"
ip netns exec $NS_M ip tuntap add tp0 mode tun
refused "no tap device" tap tp0 1
ip -n $NS_M link del tp0

refused "at most 15 characters" tap a-name-that-is-too-long 1
WRAP="setpriv --reuid 65534 --clear-groups --no-new-privs"
cp "$ECHO" "$TMP/port_echo" && chmod 755 "$TMP" "$TMP/port_echo"
ECHO=$TMP/port_echo
refused "CAP_NET_ADMIN" tap tp1 1
