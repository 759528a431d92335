#!/bin/sh
# Servers under mtcp-run whose connections live in other processes than the one
# that accepted them: a child a connection, programs that a super-server starts.
# shellcheck disable=SC1091
. "$(dirname "$0")/lib.sh"
. "$SYS_DIR/programs_lib.sh"

begin
dd if="$TMP/www/big" of="$TMP/some" bs=1000 count=300 2>/dev/null
chmod 755 "$TMP"

listens() { ctl d conns | grep -q ":$1 .*LISTEN\|LISTEN.*:$1 "; }

# A child a connection, which has no rights and no files of its own.
row_child()
{
	cat >"$TMP/fork.py" <<-EOF
	import os, signal, socket
	signal.signal(signal.SIGCHLD, signal.SIG_IGN)
	l = socket.create_server(("", 90), backlog=64)
	while True:
	    s, _ = l.accept()
	    first = s.recv(1)
	    if os.fork():
	        s.close()
	        continue
	    l.close()
	    os.chroot("$TMP/www")
	    os.setgid(65534)
	    os.setuid(65534)
	    s.sendall(first)
	    while True:
	        d = s.recv(65536)
	        if not d:
	            break
	        s.sendall(d)
	    s.close()
	    os._exit(0)
	EOF
	run child python3 "$TMP/fork.py"
	wait_until 50 at_port 90 || fail "child: no answer"
	echoes 90 "$(count 20 500)"
	end_busy child "a child a connection, chrooted and without rights" \
		python3 "$SYS_DIR/echoes.py" "$IP_D" 90 1000
}

# The parent's end, by kill -9, is not its child's.
row_orphan()
{
	cat >"$TMP/orphan.py" <<-'EOF'
	import os, signal, socket, sys
	l = socket.create_server(("", 91), backlog=64)
	s, _ = l.accept()
	if os.fork():
	    os.kill(os.getpid(), signal.SIGKILL)
	l.close()
	while True:
	    d = s.recv(65536)
	    if not d:
	        break
	    s.sendall(d)
	EOF
	run orphan python3 "$TMP/orphan.py"
	wait_until 50 listens 91 || fail "orphan: does not listen"
	echoes 91 1
	end orphan "a child goes on when its parent is killed"
}

# A parent that waits for a connection since before its child used it.
row_back()
{
	cat >"$TMP/back.py" <<-'EOF'
	import os, select, socket
	l = socket.create_server(("", 98), backlog=64)
	s, _ = l.accept()
	ep = select.epoll()
	ep.register(s.fileno(), select.EPOLLIN)
	ep.poll()
	if os.fork() == 0:
	    s.sendall(s.recv(100))
	    os._exit(0)
	os.wait()
	while True:
	    ep.poll()
	    d = s.recv(100)
	    if not d:
	        break
	    s.sendall(d)
	EOF
	run back python3 "$TMP/back.py"
	wait_until 50 listens 98 || fail "back: does not listen"
	in_peer timeout 20 python3 - "$IP_D" 98 <<-'EOF' ||
	import socket, sys, time
	s = socket.create_connection((sys.argv[1], int(sys.argv[2])), 10)
	for _ in range(3):
	    s.sendall(b"hello")
	    if s.recv(100) != b"hello":
	        sys.exit("differs")
	    time.sleep(0.2)
	EOF
		fail "back: the parent does not answer"
	end back "a parent that waited hears of what its child left"
}

row_socat()
{
	command -v socat >/dev/null || return 0
	run socat socat TCP4-LISTEN:92,fork,reuseaddr EXEC:cat
	wait_until 50 at_port 92 || fail "socat: no answer"
	echoes 92 "$(count 10 100)"
	end "socat EXEC" "a child and a program a connection"
}

