# programs_lib.sh - the means of tests that run programs under mtcp-run;
# read after lib.sh
#
#	begin; run LOG PROGRAM...; wait_until 50 at_port 80; same 80 NAME;
#	load 80 NAME; end NAME "what was shown"
#
# shellcheck shell=sh disable=SC2034

begin()
{
	sys_begin xdp
	need curl python3 ab
	www
	mtcpd_start d
	head -c 3000000 /dev/urandom >"$TMP/www/big"
}

# In a build with AddressSanitizer: its run-time, which goes behind our library
# and before the program's libc; what the program leaks is its own matter.
ASAN_LIB=$(ldd "$BUILD/libclient/preload/libmtcppreload.so" 2>/dev/null |
	awk '/libasan/ { print $3 }')
if [ -n "$ASAN_LIB" ]; then
	ASAN_OPTIONS=${ASAN_OPTIONS:-}:verify_asan_link_order=0:detect_leaks=0
	export ASAN_OPTIONS
fi

# run LOG PROGRAM... - a program over mtcpd, in the background
run()
{
	log=$1
	shift
	app "$log" ${ASAN_LIB:+env "LD_PRELOAD=$ASAN_LIB"} \
		"$(bin mtcp-run)" -- "$@"
	RUN_PID=$BG_PID
}

at_port()
{
	in_peer python3 -c 'import socket, sys
socket.create_connection((sys.argv[1], int(sys.argv[2])), 1).close()' \
		"$IP_D" "$1" 2>/dev/null
}

# kernel_web - the kernel's web server of the peer, port 8001
kernel_web()
{
	in_bg kweb "$NS_P" python3 -m http.server -d "$TMP/www" 8001
	wait_until 100 kernel_web_up || fail "the peer's web server: no answer"
}
kernel_web_up()
{
	in_peer curl -sf -o /dev/null "http://$IP_P:8001/" 2>/dev/null
}

nothing_left() { [ "$(conns d)" = 0 ] && [ "$(clients d)" = 0 ]; }

# row_ok NAME WHAT - a row of doc/programs.md has been shown
row_ok() { pass "$1: $2"; }

# family PID - it and all that it started, stopped, so that none comes meanwhile
family()
{
	kill -STOP "$1" 2>/dev/null
	echo "$1"
	for child in $(pgrep -P "$1"); do family "$child"; done
}

# end NAME WHAT [PORT] - kill -9, under load if there is a port, leaves nothing
# in the daemon
end()
{
	press=
	if [ -n "${3:-}" ]; then
		in_bg press "$NS_P" python3 "$SYS_DIR/press.py" "$IP_D" "$3"
		press=$BG_PID
		sleep 0.5
	fi
	# shellcheck disable=SC2046	# a list
	kill -9 $(family "$RUN_PID") 2>/dev/null
	[ -z "$press" ] || kill "$press"
	wait_until 50 nothing_left ||
		fail "$1: something is left in mtcpd after kill -9"
	row_ok "$1" "$2"
}

# same PORT NAME - the big file comes as it is
same()
{
	in_peer curl -sf --max-time 20 -o "$TMP/got" "http://$IP_D:$1/big" ||
		fail "$2: curl gives $?"
	cmp -s "$TMP/got" "$TMP/www/big" || fail "$2: the file differs"
}

# load PORT NAME [PATH [REQUESTS]] - ab without a failure
load()
{
	n=${4:-$(count 2000 50000)}
	in_peer timeout 100 ab -k -q -n "$n" -c 20 "http://$IP_D:$1/${3:-}" \
		>"$TMP/ab.log" 2>&1 || fail "$2: ab gives $?"
	grep -q "Complete requests: *$n\$" "$TMP/ab.log" ||
		fail "$2: ab did not come to the end"
	grep -q 'Failed requests: *0$' "$TMP/ab.log" ||
		fail "$2: ab has failures"
}

# rows ROW... - row_ROW for each
rows()
{
	for row in "$@"; do "row_$row"; done
	sys_end
}

# lighttpd_conf [LINE...] - prints the name of a configuration for port 8080
lighttpd_conf()
{
	cat >"$TMP/lighttpd.conf" <<EOF
server.document-root = "$TMP/www"
server.port = 8080
server.upload-dirs = ( "$TMP" )
index-file.names = ( "index.html" )
$*
EOF
	echo "$TMP/lighttpd.conf"
}

# nginx_conf - the same for nginx with two workers, port 81
nginx_conf()
{
	cat >"$TMP/nginx.conf" <<EOF
user root; worker_processes 2; daemon off; pid $TMP/nginx.pid;
error_log $TMP/nginx-error.log;
events { worker_connections 512; }
http { access_log off; sendfile on;
  server { listen 81; root $TMP/www; } }
EOF
	echo "$TMP/nginx.conf"
}

# memcached_answers N - 20 connections at once set and get N times (full: 5000)
memcached_answers()
{
	in_peer timeout 60 python3 - "$IP_D" "$(count "$1" 5000)" <<'END'
import socket, sys, threading
bad = []
def work(k):
    s = socket.create_connection((sys.argv[1], 11211), 5)
    f = s.makefile("rb")
    for i in range(int(sys.argv[2])):
        v = b"%d-%d" % (k, i) * (1 + i % 50)
        s.sendall(b"set k%d 0 0 %d\r\n%b\r\nget k%d\r\n" % (k, len(v), v, k))
        got = [f.readline() for _ in range(4)]
        if got[0] != b"STORED\r\n" or got[2] != v + b"\r\n":
            bad.append(got)
            return
t = [threading.Thread(target=work, args=(k,)) for k in range(20)]
[x.start() for x in t]
[x.join() for x in t]
sys.exit(bool(bad))
END
}
