#!/bin/sh
# Servers under mtcp-run through what happens in a life: threads, children,
# reloads, and the daemon's restart.
# shellcheck disable=SC1091
. "$(dirname "$0")/lib.sh"
. "$SYS_DIR/programs_lib.sh"

begin

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
	in_peer timeout 60 python3 - "$IP_D" <<'EOF' || fail "threads: wrong echo"
import socket, sys, threading, random, os
bad = []
def work(k):
    try:
        r = random.Random(k)
        s = socket.create_connection((sys.argv[1], 86), 20)
        for i in range(60):
            d = os.urandom(r.randrange(1, 60000))
            s.sendall(d)
            got = b""
            while len(got) < len(d):
                x = s.recv(65536)
                if not x: raise Exception("eof")
                got += x
            if got != d: raise Exception("differs")
        s.shutdown(1)
        if s.recv(1): raise Exception("more")
    except Exception as e:
        bad.append(e)
t = [threading.Thread(target=work, args=(k,)) for k in range(30)]
[x.start() for x in t]; [x.join() for x in t]
print(bad[:3])
sys.exit(bool(bad))
EOF
	end "a thread a connection" "echoes of random sizes, half-close" 86
}

row_restart()
{
	command -v lighttpd >/dev/null || return 0
	run lighttpd lighttpd -D -f "$(lighttpd_conf)"
	wait_until 50 at_port 8080 || fail "lighttpd: no answer"
	# shellcheck disable=SC2154	# mtcpd_start sets it
	kill -9 "$MTCPD_PID_d"
	wait_until 50 gone "$MTCPD_PID_d" || fail "mtcpd lives on"
	sleep 1		# its threads let go of the pid file a little later
	mtcpd_start d
	wait_until 100 at_port 8080 || fail "lighttpd: no answer afterwards"
	load 8080 lighttpd
	end "lighttpd, the daemon ends" "serves again after kill -9 of mtcpd"
}

row_bgsave()
{
	command -v redis-server >/dev/null || return 0
	run redis redis-server --port 6379 --protected-mode no --save '' \
		--dir "$TMP"
	wait_until 50 at_port 6379 || fail "redis: no answer"
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

[ $# -gt 0 ] || set -- threads restart bgsave reload
rows "$@"
