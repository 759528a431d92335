#!/bin/sh
# Which way sockets go: the default, rules by address, port and direction, what
# mtcp-run refuses, and what it does without mtcpd.
# shellcheck disable=SC1091
. "$(dirname "$0")/lib.sh"
. "$SYS_DIR/programs_lib.sh"

begin
# The kernel's own address on the same wire.
IP_K=10.77.0.4
ip -n "$NS_D" addr add $IP_K/24 dev mtd
kernel_web

# says PATTERN LOG - within five seconds
says() { wait_until 50 grep -q "$1" "$TMP/$2" || fail "$2 does not say '$1'"; }

# served ADDRESS PORT - somebody accepts there
served() { in_peer curl -s -o /dev/null --max-time 2 "http://$1:$2/"; }

# listens NAME OPTIONS... - mtcp-run's python listens on port 8000
listens()
{
	log=$1
	shift
	app "$log" ${ASAN_LIB:+env "LD_PRELOAD=$ASAN_LIB"} \
		"$(bin mtcp-run)" --explain "$@" -- \
		python3 -u -m http.server -d "$TMP/www" 8000
	RUN_PID=$BG_PID
	says 'listen 0.0.0.0:8000' "$log.log"
}

stop()
{
	kill -9 "$RUN_PID"
	wait_until 50 nothing_left || fail "something is left in mtcpd"
}

row_listen()
{
	listens wild
	says 'listen 0.0.0.0:8000: mtcpd (the wildcard address)' wild.log
	wait_until 50 served $IP_D 8000 || fail "mtcpd's address does not serve"
	served $IP_K 8000 || fail "the kernel's address does not serve"
	stop
	listens ruled --rule 'kernel listen * 8000-8001'
	says 'listen 0.0.0.0:8000: kernel (a rule)' ruled.log
	wait_until 50 served $IP_K 8000 || fail "the kernel does not serve"
	served $IP_D 8000 && fail "mtcpd serves what is the kernel's"
	[ "$(clients d)" = 0 ] || fail "it attached for nothing"
	kill -9 "$RUN_PID"
	row_ok "rules for listen()" \
		"the wildcard serves both sides, a rule's the kernel alone"
}

# from OPTIONS... - the address that the peer sees curl come from
from()
{
	: >"$TMP/kweb.log"
	in_daemon timeout 20 "$(bin mtcp-run)" "$@" -- curl -sf -o /dev/null \
		"http://$IP_P:8001/" 2>>"$TMP/from.log" ||
		fail "curl under mtcp-run $* gives $?"
	sed -n 's/^\([0-9.]*\) - - .*GET.*/\1/p' "$TMP/kweb.log" | tail -n 1
}

# goes ADDRESS OPTIONS... - that is where it comes from
goes()
{
	want=$1
	shift
	got=$(from "$@")
	[ "$got" = "$want" ] || fail "mtcp-run $*: from '$got', not $want"
}

row_connect()
{
	goes $IP_D
	goes $IP_K --rule "kernel connect $IP_P 8001"
	goes $IP_K --rule "kernel any 10.77.0.0/24 *"
	goes $IP_D --rule "kernel connect 10.78.0.0/24 *"
	goes $IP_D --rule "kernel connect * 8002-9000"
	goes $IP_D --rule "kernel listen * *"
	printf '# first\n\nkernel connect * 8000-8001 # web\n' >"$TMP/run.conf"
	goes $IP_K --config "$TMP/run.conf"
	goes $IP_D --config "$TMP/run.conf" --rule "mtcpd any $IP_P 8001"
	row_ok "rules for connect()" \
		"by address, port and direction, the command line's first"
}

