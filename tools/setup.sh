# setup.sh - packages and builds, for quickstart and check; read with `.`
#
# Knows Debian's package names (Ubuntu's are the same).  On other systems it
# says what is missing and goes on.

ROOT=$(cd "$(dirname "$0")/.." && pwd)
PATH=$PATH:/usr/sbin:/sbin

PKG_BUILD="gcc cmake ninja-build pkg-config clang llvm linux-libc-dev
	libevent-dev libnuma-dev libxdp-dev libbpf-dev libinih-dev
	libjansson-dev libcmocka-dev"
PKG_RUN="iproute2 ethtool curl wrk python3"
PKG_TEST="apache2-utils nginx-light tcpdump"

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
	case "$missing" in
	*nginx*)	# its package also enables it for the next boot
		if [ -d /run/systemd/system ]; then
			systemctl -q disable nginx || :
		elif command -v update-rc.d >/dev/null; then
			update-rc.d nginx disable >/dev/null 2>&1 || :
		fi ;;
	esac
}

# build PRESET [TARGET...] - into build-PRESET, quiet unless it fails
build()
{
	preset=$1
	shift
	dir=$ROOT/build-$preset
	mkdir -p "$dir"
	(cd "$ROOT" && cmake --preset "$preset") >"$dir/build.log" 2>&1 &&
		cmake --build "$dir" ${1:+--target "$@"} \
			>>"$dir/build.log" 2>&1 && return 0
	grep -E -A8 'error|Error|FAILED' "$dir/build.log" | head -n 40
	echo "the build of $preset failed; all of it: $dir/build.log"
	return 1
}
