#!/bin/sh
# Every malformed header, option, checksum and out-of-window segment is dropped under
# a name of its own in mtcpctl stats, and costs its connection nothing.
set -u
. "$(dirname "$0")/lib.sh"
need curl
sys_begin xdp
www
mtcpd_start d
serve "$TMP/www"
in_peer python3 "$SYS_DIR/badinput.py" mtp "$(bin mtcpctl)" -s "$TMP/d.admin" \
	--json stats >"$TMP/badinput.log" 2>&1 || fail "see badinput.log"
alive "$MTCPD_PID_d" || fail "mtcpd died"
[ "$(fetch / --max-time 3 | wc -c)" = 64 ] || fail "not served afterwards"
pass "$(tail -n 1 "$TMP/badinput.log")"
sys_end
