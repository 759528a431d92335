#!/bin/bash
# initrd.sh KERNEL - module, libps programs and initramfs for a guest
set -euo pipefail
kernel=$1
here=$(cd "$(dirname "$0")" && pwd)
cache=$(realpath -m "${MTCPD_DRIVER_CACHE:-$here/../../build-driver}")
driver=$here/../../driver
build=$cache/module-$kernel
root=$cache/root-$kernel

mkdir -p "$build"
cp -u "$driver"/ps_ixgbe/{*.c,*.h,Kbuild,Makefile} "$build"
make -s -C "$build" KERNEL="$cache/kernel-$kernel/build" \
	EXTRA_CFLAGS=-Werror >"$build/log" 2>&1 ||
	{ cat "$build/log" >&2; exit 1; }

rm -rf "$root" && mkdir -p "$root"/{bin,dev,proc,sys,lib,tmp}
cp /bin/busybox "$root/bin"
for p in "$driver"/samples/*.c "$here"/guest/*.c; do
	gcc -std=gnu17 -D_GNU_SOURCE -O2 -g -Wall -Wextra -Wshadow \
		-Wconversion -Wvla -Werror -static -pthread -I"$driver" \
		-o "$root/bin/$(basename "$p" .c)" "$p" "$driver/libps/ps.c"
done
mv "$root/bin/echo" "$root/bin/ps_echo"
cp "$build/ps_ixgbe.ko" "$root/lib"
for m in ixgbe mdio mdio_devres libphy dca xfrm_algo; do
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
export PATH=/bin PS1=
ip link set lo up
echo GUEST-SHELL
exec setsid cttyhack sh
INIT
chmod +x "$root/init"
(cd "$root" && find . | cpio -o -H newc 2>/dev/null) | gzip -1 \
	>"$cache/initrd-$kernel.new"
mv "$cache/initrd-$kernel.new" "$cache/initrd-$kernel"
