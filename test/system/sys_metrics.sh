#!/bin/sh
# Metrics: promtool accepts both formats and finds nothing to improve, counters
# are right and never go back, the textfile, the page, hostile requests
. "$(dirname "$0")/lib.sh"

sys_begin xdp
need curl promtool
mkdir "$TMP/text"
mtcpd_conf d 2 <<EOF
[metrics]
listen = 127.0.0.1:9477
textfile = $TMP/text/mtcpd.prom
textfile_interval_s = 1
[policy each]
per = user
connections = 1000
EOF
mtcpd_start d
www
serve "$TMP/www"

http() { path=$1; shift; ip netns exec "$NS_D" curl -sf -m 10 "$@" "http://127.0.0.1:9477$path"; }
http /metrics >"$TMP/first" || fail "no /metrics"
for i in 1 2 3 4 5 6 7 8 9 10; do fetch / -o /dev/null || fail "fetch"; done
in_bg sink "$NS_P" python3 -c 'import socket
s = socket.create_server(("", 9000))
while True: s.accept()'
sinks() { in_peer ss -ltn | grep -q ':9000 '; }
wait_until 50 sinks || fail "no sink"
in_daemon timeout 20 "$(bin asker)" "$(app_conf 100)" connect "$IP_P" 9000 \
	>"$TMP/asked" 2>&1
grep -q 'connect: ok' "$TMP/asked" || fail "$(cat "$TMP/asked")"
left_again() { [ "$(clients d)" = 1 ]; }
wait_until 50 left_again || fail "the program stays"
http /metrics >"$TMP/metrics" || fail "no /metrics"
promtool check metrics <"$TMP/metrics" >"$TMP/lint" 2>&1 || {
	head -5 "$TMP/lint"; fail "promtool check metrics"; }
[ -s "$TMP/lint" ] && { head -5 "$TMP/lint"; fail "promtool has advice"; }
pass "promtool check metrics"

http /metrics -H 'Accept: application/openmetrics-text; version=1.0.0' \
	-D "$TMP/head" >"$TMP/open"
grep -qi '^content-type: application/openmetrics-text' "$TMP/head" || fail "content type"
[ "$(tail -n 1 "$TMP/open")" = "# EOF" ] || fail "OpenMetrics ends with # EOF"
python3 - "$TMP/open" "$TMP/metrics" "$TMP/first" <<'P' || fail "OpenMetrics"
import re, sys
def samples(path):
    out = {}
    for line in open(path):
        if line.startswith("#"): continue
        name, value = line.rsplit(" ", 1)
        assert re.fullmatch(r'[a-z_]+(\{([a-z]+="[^"]*",?)+\})?', name), name
        assert name not in out, name
        out[name] = float(value)
    return out
types = {}
for line in open(sys.argv[1]):
    if line.startswith("# TYPE"):
        _, _, name, kind = line.split()
        assert name not in types
        types[name] = kind
    elif not line.startswith("#"):
        name = re.match(r"[a-z_]+", line)[0]
        family = re.sub(r"_(total|bucket|sum|count)$", "", name)
        assert family in types or name in types, name
        if types.get(family) == "counter": assert name.endswith("_total"), name
now, old = samples(sys.argv[2]), samples(sys.argv[3])
for k in old:
    if "_total" in k or "_bucket" in k or "_count" in k:
        assert now[k] >= old[k], k
total = lambda s, n: sum(v for k, v in s.items() if k.startswith(n + "{"))
assert total(now, "mtcpd_tcp_passive_opens_total") - total(old, "mtcpd_tcp_passive_opens_total") == 10
assert total(now, "mtcpd_tcp_rtt_seconds_count") > total(old, "mtcpd_tcp_rtt_seconds_count")
assert total(now, "mtcpd_engine_batch_frames_count") > 0
assert total(now, "mtcpd_tcp_connect_seconds_count") - total(old, "mtcpd_tcp_connect_seconds_count") == 1
assert now['mtcpd_policy_connections_max{policy="each",uid="0"}'] == 1000
assert now['mtcpd_policy_programs{policy="each",uid="0"}'] == 1
assert total(now, "mtcpd_engine_loop_seconds_count") > 0
c = [k for k in now if k.startswith("mtcpd_client_out_bytes_total") and 'name="epserver"' in k]
assert len(c) == 1 and now[c[0]] > 640, c
for e in "01":		# buckets are cumulative and end in the count
    b = [v for k, v in now.items() if k.startswith('mtcpd_tcp_rtt_seconds_bucket{engine="%s"' % e)]
    assert b == sorted(b) and b[-1] == now['mtcpd_tcp_rtt_seconds_count{engine="%s"}' % e]
