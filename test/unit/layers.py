#!/usr/bin/env python3
"""layers.py ROOT - who includes whom, against the table of the design.

Every #include "..." in a layer's files must name a header of its own layer or
of one that the table allows it; system headers are everybody's.
"""
import pathlib
import re
import sys

# layer -> what it may include beside itself: a layer, or one header
MAY = {
    "daemon/base": [],
    "shm": [],
    # wire joins two daemons by the rings and wakes that shm/ has, and every
    # port may be asked for the flow hash
    "daemon/io": ["daemon/base", "driver/libps", "shm/ring.h", "shm/wake.h",
                  "shm/rss.h"],
    "daemon/net": ["daemon/base", "daemon/io/frame.h"],
    "daemon/mem": ["daemon/base", "shm"],
    "daemon/tcp": ["daemon/base", "daemon/mem", "daemon/net",
                   "daemon/io/frame.h", "shm"],
    "daemon/engine": ["daemon/base", "daemon/mem", "daemon/io", "daemon/net",
                      "daemon/tcp", "shm"],
    "daemon/control": ["daemon/base", "shm", "daemon/io/port.h",
                       "daemon/engine/engine.h", "daemon/engine/mailbox.h"],
    "libclient": ["shm"],
    "tools": ["shm", "libclient/include", "libclient/util"],
    # benches measure the layers one by one
    "tools/bench": ["shm", "libclient/include", "libclient/util", "daemon"],
    "driver": [],
}
# Includes are looked up from the file's folder, the root and daemon/, and for
# programs on mTCP's interface in the folders of its headers.
LOOKUP = ["", "daemon", "libclient/include", "libclient/util"]
INCLUDE = re.compile(r'^\s*#\s*include\s+"([^"]+)"', re.M)


def layer_of(path):
    """The longest layer name that is a prefix of a path, or None."""
    hits = [layer for layer in MAY if path.startswith(layer + "/")]
    return max(hits, key=len, default=None)


def resolve(root, file, name):
    for base in [file.parent] + [root / d for d in LOOKUP]:
        if (base / name).is_file():
            return (base / name).resolve().relative_to(root).as_posix()
    return None


def allowed(layer, target):
    if target.startswith(layer + "/"):
        return True
    return any(target == m or target.startswith(m + "/") for m in MAY[layer])


def main():
    root = pathlib.Path(sys.argv[1]).resolve()
    bad, seen = [], 0
    for file in sorted(root.glob("**/*.[ch]")):
        path = file.relative_to(root).as_posix()
        layer = layer_of(path)
        if layer is None or path.startswith("build"):
            continue
        for name in INCLUDE.findall(file.read_text()):
            target = resolve(root, file, name)
            if target is None:	# made by the build, like a skeleton
                continue
            seen += 1
            if not allowed(layer, target):
                bad.append(f"{path}: {layer} may not include {target}")
    print("\n".join(bad) or f"{seen} includes keep to the layers")
    return 1 if bad or not seen else 0


sys.exit(main())
