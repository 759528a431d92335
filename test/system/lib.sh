# lib.sh - what every system test stands on; read by sh with `.`
#
#	namespace $NS_D                     namespace $NS_P
#	mtcpd, programs that use it         the peer: the kernel's TCP,
#	  port xdp on mtd   <---- veth ---->  or a second mtcpd on mtp
#	  10.77.0.2                         10.77.0.1   (mtcpd: 10.77.0.3)
#
# With the tap driver there is no veth: the kernel of $NS_D is the peer, over
# the TAP device that mtcpd makes.
#
# A test:	. "$(dirname "$0")/lib.sh"; sys_begin xdp; mtcpd_start d; ...
#		fail ends it; an exit status of 77 means skipped.
#
# Environment	MTCPD_BUILD	the build directory (default build-release)
#		MTCPD_FULL=1	full counts
#		MTCPD_PCAP=DIR	tcpdump of the peer's side goes there
#		MTCPD_KEEP=1	the folder with logs and configurations stays
#		MTCPD=FILE	mtcpd itself, where it is not that of the build
#
# All that is started is recorded, and ended by its pid at exit.

SYS_DIR=$(cd "$(dirname "$0")" && pwd)
ROOT=$(cd "$SYS_DIR/../.." && pwd)
BUILD=${MTCPD_BUILD:-$ROOT/build-release}
PATH=$PATH:/usr/sbin:/sbin
NAME=$(basename "$0" .sh)

IP_D=10.77.0.2		# mtcpd
IP_P=10.77.0.1		# the peer's kernel
IP_P2=10.77.0.3		# the peer's mtcpd, where there is one
BG_PID=
# shellcheck disable=SC2034	# for the tests
MTCPD_PID_d=		# set by mtcpd_start
APP_CORES=1		# contexts of a program
PASSED=0

say()  { echo "$NAME: $*"; }
skip() { say "skipped: $*"; exit 77; }
pass() { PASSED=$((PASSED + 1)); say "ok: $*"; }
full() { [ "${MTCPD_FULL:-0}" = 1 ]; }
# count SHORT FULL
count() { if full; then echo "$2"; else echo "$1"; fi; }

