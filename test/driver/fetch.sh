#!/bin/bash
# fetch.sh - downloads kernels, their headers and sources, and QEMU's source,
#	into the cache
#
# The packages are unpacked, never installed, and apt works on a sources list
# and a state directory of the cache's own: the machine's stay as they are.
# Leaves in the cache:
#	kernel-6.1/, kernel-6.12/	vmlinuz, modules, headers (link `build`)
#	linux-6.1/			Debian's source of Linux 6.1 (linux-source-6.1)
#	qemu-src/			the source of the installed QEMU
# A part that is there already is not fetched again.
#
# Use: fetch.sh kernel 6.1 | kernel 6.12 | source 6.1 | qemu
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
cache=$(realpath -m "${MTCPD_DRIVER_CACHE:-$here/../../build-driver}")
apt=$cache/apt
mkdir -p "$cache"

# The machine's own Debian mirrors, with sources and backports added.
make_sources() {
	local uri suite
	uri=$( (cat /etc/apt/sources.list /etc/apt/sources.list.d/*.sources \
		2>/dev/null || true) | grep -oE 'https?://[^ ]+/debian/?( |$)' |
		head -1 | tr -d ' ')
	suite=$(. /etc/os-release && echo "$VERSION_CODENAME")
	[ -n "$uri" ] || { echo "fetch.sh: no Debian mirror in apt's sources" >&2
		exit 1; }
	mkdir -p "$apt"/{state/lists/partial,cache/archives/partial,parts}
	for t in deb deb-src; do
		echo "$t $uri $suite main"
		echo "$t $uri $suite-updates main"
		echo "$t ${uri%/}-security $suite-security main"
	done >"$apt/sources.list"
	echo "deb $uri $suite-backports main" >>"$apt/sources.list"
	touch "$apt/status"
	touch "$apt/made"
}

private() {
	"$@" -o Dir::Etc::sourcelist="$apt/sources.list" \
		-o Dir::Etc::sourceparts="$apt/parts" \
		-o Dir::State="$apt/state" -o Dir::State::status="$apt/status" \
		-o Dir::Cache="$apt/cache" -o APT::Sandbox::User=root \
		-o Acquire::Languages=none
}
apt_get() { private apt-get -qq "$@"; }

ready() {
	[ -e "$apt/made" ] && return
	make_sources
	apt_get update
}

# The newest kernel of the series $1, whatever its ABI number.
fetch_kernel() {
	local v=$1 abi image head debs dir=$cache/kernel-$1
	[ -e "$dir/done" ] && return
	ready
	head=$(private apt-cache pkgnames "linux-headers-$v" |
		grep -E "^linux-headers-${v//./\\.}[.-].*[0-9]-amd64\$|^linux-headers-${v//./\\.}[.-][^-]*deb[0-9]*(\.[0-9]+)?-amd64\$" |
		sort -V | tail -1)
	[ -n "$head" ] || { echo "fetch.sh: no kernel $v in apt" >&2; exit 1; }
	abi=${head#linux-headers-}
	image=linux-image-$abi
	rm -rf "$dir" && mkdir -p "$dir/debs" "$dir/root"
	debs="$head $image $(private apt-cache show "$head" | grep -m1 ^Depends: |
		grep -oE 'linux-(headers|kbuild|compiler)[^ ,]*' | tr '\n' ' ')"
	(cd "$dir/debs" && apt_get download $debs)
	for d in "$dir"/debs/*.deb; do dpkg-deb -x "$d" "$dir/root"; done
	rm -rf "$dir/debs"
	# the headers name their other half by absolute path
	for m in "$dir/root/usr/src/linux-headers-$abi/"{Makefile,.kernelvariables}; do
		[ -e "$m" ] && sed -i "s| /usr/src/| $dir/root/usr/src/|g;s|=/usr/|=$dir/root/usr/|g" "$m"
	done
	for l in $(find "$dir/root/usr/src" -maxdepth 2 -type l); do
		case $(readlink "$l") in
		/*) ln -sfn "$dir/root$(readlink "$l")" "$l" ;;
		esac
	done
	ln -sfn "root/usr/src/linux-headers-$abi" "$dir/build"
	cp "$dir/root/boot/vmlinuz-$abi" "$dir/vmlinuz"
	ln -sfn "$(cd "$dir" && ls -d root/lib/modules/*/kernel root/usr/lib/modules/*/kernel 2>/dev/null | head -1)" "$dir/modules"
	touch "$dir/done"
}

# Linux's own source, for checkpatch and for the kernel with debugging.
fetch_source() {
	local v=$1 dir=$cache/linux-$1
	[ -e "$dir/.done" ] && return
	ready
	rm -rf "$dir" "$cache/linux-dl" && mkdir "$cache/linux-dl"
	(cd "$cache/linux-dl" && apt_get download "linux-source-$v" &&
		dpkg-deb -x linux-source-*.deb . &&
		tar -xf usr/src/linux-source-"$v".tar.xz)
	mv "$cache/linux-dl/linux-source-$v" "$dir"
	rm -rf "$cache/linux-dl"
	touch "$dir/.done"
}

fetch_qemu() {
	local version
	version=$(dpkg-query -W -f='${source:Version}' qemu-system-x86)
	[ "$(cat "$cache/qemu-src.version" 2>/dev/null)" = "$version" ] && return
	ready
	rm -rf "$cache/qemu-src" "$cache/qemu-dl" && mkdir "$cache/qemu-dl"
	(cd "$cache/qemu-dl" && apt_get source --download-only "qemu=$version" &&
		dpkg-source --no-check -x qemu_*.dsc src >/dev/null)
	mv "$cache/qemu-dl/src" "$cache/qemu-src"
	rm -rf "$cache/qemu-dl"
	echo "$version" >"$cache/qemu-src.version"
}

case ${1:-} in
kernel) fetch_kernel "$2" ;;
source) fetch_source "$2" ;;
qemu) fetch_qemu ;;
*) echo "usage: fetch.sh kernel VERSION | source VERSION | qemu" >&2; exit 2 ;;
esac
