#!/bin/sh
# Programs with threads under mtcp-run that may have contexts of their own: they
# work, and mtcpd sees as many contexts as there should be.
# shellcheck disable=SC1091
. "$(dirname "$0")/lib.sh"
. "$SYS_DIR/programs_lib.sh"

MTCP_RUN_CONTEXTS=4
export MTCP_RUN_CONTEXTS
begin

# contexts NAME FEW [MANY] - the program has so many at mtcpd
contexts()
{
	n=$(ctl d --json clients | json 'max(c["contexts"] for c in d)')
	[ "$n" -ge "$2" ] && [ "$n" -le "${3:-$MTCP_RUN_CONTEXTS}" ] ||
		fail "$1: $n contexts, not $2"
}

# kill_run - and its TCP port is free again, on both sides
kill_run()
{
	kill -9 "$RUN_PID"
	wait_until 50 gone "$RUN_PID" || fail "it lives on after kill -9"
	wait_until 50 nothing_left || fail "something is left in mtcpd"
}

# refused ARGUMENTS... - mtcp-run says why it does not
refused()
{
	in_daemon "$(bin mtcp-run)" "$@" -- true >"$TMP/refused" 2>&1
	[ $? -eq 125 ] || fail "mtcp-run $*: not refused"
	grep -q 'a number from 1 to 16' "$TMP/refused" ||
		fail "mtcp-run $*: $(cat "$TMP/refused")"
}

# is N ARGUMENTS... - the program may have N
is()
{
	want=$1
	shift
	# shellcheck disable=SC2016	# the inner shell's
	n=$(unset MTCP_RUN_CONTEXTS; in_daemon "$(bin mtcp-run)" "$@" -- \
		sh -c 'echo "$MTCP_RUN_CONTEXTS"')
	[ "$n" = "$want" ] || fail "mtcp-run $*: $n contexts, not $want"
}

row_numbers()
{
	for n in 0 17 -1 x 4x '' 99999999999999999999; do
		refused -n "$n"
		echo "contexts = $n" >"$TMP/run.conf"
		refused -c "$TMP/run.conf"
	done
	echo ' contexts=2 # of each' >"$TMP/run.conf"
	is 2 -c "$TMP/run.conf"
	is 16 -c "$TMP/run.conf" -n 16
	is 3 -n 3
	row_ok "mtcp-run -n" "numbers that cannot be are refused"
}

# two_way PORT CONNECTIONS BYTES [PIECES] - exact, both ways at once
two_way()
{
	in_peer timeout 60 python3 - "$IP_D" "$@" <<'END'
import os, random, socket, sys, threading
ip, port, count, most = sys.argv[1], *map(int, sys.argv[2:5])
bad = []
def work(k):
    try:
        r = random.Random(k)
        s = socket.create_connection((ip, port), 20)
        s.settimeout(20)
        sent = os.urandom(most)
        def feed():
            at = 0
            while at < most:
                n = r.randrange(1, 40000)
                s.sendall(sent[at:at + n])
                at += n
            s.shutdown(1)
        t = threading.Thread(target=feed)
        t.start()
        got = bytearray()
        while x := s.recv(65536):
            got += x
        t.join()
        if got != sent:
            raise Exception(f"{k}: {len(got)} of {most}, differs")
    except Exception as e:
        bad.append(repr(e))
t = [threading.Thread(target=work, args=(k,)) for k in range(count)]
[x.start() for x in t]
[x.join() for x in t]
print(bad[:3])
sys.exit(bool(bad))
END
}

row_threads()
{
	cat >"$TMP/t.py" <<'END'
import socket, threading
def serve(s):
    while d := s.recv(65536):
        s.sendall(d)
    s.close()
l = socket.create_server(("", 86), backlog=64)
while True:
    s, _ = l.accept()
    threading.Thread(target=serve, args=(s,), daemon=True).start()
END
	run threads python3 "$TMP/t.py"
	wait_until 50 at_port 86 || fail "threads: no answer"
	two_way 86 30 "$(count 300000 5000000)" || fail "threads: wrong echo"
	contexts threads 4
	end "a thread a connection, 4 contexts" "exact echoes both ways at once" 86
}

# each RUN moves its connections about every so many bytes
row_passer()
{
	for bytes in 100000 "50000 2" 20000; do
		# shellcheck disable=SC2086	# and how often it forks
		run passer "$(bin passer)" 87 3 $bytes
		wait_until 50 at_port 87 || fail "passer: no answer"
		two_way 87 12 "$(count 1000000 20000000)" ||
			fail "passer: wrong echo"
		contexts passer 3
		[ "$bytes" = 20000 ] || kill_run
	done
	end "connections between threads' epoll sets" \
		"handed on every 20,000 to 100,000 bytes, also while the program forks: exact echoes" \
		87
}

