#!/bin/sh
# What policies allow by user and group: attaching, TCP ports, addresses, how
# many, how fast, how much memory; whose SYNs a TCP port takes.  Others notice
# nothing.
set -u
. "$(dirname "$0")/lib.sh"
need ab curl setpriv
sys_begin xdp
www
head -c 20000000 /dev/urandom >"$TMP/www/big"
chmod 755 "$TMP" "$TMP/www"
mtcpd_conf d <<EOF2
address = 10.77.0.22/24
[policy admin]
user = root
[policy web]
user = nobody
ports = 81,8000-8010
addresses = $IP_D
clients = 2
connections = 3
memory = 32M
connect_rate = 4
accept_rate = 20
[policy small]
user = daemon
memory = 16M
[policy rest]
attach = no
[access]
82 = allow 10.77.0.1/32
83 = deny 10.77.0.0/24
84 = allow 10.99.0.0/16
EOF2
mtcpd_start d
chmod 666 "$TMP/d.sock"
serve "$TMP/www"
conf=$(app_conf 1000)
chmod 644 "$conf"

# The last asker is gone, and counts no more.
web_empty() { [ "$(ctl d --json policy | json 'd["policies"][1]["clients"]')" = 0 ]; }

# asks UID WORDS... - asker as that user; what it says in asked
asks()
{
	uid=$1
	shift
	wait_until 100 web_empty || fail "one is left: $(ctl d policy)"
	in_daemon timeout 30 setpriv --reuid "$uid" --regid "$uid" --clear-groups \
		"$(bin asker)" "$conf" "$@" >"$TMP/asked" 2>"$TMP/asked.err"
}
answered() { tr '\n' ' ' <"$TMP/asked"; }
expect()
{
	[ "$(answered)" = "$1 " ] ||
		fail "expected '$1', not '$(answered)': $(cat "$TMP/asked.err")"
}

asks 60001
expect 'attach: EACCES'
grep -q 'may not attach' "$TMP/mtcpd-d.log" || fail "no word of it"
pass "a user whom no policy lets attach: EACCES"

asks 65534 bind "$IP_D" 81 bind "$IP_D" 80 bind 0.0.0.0 8000 bind 0.0.0.0 79 \
	bind "$IP_D" 0 bind 10.77.0.22 81 bind 0.0.0.0 0
expect 'attach: ok bind: ok bind: EACCES bind: ok bind: EACCES bind: ok bind: EACCES bind: ok'
asks 0 bind "$IP_D" 80 bind 10.77.0.22 79
expect 'attach: ok bind: ok bind: ok'
pass "binding what the policy does not give: EACCES, and others bind it"

asks 65534 listen 81 listen 80 listen 8000 listen 8010 listen 8011
expect 'attach: ok listen: EACCES listen: EACCES listen: EACCES listen: EACCES listen: EACCES'
pass "all addresses are not one's own: EACCES"
ctl d config set policy.web.addresses any >/dev/null || fail "set addresses"
asks 65534 listen 81 listen 82 listen 8000 listen 8010 listen 8011 listen 0
expect 'attach: ok listen: ok listen: EACCES listen: ok listen: ok listen: EACCES listen: EACCES'
pass "TCP ports that the policy does not give: EACCES"

# A kernel server for connects.
in_bg sink "$NS_P" python3 -c "
import socket
s = socket.socket(); s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
s.bind(('$IP_P', 9000)); s.listen(100)
keep = []
while True: keep.append(s.accept())"
listens() { in_peer ss -ltn | grep -q ':9000 '; }
wait_until 50 listens || fail "no sink"
c="connect $IP_P 9000"
# shellcheck disable=SC2086
asks 65534 from "$IP_D" 81 $c from "$IP_D" 79 $c from 10.77.0.22 8001 $c
expect 'attach: ok connect: ok connect: EACCES connect: ok'
ctl d config set policy.web.addresses "$IP_D" >/dev/null || fail "set"
# shellcheck disable=SC2086
asks 65534 hold 1 from 10.77.0.22 8002 $c $c
expect 'attach: ok connect: EACCES connect: ok'
pass "TCP ports and addresses that connections come from: EACCES"

# shellcheck disable=SC2086
asks 65534 hold 1 $c $c $c $c
expect 'attach: ok connect: ok connect: ok connect: ok connect: EMFILE'
ctl d config set policy.web.connections 100 >/dev/null || fail "set"
sleep 1		# what the last program began counts for this one, too
# Four at once; while they are made another may have become due.
# shellcheck disable=SC2086
asks 65534 $c $c $c $c $c $c $c $c $c $c $c $c hold 1 $c
answered | grep -q '^attach: ok \(connect: ok \)\{4\}' ||
	fail "not four at once: $(answered)"
answered | grep -q 'connect: EAGAIN.* connect: ok $' ||
	fail "not slowed to the rate: $(answered)"
pass "connections over the quota: EMFILE; faster than the rate: EAGAIN"

ctl d config set policy.web.addresses any >/dev/null || fail "set"
wait_until 100 web_empty || fail "one is left: $(ctl d policy)"
app first setpriv --reuid 65534 --regid 65534 --clear-groups \
	"$(bin asker)" "$conf" listen 81 hold 60
one=$BG_PID
app second setpriv --reuid 65534 --regid 65534 --clear-groups \
	"$(bin asker)" "$conf" listen 8001 accept 30
second=$BG_PID
attached() { [ "$(ctl d --json policy | json 'd["policies"][1]["clients"]')" = 2 ]; }
wait_until 100 attached || fail "not two: $(ctl d policy)"
in_daemon timeout 30 setpriv --reuid 65534 --regid 65534 --clear-groups \
	"$(bin asker)" "$conf" >"$TMP/third" 2>&1
