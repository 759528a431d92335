#!/bin/sh
# What made other preloaded stacks fail, each as a test: late accepts, a reset
# after close, a port that stays taken, a bounded number of attaches, signals,
# initial sequence numbers, threads that end, idle connections.
# shellcheck disable=SC1091
. "$(dirname "$0")/lib.sh"
. "$SYS_DIR/programs_lib.sh"

begin

# py LOG PORT - a python program on mtcpd from standard input, listening
py()
{
	cat >"$TMP/$1.py"
	run "$1" python3 "$TMP/$1.py"
	wait_until 50 at_port "$2" || fail "$1: no answer"
}

# peer_py WHAT - python from standard input, in the peer's namespace
peer_py()
{
	in_peer timeout 40 python3 - "$IP_D" || fail "$1"
}

# Handshakes are the daemon's: they need no accept() under way.
row_late()
{
	py late 7001 <<-'END'
	import socket, time
	l = socket.create_server(("", 7001), backlog=64)
	while True:
	    time.sleep(0.5)
	    l.setblocking(False)
	    try:
	        while True:
	            c, _ = l.accept()
	            c.setblocking(True)
	            c.sendall(b"hello")
	            c.close()
	    except BlockingIOError:
	        pass
	END
	peer_py "late accept" <<-'END'
	import socket, sys
	s = [socket.create_connection((sys.argv[1], 7001), 5) for _ in range(30)]
	for c in s:
	    c.settimeout(None)
	    if c.recv(5, socket.MSG_WAITALL) != b"hello" or c.recv(1):
	        sys.exit(1)
	END
	end "accept() that comes late" "30 connections open and get all" 7001
}

# A reset after the server closed ends the connection, and nothing is sent on.
row_reset()
{
	py reset 7002 <<-'END'
	import socket
	l = socket.create_server(("", 7002), backlog=64)
	while True:
	    c, _ = l.accept()
	    c.setblocking(False)
	    try:
	        c.send(bytes(200000))
	    except OSError:
	        pass
	    c.close()
	END
	peer_py "reset after close" <<-'END'
	import socket, struct, sys, time
	for _ in range(10):
	    s = socket.socket()
	    s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
	    s.connect((sys.argv[1], 7002))
	    time.sleep(0.1)
	    s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
	                 struct.pack("ii", 1, 0))
	    s.close()
	END
	none_open() { [ "$(conns d)" = 0 ]; }
	wait_until 30 none_open || fail "reset after close: $(ctl d conns)"
	end "a reset after close()" "the connection ends at once"
}

# kill -9 gives everything back, the port too.
row_port()
{
	for i in 1 2 3; do
		run again python3 -m http.server -d "$TMP/www" 7003
		wait_until 50 at_port 7003 || fail "the port, round $i: no answer"
		in_bg press "$NS_P" python3 "$SYS_DIR/press.py" "$IP_D" 7003
		press=$BG_PID
		sleep 0.3
		kill -9 "$RUN_PID"
		sleep 0.2
		kill "$press"
		wait_until 50 nothing_left || fail "the port, round $i"
	done
	row_ok "kill -9 and the same port" "three times, under load"
}

# More attaches than any table would have.
row_attaches()
{
	kernel_web
	for i in $(seq "$(count 12 300)"); do
		in_daemon timeout 10 "$(bin mtcp-run)" -- curl -sf \
			--retry 3 --retry-connrefused -o /dev/null \
			"http://$IP_P:8001/" || fail "attach $i: curl gives $?"
	done
	wait_until 50 nothing_left || fail "attaches leave something"
	row_ok "attaches" "hundreds of programs one after the other"
}

# A signal in epoll_wait() is EINTR: redis ends by SIGTERM in order.
row_signal()
{
	command -v redis-server >/dev/null || return 0
	run term redis-server --port 6380 --protected-mode no --save '' \
		--dir "$TMP"
	wait_until 50 at_port 6380 || fail "redis: no answer"
	kill -TERM "$RUN_PID"
	wait_until 50 gone "$RUN_PID" || fail "redis does not end by SIGTERM"
	grep -q 'ready to exit, bye bye' "$TMP/term.log" ||
		fail "redis did not end in order: $(tail -n 3 "$TMP/term.log")"
	wait_until 50 nothing_left || fail "redis left something"
	row_ok "a signal in epoll_wait()" "redis ends by SIGTERM in order"
}

# Two timers' signals, whose handlers use sockets, and fork in the middle of calls.
row_handler()
{
	run handler "$(bin handler)" 7008
	wait_until 50 at_port 7008 || fail "handler: no answer"
	echoes 7008 "$(count 300 1000)"
	alive "$RUN_PID" || fail "handler: it ended"
	end "signal handlers that fork and use sockets" \
		"at any moment of a call: exact echoes" 7008
}

