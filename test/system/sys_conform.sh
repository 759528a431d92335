#!/bin/sh
# The same socket calls on the kernel and under mtcp-run: what they say is
# equal, but for the differences of conform.diff, each with its reason.
# shellcheck disable=SC1091
. "$(dirname "$0")/lib.sh"

sys_begin xdp
need diff
mtcpd_start d
in_bg peer "$NS_P" python3 "$SYS_DIR/conform_peer.py" "$IP_P" 7007
answers_peer()
{
	in_peer python3 -c 'import socket, sys
socket.create_connection((sys.argv[1], 7007), 1).close()' "$IP_P" 2>/dev/null
}
wait_until 100 answers_peer || fail "the peer does not answer"
ip netns exec "$NS_P" timeout 60 "$(bin conform)" "$IP_P" "$IP_P" 7007 \
	>"$TMP/kernel.txt" 2>&1 || fail "on the kernel it gives $?"
in_daemon timeout 60 "$(bin mtcp-run)" -- "$(bin conform)" "$IP_D" "$IP_P" \
	7007 >"$TMP/mtcpd.txt" 2>&1 ||
	fail "under mtcp-run it gives $?: $(tail -n 3 "$TMP/mtcpd.txt")"
diff "$TMP/kernel.txt" "$TMP/mtcpd.txt" >"$TMP/differ"
grep '^[<>]' "$TMP/differ" >"$TMP/lines"
grep '^[<>]' "$SYS_DIR/conform.diff" >"$TMP/known"
if ! cmp -s "$TMP/lines" "$TMP/known"; then
	diff "$TMP/known" "$TMP/lines"
	fail "the kernel (<) and mtcpd (>) differ otherwise than conform.diff has"
fi
[ "$(wc -l <"$TMP/kernel.txt")" -gt 400 ] || fail "too few lines"
pass "$(wc -l <"$TMP/kernel.txt") lines, differences: $(grep -c . "$TMP/known")"
sys_end
