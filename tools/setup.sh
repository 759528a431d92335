# setup.sh - packages and builds, for quickstart and check; read with `.`
#
# Knows Debian's package names (Ubuntu's are the same).  On other systems it
# says what is missing and goes on.

ROOT=$(cd "$(dirname "$0")/.." && pwd)
PATH=$PATH:/usr/sbin:/sbin

PKG_BUILD="gcc cmake ninja-build pkg-config clang llvm linux-libc-dev
	libevent-dev libnuma-dev libxdp-dev libbpf-dev libinih-dev
	libjansson-dev libcmocka-dev libseccomp-dev libncurses-dev
	libpcap-dev"
PKG_RUN="iproute2 ethtool curl wrk netbase python3 procps"
PKG_TEST="apache2-utils nginx-light tcpdump tmux prometheus tshark mandoc
	man-db abigail-tools systemd-container mmdebstrap lintian debhelper
	dh-dkms zsh"
PKG_TEST="$PKG_TEST lighttpd redis-server redis-tools memcached haproxy
	iperf3 socat postgresql openssh-server openssh-client
	openbsd-inetd apache2 ncat wrk nghttp2-client nodejs wget
	libmemcached-tools"	# programs for mtcp-run

die() { echo "$(basename "$0"): $*" >&2; exit 1; }

installed() { dpkg-query -W -f '${Status}' "$1" 2>/dev/null | grep -q ' installed$'; }

# Services of new packages must not start: this machine is somebody's.
POLICY=/usr/sbin/policy-rc.d
keep_services_down()
{
	[ -e $POLICY ] && return
	printf '#!/bin/sh\nexit 101\n' >$POLICY
	chmod +x $POLICY
	OUR_POLICY=1
}

policy_back()
{
	[ -z "${OUR_POLICY:-}" ] || rm -f $POLICY
	OUR_POLICY=
}

# install_packages PACKAGE... - those that are missing
install_packages()
{
	command -v dpkg-query >/dev/null || {
		echo "Not a Debian system: I install nothing.  Needed: $*"
		return 0
	}
	missing=
	for p in "$@"; do
		installed "$p" || missing="$missing $p"
	done
	[ -n "$missing" ] || return 0
	[ "$(id -u)" = 0 ] ||
		die "these packages are missing, and only root installs:$missing"
	echo "installing:$missing"
	keep_services_down
	# shellcheck disable=SC2086
	{ apt-get -q update && DEBIAN_FRONTEND=noninteractive apt-get -q \
		install -y --no-install-recommends $missing; } \
		>"${APT_LOG:-/dev/null}" 2>&1 || {
		policy_back
		[ -z "${APT_LOG:-}" ] || tail -n 20 "$APT_LOG"
		die "apt-get could not install:$missing"
	}
	policy_back
	for s in nginx lighttpd redis-server memcached haproxy postgresql ssh \
		openbsd-inetd apache2; do
		case "$missing" in
		*"$s"*)	;;	# its package also enables it for the next boot
		*)	continue ;;
		esac
		if [ -d /run/systemd/system ]; then
			systemctl -q disable $s || :
		elif command -v update-rc.d >/dev/null; then
			update-rc.d $s disable >/dev/null 2>&1 || :
		fi
	done
}

# descendants PID - children, their children, and so on
descendants()
{
	for child in $(ps -o pid= --ppid "$1" 2>/dev/null); do
		echo "$child"
		descendants "$child"
	done
}

# any_alive PID... - zombies do not count
any_alive()
{
	for pid; do
		case $(ps -o stat= -p "$pid" 2>/dev/null) in
		'' | Z*)	;;
		*)		return 0 ;;
		esac
	done
	return 1
}

# Ends what bounded() runs, children too; tests have half a minute to clean up.
CHILD=
stop_child()
{
	[ -n "$CHILD" ] || return 0
	tree="$(descendants "$CHILD") $CHILD"
	# shellcheck disable=SC2086
	kill $tree 2>/dev/null
	for _ in $(seq 150); do
		# shellcheck disable=SC2086
		any_alive $tree || break
		sleep 0.2
	done
	# shellcheck disable=SC2086
	kill -s KILL $tree 2>/dev/null
	wait "$CHILD" 2>/dev/null
	CHILD=
}

# bounded SECONDS COMMAND... - its status, or 124 when it had to be ended
#
# It runs beside us, so that our traps work meanwhile; they call stop_child.
# While it runs, so does WATCH, if set, five times a second.
bounded()
{
	ticks=$(($1 * 5))
	shift
	"$@" </dev/null &
	CHILD=$!
	while kill -s 0 $CHILD 2>/dev/null; do
		if [ $ticks -le 0 ]; then
			echo "had to end after its time: $*"
			stop_child
			return 124
		fi
		ticks=$((ticks - 1))
		sleep 0.2
		[ -z "${WATCH:-}" ] || $WATCH
	done
	wait $CHILD
	ended=$?
	CHILD=
	return $ended
}

# How far ninja is, in place on a terminal, else a line now and then.
BUILD_TICKS=0
show_build()
{
	BUILD_TICKS=$((BUILD_TICKS + 1))
	every=50
	[ -t 1 ] && every=5
	[ $((BUILD_TICKS % every)) = 0 ] || return 0
	at=$(tail -n 1 "$dir/build.log" | grep -oE '^\[[0-9]+/[0-9]+\]')
	[ -n "$at" ] || return 0
	if [ -t 1 ]; then printf '  %s\r' "$at"; else echo "  $at"; fi
}

ninja_log() { exec ninja -C "$dir" "$@" >>"$dir/build.log" 2>&1; }

# build PRESET [TARGET...] - into build-PRESET; 15 minutes at most
build()
{
	preset=$1
	shift
	dir=$ROOT/build-$preset
	mkdir -p "$dir"
	WATCH=show_build
	if (cd "$ROOT" && cmake --preset "$preset") >"$dir/build.log" 2>&1 &&
	   bounded 900 ninja_log "$@"; then
		WATCH=
		return 0
	fi
	WATCH=
	grep -E -A8 'error|Error|FAILED' "$dir/build.log" | head -n 40
	echo "the build of $preset failed; all of it: $dir/build.log"
	return 1
}
