#!/bin/sh
# follow = kernel: routes and neighbours are those of the kernel; no arp.conf.
set -u
. "$(dirname "$0")/lib.sh"
need curl
sys_begin xdp
www
ip -n "$NS_D" addr add 10.77.0.9/24 dev mtd
ip -n "$NS_D" route add 10.88.0.0/16 via "$IP_P" dev mtd
ip -n "$NS_D" neigh add 10.77.0.77 lladdr 02:00:00:00:00:77 dev mtd nud permanent
if command -v nft >/dev/null &&
   in_daemon nft add table ip t 2>/dev/null; then
	in_daemon nft add chain ip t in '{ type filter hook input priority 0; }'
	in_daemon nft add rule ip t in ip daddr $IP_D tcp dport 80 drop
	NFT=1
fi
printf 'follow = kernel\n[route]\n10.89.0.0/16 = %s\n' 10.77.0.77 |
	mtcpd_conf d
mtcpd_start d

has()   { ctl d "$1" | grep -q "^$2"; }
hasnt() { ! has "$@"; }
if [ -n "${NFT:-}" ]; then
	grep -q "nftables has 1 rule about $IP_D" "$TMP/mtcpd-d.log" ||
		fail "no word of the firewall: $(cat "$TMP/mtcpd-d.log")"
	pass "rules of nftables for our address are told"
fi
has routes '10.88.0.0/16 *10.77.0.1' || fail "$(ctl d routes)"
has arp '10.77.0.77 *02:00:00:00:00:77' || fail "$(ctl d arp)"
pass "what the kernel had at the start"

ip -n "$NS_D" route add default via "$IP_P" dev mtd
ip -n "$NS_D" route add blackhole 10.90.0.0/16
ip -n "$NS_D" route replace 10.89.0.0/16 via "$IP_P" dev mtd
ip -n "$NS_D" neigh replace 10.77.0.77 lladdr 02:00:00:00:00:78 dev mtd nud permanent
wait_until 30 has routes 'default *10.77.0.1' || fail "$(ctl d routes)"
wait_until 30 has arp '10.77.0.77 *02:00:00:00:00:78' || fail "$(ctl d arp)"
has routes '10.89.0.0/16 *10.77.0.77' || fail "the file's goes first"
hasnt routes 10.90 || fail "a black hole is a route"
ip -n "$NS_D" route del 10.88.0.0/16
ip -n "$NS_D" route del default
ip -n "$NS_D" neigh del 10.77.0.77 dev mtd
wait_until 30 hasnt routes 'default' || fail "$(ctl d routes)"
wait_until 30 hasnt routes '10.88' || fail "$(ctl d routes)"
wait_until 30 hasnt arp '10.77.0.77' || fail "$(ctl d arp)"
pass "changes are followed, the file goes first"

# A crowd, more than the socket may hold while nobody reads.
python3 - >"$TMP/many" <<'PY'
for i in range(900):
    print("neigh replace 10.77.%d.%d lladdr 02:01:00:00:%02x:%02x dev mtd nud permanent"
          % (1 + i // 200, 1 + i % 200, i // 256, i % 256))
PY
ip -n "$NS_D" addr add 10.77.0.10/16 dev mtd
kill -STOP "$MTCPD_PID_d"
ip -n "$NS_D" -batch "$TMP/many" || fail "the kernel refuses neighbours"
kill -CONT "$MTCPD_PID_d"
count_is() { [ "$(ctl d --json arp | json 'len([n for n in d if n["mac"].startswith("02:01")])')" = 900 ]; }
wait_until 50 count_is || fail "$(ctl d arp | wc -l) neighbours"
pass "a crowd of neighbours"

serve "$TMP/www"
pass "served with the kernel's neighbours"

# No way there: the error names address, table and cure.
in_daemon timeout 20 "$(bin asker)" "$(app_conf 100)" connect 198.51.100.1 80 \
	>"$TMP/asked" 2>&1
grep -q 'connect: ENETUNREACH' "$TMP/asked" || fail "$(cat "$TMP/asked")"
grep -q 'no route to 198.51.100.1: .*mtcpctl routes add 198.51.100.1/32' \
	"$TMP/mtcpd-d.log" || fail "no word: $(cat "$TMP/mtcpd-d.log")"
pass "no route: address, table and cure are told"
sys_end
