#!/bin/sh
# 150,000 outgoing connections open at once from 4 addresses through 2 engines:
# each local TCP port is picked so that the answers come back to the engine that
# opened the connection, so no frame has to change engines.
#
#	bench_load 0, 1 -> mtcpd p (2 engines) -- wire -- mtcpd d <- bench_server
set -u
. "$(dirname "$0")/lib.sh"
. "$SYS_DIR/wire.sh"
sys_begin tap
load=$BUILD/tools/bench/bench_load_mtcp
[ -x "$load" ] || fail "no $load: build it first"
each=75000

wire_conf d a 2 10.97.0.1
wire_conf p b 2 10.97.0.11 10.97.0.12 10.97.0.13 10.97.0.14
wire_start d
wire_start p
wire_server

# A context on cpu 0 has engine 0 as its home, one on cpu 1 engine 1.
pids=
for cpu in 0 1; do
	mkfifo "$TMP/go$cpu"
	env MTCPD_SOCKET="$TMP/p.sock" timeout 170 "$load" -a 10.97.0.1 -p 7000 \
		-m rpc -k 64 -t 3 -c $cpu -i "$each" -s 10.97.0.11 -S 4 \
		<"$TMP/go$cpu" >"$TMP/load$cpu.log" 2>&1 &
	pids="$pids $!"
	echo $! >>"$TMP/pids"
done
exec 3>"$TMP/go0" 4>"$TMP/go1"
open_all()
{
	grep -q measuring "$TMP/load0.log" 2>/dev/null &&
		grep -q measuring "$TMP/load1.log" 2>/dev/null
}
wait_until 1500 open_all || fail "not all connections opened"
"$(bin mtcpctl)" -s "$TMP/p.admin" --json stats >"$TMP/stats.json"
python3 - "$TMP/stats.json" "$each" <<'PY' || fail "the engines disagree"
import json, sys
doc, each = json.load(open(sys.argv[1])), int(sys.argv[2])
stats = doc.get("data", doc)
for e in stats["engines"]:
    conns = e["tcp"]["conns"]
    handed = e["handed_over"]
    print("engine %s: %d connections, %d frames handed over"
          % (e["engine"], conns, handed))
    assert conns == each + 64, "engine has %d of %d" % (conns, each + 64)
    assert handed <= 64, "frames came to the wrong engine"
PY
pass "2 x $each connections from 4 addresses, each engine its own"
echo >&3
echo >&4
for pid in $pids; do
	wait "$pid" || fail "a load generator failed"
done
grep -h '"errors": 0' "$TMP"/load?.log | grep -qc . || fail "errors under load"
pass "requests on 150,000 open connections: no error"
sys_end
