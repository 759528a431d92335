#!/bin/bash
# build.sh - builds the virtual 82599, ixgbe82599.so, into the cache
#
# A shared object for Debian's packaged qemu-system-x86_64 (LD_PRELOAD), so no
# QEMU is built; only its headers are generated.  The object fits one QEMU
# version: it is built again when the installed QEMU or the model changes.
# 20-40 s from nothing.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
cache=$(realpath -m "${MTCPD_DRIVER_CACHE:-$here/../../../build-driver}")
out=$cache/ixgbe82599.so
version=$(dpkg-query -W -f='${source:Version}' qemu-system-x86)
stamp="$version $(cat "$here"/*.[ch] | sha256sum)"
[ -e "$out" ] && [ "$(cat "$out.stamp" 2>/dev/null)" = "$stamp" ] && exit 0
"$here/../fetch.sh" qemu
src=$cache/qemu-src
build=$cache/qemu-build
if [ "$(cat "$build/version" 2>/dev/null)" != "$version" ]; then
	rm -rf "$build" && mkdir "$build"
	(cd "$build" && "$src/configure" --target-list=x86_64-softmmu \
		--without-default-features --enable-tcg --disable-docs \
		--disable-tools --audio-drv-list= --enable-fdt=system >/dev/null
	# one small object makes ninja generate every header
	ninja -j2 "$(ninja -t targets all |
		grep -oE '^libcommon.fa.p/hw_misc_edu.c.o')" >/dev/null)
	echo "$version" >"$build/version"
fi
cd "$build"
cc -shared -fPIC -O2 -g -std=gnu11 -Wall -Werror -fno-strict-aliasing \
	-fno-common -fwrapv -pthread -D_GNU_SOURCE -D_FILE_OFFSET_BITS=64 \
	-isystem "$src/linux-headers" -iquote . -iquote "$src" \
	-iquote "$src/include" -I. $(pkg-config --cflags glib-2.0 pixman-1) \
	-o "$out.new" "$here"/*.c
mv "$out.new" "$out"
echo "$stamp" >"$out.stamp"
