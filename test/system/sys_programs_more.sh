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
	site 81 nginx
	end "nginx, 2 workers" "a file identical, ab and wrk without failures" \
		81
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
	memcached_start
	memcached_answers 300 ||
		fail "memcached: wrong answers"
	end "memcached -t 4" "20 connections, sets and gets without an error" 11211
}

# The kernel's side of mtcpd's host: a web server that haproxy asks by
# loopback, and ports of haproxy's that only loopback reaches.
loopback_web_up()
{
	in_daemon curl -sf -o /dev/null "http://127.0.0.1:8002/" 2>/dev/null
}

# same_inside PORT NAME - as same, but from mtcpd's own host, by the kernel
same_inside()
{
	in_daemon curl -sf --max-time 20 -o "$TMP/got" \
		"http://127.0.0.1:$1/big" || fail "$2: curl gives $?"
	cmp -s "$TMP/got" "$TMP/www/big" || fail "$2: the file differs"
}

row_haproxy()
{
	command -v haproxy >/dev/null || return 0
	kernel_web
	in_bg lweb "$NS_D" python3 -m http.server -d "$TMP/www" \
		-b 127.0.0.1 8002
	wait_until 100 loopback_web_up || fail "no web server on loopback"
	run haproxy haproxy -db -f "$(haproxy_conf 2 "
listen raw
  mode tcp
  bind :84
  server a $IP_P:8001
listen in
  bind :85
  server a 127.0.0.1:8002
listen rawin
  mode tcp
  bind :86
  server a 127.0.0.1:8002
listen out
  bind 127.0.0.1:87
  server a $IP_P:8001
listen rawout
  mode tcp
  bind 127.0.0.1:88
  server a $IP_P:8001")"
	wait_until 50 at_port 83 || fail "haproxy: no answer"
	same 83 "haproxy, http"
	same 84 "haproxy, tcp"
	same 85 "haproxy, http, to the kernel"
	same 86 "haproxy, tcp, to the kernel"
	same_inside 87 "haproxy, http, from the kernel"
	same_inside 88 "haproxy, tcp, from the kernel"
	end "haproxy, 2 threads" \
		"http and tcp: both sides on mtcpd, either one the kernel's" 84
}

# At a connection that ends at once, or after a test, iperf3 -s closes its
# listener and resets who is in the queue: its own word says when it listens.
iperf3_listens()
{
	[ "$(grep -c 'Server listening' "$TMP/$1.log")" -ge "$2" ]
}

# gbits FILE - what iperf3 -J tells that was received, both ways together
gbits()
{
	python3 -c 'import json, sys
end = json.load(open(sys.argv[1]))["end"]
print("%.2f" % (sum(v["bits_per_second"] for k, v in end.items()
                    if k.startswith("sum_received")) / 1e9))' "$1"
}

# iperf3_client SERVER N ADDRESS PORT OPTIONS... - its Nth test; speed: Gbit/s
iperf3_client()
{
	server=$1 number=$2 addr=$3 port=$4
	shift 4
	wait_until 100 iperf3_listens "$server" "$number" ||
		fail "iperf3 $*: $server does not listen"
	in_peer timeout 30 iperf3 -J -c "$addr" -p "$port" \
		-t "$(count 1 10)" "$@" >"$TMP/iperf3.json" 2>&1 ||
		fail "iperf3 $* to $addr gives $?: $(grep error "$TMP/iperf3.json")"
	speed=$(gbits "$TMP/iperf3.json")
}

row_iperf3()
{
	command -v iperf3 >/dev/null || return 0
	ip -n "$NS_D" addr add 10.77.0.4/24 dev mtd
	in_bg kiperf3 "$NS_D" iperf3 -s --forceflush -B 10.77.0.4 -p 5202
	run iperf3 iperf3 -s --forceflush
	n=0
	for how in "-P 8" "-R -P 8" "--bidir -P 2"; do
		n=$((n + 1))
		# shellcheck disable=SC2086	# options
		iperf3_client iperf3 $n "$IP_D" 5201 $how
		mtcp=$speed
		# shellcheck disable=SC2086	# options
		iperf3_client kiperf3 $n 10.77.0.4 5202 $how
		say "iperf3 $how: mtcpd $mtcp Gbit/s, the kernel $speed"
	done
	ip -n "$NS_D" addr del 10.77.0.4/24 dev mtd
	end "iperf3 -s" "-P 8 both ways and --bidir run to the end" 5201
}

row_socat()
{
	command -v socat >/dev/null || return 0
	# -t: half a second of silence after the end is its own default
	# -b: it blocks in a write to its pipe when that has room for less
	run socat socat -t 20 -b 4096 TCP-LISTEN:85,reuseaddr PIPE
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
