#!/bin/sh
# One address, the kernel's and mtcpd's: mtcpd serves :80, the kernel all else
# on it, its own outgoing connections with it; ports come and go with listeners.
set -u
. "$(dirname "$0")/lib.sh"
need ab curl nginx
sys_begin xdp
www
ip -n "$NS_D" addr add "$IP_D/24" dev mtd
in_daemon sysctl -qw "net.ipv4.ip_local_port_range=32768 60999"
printf 'share = yes\n' | mtcpd_conf d
sed -i '/^address/d; s/^share.*/share = yes\nfollow = kernel/' "$TMP/d.conf"

# The kernel must not pick local ports from our range.
in_bg refused "$NS_D" "$(bin mtcpd)" -f -c "$TMP/d.conf"
wait_until 50 gone "$BG_PID" || fail "started with overlapping local ports"
grep -q 'local_ports outside of it' "$TMP/refused.log" ||
	fail "$(cat "$TMP/refused.log")"
pass "overlapping ranges of local ports are refused by name"
printf '[tcp]\nlocal_ports = 61000-65535\n' >>"$TMP/d.conf"

cat >"$TMP/nginx.conf" <<EOF2
daemon off; master_process off; pid $TMP/nginx.pid; error_log $TMP/nginx-err.log;
events {}
http { access_log off; client_body_temp_path $TMP/b; proxy_temp_path $TMP/p;
fastcgi_temp_path $TMP/f; uwsgi_temp_path $TMP/u; scgi_temp_path $TMP/s;
server { listen $IP_D:8080; location / { return 200 "kernel\n"; } } }
EOF2
in_bg nginx "$NS_D" nginx -c "$TMP/nginx.conf"
# The kernel's ssh: a real one, or where there is none one that speaks first,
# holds the line and echoes.
SSHD=
if command -v sshd >/dev/null && command -v ssh-keygen >/dev/null &&
   mkdir -p /run/sshd; then
	SSHD=$(command -v sshd)
fi
cat >"$TMP/ssh.py" <<'PY'
import socket, sys, threading
s = socket.socket(); s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
s.bind((sys.argv[1], 22)); s.listen(16)
def serve(c):
    c.sendall(b"SSH-2.0-test\r\n")
    while True:
        d = c.recv(4096)
        if not d: return
        c.sendall(d)
while True:
    threading.Thread(target=serve, args=(s.accept()[0],), daemon=True).start()
PY
if [ -n "$SSHD" ]; then
	for k in host user; do
		ssh-keygen -q -t ed25519 -N "" -f "$TMP/$k" || fail "ssh-keygen"
	done
	cat >"$TMP/sshd.conf" <<-EOF
	ListenAddress $IP_D:22
	HostKey $TMP/host
	AuthorizedKeysFile $TMP/user.pub
	PidFile none
	StrictModes no
	UsePAM no
	PermitRootLogin prohibit-password
	EOF
	in_bg sshd "$NS_D" "$SSHD" -D -e -f "$TMP/sshd.conf"
else
	in_bg sshd "$NS_D" python3 "$TMP/ssh.py" "$IP_D"
fi
listens() { [ "$(in_daemon ss -ltn | grep -c ':22 \|:8080 ')" = 2 ]; }
wait_until 50 listens || fail "no kernel servers"

# A session that is there before mtcpd, and must outlive it.
cat >"$TMP/session.py" <<'PY'
import socket, sys, time
s = socket.create_connection((sys.argv[1], 22), 5)
s.settimeout(5)
n = 0
assert s.recv(100).startswith(b"SSH-2.0")
while True:
    s.sendall(b"x" * 100)
    got = 0
    while got < 100:
        d = s.recv(100)
        assert d
        got += len(d)
    n += 1
    print(n, flush=True)
    time.sleep(0.05)
PY
if [ -n "$SSHD" ]; then
	# shellcheck disable=SC2016
	in_bg session "$NS_P" ssh -F none -i "$TMP/user" -o BatchMode=yes \
		-o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null \
		-o LogLevel=ERROR "root@$IP_D" \
		'n=0; while sleep 0.05; do n=$((n + 1)); echo $n; done'
else
	in_bg session "$NS_P" python3 "$TMP/session.py" "$IP_D"
fi
SESSION=$BG_PID
mtcpd_start d
[ "$(ctl d --json ports | json 'd[0]["addresses"]')" = "['$IP_D/24']" ] ||
	fail "the kernel's address is not followed: $(ctl d ports)"
