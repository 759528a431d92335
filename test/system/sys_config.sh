#!/bin/sh
# The configuration of a running mtcpd: every live key is set under load, bad
# values change nothing, save keeps comments, reload names what must wait.
set -u
. "$(dirname "$0")/lib.sh"
need ab curl
sys_begin xdp
www
{
	echo '# a comment to keep'
	echo '[tcp]'
	echo 'retries = 9		# why nine'
	echo '#delack_ms = 40		# the default'
	echo '[policy other]'
	echo 'user = nobody'
	echo '[policy all]'
} >"$TMP/more"
mtcpd_conf d <"$TMP/more"
mtcpd_start d
serve "$TMP/www"

in_peer sh -c "timeout 60 ab -q -t 20 -n 100000000 -c 20 http://$IP_D/ \
	>$TMP/ab.log 2>&1; echo \$? >$TMP/ab.status" &
AB=$!
echo $AB >>"$TMP/pids"
sleep 0.5

# Every live key to another value and back.  mtcpctl config show tells them.
# Those of the policy that the server is under are left out: they would end it.
ctl d --json config show >"$TMP/keys.json"
python3 - "$TMP/keys.json" >"$TMP/keys" <<'PY'
import json, re, sys
for k in json.load(open(sys.argv[1]))["data"]["keys"]:
    if not k["live"] or k["key"].startswith("policy.all."):
        continue
    a = k["allowed"]
    r = re.search(r"(\d+)([KMG]?) - (\d+)([KMG]?)$", a)
    new = r.group(1) + r.group(2) if r else a.split(", ")[0]
    if new == k["value"]:
        new = r.group(3) + r.group(4) if r else a.split(", ")[1]
    if k["key"] in ("limits.clients", "limits.pending_clients"):
        new = "100"		# the server holds on to one
    if k["key"] in ("tcp.rcv_wnd_max", "tcp.snd_buf_max"):
        new = "8M"		# not below the initial one
    if k["key"] in ("tcp.rcv_wnd_initial", "tcp.snd_buf_initial"):
        new = "32K"
    if k["key"] == "port.p0.address":
        new = k["value"] + ",10.77.0.33/24"
    if k["key"] == "policy.other.ports":
        new = "80,8000-8999"
    if k["key"] == "policy.other.addresses":
        new = "10.77.0.2"
    print(k["key"], k["value"].replace(" ", ""), new)
PY
n=0
while read -r key old new; do
	for v in "$new" "$old"; do
		out=$(ctl d config set "$key" "$v") || fail "set $key $v: $out"
		[ "$(ctl d config get "$key" | tr -d ' ')" = "$v" ] ||
			[ "$key" = tcp.rcv_wnd_initial ] ||
			fail "$key is $(ctl d config get "$key"), not $v"
	done
	n=$((n + 1))
done <"$TMP/keys"
[ "$n" -ge 40 ] || fail "only $n live keys"
alive "$AB" || fail "the load ended before the last key was set"
pass "all $n live keys set and set back under load"

# Bad values: the exact error, nothing changed.
before=$(ctl d --json config show)
bad()
{
	key=$1 value=$2
	shift 2
	! ctl d config set "$key" -- "$value" >"$TMP/bad" 2>&1 ||
		fail "accepted: $key = $value"
	for w in "$@"; do
		grep -qF -- "$w" "$TMP/bad" || fail "no '$w' in $(cat "$TMP/bad")"
	done
}
# Each says what is allowed, in the words of config show.
python3 - "$TMP/keys.json" >"$TMP/allowed" <<'PY'
import json, sys
for k in json.load(open(sys.argv[1]))["data"]["keys"]:
    if k["live"]:
        print(k["key"], k["allowed"], sep="\t")
PY
while IFS="$(printf '\t')" read -r key allowed; do
	bad "$key" 'no such value' "$key = \"no such value\": allowed: $allowed"
done <"$TMP/allowed"
bad tcp.retries 31 'tcp.retries = "31": allowed: 1 - 30'
bad tcp.retries -1 'allowed: 1 - 30'
bad tcp.retries '' 'allowed: 1 - 30'
bad tcp.congestion bbq 'tcp.congestion = "bbq": allowed: cubic, reno'
bad tcp.timestamps maybe 'allowed: yes, no'
bad tcp.rcv_wnd_max 4K 'rcv_wnd_initial'
bad tcp.max_syn 100 'cannot change while mtcpd runs' d.conf restart
bad tcp.nonsense 1 'is no key' congestion
bad nonsense 1 'section.key'
bad daemon.log loud 'allowed: error, warn, info, debug'
bad port.p0.address 10.77.0.2 'a.b.c.d/len'
bad port.p1.address 10.77.0.2/24 'is no key'
[ "$(ctl d --json config show)" = "$before" ] || fail "a bad value changed it"
pass "bad values are refused by name and change nothing"

# Save keeps what is written in the file.
ctl d config set tcp.retries 7 >/dev/null || fail "set"
ctl d config set tcp.delack_ms 30 >/dev/null || fail "set"
ctl d config set limits.contexts 32 >/dev/null || fail "set"
[ "$(ctl d --json config diff | json 'len(d["differences"])')" = 3 ] ||
	fail "diff: $(ctl d config diff)"
ctl d config save >/dev/null || fail "save"
grep -q '^# a comment to keep$' "$TMP/d.conf" || fail "a comment is lost"
grep -q '^retries = 7		# why nine$' "$TMP/d.conf" ||
	fail "$(cat "$TMP/d.conf")"
grep -q '^delack_ms = 30		# the default$' "$TMP/d.conf" ||
	fail "$(cat "$TMP/d.conf")"
