#!/bin/sh
# Programs from Debian's packages under mtcp-run: those with threads, with
# processes of their own, and those that are both ends at once.
# shellcheck disable=SC1091
. "$(dirname "$0")/lib.sh"
. "$SYS_DIR/programs_lib.sh"

begin

row_nginx()
{
	command -v nginx >/dev/null || return 0
	run nginx nginx -c "$(nginx_conf)"
	wait_until 50 at_port 81 || fail "nginx: no answer"
	same 81 nginx
	load 81 nginx
	end "nginx, 2 workers" "a file identical, ab without failures" 81
}

row_node()
{
	command -v node >/dev/null || return 0
	cat >"$TMP/s.js" <<EOF
const fs = require('fs');
require('http').createServer((q, r) => q.url === '/big' ?
  fs.createReadStream('$TMP/www/big').pipe(r) : r.end('hello')).listen(82);
EOF
	run node node "$TMP/s.js"
	wait_until 50 at_port 82 || fail "node: no answer"
	same 82 node
	load 82 node
	end "node, on ::" "a file identical, ab without failures" 82
}

row_openssl()
{
	command -v openssl >/dev/null || return 0
	openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=x \
		-keyout "$TMP/k.pem" -out "$TMP/c.pem" 2>/dev/null
	(cd "$TMP/www" && run openssl openssl s_server -quiet -WWW \
		-port 443 -cert "$TMP/c.pem" -key "$TMP/k.pem" &&
		echo "$RUN_PID" >"$TMP/openssl.pid")
	RUN_PID=$(cat "$TMP/openssl.pid")
	wait_until 50 at_port 443 || fail "openssl: no answer"
	in_peer curl -skf --max-time 20 --http0.9 -o "$TMP/got" \
		"https://$IP_D/big" || fail "openssl: curl gives $?"
	cmp -s "$TMP/got" "$TMP/www/big" || fail "openssl: the file differs"
	end "openssl s_server" "the file is identical over TLS" 443
}

row_memcached()
{
	command -v memcached >/dev/null || return 0
	run memcached memcached -u root -t 4 -p 11211
	wait_until 50 at_port 11211 || fail "memcached: no answer"
	memcached_answers 300 ||
		fail "memcached: wrong answers"
	end "memcached -t 4" "20 connections, sets and gets without an error" 11211
}

row_haproxy()
{
	command -v haproxy >/dev/null || return 0
	kernel_web
	cat >"$TMP/haproxy.cfg" <<EOF
global
  nbthread 2
defaults
  mode http
  timeout connect 5s
  timeout client 20s
  timeout server 20s
listen web
  bind :83
  server a $IP_P:8001
listen raw
  mode tcp
  bind :84
  server a $IP_P:8001
EOF
	run haproxy haproxy -db -f "$TMP/haproxy.cfg"
	wait_until 50 at_port 83 || fail "haproxy: no answer"
	same 83 "haproxy, http"
	same 84 "haproxy, tcp"
	end "haproxy, 2 threads" "http and tcp, both sides on mtcpd" 84
}

row_iperf3()
{
	command -v iperf3 >/dev/null || return 0
	run iperf3 iperf3 -s
	wait_until 50 at_port 5201 || fail "iperf3: no answer"
	for how in "-P 8" "-R -P 8" "--bidir -P 2"; do
		# shellcheck disable=SC2086	# options
		in_peer timeout 30 iperf3 -c "$IP_D" -t "$(count 1 10)" $how \
			>"$TMP/iperf3-c.log" 2>&1 || fail "iperf3 $how gives $?"
	done
	end "iperf3 -s" "-P 8 both ways and --bidir run to the end" 5201
}

row_socat()
{
	command -v socat >/dev/null || return 0
	# -t: half a second of silence after the end is its own default
	run socat socat -t 20 TCP-LISTEN:85,reuseaddr PIPE
	sleep 1
	in_peer timeout 20 socat -t 10 - "TCP:$IP_D:85" <"$TMP/www/big" \
		>"$TMP/got" || fail "socat gives $?"
	cmp -s "$TMP/got" "$TMP/www/big" || fail "socat: the echo differs"
	end socat "the echo is exact, half-close works" 85
}

if [ $# -eq 0 ]; then
	set -- nginx node openssl memcached haproxy iperf3 socat
fi
rows "$@"
