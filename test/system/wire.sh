# wire.sh - two daemons of one machine on the in-memory wire; read after lib.sh
#
# Environment	WIRE_SPIN_US	spin_us of both daemons' engines
# shellcheck shell=sh disable=SC2154	# lib.sh sets TMP and NS_D

# wire_conf SIDE END ENGINES ADDRESS... - one wire port between the two daemons
wire_conf()
{
	side=$1 end=$2 engines=$3
	shift 3
	{
		printf '[daemon]\nsocket = %s\nadmin = %s\npidfile = none\n' \
			"$TMP/$side.sock" "$TMP/$side.admin"
		printf '[engine]\ncount = %s\nspin_us = %s\n' "$engines" \
			"${WIRE_SPIN_US:-auto}"
		printf '[tcp]\nlocal_ports = 1024-65535\n'
		printf 'max_syn = 65536\n[limits]\nconnections = 200000\n'
		printf '[port w]\ndriver = wire\ndevice = %s:%s\n' \
			"$TMP/wire" "$end"
		printf 'address = %s/24\n' "$@"
	} >"$TMP/$side.conf"
}

wire_up() { "$(bin mtcpctl)" -s "$TMP/$1.admin" engines >/dev/null 2>&1; }
wire_start()
{
	in_bg "mtcpd-$1" "$NS_D" "$(bin mtcpd)" -f -c "$TMP/$1.conf"
	wait_until 100 wire_up "$1" || fail "mtcpd $1 does not start"
}

# wire_server - the benches' echo server of 64-byte messages on port 7000
wire_server()
{
	[ -x "$BUILD/tools/bench/bench_server_mtcp" ] ||
		fail "no bench_server_mtcp in $BUILD: build it first"
	in_bg server "$NS_D" env MTCPD_SOCKET="$TMP/d.sock" \
		"$BUILD/tools/bench/bench_server_mtcp" -p 7000 -n 200000
	wait_until 50 wire_server_ready || fail "the server does not start"
}
wire_server_ready() { grep -q ready "$TMP/server.log"; }