fail()
{
	say "FAILED: $*"
	for f in "$TMP"/*.log; do
		[ -s "$f" ] || continue
		echo "--- last lines of $(basename "$f")"
		tail -n 15 "$f"
	done
	exit 1
}

# The path of a program of ours.
bin()
{
	for f in "$BUILD/daemon/$1" "$BUILD/tools/$1" \
		 "$BUILD/libclient/examples/$1" "$BUILD/test/system/$1"; do
		[ -x "$f" ] && { echo "$f"; return 0; }
	done
	echo "$NAME: no program $1 in $BUILD: build it first" >&2
	return 1
}

cleanup()
{
	status=$?
	trap - EXIT
	trap '' INT TERM HUP	# a second one must not end the cleaning
	set +e
	[ -n "$TMP" ] || exit $status
	for sig in TERM KILL; do
		live=
		for pid in $(cat "$TMP/pids" 2>/dev/null); do
			kill -s $sig "$pid" 2>/dev/null && live=1
		done
		[ -n "$live" ] || break
		wait_until 30 none_alive
	done
	for ns in "$NS_D" "$NS_P"; do
		ip netns del "$ns" 2>/dev/null
	done
	if [ "${MTCPD_KEEP:-0}" = 1 ]; then
		say "logs stay in $TMP"
	else
		rm -rf "$TMP"
	fi
	exit $status
}

# A zombie is dead: we are its parent, and reap it when we end.
alive()
{
	state=$(sed 's/.*) //' "/proc/$1/stat" 2>/dev/null | cut -c1)
	[ -n "$state" ] && [ "$state" != Z ]
}

none_alive()
{
	for pid in $(cat "$TMP/pids" 2>/dev/null); do
		alive "$pid" && return 1
	done
	return 0
}

# wait_until TENTHS COMMAND... - until COMMAND succeeds, TENTHS/10 s at most
wait_until()
{
	tries=$1
	shift
	while ! "$@"; do
		[ "$tries" -gt 0 ] || return 1
		tries=$((tries - 1))
		sleep 0.1
	done
}

gone() { ! alive "$1"; }

# need PROGRAM... - skipped where one is missing
need()
{
	for p in "$@"; do
		command -v "$p" >/dev/null || skip "no $p here"
	done
}

# sys_begin xdp|tap - checks, folder, namespaces, link
sys_begin()
{
	DRIVER=${1:-xdp}
	[ "$(id -u)" = 0 ] || skip "needs root"
	need ip ethtool python3
	for p in mtcpd mtcpctl; do bin $p >/dev/null || exit 1; done
	TMP=$(mktemp -d "${TMPDIR:-/tmp}/mtcpd-$NAME.XXXXXX")
	NS_D=mtcpd$$d NS_P=mtcpd$$p
	trap cleanup EXIT
	trap 'exit 130' INT
	trap 'exit 143' TERM HUP
	ip netns add "$NS_D" || skip "no network namespaces here"
	ip netns add "$NS_P"
	for ns in "$NS_D" "$NS_P"; do tune "$ns"; done
	PEER=$NS_P
	if [ "$DRIVER" = tap ]; then
		[ -c /dev/net/tun ] || skip "no /dev/net/tun here"
		PEER=$NS_D
	else
		link_up
	fi
	# shellcheck disable=SC3045	# dash and bash both have it
	ulimit -n 200000 2>/dev/null || ulimit -n "$(ulimit -Hn)"
}

tune()
{
	ip -n "$1" link set lo up
	for kv in net.ipv6.conf.all.disable_ipv6=1 \
		  net.ipv6.conf.default.disable_ipv6=1 \
		  "net.ipv4.ip_local_port_range=2048 65000" \
		  net.ipv4.tcp_tw_reuse=1 net.core.somaxconn=65535 \
		  net.ipv4.tcp_max_syn_backlog=65535; do
		ip netns exec "$1" sysctl -qw "$kv" 2>/dev/null || :
	done
}

link_up()
{
	ip link add mtd netns "$NS_D" type veth peer name mtp netns "$NS_P" ||
		skip "no veth here"
	ip -n "$NS_P" addr add $IP_P/24 dev mtp
	for end in "$NS_D mtd" "$NS_P mtp"; do
		# A raw reader would see unfinished checksums and giant frames.
		ip netns exec "${end% *}" ethtool -K "${end#* }" \
			tx off tso off gso off gro off >/dev/null 2>&1 || :
		ip -n "${end% *}" link set "${end#* }" up
	done
	[ -z "${MTCPD_PCAP:-}" ] || in_bg tcpdump "$NS_P" tcpdump -i mtp -U -s 128 \
		-w "$MTCPD_PCAP/$NAME.pcap"
}

# in_bg LOG NAMESPACE COMMAND... - starts it; BG_PID; output in LOG.log
in_bg()
{
	log=$1
	shift
	ip netns exec "$@" </dev/null >>"$TMP/$log.log" 2>&1 &
	BG_PID=$!
	echo $BG_PID >>"$TMP/pids"
}

# Not in the background, where $! would be a shell around it:
# ip netns exec "$PEER" then.
in_peer()   { ip netns exec "$PEER" "$@"; }
# Programs find their mtcpd by MTCPD_SOCKET: that of side d, or p.
in_daemon() { ip netns exec "$NS_D" env MTCPD_SOCKET="$TMP/d.sock" "$@"; }
# app LOG COMMAND... - a program on mtcpd d, in the background
app()
{
	log=$1
	shift
	in_bg "$log" "$NS_D" env MTCPD_SOCKET="$TMP/d.sock" "$@"
}

# mtcpd_conf SIDE [ENGINES] - writes SIDE.conf; more of it on standard input
mtcpd_conf()
{
	addr=$IP_D
	[ "$1" = p ] && addr=$IP_P2
	# At its end ASan looks for leaks by means that the sandbox forbids.
	sandbox=yes
	grep -q '^MTCPD_SANITIZE:STRING=.*address' "$BUILD/CMakeCache.txt" \
		2>/dev/null && sandbox=no
	cat >"$TMP/$1.conf" <<-EOF
	[daemon]
	sandbox = $sandbox
	socket = $TMP/$1.sock
	admin = $TMP/$1.admin
	pidfile = $TMP/$1.pid
	[engine]
	count = ${2:-1}
	huge_pages = no
	[port p0]
	driver = $DRIVER
	device = mt$1
	address = $addr/24
	EOF
	cat >>"$TMP/$1.conf"
}

# mtcpd_start SIDE [ENGINES] - starts mtcpd and waits until it answers
mtcpd_start()
{
	[ -f "$TMP/$1.conf" ] || mtcpd_conf "$1" "${2:-1}" </dev/null
	ns=$NS_D
	[ "$1" = p ] && ns=$NS_P
	in_bg "mtcpd-$1" "$ns" "${MTCPD:-$(bin mtcpd)}" -f -c "$TMP/$1.conf"
	eval "MTCPD_PID_$1=\$BG_PID"
	wait_until 100 answers "$1" "$BG_PID" ||
		fail "mtcpd $1 does not answer mtcpctl after 10 s"
	if [ "$DRIVER" = tap ]; then
		ip -n "$NS_D" addr add $IP_P/24 dev "mt$1" 2>/dev/null || :
		ip -n "$NS_D" link set "mt$1" up
	fi
}

answers()
{
	alive "$2" || fail "mtcpd $1 ended by itself"
	ctl "$1" stats >/dev/null 2>&1
}

# ctl SIDE ARGUMENTS... - mtcpctl of that daemon
ctl()
{
	side=$1
	shift
	timeout 10 "$(bin mtcpctl)" -s "$TMP/$side.admin" "$@"
}

# json EXPRESSION - of d, the data of mtcpctl's answer on standard input
json()
{
	python3 -c 'import json,sys
d = json.load(sys.stdin)["data"]
print(eval(sys.argv[1], {"d": d}))' "$1"
}

# app_conf MAX - mtcp.conf for a program with so many sockets a context
app_conf()
{
	printf 'num_cores = %s\nmax_concurrency = %s\n' "$APP_CORES" "$1" \
		>"$TMP/app.conf"
	echo "$TMP/app.conf"
}

# serve FOLDER [MAX [OPTIONS...]] - epserver on mtcpd d, waits for port 80
serve()
{
	folder=$1
	conf=$(app_conf "${2:-20000}")
	shift
	[ $# -eq 0 ] || shift
	app epserver "$(bin epserver)" -p "$folder" -f "$conf" "$@"
	SERVER_PID=$BG_PID
	wait_until 100 served || fail "epserver does not serve after 10 s"
}

served()
{
	alive "$SERVER_PID" || fail "epserver ended by itself"
	fetch / -o /dev/null
}

# fetch PATH CURL_OPTIONS... - from the peer
fetch()
{
	path=$1
	shift
	in_peer curl -sf --connect-timeout 2 --max-time 60 "$@" \
		"http://$IP_D$path"
}

# www - a folder to serve, with an index of 64 bytes
www()
{
	mkdir -p "$TMP/www"
	head -c 64 /dev/zero | tr '\0' x >"$TMP/www/index.html"
}

# cpu_ticks PID - user and system time, in 1/100 s
cpu_ticks()
{
	sed 's/.*) //' "/proc/$1/stat" | awk '{ print $12 + $13 }'
}

# sleeps PID - voluntary context switches of all its threads
sleeps()
{
	cat /proc/"$1"/task/*/status 2>/dev/null |
		awk '/^voluntary/ { n += $2 } END { print n + 0 }'
}

# conns SIDE - connections that mtcpd has, without those in TIME_WAIT
conns()
{
	ctl "$1" --json conns |
		json 'len([c for c in d if c["state"] not in ("LISTEN", "TIME_WAIT")])'
}

# clients SIDE - programs attached
clients() { ctl "$1" --json clients | json 'len(d)'; }

xdp_left() { ip -n "$1" link show dev "$2" | grep -q xdp; }

sys_end()
{
	say "$PASSED passed"
	exit 0
}
