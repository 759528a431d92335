#!/bin/sh
# Two daemons joined by the wire port in real time, both in their sandbox and
# asleep whenever there is nothing to do: a file comes as it is, a load of small
# messages comes back whole, and it is the port's bell that wakes them.  Without
# the bell everything still arrives, when the next timer looks: hence the counts.
set -u
. "$(dirname "$0")/lib.sh"
. "$SYS_DIR/wire.sh"
sys_begin tap
WIRE_SPIN_US=0
rounds=$(count 5000 100000)
www
head -c 8000000 /dev/urandom >"$TMP/www/big"
wire_conf d a 1 10.97.0.1
wire_conf p b 1 10.97.0.2
wire_start d
PID_D=$BG_PID
wire_start p
PID_P=$BG_PID

engine_count()
{
	ctl "$1" --json engines | json "sum(e['$2'] for e in d)"
}

confined()
{
	grep -q '^Seccomp:[[:space:]]*2$' "/proc/$1/status" &&
		grep -q '^CapEff:[[:space:]]*0*$' "/proc/$1/status"
}

# ASan's look for leaks is forbidden there.
if ! grep -q '^MTCPD_SANITIZE:STRING=.*address' "$BUILD/CMakeCache.txt"; then
	confined "$PID_D" && confined "$PID_P" || fail "not in their sandbox"
	pass "both daemons are in their sandbox"
fi

app epserver "$(bin epserver)" -p "$TMP/www" -f "$(app_conf 1000)"
from_peer()
{
	MTCPD_SOCKET="$TMP/p.sock" timeout 60 "$(bin epwget)" "10.97.0.1$1" "$2" \
		-c 4 -f "$(app_conf 1000)" -o "$TMP/got" >"$TMP/epwget.log" 2>&1
}
up() { from_peer / 1; }
wait_until 50 up || fail "epserver does not answer"
from_peer /big 4 || fail "epwget: $(tail -n 1 "$TMP/epwget.log")"
for got in "$TMP/got.0" "$TMP/got.1" "$TMP/got.2" "$TMP/got.3"; do
	cmp -s "$got" "$TMP/www/big" || fail "$(basename "$got") differs"
done
pass "a file of 8 MB, four times, identical"

wire_server
before=$(engine_count d port_wakes)
echo | MTCPD_SOCKET="$TMP/p.sock" timeout 100 \
	"$BUILD/tools/bench/bench_load_mtcp" -a 10.97.0.1 -p 7000 -m rpc -k 1 \
	-t 90 -N "$rounds" >"$TMP/load.log" 2>&1 ||
	fail "the load generator ended with $?"
grep -q "\"count\": $rounds," "$TMP/load.log" || fail "not all came back"
grep -q '"errors": 0' "$TMP/load.log" || fail "there were errors"
woken=$(($(engine_count d port_wakes) - before))
[ "$woken" -ge $((rounds / 2)) ] ||
	fail "$rounds messages, but the bell woke the engine $woken times"
pass "$rounds messages, one at a time; the bell woke the engine $woken times"

asleep=$(engine_count d sleeps) timers=$(engine_count d timer_wakes)
sleep 2
asleep=$(($(engine_count d sleeps) - asleep))
timers=$(($(engine_count d timer_wakes) - timers))
[ "$asleep" -le 200 ] || fail "idle, it slept $asleep times in 2 s"
pass "idle: $asleep sleeps in 2 s, $timers ended by a timer"
sys_end
