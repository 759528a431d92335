# programs_lib.sh - the means of tests that run programs under mtcp-run;
# read after lib.sh
#
#	begin; run LOG PROGRAM...; wait_until 50 at_port 80; same 80 NAME;
#	load 80 NAME; end NAME "what was shown"
#
# A row of doc/programs.md is what end, end_busy or row_ok says.
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

# end_busy NAME WHAT COMMAND... - end() while COMMAND of the peer is under way
end_busy()
{
	name=$1 what=$2
	shift 2
	ip netns exec "$PEER" timeout 30 "$@" >"$TMP/busy.log" 2>&1 &
	busy=$!
	sleep 0.5
	end "$name" "$what"
	kill $busy 2>/dev/null
	wait $busy
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

# site PORT NAME - a web server: the big file, in full 1 GiB too; ab, wrk
site()
{
	same "$1" "$2"
	if full; then
		head -c 1073741824 /dev/urandom >"$TMP/www/huge"
		in_peer curl -sf --max-time 120 "http://$IP_D:$1/huge" |
			cmp - "$TMP/www/huge" || fail "$2: 1 GiB differs"
		rm "$TMP/www/huge"
	fi
	load "$1" "$2"
	command -v wrk >/dev/null || return 0
	in_peer wrk -t 1 -c 20 -d "$(count 1 10)" "http://$IP_D:$1/" \
		>"$TMP/wrk.log" 2>&1 || fail "$2: wrk gives $?"
	wrk_is_well "$2" "$TMP/wrk.log" "$(count 100 50000)"
}

# wrk_is_well NAME LOG REQUESTS - no error, and at least so many requests
wrk_is_well()
{
	grep -q 'Socket errors\|Non-2xx' "$2" &&
		fail "$1: $(grep 'errors\|Non-2xx' "$2")"
	w=$(awk '/requests in/ { print $1 }' "$2")
	[ "${w:-0}" -gt "$3" ] || fail "$1: wrk: ${w:-no} requests"
}

# echoes PORT CONNECTIONS - random data comes back, halves are closed in turn
echoes()
{
	in_peer timeout 60 python3 "$SYS_DIR/echoes.py" "$IP_D" "$1" "$2" \
		2>"$TMP/echoes.log" || fail "echo: $(tail -n 1 "$TMP/echoes.log")"
}

# restart_d [SIGNAL] - mtcpd ends, or is ended, and starts again
restart_d()
{
	# shellcheck disable=SC2154	# mtcpd_start sets it
	kill -s "${1:-TERM}" "$MTCPD_PID_d"
	wait_until 100 gone "$MTCPD_PID_d" || fail "mtcpd does not end"
	sleep 1		# its threads let go of the pid file a little later
	mtcpd_start d
}

# kernel_nginx - the kernel's nginx of the peer: port 81, HTTP/2 on 82
kernel_nginx()
{
	cat >"$TMP/knginx.conf" <<-END
	user root; worker_processes 1; daemon off; pid $TMP/knginx.pid;
	error_log $TMP/knginx.log; events { worker_connections 512; }
	http { access_log off; keepalive_requests 1000000; root $TMP/www;
	  server { listen 81; } server { listen 82 http2; } }
	END
	in_bg knginx "$NS_P" nginx -c "$TMP/knginx.conf"
	wait_until 50 kernel_nginx_up ||
		fail "the kernel's nginx does not answer"
}
kernel_nginx_up() { in_peer curl -sf -o /dev/null "http://$IP_P:81/"; }

# redis - a server that keeps nothing by itself
redis()
{
	run redis redis-server --port 6379 --protected-mode no \
		--save '' --appendonly no --dir "$TMP"
	wait_until 50 at_port 6379 || fail "redis: no answer"
}

# redis_bench SIDE - redis-benchmark from there; full: all that it knows
redis_bench()
{
	# shellcheck disable=SC2046	# options
	$1 timeout 200 redis-benchmark -h "$IP_D" -q -c 20 -P 4 \
		-n "$(count 2000 50000)" \
		$(full || echo -t ping,set,get,lpush,lpop,mset) \
		>"$TMP/bench.log" 2>&1 || fail "redis-benchmark, $1, gives $?"
	grep -qi error "$TMP/bench.log" && fail "redis: errors, $1"
	grep -q 'requests per second' "$TMP/bench.log" ||
		fail "redis-benchmark, $1, says nothing"
}

memcached_start()
{
	run memcached memcached -u root -t 4 -p 11211
	wait_until 50 at_port 11211 || fail "memcached: no answer"
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

# apache_conf MPM PORT [LINES] - the same for apache2 as www-data
apache_conf()
{
	m=/usr/lib/apache2/modules
	cat >"$TMP/apache.conf" <<EOF
ServerRoot $TMP
ServerName localhost
LoadModule mpm_$1_module $m/mod_mpm_$1.so
LoadModule authz_core_module $m/mod_authz_core.so
LoadModule dir_module $m/mod_dir.so
Listen 0.0.0.0:$2
User www-data
Group www-data
PidFile $TMP/apache.pid
ErrorLog $TMP/apache-error.log
DocumentRoot $TMP/www
KeepAlive On
MaxKeepAliveRequests 0
${3:-}
EOF
	echo "$TMP/apache.conf"
}

# haproxy_conf THREADS [LINES] - port 83 is for the peer's web server
haproxy_conf()
{
	cat >"$TMP/haproxy.cfg" <<EOF
global
  nbthread $1
defaults
  mode http
  timeout connect 5s
  timeout client 20s
  timeout server 20s
listen web
  bind :83
  server a $IP_P:8001
${2:-}
EOF
	echo "$TMP/haproxy.cfg"
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
