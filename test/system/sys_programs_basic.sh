#!/bin/sh
# Programs from Debian's packages, as they are, under mtcp-run.
# shellcheck disable=SC1091
. "$(dirname "$0")/lib.sh"
. "$SYS_DIR/programs_lib.sh"

begin

row_python()
{
	run python python3 -u -m http.server -d "$TMP/www" 8000
	wait_until 50 at_port 8000 || fail "python: no answer"
	same 8000 python
	end "python3 -m http.server" "the file is identical" 8000
}

row_redis()
{
	command -v redis-server >/dev/null || return 0
	run redis redis-server --port 6379 --protected-mode no --save '' \
		--dir "$TMP" --appendonly no
	wait_until 50 at_port 6379 || fail "redis: no answer"
	in_peer timeout 60 redis-benchmark -h "$IP_D" -q -n "$(count 2000 50000)" \
		-P 4 -t ping,set,get,lpush,lpop,mset >"$TMP/bench.log" 2>&1 ||
		fail "redis-benchmark gives $?"
	grep -qi error "$TMP/bench.log" && fail "redis-benchmark has errors"
	end redis-server "redis-benchmark without errors" 6379
}

row_lighttpd()
{
	command -v lighttpd >/dev/null || return 0
	# shellcheck disable=SC2119
	run lighttpd lighttpd -D -f "$(lighttpd_conf)"
	wait_until 50 at_port 8080 || fail "lighttpd: no answer"
	same 8080 lighttpd
	load 8080 lighttpd
	end lighttpd "a file identical, ab without failures" 8080
}

[ $# -gt 0 ] || set -- python redis lighttpd
rows "$@"
