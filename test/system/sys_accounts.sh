#!/bin/sh
# A policy's numbers are sums over all programs of it, on all engines: two
# programs of one user, and children of a program under mtcp-run, cannot have
# more connections, memory or speed together than the policy says; other users
# notice nothing.
set -u
. "$(dirname "$0")/lib.sh"
. "$SYS_DIR/programs_lib.sh"
need setpriv curl
sys_begin xdp
www
head -c 3000000 /dev/urandom >"$TMP/www/big"
mtcpd_conf d 2 <<EOF2
[policy admin]
user = root
[policy web]
user = nobody
connections = 6
[policy small]
user = daemon
memory = 24M
[policy team]
group = games
connections = 3
[policy each]
per = user
connections = 2
[metrics]
listen = 127.0.0.1:9477
EOF2
mtcpd_start d
chmod 755 "$TMP" "$TMP/www"
chmod 666 "$TMP/d.sock"
serve "$TMP/www"
conf=$(app_conf 1000)
chmod 644 "$conf"

cat >"$TMP/sink.py" <<'P'
import socket, sys, threading
def sink(port, reads):
    s = socket.create_server((sys.argv[1], port), backlog=500)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16384)
    keep = []
    while True:
        keep.append(s.accept()[0])
threading.Thread(target=sink, args=(9001, False)).start()
sink(9000, False)
P
in_bg sink "$NS_P" python3 "$TMP/sink.py" "$IP_P"
sinks() { [ "$(in_peer ss -ltn | grep -c ':900[01] ')" = 2 ]; }
wait_until 50 sinks || fail "no sink"

# as UID LOG COMMAND... - a program of that user, in the background
as()
{
	uid=$1 log=$2
	shift 2
	: >"$TMP/$log.log"
	app "$log" setpriv --reuid "$uid" --regid "$uid" --clear-groups "$@"
}
# asks UID LOG WORDS... - asker as that user
asks()
{
	uid=$1 log=$2
	shift 2
	as "$uid" "$log" "$(bin asker)" "$conf" "$@"
}
# answers_are LOG WORDS - all that it has said
answers_are() { [ "$(grep '^[a-z]*: [a-zA-Z]*$' "$TMP/$1.log" | tr '\n' ' ')" = "$2 " ]; }
expect()
{
	wait_until 100 answers_are "$1" "$2" ||
		fail "$1: expected '$2', not '$(tr '\n' ' ' <"$TMP/$1.log")'"
}
# of_account POLICY FIELD [UID]
of_account()
{
	ctl d --json policy | json "sum(a['$2'] for a in d['accounts']
		if a['policy'] == '$1' and a['uid'] == ${3:-None})"
}
none_of() { [ "$(of_account "$1" programs "${2:-None}")" = 0 ]; }

c="connect $IP_P 9000"
# shellcheck disable=SC2086
asks 65534 first $c $c $c $c hold 60
first=$BG_PID
expect first 'attach: ok connect: ok connect: ok connect: ok connect: ok'
# shellcheck disable=SC2086
asks 65534 second $c $c $c hold 60
second=$BG_PID
expect second 'attach: ok connect: ok connect: ok connect: EMFILE'
# shellcheck disable=SC2086
asks 0 other $c $c $c $c $c $c $c $c
expect other "attach: ok$(printf ' connect: ok%.0s' 1 2 3 4 5 6 7 8)"
fetch /big | cmp - "$TMP/www/big" || fail "another's data"
[ "$(of_account web connections)" = 6 ] || fail "$(ctl d policy)"
[ "$(of_account web programs)" = 2 ] || fail "$(ctl d policy)"
[ "$(of_account web connections_refused)" = 1 ] || fail "$(ctl d policy)"
ctl d policy | grep -q '^web  *all  *2  *6 of 6 ' || fail "$(ctl d policy)"
in_daemon curl -sf http://127.0.0.1:9477/metrics >"$TMP/metrics"
grep -q '^mtcpd_policy_connections{policy="web",uid=""} 6$' "$TMP/metrics" ||
	fail "metrics: $(grep policy "$TMP/metrics")"
grep -q '^mtcpd_policy_connections_refused_total{policy="web",uid=""} 1$' \
	"$TMP/metrics" || fail "metrics: $(grep policy "$TMP/metrics")"
