#!/bin/sh
# mtcpctl why and trace name what limits real connections.  A long way and loss
# are made by tools/bench/relay.c in the peer's namespace:
#
#	mtcpd, mtd --- mtp, relay, wyr --- wyf, the far peer: $IP_FAR
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
	[ $what != window ] || busy=$BG_PID
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
kill -STOP "$busy"	# the relay would carry its frames too, as fast as they come

# The far peer reads all there is.
NS_F=mtcpd$$f IP_FAR=10.77.0.4
# shellcheck disable=SC2154	# set where it runs
trap 'why=$?; ip netns del "$NS_F" 2>/dev/null; (exit $why); cleanup' EXIT
ip netns add "$NS_F"
tune "$NS_F"
ip link add wyf netns "$NS_F" type veth peer name wyr netns "$NS_P"
ip -n "$NS_F" addr add $IP_FAR/24 dev wyf
for end in "$NS_F wyf" "$NS_P wyr"; do
	ip netns exec "${end% *}" ethtool -K "${end#* }" \
		tx off tso off gso off gro off >/dev/null 2>&1 || :
	ip -n "${end% *}" link set "${end#* }" up
done
in_bg far "$NS_F" python3 -c '
import selectors, socket, time
sel = selectors.DefaultSelector()
for port in 5005, 5006, 5007:
    s = socket.create_server(("", port))
    sel.register(s, selectors.EVENT_READ, True)
end = time.time() + 100
while time.time() < end:
    for key, _ in sel.select(1):
        if key.data:
            sel.register(key.fileobj.accept()[0], selectors.EVENT_READ, False)
            continue
        try:
            more = key.fileobj.recv(1 << 18)
        except ConnectionError:		# its program was ended
            more = b""
        if not more:
            sel.unregister(key.fileobj)'
far_listens() { ip netns exec "$NS_F" ss -ltn | grep -q ':5007 '; }
wait_until 50 far_listens || fail "no far peer"

# staged WHAT PORT VERDICT PACE RELAY_OPTIONS... - a program always has data
staged()
{
	what=$1 port=$2 want=$3 pace=$4
	shift 4
	in_bg relay "$NS_P" "$BUILD/tools/bench/relay" -a mtp -b wyr "$@"
	relay=$BG_PID
	wait_until 50 grep -q ready "$TMP/relay.log" || fail "no relay"
	app sender "$(bin asker)" "$(app_conf 100)" pace "$pace" \
		fill $IP_FAR "$port" 1 4000000000
	sender=$BG_PID
	expect "$what" "$port" "$want"
	kill "$sender" "$relay"
	wait_until 50 gone "$relay" || fail "the relay stays"
	rm -f "$TMP/relay.log"
}
staged "a long way" 5005 long_rtt 0 -D 30000 -r 100 -q 16000000
staged "frames that are lost" 5006 loss 0 -D 5000 -r 100 -q 1000000 -l 40000
staged "a program that has itself paced" 5007 pacing 200000 -D 1000 -r 100 \
	-q 1000000
kill -CONT "$busy"

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
