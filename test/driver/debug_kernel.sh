#!/bin/bash
# debug_kernel.sh - builds the guest's kernel with debugging into the cache
#
# Linux 6.1 of Debian's linux-source package with debug.config: KASAN, lockdep,
# DMA-API debugging, UBSAN, kmemleak.  Leaves kernel-debug/ beside the packaged
# kernels, in their shape.  About ten minutes on two cores, once.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
cache=$(realpath -m "${MTCPD_DRIVER_CACHE:-$here/../../build-driver}")
dir=$cache/kernel-debug
stamp=$(sha256sum <"$here/debug.config")
[ "$(cat "$dir/done" 2>/dev/null)" = "$stamp" ] && exit 0
"$here/fetch.sh" source 6.1
out=$dir/build
mkdir -p "$out" "$dir/modules"
rm -f "$dir/done"
run() { nice -n 19 make -s -C "$cache/linux-6.1" O="$out" "$@"; }
run tinyconfig >/dev/null
(cd "$cache/linux-6.1" && ./scripts/kconfig/merge_config.sh -m -O "$out" \
	"$out/.config" "$here/debug.config" >/dev/null)
run olddefconfig
# what the kernel does not take would be tested by nobody
missing=$(grep -E '^CONFIG.*=(y|m)$' "$here/debug.config" |
	grep -vxFf "$out/.config" || true)
[ -z "$missing" ] || { echo "debug.config: not taken: $missing" >&2; exit 1; }
run -j"${JOBS:-2}" bzImage modules
cp "$out/arch/x86/boot/bzImage" "$dir/vmlinuz"
find "$out" -name '*.ko' -exec cp {} "$dir/modules/" \;
echo "$stamp" >"$dir/done"
