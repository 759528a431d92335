# packages.sh - Debian packages of this tree, for the tests of them; read with `.`
#
# They are built from the files that git knows, as these lie there, and kept in
# build-packages until one of them changes.

packages_files()
{
	git ls-files | while IFS= read -r f; do
		[ ! -f "$f" ] || echo "$f"
	done
}

packages_place()
{
	key=$(cd "$ROOT" && packages_files | grep -v '^test/' |
		xargs sha256sum | sha256sum | cut -c1-16)
	PACKAGES=$ROOT/build-packages/$key
}

# Have they been built as the tree is now?
packages_there() { packages_place && [ -e "$PACKAGES/done" ]; }

# packages_make - PACKAGES: the folder with *.deb and *.changes
packages_make()
{
	need dpkg-buildpackage dh git
	! packages_there || return 0
	rm -rf "$ROOT/build-packages"
	mkdir -p "$PACKAGES/src"
	(cd "$ROOT" && packages_files | tar -c -T - -f -) |
		tar -x -C "$PACKAGES/src" -f -
	(cd "$PACKAGES/src" && timeout 900 nice dpkg-buildpackage -us -uc -b -d) \
		>"$TMP/build.log" 2>&1 || fail "dpkg-buildpackage"
	rm -rf "$PACKAGES/src"
	: >"$PACKAGES/done"
}

# package_version FILE VERSION FOLDER - the same package, of another version
package_version()
{
	rm -rf "$TMP/again"
	dpkg-deb -R "$1" "$TMP/again" || fail "cannot unpack $1"
	old=$(dpkg-deb -f "$1" Version)
	sed -i "s/^Version: .*/Version: $2/; s/(= $old)/(= $2)/g" \
		"$TMP/again/DEBIAN/control"
	dpkg-deb --root-owner-group -b "$TMP/again" "$3" >/dev/null ||
		fail "cannot pack $1"
}
