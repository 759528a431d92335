#!/bin/sh
# Sockets follow mtcp_execve(): a listener and a connection, with what is unread
# and what comes meanwhile, under the same ids, through three images.
set -u
. "$(dirname "$0")/lib.sh"
sys_begin "${1:-xdp}"
mtcpd_start d "${2:-1}"
empty() { [ "$(clients d)" = 0 ] && [ "$(conns d)" = 0 ]; }

app execer "$(bin execer)" "$(app_conf 1000)" 7100
wait_until 50 grep -qs ready "$TMP/execer.log" || fail "execer does not start"
in_peer timeout 30 python3 - "$IP_D" 7100 >"$TMP/peer.log" 2>&1 <<'END' ||
import socket, sys
def read(s, n):
    got = b""
    while len(got) < n:
        d = s.recv(n - len(got))
        if not d:
            sys.exit(f"the end after {got!r}")
        got += d
    return got
def talk(s, parts):
    for p in parts:
        s.sendall(p)
        if read(s, len(p)) != p:
            sys.exit("another answer")
s = socket.create_connection((sys.argv[1], int(sys.argv[2])), 20)
# all at once: the first image reads five bytes of it
s.sendall(b"helloAB")
if read(s, 7) != b"helloAB":
    sys.exit("another answer")
talk(s, [b"C"])
s.shutdown(socket.SHUT_WR)
if s.recv(1):
    sys.exit("more")
talk(socket.create_connection((sys.argv[1], int(sys.argv[2])), 20), [b"again"])
END
	fail "$(tail -n 1 "$TMP/peer.log")"
wait_until 50 grep -qs "done" "$TMP/execer.log" || fail "execer does not end well"
wait_until 50 empty ||
	fail "execer leaves $(clients d) clients, $(conns d) connections"
pass "a listener and a connection through three images, nothing is left"
sys_end
