#!/bin/sh
# A libmtcpclient of before works with this daemon: built from an earlier commit,
# put before today's in programs that serve and connect.
set -u
. "$(dirname "$0")/lib.sh"
need ab curl git "${CC:-cc}"
# where the description of its ABI began (test/abi); at a release, the one before
OLD=544e071b1efab5c5389b6fbc85e142bfcd685624
git -C "$ROOT" cat-file -e "$OLD^{commit}" 2>/dev/null ||
	skip "no history here, from which to build an older library"
sys_begin xdp
mkdir "$TMP/old" "$TMP/lib"
git -C "$ROOT" archive "$OLD" libclient shm CMakeLists.txt |
	tar -x -C "$TMP/old" -f - || fail "git archive"
version=$(sed -n 's/.*VERSION *\([0-9.]*\).*LANGUAGES.*/\1/p' \
	"$TMP/old/CMakeLists.txt" | head -n 1)
# shellcheck disable=SC2046
(cd "$TMP/old" && "${CC:-cc}" -std=c17 -O1 -D_GNU_SOURCE -fPIC -shared -pthread \
	-I. -Ilibclient/include -Wl,-soname,libmtcpclient.so.0 \
	-Wl,--version-script=libclient/libmtcpclient.map \
	$(ls libclient/*.c) libclient/util/cpu.c shm/rss.c \
	-o "$TMP/lib/libmtcpclient.so.0") >"$TMP/cc.log" 2>&1 ||
	fail "the old library does not build"
www
head -c 300000 /dev/urandom >"$TMP/www/big"
mtcpd_start d
app epserver env LD_LIBRARY_PATH="$TMP/lib" "$(bin epserver)" -p "$TMP/www" \
	-f "$(app_conf 4000)"
SERVER_PID=$BG_PID
wait_until 100 served || fail "the old library does not serve"
grep -q "$TMP/lib/libmtcpclient" "/proc/$SERVER_PID/maps" ||
	fail "it runs with the new library"
fetch /big -o "$TMP/got" && cmp -s "$TMP/got" "$TMP/www/big" || fail "another file"
in_peer timeout 60 ab -q -n "$(count 2000 50000)" -c 20 "http://$IP_D/" \
	>"$TMP/ab.log" 2>&1 || fail ab
grep -q '^Failed requests: *0$' "$TMP/ab.log" || fail "failed requests"
pass "serves with a library of before (${version:-0.1.0}, $(echo $OLD | cut -c1-7))"
in_bg sink "$NS_P" python3 -m http.server -d "$TMP/www" 9000
sinks() { in_peer curl -sf -o /dev/null "http://$IP_P:9000/"; }
wait_until 50 sinks || fail "no peer"
in_daemon env LD_LIBRARY_PATH="$TMP/lib" timeout 20 "$(bin asker)" \
	"$(app_conf 100)" listen 81 connect "$IP_P" 9000 >"$TMP/asked" 2>&1
[ "$(tr '\n' ' ' <"$TMP/asked")" = "attach: ok listen: ok connect: ok " ] ||
	fail "$(cat "$TMP/asked")"
pass "and connects"
[ "$(ctl d --json stats | json 'd["control"]["bad_requests"]')" = 0 ] ||
	fail "mtcpd does not understand it: $(ctl d stats)"
kill -9 "$SERVER_PID"
left() { [ "$(clients d)" = 0 ]; }
wait_until 50 left || fail "it stays"
grep -q 'is detached' "$TMP/mtcpd-d.log" && fail "it was detached"
pass "and goes, without a fault"
sys_end
