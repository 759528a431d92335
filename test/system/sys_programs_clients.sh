#!/bin/sh
# Programs as clients on mtcpd against a kernel nginx: they come to the end with
# the same counts as on the kernel.
# shellcheck disable=SC1091
. "$(dirname "$0")/lib.sh"
. "$SYS_DIR/programs_lib.sh"

begin
need nginx
N=$(count 1000 50000)
kernel_nginx

# both LOG COMMAND... - on the kernel, then on mtcpd; output in LOG.k, LOG.m
both()
{
	log=$1
	shift
	in_peer timeout 90 "$@" >"$TMP/$log.k" 2>&1 ||
		fail "$1 on the kernel gives $?"
	in_daemon timeout 90 "$(bin mtcp-run)" -- "$@" >"$TMP/$log.m" 2>&1 ||
		fail "$1 on mtcpd gives $?: $(tail -n 3 "$TMP/$log.m")"
}

# equal LOG PATTERN... - the lines of both are the same, and there are some
equal()
{
	log=$1
	shift
	for side in k m; do
		grep -E "$1" "$TMP/$log.$side" >"$TMP/$log.$side.lines"
	done
	[ -s "$TMP/$log.k.lines" ] || fail "$log says nothing of '$1'"
	cmp -s "$TMP/$log.k.lines" "$TMP/$log.m.lines" ||
		fail "$log on mtcpd: $(cat "$TMP/$log.m.lines")"
}

row_curl()
{
	for c in curl wget; do
		command -v $c >/dev/null || continue
		rm -f "$TMP/got"
		o=-o
		[ $c = wget ] && o=-qO
		in_daemon timeout 30 "$(bin mtcp-run)" -- $c $o "$TMP/got" \
			"http://$IP_P:81/big" 2>>"$TMP/$c.log" ||
			fail "$c gives $?"
		cmp -s "$TMP/got" "$TMP/www/big" || fail "$c: the file differs"
	done
	row_ok "curl, wget as clients" "a file identical"
}

row_ab()
{
	command -v ab >/dev/null || return 0
	both ab ab -q -k -n "$N" -c 20 "http://$IP_P:81/"
	equal ab '^(Complete|Failed|Keep-Alive) requests|^HTML transferred'
	grep -q 'Failed requests: *0$' "$TMP/ab.m" || fail "ab has failures"
	both abc ab -q -n "$N" -c 20 "http://$IP_P:81/"
	equal abc '^(Complete|Failed) requests|^HTML transferred'
	row_ok "ab as a client" "kept alive and closed, the kernel's counts, 0 failed"
}

row_wrk()
{
	command -v wrk >/dev/null || return 0
	both wrk wrk -t 2 -c 20 -d "$(count 1 10)" "http://$IP_P:81/"
	wrk_is_well wrk "$TMP/wrk.m" 100
	row_ok "wrk as a client" "2 threads, no errors"
}

row_h2load()
{
	command -v h2load >/dev/null || return 0
	both h2 h2load -n "$N" -c 10 -m 10 "http://$IP_P:82/"
	equal h2 '^requests:|^status codes:'
	both h1 h2load --h1 -n "$N" -c 10 "http://$IP_P:81/"
	equal h1 '^requests:|^status codes:'
	row_ok "h2load as a client" "HTTP/2 and HTTP/1.1, the kernel's counts"
}

kernel_tls_up()
{
	in_peer curl -skf --http0.9 -o /dev/null "https://$IP_P/index.html"
}

# s_server's own two headers come first, and an empty line.
row_openssl()
{
	command -v openssl >/dev/null || return 0
	openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=x \
		-keyout "$TMP/k.pem" -out "$TMP/c.pem" 2>/dev/null
	cd "$TMP/www" || fail "no folder"
	in_bg tls "$NS_P" openssl s_server -quiet -WWW -port 443 \
		-cert "$TMP/c.pem" -key "$TMP/k.pem"
	cd "$TMP" || fail "no folder"
	wait_until 50 kernel_tls_up || fail "the kernel's s_server: no answer"
	printf 'GET /big HTTP/1.0\r\n\r\n' | in_daemon timeout 30 \
		"$(bin mtcp-run)" -- openssl s_client -quiet -ign_eof \
		-connect "$IP_P:443" >"$TMP/got" 2>"$TMP/s_client.log" ||
		fail "openssl s_client gives $?"
	tail -c 3000000 "$TMP/got" | cmp -s - "$TMP/www/big" ||
		fail "openssl s_client: the file differs"
	row_ok "openssl s_client" "the file is identical over TLS"
}

row_left()
{
	wait_until 50 nothing_left || fail "the clients left something in mtcpd"
}

is_busy() { [ "$(conns d)" -gt 0 ]; }

# killed COMMAND... - with kill -9 while it has connections
killed()
{
	command -v "$1" >/dev/null || return 0
	run killed "$@"
	wait_until 50 is_busy || fail "$1 has no connection"
	sleep 0.2
	alive "$RUN_PID" || fail "$1 ended too early"
	# shellcheck disable=SC2046	# a list
	kill -9 $(family "$RUN_PID") 2>/dev/null
	wait_until 50 nothing_left || fail "$1: something is left in mtcpd"
}

row_killed()
{
	killed curl -s --limit-rate 200k -o /dev/null "http://$IP_P:81/big"
	killed wget -q --limit-rate=200k -O /dev/null "http://$IP_P:81/big"
	killed ab -q -k -t 30 -n 10000000 -c 20 "http://$IP_P:81/"
	killed wrk -t 2 -c 20 -d 30 "http://$IP_P:81/"
	killed h2load -D 30 -c 10 -m 10 "http://$IP_P:82/"
	row_ok "curl, wget, ab, wrk, h2load" \
		"kill -9 under way leaves nothing in mtcpd"
}

[ $# -gt 0 ] || set -- curl ab wrk h2load openssl left killed
rows "$@"
