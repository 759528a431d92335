#!/bin/bash
# initrd.sh KERNEL [BUILD] - module, libps programs and initramfs for a guest;
#	with mtcpd's build folder, a second one that has mtcpd too
set -euo pipefail
kernel=$1
here=$(cd "$(dirname "$0")" && pwd)
cache=$(realpath -m "${MTCPD_DRIVER_CACHE:-$here/../../build-driver}")
driver=$here/../../driver
build=$cache/module-$kernel
root=$cache/root-$kernel

mkdir -p "$build"
for f in "$driver"/ps_ixgbe/{*.c,*.h,Kbuild,Makefile}; do
	[ "${f%.mod.c}" = "$f" ] || continue	# built in place
	cmp -s "$f" "$build/${f##*/}" || cp "$f" "$build"
done
make -s -C "$build" KERNEL="$cache/kernel-$kernel/build" \
	EXTRA_CFLAGS=-Werror >"$build/log" 2>&1 ||
	{ cat "$build/log" >&2; exit 1; }

rm -rf "$root" && mkdir -p "$root"/{bin,dev,etc,proc,run,sys,lib,tmp}
cp /bin/busybox "$here/../../tools/psio-setup" "$root/bin"
for p in "$driver"/samples/*.c "$here"/guest/*.c; do
	gcc -std=gnu17 -D_GNU_SOURCE -O2 -g -Wall -Wextra -Wshadow \
		-Wconversion -Wvla -Werror -static -pthread -I"$driver" \
		-o "$root/bin/$(basename "$p" .c)" "$p" "$driver/libps/ps.c"
done
mv "$root/bin/echo" "$root/bin/ps_echo"
# one that speaks another version of the contract
other=$root/tmp/driver
mkdir -p "$other/ps_ixgbe"
cp -r "$driver/libps" "$driver/samples" "$other"
cp "$driver"/ps_ixgbe/*.h "$other/ps_ixgbe"
sed -i 's/\(PS_UAPI_VERSION\)\t1$/\1\t99/' "$other/ps_ixgbe/ps_uapi.h"
gcc -std=gnu17 -D_GNU_SOURCE -O2 -static -o "$root/bin/ps_echo99" \
	"$other/samples/echo.c" "$other/libps/ps.c"
rm -r "$other"
cp "$build/ps_ixgbe.ko" "$root/lib"
# ethtool with its libraries, where it is installed
for x in $(command -v ethtool) $(ldd "$(command -v ethtool)" 2>/dev/null |
	grep -o '/[^ ]*'); do
	mkdir -p "$root$(dirname "$x")"
	cp -Lu "$x" "$root$x"
done
for m in ixgbe mdio mdio_devres libphy dca xfrm_algo llc stp garp mrp 8021q; do
	find "$cache/kernel-$kernel/modules/" -name "$m.ko*" \
		-exec cp {} "$root/lib" \;
done
for x in "$root"/lib/*.ko.xz; do [ -e "$x" ] && xz -d "$x"; done
cat >"$root/init" <<'INIT'
#!/bin/busybox sh
/bin/busybox --install -s /bin
mount -t proc p /proc
mount -t sysfs s /sys
mount -t devtmpfs d /dev
stty -echo
export PATH=/bin:/sbin:/usr/sbin PS1=
ip link set lo up
echo GUEST-SHELL
# not an interactive shell: that one ends when a child does while it reads
exec setsid cttyhack sh /dev/ttyS0
INIT
chmod +x "$root/init"
pack() {
	(cd "$root" && find . | cpio -o -H newc 2>/dev/null) | gzip -1 \
		>"$cache/$1.new"
	mv "$cache/$1.new" "$cache/$1"
}
pack "initrd-$kernel"

# With mtcpd and its programs, where a build of it is named.
[ -n "${2:-}" ] || exit 0
build=$2
for p in "$build"/daemon/mtcpd "$build"/tools/mtcpctl /usr/bin/curl \
	"$build"/libclient/examples/ep{server,wget}; do
	cp "$p" "$root/bin"
	ldd "$p" | grep -o '/[^ ]*' | while read -r l; do
		mkdir -p "$root$(dirname "$l")"
		cp -Lu "$l" "$root$l"
	done
done
pack "initrd-$kernel-mtcpd"
