# port_lib.sh - for port_*.sh: one port alone, answering ARP and ping
#
#	namespace $NS_M              namespace $NS_K
#	port_echo on pm0  <- veth -> pk0: the kernel, 10.78.0.1
#	  10.78.0.2                    (its own 10.78.0.3 on pm0 stays)
#
# Everything started is ended by its pid, the namespaces go at exit.
set -u
DIR=$(cd "$(dirname "$0")" && pwd)
NAME=$(basename "$0" .sh)
BUILD=${MTCPD_BUILD:-$DIR/../../build-release}
ECHO=$BUILD/test/system/port_echo
PATH=$PATH:/usr/sbin:/sbin
NS_M=mtpm$$ NS_K=mtpk$$
TMP=$(mktemp -d)
PID=

fail() { echo "$NAME: FAILED: $*"; cat "$TMP"/echo.log; exit 1; }
ok() { echo "$NAME: ok: $*"; }
skip() { echo "$NAME: skipped: $*"; exit 77; }

clean_up()
{
	trap '' INT TERM	# a second one must not end the cleaning
	[ -n "$PID" ] && kill -KILL "$PID" 2>/dev/null
	ip netns del $NS_M 2>/dev/null
	ip netns del $NS_K 2>/dev/null
	rm -rf "$TMP"
}
trap clean_up EXIT
trap 'exit 130' INT TERM
: >"$TMP/echo.log"

[ "$(id -u)" = 0 ] || skip "needs root"
[ -x "$ECHO" ] || fail "no $ECHO: build it first"
ip netns add $NS_M && ip netns add $NS_K || skip "no network namespaces"

# veth MTU QUEUES
veth()
{
	ip link add pm0 netns $NS_M mtu "$1" numrxqueues "$2" numtxqueues "$2" \
		type veth peer name pk0 netns $NS_K mtu "$1" \
		numrxqueues "$2" numtxqueues "$2" || fail "no veth"
	ip -n $NS_M addr add 10.78.0.3/24 dev pm0
	ip -n $NS_K addr add 10.78.0.1/24 dev pk0
	ip -n $NS_M link set pm0 up
	ip -n $NS_K link set pk0 up
	ip netns exec $NS_K ethtool -K pk0 tx off tso off gso off gro off \
		txvlan off >/dev/null
	ip netns exec $NS_M ethtool -K pm0 rxvlan off >/dev/null 2>&1
}

kernel() { ip netns exec $NS_K "$@"; }
peer() { ip netns exec $NS_K python3 "$DIR/port_peer.py" "$@"; }

# start DRIVER DEVICE QUEUES [options of port_echo]; sets PID and MAC
start()
{
	driver=$1 device=$2 queues=$3
	shift 3
	: >"$TMP/echo.log"	# before the child is there to do it
	ip netns exec $NS_M "$ECHO" $driver $device 10.78.0.2 $queues "$@" \
		>>"$TMP/echo.log" 2>&1 &
	PID=$!		# ip netns exec becomes the program
	for _ in $(seq 100); do
		grep -q ^ready "$TMP/echo.log" && break
		kill -0 $PID 2>/dev/null || break
		sleep 0.05
	done
	grep -q ^ready "$TMP/echo.log" || fail "did not start"
	MAC=$(grep -o '..:..:..:..:..:..$' "$TMP/echo.log" | head -1)
}

# Ends it in order; the counters are in echo.log then.
stop()
{
	kill -TERM $PID
	wait $PID || fail "exit status $?"
	PID=
	sed "s/^/$NAME:   /" "$TMP/echo.log"
}

# refused PATTERN DRIVER DEVICE QUEUES [...]: it must say why it cannot start
refused()
{
	pattern=$1 driver=$2 device=$3 queues=$4
	shift 4
	if ip netns exec $NS_M timeout 5 $WRAP "$ECHO" $driver $device \
		10.78.0.2 $queues "$@" >"$TMP/refused.log" 2>&1; then
		fail "started, but should not: $pattern"
	fi
	grep -q "$pattern" "$TMP/refused.log" ||
		fail "says '$(cat "$TMP/refused.log")', not '$pattern'"
	ok "refused: $(head -1 "$TMP/refused.log")"
}
WRAP=
