#!/bin/sh
# Web servers under mtcp-run at more length: apache2, nginx as a proxy, lighttpd
# with a large file and wrk.  Each is killed under load.
# shellcheck disable=SC1091
. "$(dirname "$0")/lib.sh"
. "$SYS_DIR/programs_lib.sh"

begin
chmod -R a+rX "$TMP"

row_apache()
{
	[ -e /usr/lib/apache2/modules/mod_mpm_event.so ] || return 0
	run apache apache2 -DFOREGROUND -f "$(apache_conf event 87 \
		"StartServers 2")"
	wait_until 50 at_port 87 || fail "apache2, event: no answer"
	same 87 "apache2, event"
	load 87 "apache2, event" index.html "$(count 1000 20000)"
	end "apache2, event" "a file identical, ab without a failure" 87
}

row_proxy()
{
	command -v nginx >/dev/null || return 0
	kernel_web
	cat >"$TMP/proxy.conf" <<-END
	user root; worker_processes 2; daemon off; pid $TMP/proxy.pid;
	error_log $TMP/proxy-error.log; events { worker_connections 512; }
	http { access_log off;
	  server { listen 89; location / { proxy_pass http://$IP_P:8001; } } }
	END
	run proxy nginx -c "$TMP/proxy.conf"
	wait_until 50 at_port 89 || fail "nginx as a proxy: no answer"
	same 89 "nginx as a proxy"
	load 89 "nginx as a proxy" index.html "$(count 300 5000)"
	end "nginx as a proxy" \
		"upstream over mtcpd: a file identical, ab without a failure" 89
}

# lighttpd WORKERS - the work of the next two rows
lighttpd()
{
	run lighttpd lighttpd -D -f "$(lighttpd_conf \
		"server.max-worker = $1")"
	wait_until 50 at_port 8080 || fail "lighttpd: no answer"
	site 8080 lighttpd
}

row_lighttpd()
{
	command -v lighttpd >/dev/null || return 0
	lighttpd 0
	end "lighttpd, 1 process" "ab and wrk without a failure" 8080
}

row_workers()
{
	command -v lighttpd >/dev/null || return 0
	lighttpd 2
	end "lighttpd, 2 workers" "ab and wrk without a failure" 8080
}

[ $# -gt 0 ] || set -- apache proxy lighttpd workers
rows "$@"