P
# Grafana's dashboard asks for nothing that is not there.
python3 -c 'import json, re, sys
have = set(re.findall(r"^([a-z_]+)", open(sys.argv[2]).read(), re.M))
asked = [t["expr"] for p in json.load(open(sys.argv[1]))["panels"] for t in p["targets"]]
names = set(n for e in asked for n in re.findall(r"mtcpd_[a-z_]+", e))
assert len(names) > 10 and names <= have, names - have' \
	"$ROOT/etc/grafana-mtcpd.json" "$TMP/metrics" || fail "Grafana's dashboard"
pass "OpenMetrics; counters count; Grafana's dashboard"

[ "$(ctl d --json clients | json 'd[0]["bytes_out"] > 640')" = True ] || fail "clients: bytes_out"
wait_until 50 test -s "$TMP/text/mtcpd.prom" || fail "no textfile"
promtool check metrics <"$TMP/text/mtcpd.prom" >"$TMP/lint" 2>&1 || fail "the textfile"
[ -e "$TMP/text/mtcpd.prom.new" ] && wait_until 20 test ! -e "$TMP/text/mtcpd.prom.new"
pass "textfile"

http / | grep -q '<title>mtcpd' || fail "no page"
http / | grep -oE '(src|href)=' && fail "the page loads something"
http /stats.json | python3 -c 'import json, sys
d = json.load(sys.stdin)
assert d["clients"][0]["name"] == "epserver" and len(d["stats"]["engines"]) == 2
assert sum(d["rtt_us"]) > 0' || fail "stats.json"
pass "page"

[ "$(http /none -o /dev/null -w '%{http_code}' -f)" = 404 ] || fail "404"
[ "$(http /metrics -X POST -d x=1 -o /dev/null -w '%{http_code}')" != 200 ] || fail "POST"
ip netns exec "$NS_D" python3 - <<'P' || fail "hostile requests"
import os, random, socket, time
random.seed(3)
def one(data):
    s = socket.create_connection(("127.0.0.1", 9477), timeout=15)
    try:
        s.sendall(data)
        s.shutdown(socket.SHUT_WR)
        while s.recv(65536): pass
    except OSError:
        pass
    s.close()
for data in [b"", b"GET", b"GET / HTTP/9.9\r\n\r\n", b"\0" * 5000,
             b"GET /" + b"a" * 20000 + b" HTTP/1.1\r\n\r\n",
             b"GET / HTTP/1.1\r\n" + b"x: y\r\n" * 5000 + b"\r\n",
             b"POST / HTTP/1.1\r\nContent-Length: 99999999999\r\n\r\n" + b"x" * 9000,
             b"GET http://%zz/ HTTP/1.1\r\n\r\n"] + [os.urandom(random.randrange(3000)) for _ in range(20)]:
    one(data)
# Many that say nothing do not keep others out for long, nor use up mtcpd.
idle = [socket.create_connection(("127.0.0.1", 9477), timeout=15) for _ in range(20)]
s = socket.create_connection(("127.0.0.1", 9477), timeout=30)
s.sendall(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
assert b"200" in s.recv(100)
P
ctl d stats >/dev/null || fail "mtcpd after hostile requests"
pass "hostile requests"

# An address that is taken, and a folder that cannot be written, are warnings.
sed -e 's/d\.sock/p.sock/; s/d\.admin/p.admin/; s/d\.pid/p.pid/; s/= mtd/= mtp/' \
	-e "s/$IP_D/$IP_P2/; s|$TMP/text|$TMP/none|" "$TMP/d.conf" >"$TMP/p.conf"
in_bg taken "$NS_P" python3 -c 'import socket, time
s = socket.create_server(("127.0.0.1", 9477)); time.sleep(60)'
taken() { ip netns exec "$NS_P" curl -s -m 1 telnet://127.0.0.1:9477 </dev/null; [ $? != 7 ]; }
wait_until 50 taken || fail "no server to take the address"
mtcpd_start p
grep -q 'no metrics at 127.0.0.1:9477: Address already in use' "$TMP/mtcpd-p.log" ||
	fail "the warning of the address"
wait_until 50 grep -q 'textfile.*cannot be written' "$TMP/mtcpd-p.log" ||
	fail "the warning of the file"
pass "warnings"
sys_end
