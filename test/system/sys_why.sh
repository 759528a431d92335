#!/bin/sh
# mtcpctl why and trace name what limits real connections.  Loss, long ways and
# pacing are staged in virtual time: test/unit/tcp_flight.c.
. "$(dirname "$0")/lib.sh"

sys_begin xdp
need curl
mtcpd_start d
www
head -c 8000000 /dev/zero >"$TMP/www/big"
serve "$TMP/www"

cat >"$TMP/peer.py" <<'P'
import socket, sys, time
what, ip = sys.argv[1:]
s = socket.socket()
if what == "window":
    s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
s.bind(("", {"reader": 5001, "window": 5002, "app": 5003, "idle": 5004}[what]))
s.connect((ip, 80))
name = {"reader": "/big", "window": "/big"}.get(what, "/index.html")
request = b"GET %s HTTP/1.1\r\nHost: x\r\n\r\n" % name.encode()
end = time.time() + 60
s.sendall(request)
def answer():
    left = None
    head = b""
    while b"\r\n\r\n" not in head:
        head += s.recv(1)
    for line in head.split(b"\r\n"):
        if line.lower().startswith(b"content-length:"):
            left = int(line.split(b":")[1])
    while left:
        left -= len(s.recv(min(left, 1 << 16)))
while time.time() < end:
    if what == "reader":
        s.recv(1000)
        time.sleep(0.02)
    elif what == "idle":
        answer()
        time.sleep(60)
    else:
        answer()
        if what == "app":
            time.sleep(0.01)
        s.sendall(request)
P
for what in reader window app idle; do
	in_bg "$what" "$NS_P" python3 "$TMP/peer.py" $what $IP_D
done

verdict() { ctl d --json why dport "$1" 2>/dev/null | json 'd[0]["verdict"] if d else ""' 2>/dev/null; }
is() { [ "$(verdict "$1")" = "$2" ]; }
expect()
{
	wait_until 150 is "$2" "$3" || {
		ctl d why dport "$2"
		ctl d trace dport "$2"
		fail "$1: $(verdict "$2"), not $3"
	}
	pass "$1: $3"
}
expect "a peer that reads slowly" 5001 slow_reader
expect "a peer with a small window" 5002 receive_window
expect "a program that sends little" 5003 application
expect "nothing to do" 5004 idle

# By id, in words, and what matches nothing.
id=$(ctl d --json conns dport 5001 | json 'd[0]["id"]')
ctl d why "$id" | grep -q 'limited by.*slow reader' || fail "why $id"
ctl d trace "$id" | grep -q 'peer.s window' || fail "trace $id"
ctl d why dport 9 2>/dev/null
[ $? = 3 ] || fail "exit status where nothing matches"
ctl d why 2>/dev/null
[ $? = 2 ] || fail "exit status without a connection"
ctl d --json why state established | json '[c["id"] for c in d]' >"$TMP/ids"
pass "by id and filter"

# What is asked of a connection that is not there is an error, no more.
python3 - "$TMP/d.admin" <<'P' || fail "hostile ids"
import json, socket, sys
s = socket.socket(socket.AF_UNIX)
s.settimeout(10)
s.connect(sys.argv[1])
f = s.makefile("rw")
for id in ["", "x", "0/0/0", "0/1/99", "99/1/1", "0/4294967295/0", "-1/-1/-1",
           "0/65536/0", "1/2", "1/2/3/4", "9" * 2000, None, 5, {}]:
    f.write(json.dumps({"cmd": "why", "id": id}) + "\n")
    f.flush()
    a = json.loads(f.readline())
    assert "error" in a, (id, a)
P
pass "hostile ids"

# Whatever is printed is documented.
ctl d --json why state established | python3 -c 'import json, re, sys
known = set(re.findall(r"`([^`]+)`", open(sys.argv[1]).read()))
def walk(x):
    for y in x if isinstance(x, list) else []: walk(y)
    for k, v in x.items() if isinstance(x, dict) else []:
        assert k in known, k
        walk(v)
d = json.load(sys.stdin)["data"]
assert len(d) >= 4
walk(d)' "$ROOT/doc/mtcpctl-json.md" || fail "a name is not documented"
pass "the schema is documented"
sys_end
