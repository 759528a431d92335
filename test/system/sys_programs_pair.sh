#!/bin/sh
# A parent and its child use one connection under mtcp-run: both write, both
# read, one sleeps in a call while the other writes, one is killed meanwhile.
# Nothing is lost, nothing is read twice, who sleeps is woken.
# shellcheck disable=SC1091
. "$(dirname "$0")/lib.sh"
. "$SYS_DIR/programs_lib.sh"

begin

started() { grep -qs ready "$TMP/pair.log"; }

# mode NAME SHORT FULL - one of pair.py
mode()
{
	in_peer timeout 90 python3 "$SYS_DIR/pairpeer.py" "$IP_D" 71 "$1" \
		"$(count "$2" "$3")" >"$TMP/peer.log" 2>&1 ||
		fail "$1: $(tail -n 1 "$TMP/peer.log")"
	[ -z "${TIMES:-}" ] || say "$1: $(date +%S.%N)"
}

row_pair()
{
	run pair python3 -u "$SYS_DIR/pair.py" 71
	wait_until 50 started || fail "pair.py does not start"
	mode both 2000 50000
	row_ok "parent and child write at once" "every record is whole"
	mode turns 200 5000
	row_ok "parent and child write in turn" "in that order"
	for how in sleep sleep-poll sleep-select sleep-epoll sleep-edge; do
		mode "$how" 100 5000
	done
	row_ok "a child sleeps, its parent writes" \
		"it is woken from read(), poll(), select(), epoll_wait()"
	mode reads 1000 30000
	row_ok "parent and child read at once" "each byte comes to one of them"
	mode duplex 2000 50000
	row_ok "one reads, the other writes" "2 MB both ways at once"
	mode killed 2000 20000
	row_ok "a child is killed in a write" "its parent's records are whole"
	end "pair.py" "kill -9 of both leaves nothing"
}

[ $# -gt 0 ] || set -- pair
rows "$@"
