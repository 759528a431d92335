#!/bin/sh
# Programs under mtcp-run on both sides of a connection, or one: redis with a
# second mtcpd, memcached with a load generator, iperf3, ncat, an echo server by
# select().
# shellcheck disable=SC1091
. "$(dirname "$0")/lib.sh"
. "$SYS_DIR/programs_lib.sh"

begin
mtcpd_start p

# on_p COMMAND... - a program on the peer's mtcpd
on_p()
{
	ip netns exec "$NS_P" env MTCPD_SOCKET="$TMP/p.sock" \
		"$(bin mtcp-run)" -- "$@"
}

heard() { grep -q "$1" "$TMP/heard"; }
# saved N - the server has seen its Nth child end: it starts no other before
saved() { [ "$(grep -c 'saving terminated with' "$TMP/redis.log")" -ge "$1" ]; }

row_redis()
{
	command -v redis-server >/dev/null || return 0
	redis
	on_p timeout 20 redis-cli -h "$IP_D" subscribe news >"$TMP/heard" 2>&1 &
	echo $! >>"$TMP/pids"
	wait_until 50 heard '^1$' || fail "redis: no subscription"
	saves=0
	for side in in_peer on_p; do
		redis_bench $side
		$side timeout 10 redis-cli -h "$IP_D" bgsave >/dev/null
		$side timeout 10 redis-cli -h "$IP_D" publish news "from $side" \
			>/dev/null
		wait_until 50 heard "from $side" || fail "redis: not heard: $side"
		saves=$((saves + 1))
		wait_until 50 saved "$saves" || fail "redis: not saved, $side"
		test -s "$TMP/dump.rdb" || fail "redis: nothing saved, $side"
		rm -f "$TMP/dump.rdb"
	done
	end "redis" \
		"both sides on mtcpd and mixed: redis-benchmark, pub/sub, save" \
		6379
}

row_memcached()
{
	command -v memcached >/dev/null && command -v memcaslap >/dev/null ||
		return 0
	memcached_start
	in_peer timeout 100 memcaslap -s "$IP_D:11211" -T 2 -c 32 \
		-x "$(count 10000 200000)" >"$TMP/slap.log" 2>&1 ||
		fail "memcaslap gives $?"
	grep -q '^get_misses: 0' "$TMP/slap.log" || fail "memcached: misses"
	grep -qi 'error\|fail\|reset' "$TMP/slap.log" &&
		fail "memcached: $(grep -i 'error\|fail\|reset' "$TMP/slap.log")"
	end "memcached -t 4 and memcaslap" \
		"32 connections, sets and gets, no miss, no error" 11211
}

row_iperf3()
{
	command -v iperf3 >/dev/null || return 0
	in_bg kiperf "$NS_P" iperf3 -s
	sleep 1
	for how in "-P 8" "-R -P 8" "--bidir -P 2"; do
		# shellcheck disable=SC2086	# options
		in_daemon timeout 40 "$(bin mtcp-run)" -- iperf3 -c "$IP_P" \
			-t "$(count 1 10)" $how >"$TMP/iperf3-c.log" 2>&1 ||
			fail "iperf3 $how as a client gives $?"
	done
	wait_until 50 nothing_left || fail "iperf3 left something in mtcpd"
	row_ok "iperf3 as a client" "-P 8 both ways and --bidir run to the end"
}

# At the end of its input ncat --exec ends its child at once, on the kernel too:
# the echo is read before that.
row_ncat()
{
	command -v ncat >/dev/null || return 0
	head -c 40000 "$TMP/www/big" >"$TMP/little"
	run ncat ncat -4 -l -k -p 92 --exec /bin/cat
	wait_until 50 at_port 92 || fail "ncat: no answer"
	in_peer timeout 20 python3 - "$IP_D" "$TMP/little" <<-'END' ||
	import socket, sys
	d = open(sys.argv[2], "rb").read()
	for _ in range(10):
	    s = socket.create_connection((sys.argv[1], 92))
	    s.sendall(d)
	    if s.recv(len(d), socket.MSG_WAITALL) != d:
	        sys.exit(1)
	    s.close()
	END
		fail "ncat: the echo differs"
	end "ncat -l --exec cat" "the echo is exact" 92
	in_bg kncat "$NS_P" ncat -4 -l -k -p 92 --exec /bin/cat
	sleep 1
	{ cat "$TMP/little"; sleep 1; } | in_daemon timeout 20 \
		"$(bin mtcp-run)" -- ncat "$IP_P" 92 >"$TMP/got" ||
		fail "ncat as a client gives $?"
	cmp -s "$TMP/got" "$TMP/little" || fail "ncat: the client's differs"
	row_ok "ncat as a client" "the echo is exact"
}

row_select()
{
	cat >"$TMP/chooser.py" <<-'END'
	import select, socket
	l = socket.create_server(("", 93), backlog=64)
	l.setblocking(False)
	out = {}
	while True:
	    want = [s for s in out if len(out[s]) < 100000]
	    r, w, _ = select.select([l] + want, [s for s in out if out[s]], [])
	    for s in r:
	        if s is l:
	            try:
	                c, _ = l.accept()
	            except BlockingIOError:
	                continue
	            c.setblocking(False)
	            out[c] = b""
	            continue
	        try:
	            d = s.recv(65536)
	        except BlockingIOError:
	            continue
	        except OSError:
	            d = b""
	        if d:
	            out[s] += d
	            continue
	        s.setblocking(True)
	        try:
	            s.sendall(out[s])
	        except OSError:
	            pass
	        del out[s]
	        s.close()
	    for s in w:
	        if s in out and out[s]:
	            try:
	                out[s] = out[s][s.send(out[s]):]
	            except BlockingIOError:
	                raise
	            except OSError:
	                out[s] = b""
	END
	run select python3 "$TMP/chooser.py"
	wait_until 50 at_port 93 || fail "select: no answer"
	echoes 93 "$(count 20 500)"
	end "an echo server by select()" "echoes of random sizes, half-close" 93
}

[ $# -gt 0 ] || set -- redis memcached iperf3 ncat select
rows "$@"
