#!/bin/sh
# Listeners that are handed on to another program: nginx's upgrade by USR2, with
# the numbers in an environment of its own, and fd 3 from a service manager.
# shellcheck disable=SC1091
. "$(dirname "$0")/lib.sh"
. "$SYS_DIR/programs_lib.sh"

begin

# As a service: a master in the background, which is what an upgrade needs.
upgrade_conf()
{
	sed -i 's/daemon off;/daemon on;/' "$(nginx_conf)"
	echo "$TMP/nginx.conf"
}

nginx_pid() { cat "$TMP/nginx.pid" 2>/dev/null; }
upgraded() { [ -s "$TMP/nginx.pid.oldbin" ] && [ -n "$(nginx_pid)" ] &&
	[ "$(nginx_pid)" != "$old" ] && pgrep -P "$(nginx_pid)" >/dev/null; }
no_child() { ! pgrep -P "$old" nginx | grep -qvx "$(nginx_pid)"; }

# upgrade - a new master with the old one's listeners; the old one goes
upgrade()
{
	old=$(nginx_pid)
	kill -USR2 "$old"
	wait_until 100 upgraded || fail "nginx: no new master: $(tail -n 3 \
		"$TMP/nginx-error.log")"
	nginx_pid >>"$TMP/pids"
	kill -WINCH "$old"
	wait_until 100 no_child || fail "nginx: an old worker stays"
	kill -QUIT "$old"
	wait_until 100 gone "$old" || fail "nginx: the old master stays"
}

row_nginx()
{
	command -v nginx >/dev/null || return 0
	run nginx "$(command -v nginx)" -c "$(upgrade_conf)"
	wait_until 50 at_port 81 || fail "nginx: no answer"
	nginx_pid >>"$TMP/pids"
	n=$(count 20000 100000)
	in_peer timeout 100 ab -q -r -n "$n" -c 10 "http://$IP_D:81/" \
		>"$TMP/ab.log" 2>&1 &
	ab=$!
	for _ in $(seq "$(count 2 5)"); do upgrade; done
	wait $ab || fail "nginx: ab gives $?"
	grep -q 'Failed requests: *0$' "$TMP/ab.log" ||
		fail "nginx: $(grep Failed "$TMP/ab.log") in an upgrade"
	same 81 nginx
	RUN_PID=$(nginx_pid)
	end "nginx, a new binary by USR2" "upgrades under load, 0 failed" 81
}

# The manager listens, and executes nginx at the first connection.
row_activate()
{
	command -v nginx >/dev/null || return 0
	command -v systemd-socket-activate >/dev/null || return 0
	conf=$(nginx_conf)
	run activate systemd-socket-activate -l 0.0.0.0:81 -E "NGINX=3;" \
		"$(command -v nginx)" -c "$conf"
	wait_until 50 at_port 81 || fail "activate: no answer"
	same 81 "nginx, activated"
	load 81 "nginx, activated"
	end "nginx, its listener from systemd-socket-activate" \
		"a file identical, ab without failures" 81
}

[ $# -gt 0 ] || set -- nginx activate
rows "$@"
