#!/bin/sh
# Programs from Debian's packages, as they are, under mtcp-run.
# shellcheck disable=SC1091
. "$(dirname "$0")/lib.sh"

sys_begin xdp
need curl python3
www
mtcpd_start d

# run LOG PROGRAM... - a program over mtcpd, in the background
run()
{
	log=$1
	shift
	app "$log" "$(bin mtcp-run)" --explain -- "$@"
	RUN_PID=$BG_PID
}

# at_port PORT - somebody answers there
at_port()
{
	in_peer python3 -c 'import socket, sys
socket.create_connection((sys.argv[1], int(sys.argv[2])), 1).close()' \
		"$IP_D" "$1" 2>/dev/null
}

# end - the program goes with kill -9, and leaves nothing behind
nothing_left() { [ "$(conns d)" = 0 ] && [ "$(clients d)" = 0 ]; }
end()
{
	kill -9 "$RUN_PID" 2>/dev/null
	wait_until 50 nothing_left ||
		fail "$1: something is left in mtcpd after kill -9"
	pass "$1: ${2:-works}; nothing is left after kill -9"
}

head -c 3000000 /dev/urandom >"$TMP/www/big"

# same URL_PATH PORT FILE - what is fetched is the file
same()
{
	in_peer curl -sf --max-time 20 -o "$TMP/got" "http://$IP_D:$2$1" ||
		fail "$4: curl gives $?"
	cmp -s "$TMP/got" "$3" || fail "$4: the file differs"
}

row_python()
{
	run python python3 -u -m http.server -d "$TMP/www" 8000
	wait_until 50 at_port 8000 || fail "python: no answer"
	same /big 8000 "$TMP/www/big" python
	end "python3 -m http.server" "the file is identical"
}

row_clients()
{
	in_bg kpython "$NS_P" python3 -u -m http.server -d "$TMP/www" 8001
	sleep 1
	for c in curl wget; do
		command -v $c >/dev/null || continue
		rm -f "$TMP/got"
		o=-o
		[ $c = wget ] && o=-qO
		in_daemon timeout 30 "$(bin mtcp-run)" -- $c $o "$TMP/got" \
			"http://$IP_P:8001/big" 2>>"$TMP/$c.log" ||
			fail "$c gives $?"
		cmp -s "$TMP/got" "$TMP/www/big" || fail "$c: the file differs"
		pass "$c as a client: the file is identical"
	done
}

row_redis()
{
	command -v redis-server >/dev/null || return 0
	run redis redis-server --port 6379 --protected-mode no --save '' \
		--dir "$TMP" --appendonly no
	wait_until 50 at_port 6379 || fail "redis: no answer"
	in_peer timeout 60 redis-benchmark -h "$IP_D" -q -n "$(count 2000 50000)" \
		-P 4 -t ping,set,get,lpush,lpop,mset >"$TMP/bench.log" 2>&1 ||
		fail "redis-benchmark gives $?"
	grep -qi error "$TMP/bench.log" && fail "redis-benchmark has errors"
	end redis-server "redis-benchmark without errors"
}

row_lighttpd()
{
	command -v lighttpd >/dev/null || return 0
	cat >"$TMP/lighttpd.conf" <<EOF
server.document-root = "$TMP/www"
server.port = 8080
server.upload-dirs = ( "$TMP" )
index-file.names = ( "index.html" )
EOF
	run lighttpd lighttpd -D -f "$TMP/lighttpd.conf"
	wait_until 50 at_port 8080 || fail "lighttpd: no answer"
	same /big 8080 "$TMP/www/big" lighttpd
	in_peer timeout 60 ab -k -q -n "$(count 2000 50000)" -c 20 \
		"http://$IP_D:8080/" >"$TMP/ab.log" 2>&1 || fail "ab gives $?"
	grep -q 'Failed requests: *0$' "$TMP/ab.log" || fail "ab: failures"
	end lighttpd "a file identical, ab without failures"
}

for row in ${1:-python clients redis lighttpd}; do row_$row; done
sys_end
