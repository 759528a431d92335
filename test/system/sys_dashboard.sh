#!/bin/sh
# The dashboard in a real browser, under load: what it shows, no script errors.
# A browser is heavy: full run only.  MTCPD_SHOT=FILE keeps the picture.
. "$(dirname "$0")/lib.sh"

full || skip "a browser: MTCPD_FULL=1"
sys_begin xdp
need curl chromium
mtcpd_start d 2
www
head -c 2000000 /dev/zero >"$TMP/www/big"
serve "$TMP/www"
in_bg load "$NS_P" sh -c "for i in \$(seq 900); do curl -sf -o /dev/null http://$IP_D/big; done"

browse()
{
	ip netns exec "$NS_D" timeout 60 chromium --headless=new --no-sandbox \
		--disable-gpu --disable-dev-shm-usage --disable-background-networking \
		--no-first-run --user-data-dir="$TMP/chromium" --window-size=1000,900 \
		--timeout=8000 "$@" http://127.0.0.1:9477/ 2>"$TMP/chromium.log"
}
# On a busy machine the page's seconds bring too few answers: once more then.
shows()
{
	browse --virtual-time-budget=6000 --dump-dom >"$TMP/dom" || fail "chromium"
	for what in 'epserver' '<polyline' '<rect' 'id="state">pid [0-9]' \
		    '>bit/s out<' '>engine<' '[0-9][ kMG]* samples<'; do
		grep -q -- "$what" "$TMP/dom" || return 1
	done
}
shows || shows || shows || {
	head -c 2000 "$TMP/dom"; fail "the page does not show $what"; }
pass "throughput, engines, programs, round-trip times"
browse --virtual-time-budget=8000 --screenshot="$TMP/shot.png" || fail "no picture"
[ -s "$TMP/shot.png" ] || fail "no picture"
grep -iE 'uncaught|refused to|CONSOLE.*error' "$TMP/chromium.log" && fail "errors of the page"
[ -z "${MTCPD_SHOT:-}" ] || cp "$TMP/shot.png" "$MTCPD_SHOT"
pass "a picture, no errors"
sys_end