row_explain()
{
	in_daemon timeout 20 "$(bin mtcp-run)" -e -- python3 - "$IP_P" \
		2>"$TMP/explain.log" <<-'END' || fail "explain: $?"
	import socket, sys
	def call(f):
	    try:
	        f()
	    except OSError:
	        pass
	s = [socket.socket() for _ in range(4)]
	call(lambda: s[0].connect((sys.argv[1], 8001)))
	call(lambda: s[1].connect(("127.0.0.1", 9)))
	call(lambda: s[2].connect(("10.77.0.4", 9)))
	call(lambda: s[3].bind(("10.77.0.2", 8003)))
	call(lambda: s[3].listen(1))
	END
	says "connect $IP_P:8001: mtcpd (not on this host)" explain.log
	says 'connect 127.0.0.1:9: kernel (loopback or multicast)' explain.log
	says "connect $IP_K:9: kernel (an address that the kernel has)" \
		explain.log
	says "listen $IP_D:8003: mtcpd (not the kernel's address)" explain.log
	row_ok "mtcp-run --explain" "says of each socket which way, and why"
}

# refused PATTERN ARGUMENTS... - mtcp-run ends with 125 and says so
refused()
{
	pattern=$1
	shift
	in_daemon ${AS:-} "$(bin mtcp-run)" "$@" >"$TMP/refused.log" 2>&1
	[ $? -eq 125 ] || fail "mtcp-run $*: not refused"
	grep -q "$pattern" "$TMP/refused.log" ||
		fail "mtcp-run $*: $(cat "$TMP/refused.log")"
}

row_refused()
{
	for rule in "mtcpd" "mtcpd connect * x" "mtcpd connect * 1-70000" \
		"mtcpd connect * 9-8" "mtcpd connect 1.2.3 *" "here any * *" \
		"mtcpd connect 1.2.3.4/33 *" "mtcpd up * *" \
		"mtcpd any 1.2.3.4/ 80" "mtcpd any * 80 81" "mtcpd any * -"; do
		refused 'not a rule' --rule "$rule" -- true
	done
	seq 65 | sed 's/.*/kernel connect 192.0.2.& */' >"$TMP/many.conf"
	refused 'more than 64 rules' --config "$TMP/many.conf" -- true
	refused 'cannot be read' --config "$TMP/none.conf" -- true
	refused usage
	in_daemon "$(bin mtcp-run)" -- "$TMP/none" 2>/dev/null
	[ $? -eq 127 ] || fail "a program that is not there: not 127"
	if [ -x /sbin/ldconfig ] && ! readelf -l /sbin/ldconfig 2>/dev/null |
		grep -q INTERP; then
		refused 'is a static program' -- /sbin/ldconfig --version
	fi
	chmod 755 "$TMP"
	cp /bin/true "$TMP/true"
	AS="setpriv --reuid 65534 --regid 65534 --clear-groups"
	chmod 4755 "$TMP/true"
	refused 'is setuid or setgid' -- "$TMP/true"
	chmod 755 "$TMP/true"
	if setcap cap_net_raw+ep "$TMP/true" 2>/dev/null; then
		refused 'has file capabilities' -- "$TMP/true"
	fi
	AS=
	row_ok "static, setuid and privileged programs, rules that are none" \
		"refused with a reason"
}

row_fallback()
{
	kill "$MTCPD_PID_d"
	wait_until 100 gone "$MTCPD_PID_d" || fail "mtcpd does not end"
	refused 'mtcpd does not answer' -- true
	in_daemon timeout 20 "$(bin mtcp-run)" --fallback -- curl -sf \
		-o /dev/null "http://$IP_P:8001/" 2>"$TMP/fallback.log" ||
		fail "--fallback: curl gives $?"
	says 'runs on the kernel' fallback.log
	in_daemon "$(bin mtcp-run)" --fallback -- sh -c 'exit 7' 2>/dev/null
	[ $? -eq 7 ] || fail "--fallback: another exit status"
	sleep 1		# its threads let go of the pid file a little later
	mtcpd_start d
	row_ok "without mtcpd" "refused, or on the kernel with --fallback"
}

[ $# -gt 0 ] || set -- listen connect explain refused fallback
rows "$@"
