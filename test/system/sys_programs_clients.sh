#!/bin/sh
# Programs as clients on mtcpd against a kernel nginx: they come to the end with
# the same counts as on the kernel.
# shellcheck disable=SC1091
. "$(dirname "$0")/lib.sh"
. "$SYS_DIR/programs_lib.sh"

begin
need nginx
N=$(count 1000 50000)
cat >"$TMP/knginx.conf" <<END
user root; worker_processes 1; daemon off; pid $TMP/knginx.pid;
error_log $TMP/knginx.log; events { worker_connections 512; }
http { access_log off; keepalive_requests 1000000; root $TMP/www;
  server { listen 81; } server { listen 82 http2; } }
END
in_bg knginx "$NS_P" nginx -c "$TMP/knginx.conf"
kernel_up() { in_peer curl -sf -o /dev/null "http://$IP_P:81/"; }
wait_until 50 kernel_up || fail "the kernel's nginx does not answer"

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
	grep -q 'Socket errors\|Non-2xx' "$TMP/wrk.m" &&
		fail "wrk: $(grep 'errors\|Non-2xx' "$TMP/wrk.m")"
	[ "$(awk '/requests in/ { print $1 }' "$TMP/wrk.m")" -gt 100 ] ||
		fail "wrk got nowhere: $(tail -n 4 "$TMP/wrk.m")"
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

row_left()
{
	wait_until 50 nothing_left || fail "the clients left something in mtcpd"
}

[ $# -gt 0 ] || set -- curl ab wrk h2load left
rows "$@"
