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

# run LOG PROGRAM... - a program over mtcpd, in the background
run()
{
	log=$1
	shift
	app "$log" "$(bin mtcp-run)" -- "$@"
	RUN_PID=$BG_PID
}

at_port()
{
	in_peer python3 -c 'import socket, sys
socket.create_connection((sys.argv[1], int(sys.argv[2])), 1).close()' \
		"$IP_D" "$1" 2>/dev/null
}

nothing_left() { [ "$(conns d)" = 0 ] && [ "$(clients d)" = 0 ]; }

# end NAME WHAT - kill -9, children first, leaves nothing in the daemon
end()
{
	kill -s STOP "$RUN_PID" 2>/dev/null	# it forks no more
	# shellcheck disable=SC2046	# a list
	kill -9 "$RUN_PID" $(pgrep -P "$RUN_PID") 2>/dev/null
	wait_until 50 nothing_left ||
		fail "$1: something is left in mtcpd after kill -9"
	pass "$1: $2; nothing is left after kill -9"
}

# same PORT NAME - the big file comes as it is
same()
{
	in_peer curl -sf --max-time 20 -o "$TMP/got" "http://$IP_D:$1/big" ||
		fail "$2: curl gives $?"
	cmp -s "$TMP/got" "$TMP/www/big" || fail "$2: the file differs"
}

# load PORT NAME - ab without a failure
load()
{
	n=$(count 2000 50000)
	in_peer timeout 100 ab -k -q -n "$n" -c 20 "http://$IP_D:$1/" \
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