grep -q '^contexts = 32$' "$TMP/d.conf" || fail "$(cat "$TMP/d.conf")"
"$(bin mtcpd)" --check-config -c "$TMP/d.conf" >/dev/null || fail "a bad file"
[ "$(ctl d --json config diff | json 'len(d["differences"])')" = 0 ] ||
	fail "still different: $(ctl d config diff)"
pass "save keeps comments"

# Reload: what can change changes, the rest is named; a bad file does nothing.
sed -i 's/^retries = 7/max_syn = 100\nretries = 12/' "$TMP/d.conf"
printf '[route]\n10.99.0.0/16 = %s\n[neighbour]\n%s = 02:00:00:00:00:99\n' \
	"$IP_P" 10.77.0.99 >>"$TMP/d.conf"
out=$(ctl d reload) || fail "reload"
echo "$out" | grep -q 'restart is needed for: tcp.max_syn$' || fail "$out"
[ "$(ctl d config get tcp.retries)" = 12 ] || fail "retries"
ctl d routes | grep -q '^10.99.0.0/16 *10.77.0.1' || fail "$(ctl d routes)"
ctl d arp | grep -q '^10.77.0.99 *02:00:00:00:00:99' || fail "$(ctl d arp)"
echo 'nonsense = 1' >>"$TMP/d.conf"
! ctl d reload >"$TMP/bad" 2>&1 || fail "a bad file is taken"
grep -q 'd.conf:[0-9]*: ' "$TMP/bad" || fail "$(cat "$TMP/bad")"
[ "$(ctl d config get tcp.retries)" = 12 ] || fail "retries"
sed -i '/^nonsense/d; s/^retries = 12/retries = 13/' "$TMP/d.conf"
kill -HUP "$MTCPD_PID_d"
retries() { [ "$(ctl d config get tcp.retries)" = 13 ]; }
wait_until 50 retries || fail "SIGHUP did not reload"
pass "reload, and SIGHUP"

# Neighbours and routes, live.
ctl d arp add 10.77.0.98 02:00:00:00:00:98 || fail "arp add"
ctl d routes add 10.98.0.0/16 10.77.0.98 || fail "routes add"
ctl d arp | grep -q '^10.77.0.98 ' || fail "arp"
ctl d routes | grep -q '^10.98.0.0/16 *10.77.0.98' || fail "routes"
! ctl d routes add 10.98.0.0/16 10.77.0.98 2>"$TMP/bad" || fail "twice"
grep -q 'has a route already' "$TMP/bad" || fail "$(cat "$TMP/bad")"
ctl d routes delete 10.98.0.0/16 && ctl d arp delete 10.77.0.98 || fail delete
! ctl d routes | grep -q 10.98 || fail "routes delete"
! ctl d arp | grep -q 10.77.0.98 || fail "arp delete"
! ctl d arp delete 10.77.0.98 2>/dev/null || fail "deleted twice"
pass "arp and routes add, delete"

# An address more, live: the device redirects it too.
ctl d config set port.p0.address "$IP_D/24, 10.77.0.22/24" >/dev/null ||
	fail "address"
in_peer curl -sf --connect-timeout 5 -o /dev/null http://10.77.0.22/ ||
	fail "the new address does not serve"
ctl d config set port.p0.address "$IP_D/24" >/dev/null || fail "address back"
pass "an address comes and goes"

# Log levels of facilities.
ctl d log | grep -q '^tcp *info' || fail "$(ctl d log)"
ctl d log debug tcp | grep -q '^tcp *debug' || fail "$(ctl d log)"
ctl d log | grep -q '^engine *info' || fail "$(ctl d log)"
fetch / -o /dev/null || fail "not served"
told() { grep -q "accepted: $IP_D:80 - $IP_P:" "$TMP/mtcpd-d.log"; }
wait_until 30 told || fail "no connection is told"
! ctl d log loud 2>/dev/null || fail "level loud"
! ctl d log debug kitchen 2>/dev/null || fail "facility kitchen"
ctl d log info >/dev/null || fail "log info"
pass "log levels of facilities"

# Who may not: another user reads, and changes nothing.
if command -v setpriv >/dev/null; then
	chmod 755 "$TMP"; chmod 666 "$TMP/d.admin"
	other() { timeout 10 setpriv --reuid 65534 --regid 65534 --clear-groups \
		"$(bin mtcpctl)" -s "$TMP/d.admin" "$@"; }
	other config get tcp.retries >/dev/null || fail "another user cannot read"
	for what in 'config set tcp.retries 3' reload 'log debug' \
		    'routes delete 10.99.0.0/16'; do
		# shellcheck disable=SC2086
		! other $what >"$TMP/bad" 2>&1 || fail "another user: $what"
		grep -q 'only root' "$TMP/bad" || fail "$what: $(cat "$TMP/bad")"
	done
	pass "changing is root's"
fi

wait $AB
grep -q '^Failed requests: *0$' "$TMP/ab.log" || fail "failed requests"
[ "$(cat "$TMP/ab.status")" = 0 ] || fail "ab ended with an error"
pass "no request failed meanwhile"

# mTCP's files.
cat >"$TMP/mtcp.conf" <<-E
io = psio
num_cores = 2
port = veth9
max_concurrency = 10000
tcp_timewait = 0
E
ctl d config import "$TMP/mtcp.conf" "$ROOT/etc/samples/arp.conf" \
	"$ROOT/etc/samples/route.conf" >"$TMP/imported" || fail import
sed -i 's|^#address = .*|address = 10.77.0.9/24|; s/ = veth0$/ = veth9/' \
	"$TMP/imported"
"$(bin mtcpd)" --check-config -c "$TMP/imported" >"$TMP/bad" 2>&1 ||
	fail "$(cat "$TMP/bad" "$TMP/imported")"
pass "mTCP's files are imported"
sys_end
