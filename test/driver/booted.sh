#!/bin/bash
# booted.sh - what booted.py boots: a disk with Debian, and our packages
#
# The disk is a minimal Debian of mmdebstrap's with systemd, Linux and its
# headers, DKMS, curl, and what our packages depend on, so that they install
# without a network.  Its console is a shell.  mtcpd-dkms is installed on it as
# an image's maker does, where a compiler is not emulated: in the guest that
# takes minutes.  The other packages wait for the guest.  Leaves in the cache:
#	booted-root		the root, made again when this file changes
#	kernel-booted/vmlinuz, initrd-booted, booted.ext4
#	booted-debs.tar		the packages of the tree as it is now
# Two minutes from nothing and as long for the packages, which are those of
# the system tests (build-packages/).
#
# Exit status	77: cannot be made here, the last line says why
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
cache=$(realpath -m "${MTCPD_DRIVER_CACHE:-$here/../../build-driver}")
root=$cache/booted-root
with=linux-image-amd64,linux-headers-amd64,dkms,kmod,udev,systemd,systemd-sysv
with=$with,dbus,iproute2,procps,netbase,ethtool,curl,libnuma1,libxdp1,libbpf1
with=$with,libevent-core-2.1-7,libevent-extra-2.1-7,libjansson4,libseccomp2
with=$with,libinih1,libpcap0.8,libncursesw6,libtinfo6

cannot() { echo "$*"; exit 77; }
say() { echo "booted.sh: $*"; }

# Files that no test here looks at: two thirds of the whole.
exclude=()
for p in /usr/share/{doc,man,locale,info}/\* \
	/lib/modules/\*/kernel/{sound,drivers/{gpu,media,infiniband,staging,iio,isdn}}/\* \
	/lib/modules/\*/kernel/drivers/net/{wireless,can,usb,hamradio}/\*; do
	exclude+=(--dpkgopt="path-exclude=$p")
done

# Debian's own initial ramdisk, of the few modules that this machine wants.
small_ramdisk() {
	mkdir -p "$1/etc/initramfs-tools/conf.d" \
		"$1/usr/share/initramfs-tools/modules.d"
	echo MODULES=list >"$1/etc/initramfs-tools/conf.d/few"
	printf '%s\n' virtio_pci virtio_blk crc32c_generic ext4 \
		>"$1/usr/share/initramfs-tools/modules.d/few"
}