# Initial sequence numbers differ, and not by a constant (RFC 6528).
row_numbers()
{
	py numbers 7004 <<-'END'
	import socket
	l = socket.create_server(("", 7004), backlog=64)
	while True:
	    l.accept()[0].close()
	END
	peer_py "initial sequence numbers" <<-'END'
	import socket, struct, sys
	p = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(0x800))
	p.bind(("mtp", 0x800))
	p.settimeout(3)
	seen = []
	for _ in range(8):
	    s = socket.create_connection((sys.argv[1], 7004), 5)
	    while True:
	        d = p.recv(2000)
	        t = d[(d[0] & 15) * 4:]
	        if d[9] == 6 and t[13] & 0x12 == 0x12 and t[:2] == b"\x1b\x5c":
	            seen.append(struct.unpack("!I", t[4:8])[0])
	            break
	    s.close()
	steps = {(b - a) & 0xffffffff for a, b in zip(seen, seen[1:])}
	sys.exit(len(set(seen)) < 8 or len(steps) < 4)
	END
	end "initial sequence numbers" "eight, none like another"
}

# What a thread wrote before it ended arrives.
row_ends()
{
	py ends 7005 <<-'END'
	import socket, threading
	def serve(c):
	    c.sendall(bytes(i % 251 for i in range(1000000)))
	    c.close()
	l = socket.create_server(("", 7005), backlog=64)
	while True:
	    c, _ = l.accept()
	    threading.Thread(target=serve, args=(c,)).start()
	END
	peer_py "data of a thread that ended" <<-'END'
	import socket, sys
	want = bytes(i % 251 for i in range(1000000))
	for _ in range(10):
	    s = socket.create_connection((sys.argv[1], 7005), 10)
	    s.settimeout(None)
	    if s.recv(1000000, socket.MSG_WAITALL) != want or s.recv(1):
	        sys.exit(1)
	END
	end "a thread that ends" "1 MB that it wrote arrives whole" 7005
}

# One thread listens, another waits by poll(-1), a third reads and writes.
row_apart()
{
	py apart 7006 <<-'END'
	import queue, select, socket, threading
	l = socket.socket()
	l.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
	l.bind(("", 7006))
	t = threading.Thread(target=l.listen, args=(64,))
	t.start()
	t.join()
	q = queue.Queue()
	def wait():
	    p = select.poll()
	    p.register(l, select.POLLIN)
	    while True:
	        if p.poll(-1):
	            q.put(l.accept()[0])
	def serve():
	    while True:
	        c = q.get()
	        c.sendall(c.recv(100))
	        c.close()
	for f in (wait, serve, serve):
	    threading.Thread(target=f).start()
	END
	peer_py "listen, wait and serve in three threads" <<-'END'
	import socket, sys
	for i in range(100):
	    s = socket.create_connection((sys.argv[1], 7006), 5)
	    s.sendall(b"%d" % i)
	    if s.recv(100) != b"%d" % i:
	        sys.exit(1)
	END
	end "listen, poll(-1) and accept, serve: a thread each" "100 connections"
}

# Idle connections cost nothing.
row_idle()
{
	py idle 7007 <<-'END'
	import select, socket
	l = socket.create_server(("", 7007), backlog=64)
	e = select.epoll()
	e.register(l, select.EPOLLIN)
	kept = []
	while True:
	    for fd, _ in e.poll(-1):
	        if fd == l.fileno():
	            c, _ = l.accept()
	            e.register(c, select.EPOLLIN | select.EPOLLRDHUP)
	            kept.append(c)
	        else:
	            e.unregister(fd)
	END
	in_bg sitters "$NS_P" python3 -c 'import socket, sys, time
s = [socket.create_connection((sys.argv[1], 7007)) for _ in range(32)]
time.sleep(20)' "$IP_D"
	sitters=$BG_PID
	sleep 1.5
	# shellcheck disable=SC2154	# mtcpd_start sets it
	before=$(($(cpu_ticks "$RUN_PID") + $(cpu_ticks "$MTCPD_PID_d")))
	sleep 2
	after=$(($(cpu_ticks "$RUN_PID") + $(cpu_ticks "$MTCPD_PID_d")))
	[ $((after - before)) -lt 40 ] ||
		fail "32 idle connections take $((after - before)) of 200 ticks"
	kill "$sitters"
	end "32 idle connections" "next to no CPU time, program and daemon"
}

[ $# -gt 0 ] ||
	set -- late reset port attaches signal handler numbers ends apart idle
rows "$@"
