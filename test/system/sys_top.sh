#!/bin/sh
# mtcpctl top on a terminal (tmux): what it shows, that q ends it, small sizes
. "$(dirname "$0")/lib.sh"

sys_begin xdp
need curl tmux
mtcpd_start d 2
www
head -c 4000000 /dev/zero >"$TMP/www/big"
serve "$TMP/www"
in_bg load "$NS_P" sh -c "for i in \$(seq 1000); do
	curl -sf -o /dev/null http://$IP_D/big; done"
fetch /none -o /dev/null
T="tmux -S $TMP/tmux"
cleanup_tmux() { $T kill-server 2>/dev/null; cleanup; }
trap cleanup_tmux EXIT

$T new-session -d -x 130 -y 40 \
	"TERM=screen '$(bin mtcpctl)' -s '$TMP/d.admin' -w 0.5 top; echo ended \$?; sleep 60"
shows() { $T capture-pane -p >"$TMP/pane" 2>/dev/null && grep -qE "$1" "$TMP/pane"; }
wait_until 100 shows '^mtcpd [0-9.]+ +up' || { cat "$TMP/pane"; fail "no screen"; }
wait_until 100 shows '^ +1 +[-0-9]+ +[0-9.]+ .*[0-9.]+' || fail "no engine 1"
wait_until 100 shows 'epserver' || fail "no client"
wait_until 100 shows "^(ESTAB|CLOSE|FIN|LAST).*$IP_D:80" || fail "no connections"
wait_until 100 shows '^DROPPED FOR' || fail "no drops"
wait_until 150 shows 'out [0-9.]+M bit/s' || { cat "$TMP/pane"; fail "no rate"; }
pass "engines, clients, drops, connections, rates"
$T resize-window -x 40 -y 8
sleep 1
shows '^mtcpd' || { cat "$TMP/pane"; fail "a small terminal"; }
$T send-keys q
wait_until 50 shows 'ended 0' || { cat "$TMP/pane"; fail "q does not end it"; }
pass "small terminal, q"
ctl d top </dev/null >/dev/null 2>"$TMP/err"
[ $? = 2 ] || fail "exit status without a terminal"
grep -q terminal "$TMP/err" || fail "what it says without a terminal"
pass "without a terminal"
sys_end
