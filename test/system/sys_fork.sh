#!/bin/sh
# Sockets follow fork(): a child answers on connections of a parent that died,
# in turn with it, and a prefork server loses nothing but what a killed worker
# had.  Afterwards nothing is left in mtcpd.
set -u
. "$(dirname "$0")/lib.sh"
sys_begin "${1:-xdp}"
mtcpd_start d "${2:-1}"
conf=$(app_conf 20000)
port=7000
empty() { [ "$(clients d)" = 0 ] && [ "$(conns d)" = 0 ]; }

# go NAME MODE [N] - the server in the background
go()
{
	name=$1
	shift
	port=$((port + 1))
	app "$name" "$(bin forker)" "$conf" $port "$@"
	log="$TMP/$name.log"
	wait_until 50 grep -qs ready "$log" || fail "$name does not start"
}

# peer MODE [N] - against it; then nothing may be left
peer()
{
	in_peer timeout 60 python3 "$SYS_DIR/forkpeer.py" $IP_D $port "$@" \
		>"$TMP/peer.log" 2>&1 || fail "$name: $(tail -n 2 "$TMP/peer.log")"
}

nothing_left()
{
	wait_until 100 empty ||
		fail "$name leaves $(clients d) clients, $(conns d) connections"
}

go dies d
peer d
nothing_left
pass "the parent dies by kill -9, its child answers"

go turns t 30
peer t 30
nothing_left
pass "parent and child read and write in turn, the child dies"

go plain p
peer p
nothing_left
pass "a plain fork() leaves the parent its connections"

n=$(count 1000 5000)
go many m "$n"
peer m "$n"
nothing_left
pass "$n connections outlive the parent: $(grep took "$log")"

go prefork w 2
master=$BG_PID
peer w 100 0
pass "two workers: $(cat "$TMP/peer.log")"
in_peer timeout 60 python3 "$SYS_DIR/forkpeer.py" $IP_D $port w \
	"$(count 200 2000)" 8 >"$TMP/killed.log" 2>&1 &
asker=$!
for i in 1 2 3; do
	sleep 0.2
	worker=$(pgrep -P "$master" | tail -n 1)
	kill -s KILL "$worker"
done
wait $asker || fail "a killed worker: $(cat "$TMP/killed.log")"
all_died() { [ "$(grep -c died "$log")" = 3 ]; }	# the master reaps them
wait_until 50 all_died || fail "the workers did not die"
peer w 20 0
pass "three workers killed under load: $(cat "$TMP/killed.log")"
for pid in $master $(pgrep -P "$master"); do
	kill -s KILL "$pid"
done
nothing_left
pass "all killed, nothing is left"
sys_end
