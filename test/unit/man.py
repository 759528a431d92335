#!/usr/bin/env python3
"""man.py ROOT - the manual is complete, and mandoc and man find no fault

Every key of mtcpd.conf, every command of mtcpctl, every call of the library's
headers has its place in a page.  Without mandoc or man their part is skipped.
"""
import pathlib
import re
import shutil
import subprocess
import sys


def missing(root):
    def page(name):
        text = (root / "doc/man" / name).read_text()
        return re.sub(r"\\[&e]", "", text)

    conf = page("mtcpd.conf.5")
    keys = re.findall(r'^\t\{ "(\w+)", "(\w+)",',
                      (root / "daemon/control/config_keys.c").read_text(), re.M)
    if len(keys) < 40:
        yield "no keys found in config_keys.c"
    for section, key in keys:
        if not re.search(rf"^(\.It Cm )?{key}\b", conf, re.M) and \
           not re.search(rf"^ *[\w, ]*\b{key}\b", conf, re.M):
            yield f"mtcpd.conf.5: {section}.{key}"
    ctl = page("mtcpctl.1")
    commands = re.findall(r'^\t(?:TABLE\((\w+),|\{ "([\w-]+)",)',
                          (root / "tools/mtcpctl/main.c").read_text(), re.M)
    if len(commands) < 10:
        yield "no commands found in mtcpctl/main.c"
    for pair in commands:
        name = pair[0] or pair[1]
        if not re.search(rf"^\.It Cm .*\b{name}\b", ctl, re.M):
            yield f"mtcpctl.1: {name}"
    journal = (root / "doc/journal.md").read_text()
    log = (root / "daemon/base/log.h").read_text()
    numbers = re.findall(r"LOG_EV_(\w+)", log[log.index("enum log_event"):
                                              log.index("LOG_EVENTS\n")])[1:]
    if len(numbers) < 20 or "`%s`" % re.search(
            r'LOG_ID_BASE\s+"(\w+)"', log).group(1) not in journal:
        yield "journal.md: events"
    for number, name in enumerate(numbers, 1):
        if f"| {number:04x} | `{name.lower()}` |" not in journal:
            yield f"journal.md: {number:04x} {name.lower()}"
    calls = "".join(p.read_text()
                    for p in sorted((root / "doc/man").glob("*.3")))
    for header in ("mtcp_api.h", "mtcp_epoll.h", "mtcp_ext.h"):
        text = (root / "libclient/include" / header).read_text()
        for call in re.findall(r"^\w[\w \*]*?[ \*](\w+)\([^;{}]*?\);", text,
                               re.M):
            if not re.search(rf"^\.Nm {call}\b", calls, re.M) or \
               f".Fo {call}\n" not in calls:
                yield f"section 3: {call}"


def faults(root):
    for page in sorted((root / "doc/man").glob("*.[1-8]")):
        tools = (["mandoc", "-T", "lint", "-W", "warning", str(page)],
                 ["man", "--warnings", "-E", "UTF-8", "-l", "-Tutf8", "-Z",
                  str(page)])
        for command in tools:
            if not shutil.which(command[0]):
                continue
            done = subprocess.run(command, capture_output=True, text=True,
                                  timeout=60, env={"PATH": "/usr/bin:/bin",
                                                   "LC_ALL": "C.UTF-8"})
            said = done.stderr if command[0] == "man" else \
                done.stdout + done.stderr
            for line in said.splitlines():
                yield line


def main():
    root = pathlib.Path(sys.argv[1]).resolve()
    found = [f"not in the manual: {m}" for m in missing(root)]
    found += list(faults(root))
    for line in found:
        print(line)
    print(f"manual: {len(found)} faults" if found else "manual: nothing to say")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
