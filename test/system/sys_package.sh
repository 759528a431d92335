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
            for line in f.read_text().splitlines()]
files = [str(p.relative_to(root)) for p in root.rglob("*") if not p.is_dir()]
assert len(files) > 30
# Debian's prefix, library folder and place of units are others
def name(f):
    return f.replace("usr/etc/", "etc/").replace("usr/lib/systemd", "lib/systemd")
bad = used = 0
for f in files:
    alike = [p for p in patterns for g in (name(f), name(f).replace("usr/lib/", "usr/lib/x/", 1))
             if fnmatch.fnmatch(g, p) or fnmatch.fnmatch(g, p + "/*")]
    if len(set(alike)) != 1:
        print(f, alike)
        bad += 1
for p in patterns:
    if not any(fnmatch.fnmatch(g, p) or fnmatch.fnmatch(g, p + "/*") for f in files
               for g in (name(f), name(f).replace("usr/lib/", "usr/lib/x/", 1))):
        print("matches nothing:", p)
        bad += 1
sys.exit(bad)
P
pass "every file has its package"

full || sys_end
need lintian
. "$SYS_DIR/packages.sh"
packages_make
pass "packages build"
lintian --no-cfg "$PACKAGES"/*.changes >"$TMP/lintian.log" 2>/dev/null
grep '^[EW]:' "$TMP/lintian.log" && fail "lintian"
pass "lintian: no error, no warning"
for p in mtcpd mtcp-tools libmtcpclient0 libmtcpclient-dev; do
	dpkg-deb -x "$PACKAGES/$p"_*.deb "$TMP/unpacked" || fail "no package $p"
done
for f in usr/sbin/mtcpd usr/bin/mtcpctl lib/systemd/system/mtcpd.service \
	 usr/share/man/man8/mtcpd.8.gz usr/share/man/man3/mtcp_read.3.gz; do
	[ -e "$TMP/unpacked/$f" ] || fail "no $f"
done
"$TMP/unpacked/usr/sbin/mtcpd" --check-config -c "$TMP/unpacked/etc/mtcpd/mtcpd.conf" >/dev/null ||
	fail "mtcpd of the package"
pass "what is in them"
sys_end
