#!/bin/bash
# setup.sh - installs what test/driver needs from Debian (as root)
set -euo pipefail
packages=(qemu-system-x86 busybox-static meson ninja-build dpkg-dev pkg-config
	libglib2.0-dev libpixman-1-dev libfdt-dev kmod cpio pahole python3 gcc make dkms ethtool
	sparse perl flex bison bc libelf-dev libssl-dev mmdebstrap e2fsprogs dh-dkms)
missing=()
for p in "${packages[@]}"; do
	[ "$(dpkg-query -W -f='${db:Status-Status}' "$p" 2>/dev/null)" = installed ] ||
		missing+=("$p")
done
[ ${#missing[@]} -eq 0 ] && exit 0
apt-get -qq update
DEBIAN_FRONTEND=noninteractive apt-get install -y -qq \
	--no-install-recommends "${missing[@]}"