row_memcached()
{
	command -v memcached >/dev/null || return 0
	memcached_start
	memcached_answers 200 || fail "memcached: wrong answers"
	contexts memcached 4
	restart_d KILL
	wait_until 100 at_port 11211 || fail "memcached: no answer afterwards"
	memcached_answers 200 || fail "memcached: wrong answers afterwards"
	contexts memcached 4
	end "memcached -t 4, 4 contexts" \
		"sets and gets without an error, also after kill -9 of mtcpd" \
		11211
}

row_haproxy()
{
	command -v haproxy >/dev/null || return 0
	kernel_web
	MTCP_RUN_EXPLAIN=1
	export MTCP_RUN_EXPLAIN
	run haproxy haproxy -db -f "$(haproxy_conf 3)"
	unset MTCP_RUN_EXPLAIN
	wait_until 50 at_port 83 || fail "haproxy: no answer"
	same 83 haproxy
	load 83 haproxy "" "$(count 300 20000)"
	no_lock_shared haproxy
	end "haproxy, 3 threads, 4 contexts" "both sides on mtcpd" 83
}

# A thread has a listener of the same port, and an epoll set, of its own.
row_reuseport()
{
	cat >"$TMP/r.py" <<'END'
import select, socket, threading
def serve(l):
    ep = select.epoll()
    ep.register(l, select.EPOLLIN)
    conns = {}
    while True:
        for fd, bits in ep.poll():
            if fd == l.fileno():
                s, _ = l.accept()
                conns[s.fileno()] = s
                ep.register(s, select.EPOLLIN)
                continue
            d = conns[fd].recv(65536)
            if d:
                conns[fd].sendall(d)
            else:
                ep.unregister(fd)
                conns.pop(fd).close()
def start():
    l = socket.socket()
    l.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    l.bind(("", 88))
    l.listen(64)
    serve(l)
for k in range(3):
    threading.Thread(target=start).start()
END
	run reuseport python3 "$TMP/r.py"
	wait_until 50 at_port 88 || fail "reuseport: no answer"
	sleep 0.5
	contexts reuseport 3
	two_way 88 20 300000 || fail "reuseport: wrong echo"
	end "SO_REUSEPORT, a listener a thread" "20 connections, exact echoes" 88
}

# no_lock_shared NAME - of its contexts (mtcp-run --explain)
no_lock_shared()
{
	grep -q 'both listen' "$TMP/$1.log" ||
		fail "$1: no context listens for itself: $(cat "$TMP/$1.log")"
	if grep 'share a lock' "$TMP/$1.log"; then
		fail "$1: contexts share a lock"
	fi
}

# ask PORT COUNT [WORD] - connections one after the other, then at once: each is
# answered in time, by how many threads?  The last one says WORD.
ask()
{
	in_peer timeout 60 python3 - "$IP_D" "$@" <<'END'
import socket, sys
ip, port, count = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
word = (sys.argv[4:] or ["name"])[0]
def opened():
    s = socket.create_connection((ip, port), 2)
    s.settimeout(2)
    return s
def answer(s, word):
    s.sendall(word.encode() + b"\n")
    d = s.recv(100).decode()
    if not d:
        raise Exception("no answer")
    return d
by = {answer(opened(), "name") for _ in range(count)}
many = [opened() for _ in range(count)]
by |= {answer(s, "name") for s in many}
answer(opened(), word)
print(len(by))
END
}

