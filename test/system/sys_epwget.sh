#!/bin/sh
# mtcpd as client: epwget fetches from the kernel's nginx, and from epserver
# over a second mtcpd.
set -u
. "$(dirname "$0")/lib.sh"
need nginx curl
sys_begin xdp
www
n=$(count 10000 50000)
mtcpd_start d "${1:-1}"

nginx_up()
{
	mkdir -p "$TMP/ngx"
	cat >"$TMP/nginx.conf" <<-EOF
	daemon off; master_process off; pid $TMP/ngx/pid;
	worker_rlimit_nofile 20000;
	error_log stderr crit;
	events { worker_connections 10000; }
	http {
	  access_log off;
	  client_body_temp_path $TMP/ngx; proxy_temp_path $TMP/ngx;
	  fastcgi_temp_path $TMP/ngx; uwsgi_temp_path $TMP/ngx;
	  scgi_temp_path $TMP/ngx;
	  server { listen $IP_P:80 backlog=4096; root $TMP/www; }
	}
	EOF
	chmod -R a+rX "$TMP"
	in_bg nginx "$NS_P" nginx -p "$TMP/ngx/" -c "$TMP/nginx.conf"
	wait_until 50 in_peer curl -sf -o /dev/null "http://$IP_P/" ||
		fail "nginx does not serve"
}

# wget_from IP FLOWS CONCURRENCY PATH - all flows complete
wget_from()
{
	in_daemon timeout 120 "$(bin epwget)" "$1$4" "$2" -c "$3" \
		-f "$(app_conf 10000)" >"$TMP/epwget.log" 2>&1 ||
		fail "epwget $1$4: $(tail -n 1 "$TMP/epwget.log")"
	grep -q "^$2 flows: $2 completed, 0 failed" "$TMP/epwget.log" ||
		fail "epwget $1: $(tail -n 1 "$TMP/epwget.log")"
	grep -q '^\[ALL\] connect: ' "$TMP/epwget.log" ||
		fail "no figures in mTCP's form"
	pass "epwget $1$4: $(tail -n 1 "$TMP/epwget.log")"
}

nginx_up
head -c 1000000 /dev/urandom >"$TMP/www/m"
wget_from $IP_P "$n" 1000 /
wget_from $IP_P 50 10 /m
in_daemon "$(bin epwget)" $IP_P/m 1 -o "$TMP/got" -f "$TMP/app.conf" \
	>>"$TMP/epwget.log" 2>&1 || fail "epwget -o"
cmp "$TMP"/got.* "$TMP/www/m" || fail "epwget -o: the file differs"
pass "epwget -o: identical"

# A target that answers with RST, and one that nobody has.
! in_daemon timeout 30 "$(bin epwget)" $IP_P:81/ 5 -f "$TMP/app.conf" \
	>"$TMP/epwget.log" 2>&1 || fail "port 81 served?"
grep -q '5 failed' "$TMP/epwget.log" || fail "refused connects not reported"
pass "refused connects are errors"
! in_daemon timeout 60 "$(bin epwget)" 10.77.0.99/ 5 -f "$TMP/app.conf" \
	>"$TMP/epwget.log" 2>&1 || fail "10.77.0.99 served?"
grep -q '5 failed' "$TMP/epwget.log" ||
	fail "an unknown ARP target gives no error"
pass "an unknown ARP target is an error"

# mtcpd to mtcpd
mtcpd_start p
in_bg epserver-p "$NS_P" env MTCPD_SOCKET="$TMP/p.sock" "$(bin epserver)" \
	-p "$TMP/www" -f "$(app_conf 20000)"
sleep 1
wget_from $IP_P2 "$n" 1000 /
wget_from $IP_P2 50 10 /m
sys_end
