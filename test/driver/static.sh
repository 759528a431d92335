#!/bin/bash
# static.sh - what tools say of ps_ixgbe without running it
#
#	sparse		address spaces, byte order, locks	(Linux 6.1)
#	analyzer	gcc -fanalyzer				(Linux 6.1)
#	checkpatch	the kernel's style, of linux-source-6.1
#
# Each tool first gets a file with one mistake and must find it.  Prints one
# line a case, and counts into $MTCPD_DRIVER_TALLY.
set -u
here=$(cd "$(dirname "$0")" && pwd)
cache=$(realpath -m "${MTCPD_DRIVER_CACHE:-$here/../../build-driver}")
work=$cache/static
# A header says what file it is; ps_compat.h is for several kernels.
ignored=EMBEDDED_FILENAME,LINUX_VERSION_CODE,CONSTANT_COMPARISON
passed=0
failed=0

say() {
	if [ "$2" -eq 0 ]; then
		echo "ok    static $1"
		passed=$((passed + 1))
	else
		echo "FAIL  static $1"
		failed=$((failed + 1))
	fi
}

tree() {
	rm -rf "$1" && mkdir -p "$1"
	cp "$here"/../../driver/ps_ixgbe/{*.c,*.h,Kbuild,Makefile} "$1"
}

build() {
	local dir=$1
	shift
	make -s -C "$dir" KERNEL="$cache/kernel-6.1/build" "$@" 2>&1
}

# complaints DIR ARGUMENTS - what a build says about the module's own files
complaints() { build "$@" | grep -E '(warning|error):' | sed "s|$work/[^/]*/||"; }

# checked NAME PATTERN FILE SED ARGUMENTS - the mistake that SED makes of FILE is
#	found, and in the module as it is, none
checked() {
	local name=$1 pattern=$2 file=$3 mistake=$4 said
	shift 4
	tree "$work/$name"
	sed -i "$mistake" "$work/$name/$file"
	complaints "$work/$name" "$@" | grep -q "$pattern"
	say "$name finds a mistake" $?
	tree "$work/$name"
	said=$(complaints "$work/$name" "$@")
	[ -z "$said" ] || echo "$said"
	[ -z "$said" ] && [ -e "$work/$name/ps_ixgbe.ko" ]
	say "$name has nothing to say" $?
}

style() {
	perl "$cache/linux-6.1/scripts/checkpatch.pl" --no-tree --terse \
		--no-summary --ignore "$ignored" -f "$@" 2>&1
}

checkpatch() {
	local said
	mkdir -p "$work"
	printf '/* SPDX-License-Identifier: GPL-2.0-only */\nint f(void); \n' \
		>"$work/mistake.h"
	style "$work/mistake.h" | grep -q 'trailing whitespace'
	say "checkpatch finds a mistake" $?
	tree "$work/checkpatch"
	said=$(cd "$work/checkpatch" && style ./*.c ./*.h)
	[ -z "$said" ] || echo "$said"
	[ -z "$said" ]
	say "checkpatch has nothing to say" $?
}

"$here/fetch.sh" kernel 6.1 && "$here/fetch.sh" source 6.1 || exit 1
if command -v sparse >/dev/null; then
	checked sparse 'incorrect type' ps_ring.c \
		'$a extern __be32 ps_a; __be32 ps_a = 1;' C=2
else
	echo "skip  static sparse: not installed (test/driver/setup.sh)"
fi
checked analyzer Wanalyzer ps_hw.c 's/word = 0, len/word, len/' \
	EXTRA_CFLAGS=-fanalyzer
checkpatch
rm -rf "$work"
echo "$passed $failed" >>"${MTCPD_DRIVER_TALLY:-/dev/null}"
[ $failed -eq 0 ]