# One listener, in the epoll set of each of four threads.
row_listener()
{
	cat >"$TMP/l.py" <<'END'
import os, select, socket, threading, time
l = socket.create_server(("", 89), backlog=64)
l.setblocking(False)
keep = []
def serve(k):
    ep = select.epoll()
    ep.register(l, select.EPOLLIN | (select.EPOLLEXCLUSIVE if k % 2 else 0))
    at = l.fileno()
    conns = {}
    while True:
        for fd, bits in ep.poll():
            if fd == at:
                try:
                    s, _ = l.accept()
                except BlockingIOError:
                    continue
                conns[s.fileno()] = s
                ep.register(s, select.EPOLLIN)
                continue
            word = conns[fd].recv(100).strip()
            if not word:
                conns.pop(fd).close()
                continue
            conns[fd].sendall(b"%d\n" % k)
            if word == b"hang":
                time.sleep(8)
            if word == b"close":
                l.close()
            if word == b"fork" and os.fork():
                time.sleep(1000)
            if word == b"die":
                keep.append((ep, conns))
                return
for k in range(4):
    threading.Thread(target=serve, args=(k,)).start()
END
	MTCP_RUN_EXPLAIN=1
	export MTCP_RUN_EXPLAIN
	run listener python3 "$TMP/l.py"
	unset MTCP_RUN_EXPLAIN
	wait_until 50 at_port 89 || fail "listener: no answer"
	n=$(ask 89 20) || fail "listener: not all are answered"
	[ "$n" -ge 2 ] || fail "listener: $n thread accepts"
	contexts listener 4
	no_lock_shared listener
	for word in hang die die name; do
		ask 89 20 $word >/dev/null ||
			fail "listener: not all are answered, then $word"
	done
	kill -9 "$MTCPD_PID_d"
	wait_until 50 gone "$MTCPD_PID_d" || fail "mtcpd lives on"
	sleep 1		# its threads let go of the pid file a little later
	mtcpd_start d
	wait_until 100 at_port 89 || fail "listener: no answer afterwards"
	ask 89 20 close >/dev/null || fail "listener: wrong answers afterwards"
	at_port 89 && fail "listener: it listens, closed"
	kill_run
	for word in fork name; do
		[ $word = name ] || run listener python3 "$TMP/l.py"
		wait_until 50 at_port 89 || fail "listener: no answer"
		ask 89 10 $word >/dev/null || fail "listener: $word"
	done
	end "one listener in four threads' epoll sets" \
		"a context each and no lock shared; threads that hang or end, kill -9 of mtcpd, close" \
		89
}

# Each of four threads fetches by libcurl's way: connect, then wait for it.
row_limit()
{
	kernel_web
	cat >"$TMP/fetch.py" <<'END'
import errno, select, socket, sys, threading
good = []
def get(early):
    ep = select.epoll()
    for i in range(10):
        s = socket.socket()
        s.setblocking(False)
        if early:
            ep.register(s, select.EPOLLOUT | select.EPOLLONESHOT)
        if s.connect_ex((sys.argv[1], 8001)) != errno.EINPROGRESS:
            return
        (ep.modify if early else ep.register)(s, select.EPOLLOUT)
        ep.poll(10)
        s.setblocking(True)
        s.sendall(b"GET /big HTTP/1.0\r\n\r\n")
        n = 0
        while x := s.recv(65536):
            n += len(x)
        if n < 3000000:
            return
        s.close()
    good.append(1)
t = [threading.Thread(target=get, args=(k % 2,)) for k in range(4)]
[x.start() for x in t]
[x.join() for x in t]
sys.exit(len(good) != 4)
END
	for n in 1 2; do
		cp "$TMP/d.conf" "$TMP/d.conf.was"
		printf '[limits]\ncontexts = %s\n' $n >>"$TMP/d.conf"
		restart_d
		mv "$TMP/d.conf.was" "$TMP/d.conf"
		in_daemon timeout 60 "$(bin mtcp-run)" -- \
			python3 "$TMP/fetch.py" "$IP_P" >"$TMP/fetch.log" 2>&1 ||
			fail "limit: $n contexts: fetch gives $?: $(tail -n 3 \
				"$TMP/fetch.log")"
		grep -q "may have $n contexts" "$TMP/fetch.log" ||
			fail "limit: it did not say what it lacked"
		run passer "$(bin passer)" 87 3 50000
		wait_until 50 at_port 87 || fail "passer: no answer"
		two_way 87 6 500000 || fail "limit: wrong echo"
		contexts limit $n $n
		kill_run
	done
	restart_d
	row_ok "threads, [limits] contexts = 1 and 2" \
		"connect and serve with what there is"
}

row_wrk()
{
	command -v wrk >/dev/null || return 0
	command -v nginx >/dev/null || return 0
	kernel_nginx
	run wrk wrk -t 2 -c 20 -d "$(count 2 10)" "http://$IP_P:81/"
	sleep 1
	contexts wrk 2
	wait_until 200 gone "$RUN_PID" || fail "wrk does not end"
	wrk_is_well wrk "$TMP/wrk.log" 100
	row_ok "wrk -t 2, a context each" "no errors"
}

[ $# -gt 0 ] || set -- numbers threads passer memcached haproxy listener reuseport limit wrk
rows "$@"