set_up() {
	local unit=$1/etc/systemd/system
	echo guest >"$1/etc/hostname"
	echo '127.0.0.1 localhost guest' >"$1/etc/hosts"
	echo '/dev/vda / ext4 defaults 0 0' >"$1/etc/fstab"
	: >"$1/etc/apt/sources.list"
	mkdir -p "$1/var/log/journal"
	cat >"$unit/console.service" <<-'END'
	[Unit]
	Description=the test's shell
	After=basic.target
	[Service]
	ExecStart=/bin/sh -c 'stty -F /dev/ttyS0 -echo -onlcr; cd /root; echo GUEST-SHELL; exec sh /dev/ttyS0'
	Environment=DEBIAN_FRONTEND=noninteractive SYSTEMD_PAGER= SYSTEMD_COLORS=0 HOME=/root
	IgnoreSIGPIPE=no
	StandardInput=null
	StandardOutput=tty
	StandardError=tty
	TTYPath=/dev/ttyS0
	[Install]
	WantedBy=multi-user.target
	END
	chroot "$1" systemctl -q enable console.service
	chroot "$1" systemctl -q set-default multi-user.target
	chroot "$1" systemctl -q mask getty@tty1.service \
		serial-getty@ttyS0.service apt-daily.timer \
		apt-daily-upgrade.timer e2scrub_all.timer fstrim.timer \
		dpkg-db-backup.timer e2scrub_reap.service
	rm -rf "$1"/var/cache/apt/*.bin "$1"/var/lib/apt/lists/*
}

make_root() {
	local stamp
	stamp=$(sha256sum <"$0")
	[ "$(cat "$cache/booted-root.stamp" 2>/dev/null)" != "$stamp" ] ||
		return 0
	command -v mmdebstrap >/dev/null || cannot "mmdebstrap is not installed"
	rm -rf "$root" "$cache/booted-root.stamp" "$cache/booted.stamp"
	mkdir -p "$cache/kernel-booted" "$cache/booted-pre"
	small_ramdisk "$cache/booted-pre"
	say "a root with Linux, its headers and DKMS"
	timeout 900 mmdebstrap --variant=apt --include="$with" \
		"${exclude[@]}" \
		--essential-hook="cp -r '$cache/booted-pre/.' \"\$1\"" \
		bookworm "$root" >"$cache/booted-root.log" 2>&1 ||
		cannot "mmdebstrap makes no root:" \
			"$(tail -n 1 "$cache/booted-root.log")"
	rm -rf "$cache/booted-pre"
	set_up "$root"
	cp "$root"/boot/vmlinuz-* "$cache/kernel-booted/vmlinuz"
	cp "$root"/boot/initrd.img-* "$cache/initrd-booted"
	echo "$stamp" >"$cache/booted-root.stamp"
}

# The packages of the system tests; their functions speak in ours.
make_packages() {
	local ROOT
	ROOT=$(cd "$here/../.." && pwd)
	need() {
		for p; do
			command -v "$p" >/dev/null || cannot "no $p"
		done
	}
	fail() {
		tail -n 20 "$TMP/build.log"
		say "failed: $*"
		exit 1
	}
	. "$here/../system/packages.sh"
	say "packages of the tree"
	packages_make
	(cd "$PACKAGES" && tar -cf "$cache/booted-debs.tar" mtcpd_*.deb \
		mtcp-tools_*.deb libmtcpclient0_*.deb)
}

# In a mount namespace: what is installed lies over the root, which stays.
with_module() {
	local m=$1/m kernel
	mkdir -p "$m" "$1/over"
	mount -t tmpfs tmpfs "$1/over"
	mkdir "$1/over/up" "$1/over/work"
	mount -t overlay overlay \
		-o "lowerdir=$root,upperdir=$1/over/up,workdir=$1/over/work" "$m"
	mount -t proc proc "$m/proc"
	cp "$PACKAGES"/mtcpd-dkms_*.deb "$m/tmp/"
	printf '#!/bin/sh\nexit 101\n' >"$m/usr/sbin/policy-rc.d"
	chmod +x "$m/usr/sbin/policy-rc.d"
	DEBIAN_FRONTEND=noninteractive chroot "$m" \
		sh -c 'apt-get -q -y install /tmp/mtcpd-dkms_*.deb'
	kernel=$(ls "$root/lib/modules")
	chroot "$m" dkms autoinstall -k "$kernel"
	chroot "$m" modinfo -k "$kernel" ps_ixgbe
	rm "$m/usr/sbin/policy-rc.d" "$m"/tmp/*
	umount "$m/proc"
	rm -f "$cache/booted.ext4"
	mkfs.ext4 -q -m 0 -O ^has_journal -d "$m" "$cache/booted.ext4" 2500m
}

make_disk() {
	local stamp log=$cache/booted-disk.log
	stamp=$(cat "$cache/booted-root.stamp" "$here"/../../driver/ps_ixgbe/* \
		"$here"/../../debian/mtcpd-dkms.* | sha256sum)
	[ "$(cat "$cache/booted.stamp" 2>/dev/null)" != "$stamp" ] || return 0
	say "the disk, with the module built for its kernel"
	export -f with_module
	export root cache PACKAGES
	unshare -m --propagation private \
		bash -euc 'with_module "$1"' bash "$TMP" >"$log" 2>&1 || {
		tail -n 20 "$log"
		say "failed: no disk with mtcpd-dkms"
		exit 1
	}
	echo "$stamp" >"$cache/booted.stamp"
}

[ "$(id -u)" = 0 ] || cannot "only root makes a Debian root"
TMP=$(mktemp -d)
trap 'rm -rf "$TMP"' EXIT
make_root
make_packages
make_disk