ctl d --json clients | json "[c for c in d if c['policy'] == 'web'][1]" \
	>/dev/null || fail "clients name no policy"
pass "two programs of one user share its connections: EMFILE beyond"

# What one lets go another gets; raised live, at once.
kill "$first"
wait_until 50 gone "$first"
four_free() { [ "$(of_account web connections)" = 2 ]; }
wait_until 100 four_free || fail "$(ctl d policy)"
# shellcheck disable=SC2086
asks 65534 third $c $c $c $c $c hold 2 $c
expect third 'attach: ok connect: ok connect: ok connect: ok connect: ok connect: EMFILE'
ctl d config set policy.web.connections 7 >/dev/null || fail "config set"
expect third 'attach: ok connect: ok connect: ok connect: ok connect: ok connect: EMFILE connect: ok'
kill "$second"
wait_until 100 none_of web || fail "$(ctl d policy)"
pass "a program's end makes room for another; a number raised holds at once"

# What comes in counts, too: it waits until the other program lets one go.
ctl d config set policy.web.connections 3 >/dev/null || fail "config set"
# shellcheck disable=SC2086
asks 65534 first $c $c hold 60
first=$BG_PID
expect first 'attach: ok connect: ok connect: ok'
asks 65534 server listen 8001 accept 2
server=$BG_PID
expect server 'attach: ok listen: ok'
in_bg callers "$NS_P" python3 -c "
import socket, time
keep = [socket.create_connection(('$IP_D', 8001), 5) for _ in range(2)]
time.sleep(20)"
came() { [ "$(of_account web connections)" = 3 ]; }
wait_until 100 came || fail "$(ctl d policy)"
sleep 0.3
alive "$server" || fail "it has both: $(cat "$TMP/server.log")"
[ "$(of_account web connections)" = 3 ] || fail "$(ctl d policy)"
kill "$first"
expect server 'attach: ok listen: ok accept: ok'
wait_until 100 none_of web || fail "$(ctl d policy)"
ctl d config set policy.web.connections 7 >/dev/null || fail "config set"
pass "accepting waits while another program of the user has the number"

# Children of a program that knows nothing of mtcpd.
cat >"$TMP/children.py" <<P
import errno, os, socket, sys, time
def connects():
    keep = []
    for _ in range(4):
        s = socket.socket()
        try:
            s.connect(("$IP_P", 9000))
            keep.append(s)
            os.write(1, b"ok\n")
        except OSError as e:
            os.write(1, (errno.errorcode[e.errno] + "\n").encode())
    return keep
keep = connects()
for _ in range(3):
    if os.fork() == 0:
        keep += connects()
        os.write(1, b"done\n")
        time.sleep(30)
        os._exit(0)
time.sleep(30)
P
as 65534 children env ${ASAN_LIB:+"LD_PRELOAD=$ASAN_LIB"} \
	"$(bin mtcp-run)" -- python3 "$TMP/children.py"
children=$BG_PID
children_done() { [ "$(grep -c "done" "$TMP/children.log")" = 3 ]; }
wait_until 150 children_done || fail "$(cat "$TMP/children.log")"
[ "$(grep -c '^ok$' "$TMP/children.log")" = 7 ] ||
	fail "$(sort "$TMP/children.log" | uniq -c | tr '\n' ' ')"
[ "$(grep -c '^EMFILE$' "$TMP/children.log")" = 9 ] ||
	fail "$(sort "$TMP/children.log" | uniq -c | tr '\n' ' ')"
[ "$(of_account web programs)" = 4 ] || fail "$(ctl d policy)"
kids=$(pgrep -P "$children" | tr '\n' ' ')
# shellcheck disable=SC2086
kill "$children" $kids
wait_until 100 none_of web || fail "$(ctl d policy)"
pass "forked children under mtcp-run are of one account: 7 of 16 connects"