PGBIN=$(ls -d /usr/lib/postgresql/*/bin 2>/dev/null | tail -n 1)
as_postgres() { setpriv --reuid postgres --regid postgres --clear-groups "$@"; }

postgres_files()
{
	mkdir "$TMP/pg"
	chown postgres: "$TMP/pg"
	as_postgres timeout 100 "$PGBIN/initdb" -D "$TMP/pg/data" -A trust -N \
		>"$TMP/initdb.log" 2>&1 || fail "initdb: $(tail -n 1 "$TMP/initdb.log")"
	echo "host all all $IP_P/32 trust" >>"$TMP/pg/data/pg_hba.conf"
	chmod 666 "$TMP/d.sock"
}

row_postgres()
{
	[ -x "$PGBIN/pgbench" ] || return 0
	postgres_files
	run postgres setpriv --reuid postgres --regid postgres --clear-groups \
		"$PGBIN/postgres" -D "$TMP/pg/data" -k "$TMP/pg" \
		-c listen_addresses='*' -c fsync=off
	wait_until 100 at_port 5432 || fail "postgres: no answer"
	in_peer timeout 60 "$PGBIN/pgbench" -h "$IP_D" -U postgres -i -q \
		postgres >"$TMP/pgbench.log" 2>&1 ||
		fail "pgbench -i gives $?: $(ctl d conns)"
	in_peer timeout 60 "$PGBIN/pgbench" -h "$IP_D" -U postgres -c 10 \
		-T "$(count 3 30)" postgres >"$TMP/pgbench.log" 2>&1 ||
		fail "pgbench gives $?: $(ctl d conns)"
	grep -q "failed transactions: 0 " "$TMP/pgbench.log" ||
		fail "pgbench: $(grep failed "$TMP/pgbench.log")"
	end_busy PostgreSQL "pgbench with 10 clients without an error" \
		"$PGBIN/pgbench" -h "$IP_D" -U postgres -c 10 -T 20 postgres
}

# vfork(), posix_spawn(), system() and popen() in turn, each runs cat.
row_spawn()
{
	cat >"$TMP/spawn.py" <<-'EOF'
	import ctypes, os, signal, socket, subprocess
	signal.signal(signal.SIGCHLD, signal.SIG_IGN)
	libc = ctypes.CDLL(None)
	libc.popen.restype = ctypes.c_void_p
	l = socket.create_server(("", 93), backlog=64)
	n = 0
	while True:
	    s, _ = l.accept()
	    fd = s.fileno()
	    shell = "cat <&%d >&%d" % (fd, fd)
	    if n % 4 == 0:
	        subprocess.Popen(["cat"], stdin=s, stdout=s)
	    elif n % 4 == 1:
	        os.posix_spawn("/bin/cat", ["cat"], os.environ, file_actions=[
	            (os.POSIX_SPAWN_DUP2, fd, 0), (os.POSIX_SPAWN_DUP2, fd, 1)])
	    else:
	        s.set_inheritable(True)
	        if n % 4 == 2:
	            libc.system((shell + " &").encode())
	        else:
	            libc.popen(shell.encode(), b"r")
	    n += 1
	    s.close()
	EOF
	run spawn python3 "$TMP/spawn.py"
	wait_until 50 at_port 93 || fail "spawn: no answer"
	echoes 93 "$(count 12 200)"
	end spawn "vfork, posix_spawn, system and popen run cat on connections"
}

# A listener and a connection go through exec() into a new image.
row_exec()
{
	cat >"$TMP/exec.py" <<-'EOF'
	import os, socket, sys
	if len(sys.argv) == 1:
	    l = socket.create_server(("", 97), backlog=64)
	    s, _ = l.accept()
	    if s.recv(5, socket.MSG_PEEK) != b"hello":
	        sys.exit("no hello")
	    for x in l, s:
	        x.set_inheritable(True)
	    os.execv(sys.executable, [sys.executable, sys.argv[0],
	                              str(l.fileno()), str(s.fileno())])
	l, s = (socket.socket(fileno=int(a)) for a in sys.argv[1:])
	print(l, s, flush=True)
	while s:
	    d = s.recv(65536)
	    if not d:
	        break
	    s.sendall(d)
	s.close()
	s, _ = l.accept()
	while True:
	    d = s.recv(65536)
	    if not d:
	        break
	    s.sendall(d)
	EOF
	run exec python3 "$TMP/exec.py"
	wait_until 50 listens 97 || fail "exec: does not listen"
	in_peer timeout 20 python3 - "$IP_D" 97 <<-'EOF' ||
	import socket, sys
	for _ in range(2):
	    s = socket.create_connection((sys.argv[1], int(sys.argv[2])), 10)
	    s.sendall(b"hello" * 1000)
	    got = b""
	    while len(got) < 5000:
	        got += s.recv(5000) or sys.exit("the end")
	    if got != b"hello" * 1000:
	        sys.exit("differs")
	    s.close()
	EOF
		fail "exec: wrong answers"
	end exec "a listener and a connection, with what is unread"
}

row_inetd()
{
	command -v inetd >/dev/null || return 0
	cat >"$TMP/inetd.conf" <<-EOF
	94 stream tcp nowait root /bin/cat cat
	95 stream tcp nowait root /bin/sh sh -c "head -c 1 | md5sum >$TMP/sum; cat $TMP/some"
	EOF
	run inetd inetd -i "$TMP/inetd.conf"
	wait_until 50 at_port 94 || fail "inetd: no answer"
	echoes 94 "$(count 10 100)"
	end inetd "programs whose standard input and output are the connection"
}

sshd_conf()
{
	mkdir -p "$TMP/ssh" /run/sshd
	ssh-keygen -q -t ed25519 -N '' -f "$TMP/ssh/host"
	ssh-keygen -q -t ed25519 -N '' -f "$TMP/ssh/user"
	cp "$TMP/ssh/user.pub" "$TMP/ssh/keys"
	cat >"$TMP/ssh/conf" <<-EOF
	Port 96
	HostKey $TMP/ssh/host
	AuthorizedKeysFile $TMP/ssh/keys
	StrictModes no
	PermitRootLogin yes
	PidFile none
	UsePAM no
	UseDNS no
	LogLevel DEBUG
	Subsystem sftp internal-sftp
	EOF
	cat >"$TMP/ssh/client" <<-EOF
	IdentityFile $TMP/ssh/user
	IdentitiesOnly yes
	StrictHostKeyChecking no
	UserKnownHostsFile /dev/null
	LogLevel ERROR
	BatchMode yes
	EOF
}

on_peer() { in_peer timeout 120 "$@" </dev/null 2>"$TMP/ssh.log"; }

# A daemon that executes itself for each connection, a child without rights
# under seccomp, and one for the user.
row_sshd()
{
	command -v sshd >/dev/null || return 0
	sshd_conf
	head -c "$(count 5000000 104857600)" /dev/urandom >"$TMP/big2"
	run sshd "$(command -v sshd)" -D -e -f "$TMP/ssh/conf"
	wait_until 50 at_port 96 || fail "sshd: no answer"
	got=$(on_peer ssh -F "$TMP/ssh/client" -p 96 "root@$IP_D" 'echo in; cat' \
		2>&1) || fail "ssh gives $?: $got"
	[ "$got" = in ] || fail "ssh says '$got'"
	on_peer scp -F "$TMP/ssh/client" -P 96 "$TMP/big2" \
		"root@$IP_D:$TMP/there" || fail "scp to it gives $?"
	on_peer scp -F "$TMP/ssh/client" -P 96 "root@$IP_D:$TMP/there" \
		"$TMP/back" || fail "scp from it gives $?"
	cmp -s "$TMP/big2" "$TMP/back" || fail "scp: the file differs"
	end_busy sshd "ssh, scp both ways identical" \
		ssh -F "$TMP/ssh/client" -p 96 "root@$IP_D" 'cat /dev/zero'
}

# under_load PORT NAME COMMAND... - ab, a connection a request, meanwhile
under_load()
{
	port=$1 name=$2
	shift 2
	ip netns exec "$PEER" timeout 200 ab -q -r -t 200 -n 10000000 -c 20 \
		"http://$IP_D:$port/" >"$TMP/ab.log" 2>&1 &
	ab=$!
	sleep 0.5
	"$@"
	kill -s INT $ab 2>/dev/null	# it prints what it has
	wait $ab
	grep -q 'Complete requests: *[1-9]' "$TMP/ab.log" ||
		fail "$name: ab: $(tail -n 1 "$TMP/ab.log")"
	failed=$(sed -n 's/^Failed requests: *//p' "$TMP/ab.log")
}

