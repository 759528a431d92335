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
	redis
	redis_bench in_peer
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
