#!/usr/bin/env python3
"""abi.py ROOT LIBRARY - programs linked with an earlier libmtcpclient still run

Compares the library with test/abi/libmtcpclient.abi, which `abi.py ROOT LIBRARY
--accept` writes anew: after additions as they are, after anything else with a
new symbol version and soname.
"""
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

CHANGED, INCOMPATIBLE = 4, 8	# bits of abidiff's exit status


def run(*command):
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


def describe(root, library):
    """What the headers show of the library: no types of its inside."""
    done = run("abidw", "--headers-dir", str(root / "libclient/include"),
               "--drop-private-types", "--no-show-locs", "--no-corpus-path",
               "--no-comp-dir-path", library)
    if done.returncode:
        sys.exit(done.stderr)
    return done.stdout


def diff(old, new):
    with tempfile.TemporaryDirectory() as folder:
        paths = [pathlib.Path(folder) / name for name in ("old.abi", "new.abi")]
        paths[0].write_text(old)
        paths[1].write_text(new)
        return run("abidiff", *map(str, paths))


def notices(text):
    """A baseline whose mtcp_epoll_event was larger must be noticed."""
    other, count = re.subn(
        r"(class-decl name='mtcp_epoll_event' size-in-bits=')128'", r"\g<1>192'",
        text)
    if count != 1:
        return False
    return diff(other, text).returncode & CHANGED != 0


def main():
    root, library = pathlib.Path(sys.argv[1]).resolve(), sys.argv[2]
    baseline = root / "test/abi/libmtcpclient.abi"
    if not shutil.which("abidiff"):
        print("abi: skipped: no abidiff here")
        return 77
    if sys.argv[3:] == ["--accept"]:
        baseline.write_text(describe(root, library))
        return 0
    if not notices(baseline.read_text()):
        print("abi: abidiff does not notice a structure that changed")
        return 1
    done = diff(baseline.read_text(), describe(root, library))
    if done.returncode == 0:
        print("abi: as it was")
        return 0
    print(done.stdout + done.stderr)
    if done.returncode & INCOMPATIBLE:
        print("abi: programs that are linked already would break")
    else:
        print(f"abi: if these are additions: {sys.argv[0]} {root} {library} "
              "--accept")
    return 1


if __name__ == "__main__":
    sys.exit(main())