workers() { pgrep -P "$RUN_PID" | sort; }
other_workers() { [ "$(workers)" != "$1" ] && [ "$(workers | wc -l)" -ge 2 ]; }

reloads()
{
	for _ in $(seq "$(count 3 20)"); do
		before=$(workers)
		kill -s HUP "$RUN_PID"
		wait_until 100 other_workers "$before" ||
			fail "nginx: no new workers"
		sleep 0.2
	done
}

kill_worker()
{
	before=$(workers)
	kill -s KILL "$(workers | head -n 1)"
	wait_until 100 other_workers "$before" || fail "nginx: no new worker"
	sleep 0.3
}

# Workers under another user than the master, reloads and a death under load.
row_nginx()
{
	command -v nginx >/dev/null || return 0
	conf=$(nginx_conf)
	sed -i 's/^user root;/user www-data;/' "$conf"
	run nginx nginx -c "$conf"
	wait_until 50 at_port 81 || fail "nginx: no answer"
	under_load 81 nginx reloads
	[ "$failed" = 0 ] || fail "nginx: reloads: $failed requests failed"
	say "reloads: $(grep '^Complete requests' "$TMP/ab.log"), none failed"
	row_ok "nginx, workers as www-data" "reloads under load, no request fails"
	under_load 81 nginx kill_worker
	[ "$failed" -le 60 ] || fail "nginx: a death: $failed requests failed"
	at_port 81 || fail "nginx: no answer after a worker's death"
	end_busy nginx "a worker killed under load is replaced" \
		ab -q -n 1000000 -c 20 "http://$IP_D:81/"
}

# A process a connection in turn, under another user than the parent.
row_apache()
{
	command -v apache2 >/dev/null || return 0
	run apache apache2 -DFOREGROUND -f "$(apache_conf prefork 82 \
		"StartServers 4
Mutex posixsem")"
	wait_until 50 at_port 82 || fail "apache2: no answer"
	same 82 apache2
	load 82 apache2 "" "$(count 2000 20000)"
	end_busy "apache2, prefork" "a file identical, ab without a failure" \
		ab -q -n 1000000 -c 20 "http://$IP_D:82/"
}

[ $# -gt 0 ] || set -- child orphan back socat postgres spawn exec inetd sshd
rows "$@"