ctl d unmanaged >/dev/null 2>&1 && fail "a shared device is no longer the kernel's"
pass "the address is the kernel's own"

! fetch / -o /dev/null || fail "somebody serves :80"
serve "$TMP/www"
pass "mtcpd serves :80"
kernel() { [ "$(in_peer curl -sf --connect-timeout 2 "http://$IP_D:8080/")" = kernel ]; }
kernel || fail "nginx does not serve :8080"
n=$(count 3000 20000)
in_peer timeout 60 ab -q -n "$n" -c 50 "http://$IP_D/" >"$TMP/ab.log" 2>&1 &
AB=$!
in_peer timeout 60 ab -q -n "$n" -c 50 "http://$IP_D:8080/" >"$TMP/ab2.log" 2>&1 ||
	fail "ab on the kernel's port: $(cat "$TMP/ab2.log")"
wait $AB || fail "ab on mtcpd's port"
for f in ab ab2; do
	grep -q '^Failed requests: *0$' "$TMP/$f.log" || fail "$f: failures"
done
pass "both serve under load, $n requests each"

# The kernel's own connections, and mtcpd's, from the same address.
in_bg sink "$NS_P" python3 -c "
import socket
s = socket.socket(); s.bind(('$IP_P', 9000)); s.listen(100)
k = []
while True:
    k.append(s.accept()); k[-1][0].sendall(b'hello')"
sinks() { in_peer ss -ltn | grep -q ':9000 '; }
wait_until 50 sinks || fail "no sink"
in_daemon python3 -c "
import socket
s = socket.create_connection(('$IP_P', 9000), 5); s.settimeout(5)
assert s.getsockname()[0] == '$IP_D'
assert s.recv(5) == b'hello'" || fail "the kernel cannot connect"
conf=$(app_conf 1000)
in_daemon timeout 20 "$(bin asker)" "$conf" connect "$IP_P" 9000 \
	from "$IP_D" 5000 connect "$IP_P" 9000 listen 8080 listen 22 listen 81 \
	>"$TMP/asked" 2>&1
[ "$(tr '\n' ' ' <"$TMP/asked")" = "attach: ok connect: ok connect: EADDRNOTAVAIL listen: EADDRINUSE listen: EADDRINUSE listen: ok " ] ||
	fail "$(cat "$TMP/asked" "$TMP/mtcpd-d.log")"
pass "both connect; what the kernel listens on is EADDRINUSE"

# A port that no listener has any more is the kernel's again.
in_bg back "$NS_D" python3 -c "
import socket
s = socket.socket(); s.bind(('$IP_D', 81)); s.listen(5)
while True: s.accept()[0].sendall(b'kernel')"
back() { in_peer timeout 1 python3 -c "
import socket
s = socket.create_connection(('$IP_D', 81), 0.5); s.settimeout(0.5)
assert s.recv(6) == b'kernel'" 2>/dev/null; }
wait_until 120 back || fail "TCP port 81 does not come back"
pass "a TCP port goes back to the kernel"

# An address more, and one less, of the kernel's.
ip -n "$NS_D" addr add 10.77.0.44/24 dev mtd
more() { in_peer curl -sf --connect-timeout 1 -o /dev/null "http://10.77.0.44/"; }
wait_until 30 more || fail "a new address of the kernel's is not followed"
ip -n "$NS_D" addr del 10.77.0.44/24 dev mtd
less() { ! ctl d ports | grep -q 10.77.0.44; }
wait_until 30 less || fail "a deleted address stays: $(ctl d ports)"
pass "addresses come and go with the kernel's"

before=$(tail -n 1 "$TMP/session.log")
sleep 0.5
alive $SESSION || fail "the session was cut: $(cat "$TMP/session.log")"
[ "$(tail -n 1 "$TMP/session.log")" -gt "$before" ] || fail "the session hangs"
kill "$MTCPD_PID_d"
wait_until 60 gone "$MTCPD_PID_d" || fail "mtcpd does not end"
before=$(tail -n 1 "$TMP/session.log")
sleep 0.5
[ "$(tail -n 1 "$TMP/session.log")" -gt "$before" ] || fail "the session hangs"
kernel || fail "nginx does not serve after mtcpd"
pass "a session from before outlives mtcpd${SSHD:+ (ssh)}"
sys_end
