#!/bin/sh
# A program in a container: another user, pid, mount and network namespace, and
# nothing of mtcpd's but its socket, bind-mounted.
set -u
. "$(dirname "$0")/lib.sh"
need curl setpriv unshare
sys_begin xdp
www
chmod 755 "$TMP" "$TMP/www"
mtcpd_start d
chmod 666 "$TMP/d.sock"
conf=$(app_conf 1000)
chmod 644 "$conf"
mkdir "$TMP/box"
: >"$TMP/box/mtcpd.sock"
chmod -R a+rx "$TMP/box"
setpriv --reuid 65534 --regid 65534 --clear-groups \
	unshare -U -r -p -f -m -n true 2>/dev/null ||
	skip "no user namespaces for other users here"

# boxed LOG COMMAND... - in the container; root in there is nobody outside
boxed()
{
	log=$1
	shift
	in_bg "$log" "$NS_D" setpriv --reuid 65534 --regid 65534 --clear-groups \
		unshare -U -r -p -f -m -n --kill-child sh -c '
			mount --bind "$1/d.sock" "$1/box/mtcpd.sock" || exit 1
			export MTCPD_SOCKET=$1/box/mtcpd.sock
			shift
			exec "$@"' box "$TMP" "$@"
}
boxed server "$(bin epserver)" -p "$TMP/www" -f "$conf"
SERVER_PID=$BG_PID
wait_until 100 served || fail "not served from the container"
pid=$(ctl d --json clients | json 'd[0]["pid"]')
uid=$(ctl d --json clients | json 'd[0]["uid"]')
[ "$uid" = 65534 ] || fail "it attached as $uid, not as who it is outside"
[ "$pid" -gt 1 ] || fail "its pid is $pid: as it is outside was expected"
pass "serves from a container, known as it is outside: uid $uid, pid $pid"

in_bg sink "$NS_P" python3 -m http.server -d "$TMP/www" 9000
sinks() { in_peer curl -sf -o /dev/null "http://$IP_P:9000/"; }
wait_until 50 sinks || fail "no peer"
boxed asker "$(bin asker)" "$conf" connect "$IP_P" 9000
connects() { grep -q 'connect: ok' "$TMP/asker.log"; }
wait_until 50 connects || fail "no connection from the container"
pass "and connects"

# Its end is noticed, though its pid is another one inside.
kill -9 "$pid"
none() { [ "$(clients d)" = 0 ]; }
wait_until 50 none || fail "its death is not noticed: $(ctl d clients)"
pass "its death is noticed"
sys_end
