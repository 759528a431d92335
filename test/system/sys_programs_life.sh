#!/bin/sh
# Servers under mtcp-run through what happens in a life: threads, children,
# reloads, and the daemon's restart.
# shellcheck disable=SC1091
. "$(dirname "$0")/lib.sh"
. "$SYS_DIR/programs_lib.sh"

begin
MTCPD=$TMP/mtcpd	# the next one's file, which an upgrade replaces
cp "$(bin mtcpd)" "$MTCPD"

row_threads()
{
	cat >"$TMP/t.py" <<EOF
import socket, threading
def serve(s):
    while True:
        d = s.recv(65536)
        if not d:
            break
        s.sendall(d)
    s.close()
l = socket.create_server(("", 86), backlog=64)
while True:
    s, _ = l.accept()
    threading.Thread(target=serve, args=(s,), daemon=True).start()
EOF
	run threads python3 "$TMP/t.py"
	wait_until 50 at_port 86 || fail "threads: no answer"
	echoes 86 "$(count 30 500)"
	end "a thread a connection" "echoes of random sizes, half-close" 86
}

row_restart()
{
	command -v lighttpd >/dev/null || return 0
	run lighttpd lighttpd -D -f "$(lighttpd_conf)"
	wait_until 50 at_port 8080 || fail "lighttpd: no answer"
	ends 8080 lighttpd load 8080 lighttpd
	end "lighttpd, the daemon ends" \
		"serves again after kill -9 and after an upgrade of mtcpd"
}

# ends PORT NAME COMMAND... - mtcpd is killed under load; then a package puts
# another file into its place, and it is restarted; COMMAND works after each
ends()
{
	port=$1 name=$2
	shift 2
	in_bg press "$NS_P" python3 "$SYS_DIR/press.py" "$IP_D" "$port"
	press=$BG_PID
	sleep 0.5
	restart_d KILL
	wait_until 150 at_port "$port" ||
		fail "$name: no answer after kill -9 of mtcpd"
	"$@"
	cp "$MTCPD" "$MTCPD.dpkg-new"
	mv "$MTCPD.dpkg-new" "$MTCPD"
	restart_d TERM
	wait_until 150 at_port "$port" ||
		fail "$name: no answer after an upgrade of mtcpd"
	kill "$press"
	"$@"
}

row_restart_nginx()
{
	command -v nginx >/dev/null || return 0
	run nginx nginx -c "$(nginx_conf)"
	wait_until 50 at_port 81 || fail "nginx: no answer"
	ends 81 nginx load 81 nginx
	end "nginx, the daemon ends" \
		"serves again after kill -9 and after an upgrade of mtcpd"
}

row_restart_redis()
{
	command -v redis-server >/dev/null || return 0
	redis
	in_peer redis-cli -h "$IP_D" set key value >/dev/null
	ends 6379 redis redis_bench in_peer
	[ "$(in_peer redis-cli -h "$IP_D" get key)" = value ] ||
		fail "redis does not know what it knew"
	end "redis-server, the daemon ends" \
		"serves again after kill -9 and after an upgrade of mtcpd"
}

row_bgsave()
{
	command -v redis-server >/dev/null || return 0
	redis
	in_peer redis-cli -h "$IP_D" set key value >/dev/null
	in_peer redis-cli -h "$IP_D" bgsave >/dev/null
	wait_until 50 test -s "$TMP/dump.rdb" || fail "redis: nothing saved"
	[ "$(in_peer redis-cli -h "$IP_D" get key)" = value ] ||
		fail "redis: the parent's connections do not go on"
	end "redis-server, bgsave" "a background save in a child" 6379
}

row_reload()
{
	command -v nginx >/dev/null || return 0
	run nginx nginx -c "$(nginx_conf)"
	wait_until 50 at_port 81 || fail "nginx: no answer"
	for i in $(seq "$(count 3 20)"); do
		kill -HUP "$(cat "$TMP/nginx.pid")"
		sleep 0.3
		load 81 "nginx, reload $i"
	done
	end "nginx, reload" "reloads with new workers" 81
}

[ $# -gt 0 ] ||
	set -- threads restart restart_nginx restart_redis bgsave reload
rows "$@"
