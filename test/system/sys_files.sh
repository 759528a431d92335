#!/bin/sh
# Files of every interesting size arrive identical at an unmodified curl.
set -u
. "$(dirname "$0")/lib.sh"
need curl
sys_begin "${1:-xdp}"
www
for n in 0 1 64 1460 65536 1048576; do
	head -c $n /dev/urandom >"$TMP/www/f$n"
done
big=$(count $((256 << 20)) $((1 << 30)))
[ "$DRIVER" = xdp ] && big=$((1 << 30))
[ "${MTCPD_QUICK:-0}" = 1 ] && big=$((16 << 20))
head -c $big /dev/urandom >"$TMP/www/f$big"
mtcpd_start d
serve "$TMP/www"

same() { fetch "/$1" --http1.$2 | cmp - "$TMP/www/$1"; }

for f in f0 f1 f64 f1460 f65536 f1048576 f$big; do
	same $f 1 || fail "$f differs"
	pass "$f identical"
done
same f65536 0 || fail "f65536 differs over HTTP/1.0"
pass "HTTP/1.0"
# one connection, many files
# shellcheck disable=SC2046
in_peer curl -sf --max-time 60 $(yes "http://$IP_D/f65536" | head -n 8) >"$TMP/eight" || fail "eight on one"
f=$TMP/www/f65536
cat "$f" "$f" "$f" "$f" "$f" "$f" "$f" "$f" | cmp - "$TMP/eight" || fail "eight files on one connection differ"
pass "eight files on one connection"
[ "$(in_peer curl -s -o /dev/null -w '%{http_code}' "http://$IP_D/none")" = 404 ] ||
	fail "a missing file is not a 404"
pass "404"
sys_end