grep -q 'attach: EUSERS' "$TMP/third" || fail "a third: $(cat "$TMP/third")"
pass "programs over the quota: EUSERS"

# 30 connections at 20 a second: 20 at once, the rest takes half a second.
in_peer python3 -c "
import socket, time
k = [socket.create_connection(('$IP_D', 8001), 10) for _ in range(30)]
time.sleep(3)" &
wait_until 100 gone "$second" || fail "not accepted: $(cat "$TMP/second.log")"
ms=$(sed -n 's/accepted in \([0-9]*\) ms/\1/p' "$TMP/second.log")
[ "${ms:-0}" -ge 400 ] || fail "30 accepts in ${ms:-?} ms: $(cat "$TMP/second.log")"
kill "$one"
pass "accepts are slowed to the rate: 30 in $ms ms"

# Memory: a peer that reads nothing until it may, and sends all that is taken.
cat >"$TMP/peer.py" <<'P'
import os, select, socket, sys, time
ip, may_read, count, each = sys.argv[1], sys.argv[2], 100, 1 << 20
def listener(port):
    s = socket.socket()
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16384)
    s.bind((ip, port))
    s.listen(500)
    return s
sink, source = listener(9001), listener(9002)
keep, sending, got, ended = [], [], 0, time.time() + 60
while time.time() < ended:
    reading = keep if os.path.exists(may_read) else []
    for s in select.select([sink, source] + reading, [], [], 0.01)[0]:
        if s is sink:
            keep.append(s.accept()[0])
        elif s is source:
            sending.append(s.accept()[0])
            sending[-1].setblocking(False)
        else:
            data = s.recv(1 << 16)
            got += len(data)
            if not data:
                keep.remove(s)
            if got == count * each:
                print("got all", flush=True)
    for s in sending[:]:
        try:
            s.send(bytes(1 << 16))
        except BlockingIOError:
            pass
        except OSError:
            sending.remove(s)
P
in_bg peer "$NS_P" python3 "$TMP/peer.py" "$IP_P" "$TMP/may_read"
peer_listens() { in_peer ss -ltn | grep -q ':9002 '; }
wait_until 50 peer_listens || fail "no peer"
# small LOG WORDS... - asker as the user of little memory
small()
{
	log=$1
	shift
	app "$log" setpriv --reuid 1 --regid 1 --clear-groups "$(bin asker)" \
		"$conf" "$@"
}
# of_small FIELD - what mtcpctl clients says of it
of_small()
{
	ctl d --json clients |
		json "[c['$1'] for c in d if c['quota_bytes'] == 16 << 20][0]"
}
denied() { [ "$(of_small slabs_denied)" -gt 0 ]; } 2>/dev/null
# beside WHAT - it stays in its bound while another's data go their way
beside()
{
	for _ in 1 2 3; do
		fetch /big | cmp - "$TMP/www/big" || fail "$1: another's data"
		bytes=$(of_small memory_bytes)
		[ "$bytes" -le $((16 << 20)) ] || fail "$1: $bytes of 16 MB"
	done
}
small fill fill "$IP_P" 9001 100 1048576 hold 1
fill=$BG_PID
wait_until 100 grep -q 'fill: ' "$TMP/fill.log" || fail "it never stalls"
grep -q '^fill: EAGAIN$' "$TMP/fill.log" || fail "$(cat "$TMP/fill.log")"
denied || fail "nothing was denied: $(ctl d clients)"
beside "a sender over its memory"
touch "$TMP/may_read"
wait_until 200 grep -q 'got all' "$TMP/peer.log" || fail "it does not go on"
wait_until 50 gone "$fill" || fail "it does not end"
grep -q '^fill: ok$' "$TMP/fill.log" || fail "$(cat "$TMP/fill.log")"
pass "writes over the memory quota: EAGAIN until there is room; others send on"

words=
for _ in $(seq 400); do words="$words connect $IP_P 9002"; done
# shellcheck disable=SC2086
small unread $words hold 60
unread=$BG_PID
wait_until 150 denied || fail "it never comes to its bound: $(ctl d clients)"
beside "a program that does not read"
kill "$unread"
pass "data that nobody reads over the memory quota: others send on"

# Sources.
app src "$(bin asker)" "$conf" listen 82 listen 83 listen 84 listen 85 hold 60
wait_src() { [ "$(grep -c 'listen: ok' "$TMP/src.log")" = 4 ]; }
wait_until 50 wait_src || fail "$(cat "$TMP/src.log")"
# reaches PORT [SECONDS]
reaches() { in_peer python3 -c "
import socket
socket.create_connection(('$IP_D', $1), ${2:-5})" 2>/dev/null; }
reaches 82 || fail "82 allows 10.77.0.1"
! reaches 83 0.7 || fail "83 denies 10.77.0.1"
! reaches 84 0.7 || fail "84 allows others only"
reaches 85 || fail "85 has no rule"
n=$(ctl d --json stats | json 'sum(e["access_denied"] for e in d["engines"])')
[ "$n" -ge 2 ] || fail "$n denied SYNs are counted"
sed -i 's/^83 = deny/83 = allow/; s/^82 = allow/82 = deny/' "$TMP/d.conf"
ctl d reload >/dev/null || fail reload
reaches 83 || fail "83 allows 10.77.0.1 now"
! reaches 82 0.7 || fail "82 denies it now"
pass "sources of SYNs, live; $n denied ones counted"

fetch / -o /dev/null || fail "others are disturbed"
ctl d policy | grep -q 'listens denied' || fail "$(ctl d policy)"
[ "$(ctl d --json policy | json 'd["refused"]')" -ge 2 ] || fail "$(ctl d policy)"
pass "refusals are counted, others serve on"
sys_end
