#!/bin/sh
# Packages: every file that is installed is in one; full: they build, lintian
# finds no error, each holds what it should, and they unpack and go away cleanly
. "$(dirname "$0")/lib.sh"

need python3
[ -f "$BUILD/CMakeCache.txt" ] || skip "no build"
TMP=$(mktemp -d "${TMPDIR:-/tmp}/mtcpd-$NAME.XXXXXX")
NS_D=none$$ NS_P=none$$
trap cleanup EXIT

DESTDIR=$TMP/root cmake --install "$BUILD" --prefix /usr >"$TMP/install.log" 2>&1 ||
	fail "cmake --install"
python3 - "$TMP/root" "$ROOT/debian" <<'P' || fail "files without a package"
import fnmatch, pathlib, sys
root, debian = map(pathlib.Path, sys.argv[1:])
patterns = [line.split()[0] for f in debian.glob("*.install")
            for line in f.read_text().splitlines()
            if not line.startswith("driver/")]
files = [str(p.relative_to(root)) for p in root.rglob("*") if not p.is_dir()]
assert len(files) > 30
# Debian's prefix, library folder and place of units are others
def names(f):
    g = f.replace("usr/etc/", "etc/")
    return (g, g.replace("usr/lib/systemd", "lib/systemd"),
            g.replace("usr/lib/", "usr/lib/x/", 1))
bad = used = 0
for f in files:
    alike = [p for p in patterns for g in names(f)
             if fnmatch.fnmatch(g, p) or fnmatch.fnmatch(g, p + "/*")]
    if len(set(alike)) != 1:
        print(f, alike)
        bad += 1
for p in patterns:
    if not any(fnmatch.fnmatch(g, p) or fnmatch.fnmatch(g, p + "/*") for f in files for g in names(f)):
        print("matches nothing:", p)
        bad += 1
sys.exit(bad)
P
pass "every file has its package"
: >"$TMP/root/usr/share/man/man1/other.1"
DESTDIR=$TMP/root cmake -DBUILD="$BUILD" -P "$ROOT/tools/uninstall.cmake" \
	>"$TMP/uninstall.log" 2>&1 || fail "uninstall"
[ "$(find "$TMP/root" ! -type d)" = "$TMP/root/usr/share/man/man1/other.1" ] ||
	fail "uninstalled, and left: $(find "$TMP/root" ! -type d)"
[ -z "$(find "$TMP/root" -name '*mtcp*')" ] ||
	fail "folders are left: $(find "$TMP/root" -name '*mtcp*')"
pass "cmake --install, then uninstall: nothing is left, others' files stay"

full || sys_end
need lintian
. "$SYS_DIR/packages.sh"
packages_make
pass "packages build"
lintian --no-cfg "$PACKAGES"/*.changes >"$TMP/lintian.log" 2>/dev/null
grep '^[EW]:' "$TMP/lintian.log" && fail "lintian"
pass "lintian: no error, no warning"
for p in mtcpd mtcp-tools libmtcpclient0 libmtcpclient-dev mtcpd-dkms; do
	dpkg-deb -x "$PACKAGES/$p"_*.deb "$TMP/unpacked" || fail "no package $p"
done
for f in usr/sbin/mtcpd usr/bin/mtcpctl lib/systemd/system/mtcpd.service \
	 usr/share/man/man8/mtcpd.8.gz usr/share/man/man3/mtcp_read.3.gz; do
	[ -e "$TMP/unpacked/$f" ] || fail "no $f"
done
# Programs built with this library want one that has what they use.
symbols=$(dpkg-deb --ctrl-tarfile "$PACKAGES"/libmtcpclient0_*.deb |
	tar -xO ./symbols | grep -c '@MTCPCLIENT_0')
exported=$(nm -D --defined-only "$TMP"/unpacked/usr/lib/*/libmtcpclient.so.0 |
	grep -c '@@\|MTCPCLIENT_0$')
[ "$symbols" = "$exported" ] ||
	fail "debian/libmtcpclient0.symbols has $symbols of $exported symbols"
# The module's source is whole: it makes where there are headers to make it with.
for d in "$TMP"/unpacked/usr/src/ps_ixgbe-*; do
	grep -q "^PACKAGE_VERSION=\"${d##*-}\"" "$d/dkms.conf" || fail "$d"
	for h in "$ROOT"/build-driver/kernel-*/build; do
		[ ! -d "$h" ] || make -s -C "$d" KERNEL="$h" >"$TMP/dkms.log" 2>&1 ||
			fail "the module of mtcpd-dkms"
	done
done
"$TMP/unpacked/usr/sbin/mtcpd" --check-config -c "$TMP/unpacked/etc/mtcpd/mtcpd.conf" >/dev/null ||
	fail "mtcpd of the package"
pass "what is in them"
sys_end