# Two at once, three a second: a bucket's worth and what time brings.
ctl d config set policy.web.connections default >/dev/null || fail "config set"
ctl d config set policy.web.connect_rate 3 >/dev/null || fail "config set"
many=$(for _ in $(seq 30); do printf '%s ' "$c"; done)
from=$(date +%s%3N)
# shellcheck disable=SC2086
asks 65534 left $many hold 1
left=$BG_PID
# shellcheck disable=SC2086
asks 65534 right $many hold 1
right=$BG_PID
all_said() { [ "$(cat "$TMP/left.log" "$TMP/right.log" | grep -c 'connect: ')" = 60 ]; }
wait_until 100 all_said || fail "$(cat "$TMP/left.log")"
ms=$(($(date +%s%3N) - from))
got=$(cat "$TMP/left.log" "$TMP/right.log" | grep -c 'connect: ok')
slow=$(cat "$TMP/left.log" "$TMP/right.log" | grep -c 'connect: EAGAIN')
[ $((got + slow)) = 60 ] || fail "$(sort "$TMP/left.log" | uniq -c)"
[ "$got" -ge 3 ] && [ "$got" -le $((4 + 3 * ms / 1000)) ] ||
	fail "$got connects in $ms ms, at 3 a second"
[ "$(of_account web connects_slowed)" = "$slow" ] || fail "$(ctl d policy)"
wait_until 100 gone "$left"
wait_until 100 gone "$right"
pass "two programs share a rate: $got connects in $ms ms, EAGAIN beyond"

# Memory: neither takes what the sum does not have; the end of one gives it to
# the other, which waits for it.
denied() { [ "$(of_account small slabs_denied)" -gt "$1" ]; }
asks 1 one fill "$IP_P" 9001 200 1048576
one=$BG_PID
wait_until 150 denied 0 || fail "never denied: $(ctl d policy)"
[ "$(of_account small memory_bytes)" = $((24 << 20)) ] || fail "$(ctl d policy)"
asks 1 two connect "$IP_P" 9001
expect two 'attach: ENOMEM'
grep -q 'policy small: pid .* may not attach: too little is left' \
	"$TMP/mtcpd-d.log" || fail "no word of it"
ctl d config set policy.small.memory 40M >/dev/null || fail "config set"
asks 1 two fill "$IP_P" 9001 200 1048576
two=$BG_PID
full_now() { [ "$(of_account small memory_bytes)" = $((40 << 20)) ]; }
wait_until 150 full_now || fail "$(ctl d policy)"
for _ in 1 2 3; do
	fetch /big | cmp - "$TMP/www/big" || fail "another's data"
	[ "$(of_account small memory_bytes)" = $((40 << 20)) ] ||
		fail "$(ctl d policy)"
done
of_two()
{
	ctl d --json clients |
		json "max(c['memory_bytes'] for c in d if c['policy'] == 'small')"
}
had=$(of_two)
kill "$one"
more() { [ "$(of_account small programs)" = 1 ] && [ "$(of_two)" -gt "$had" ]; }
wait_until 150 more || fail "it gets no more: $(ctl d clients)"
kill "$two"
wait_until 150 none_of small || fail "$(ctl d policy)"
pass "two programs share memory: ENOMEM to a third; what one leaves another gets"

# A policy by group: its members together, whoever they are.
games=$(getent group games | cut -d: -f3)
# member UID LOG WORDS... - asker as a user who is in the group besides
member()
{
	uid=$1 log=$2
	shift 2
	: >"$TMP/$log.log"
	app "$log" setpriv --reuid "$uid" --regid "$uid" --groups "$games" \
		"$(bin asker)" "$conf" "$@"
}
# shellcheck disable=SC2086
member 60003 m1 $c $c hold 30
expect m1 'attach: ok connect: ok connect: ok'
# shellcheck disable=SC2086
member 60004 m2 $c $c hold 30
expect m2 'attach: ok connect: ok connect: EMFILE'
[ "$(of_account team programs)" = 2 ] || fail "$(ctl d policy)"
pass "a policy by group: two users of it share its connections"

# per = user: each has the number for itself.
# shellcheck disable=SC2086
asks 60001 u1 $c $c $c hold 30
# shellcheck disable=SC2086
asks 60002 u2 $c $c hold 30
expect u1 'attach: ok connect: ok connect: ok connect: EMFILE'
expect u2 'attach: ok connect: ok connect: ok'
# shellcheck disable=SC2086
asks 60001 u3 $c
expect u3 'attach: ok connect: EMFILE'
[ "$(of_account each connections 60001)" = 2 ] || fail "$(ctl d policy)"
[ "$(of_account each connections 60002)" = 2 ] || fail "$(ctl d policy)"
pass "per = user: each user's programs are a sum of their own"
sys_end
