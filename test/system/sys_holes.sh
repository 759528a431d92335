#!/bin/sh
# A program punches holes into its segment while another process holds all huge
# pages: mtcpd detaches that program, and nobody else notices.  Borrows the
# machine's huge pages and gives them back.
set -u
. "$(dirname "$0")/lib.sh"
NR=/proc/sys/vm/nr_hugepages
[ -w $NR ] && [ "$(cat $NR)" = 0 ] ||
	skip "huge pages are in use on this machine, or not to be had"
sys_begin xdp
trap 'echo 0 >$NR; cleanup' EXIT
echo 96 >$NR
[ "$(cat $NR)" = 96 ] || skip "no 96 huge pages to be had"
mtcpd_conf d 1 <<'CONF'
[limits]
memory = 64M
CONF
sed -i "s,^huge_pages.*,huge_pages = yes," "$TMP/d.conf"
mtcpd_start d 1
app echo "$(bin echo2)" "$(app_conf 1000)" 7001 7002
ready() { grep -q ready "$TMP/echo.log"; }
wait_until 50 ready || fail "echo2 does not start"
echoes()
{
	in_peer python3 "$SYS_DIR/echo.py" $IP_D 7001 3 >"$TMP/echoes.log" 2>&1
}
echoes || fail "no echo before"
in_daemon timeout 30 python3 "$SYS_DIR/holes.py" "$TMP/d.sock" \
	>"$TMP/holes.log" 2>&1 || fail "holes.py ended with $?"
grep -q '^huge True' "$TMP/holes.log" || fail "its segment had no huge pages"
pass "$(head -n 1 "$TMP/holes.log"): let go of"
alive "$MTCPD_PID_d" || fail "mtcpd is dead"
[ "$(clients d)" = 1 ] || fail "mtcpctl counts $(clients d) clients, not 1"
grep -q 'hole in its segment' "$TMP"/*d.log || fail "the log does not say why"
echoes || fail "the other program does not echo any more"
pass "the other program noticed nothing"
sys_end
