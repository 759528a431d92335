#!/bin/sh
# Servers under mtcp-run whose connections live in other processes than the one
# that accepted them: a child a connection, programs that a super-server starts.
# shellcheck disable=SC1091
. "$(dirname "$0")/lib.sh"
. "$SYS_DIR/programs_lib.sh"

begin
dd if="$TMP/www/big" of="$TMP/some" bs=1000 count=300 2>/dev/null
chmod 755 "$TMP"

# echoes PORT CONNECTIONS - random data comes back, halves are closed in turn
echoes()
{
	in_peer timeout 60 python3 "$SYS_DIR/echoes.py" "$IP_D" "$1" "$2" \
		2>"$TMP/echoes.log" || fail "echo: $(tail -n 1 "$TMP/echoes.log")"
}

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
	end child "a child a connection, chrooted and without rights"
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
	as_postgres "$PGBIN/initdb" -D "$TMP/pg/data" -A trust -N \
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
	in_peer "$PGBIN/pgbench" -h "$IP_D" -U postgres -i -q postgres \
		>"$TMP/pgbench.log" 2>&1 || fail "pgbench -i gives $?"
	in_peer timeout 60 "$PGBIN/pgbench" -h "$IP_D" -U postgres -c 10 \
		-T "$(count 3 30)" postgres >"$TMP/pgbench.log" 2>&1 ||
		fail "pgbench gives $?"
	grep -q "failed transactions: 0 " "$TMP/pgbench.log" ||
		fail "pgbench: $(grep failed "$TMP/pgbench.log")"
	end PostgreSQL "pgbench with 10 clients without an error"
}

[ $# -gt 0 ] || set -- child orphan socat postgres
rows "$@"
