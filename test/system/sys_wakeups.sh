#!/bin/sh
# No wake-up is lost: one request at a time goes round between two programs and
# two daemons whose engines never spin, so that each of the four sleeps between
# any two messages.  A lost one would stop the count for good.
set -u
. "$(dirname "$0")/lib.sh"
. "$SYS_DIR/wire.sh"
sys_begin tap
WIRE_SPIN_US=0
rounds=$(count 100000 1000000)
wire_conf d a 1 10.97.0.1
wire_conf p b 1 10.97.0.2
wire_start d
wire_start p
wire_server
echo | MTCPD_SOCKET="$TMP/p.sock" timeout 800 \
	"$BUILD/tools/bench/bench_load_mtcp" -a 10.97.0.1 -p 7000 -m rpc -k 1 \
	-t 700 -N "$rounds" >"$TMP/load.log" 2>&1 ||
	fail "the load generator ended with $?"
grep -q "\"count\": $rounds," "$TMP/load.log" || fail "not all came back"
grep -q '"errors": 0' "$TMP/load.log" || fail "there were errors"
sleeps=$("$(bin mtcpctl)" -s "$TMP/d.admin" --json stats |
	python3 -c 'import json, sys
print(json.load(sys.stdin)["data"]["engines"][0]["sleeps"])')
[ "$sleeps" -ge "$rounds" ] || fail "the engine slept $sleeps times only"
pass "$rounds messages, the engine slept $sleeps times, none lost"
sys_end
