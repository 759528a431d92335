#!/usr/bin/env python3
"""style.py ROOT CC - what can be said of style by a program.

  * every header compiles alone (but the model's, which is QEMU's)
  * no function over 100 lines, no file over 800
  * snd_* and rcv_* sequence numbers are compared by seq_lt() and its like
  * no path of a developer's machine
"""
import concurrent.futures
import os
import pathlib
import re
import subprocess
import sys

FUNCTION_LINES, FILE_LINES = 100, 800
# What test/driver downloads and builds is not ours.
FOREIGN = "test/driver/build-driver"
NOT_ALONE = "test/driver/model"
SOURCES = ["shm", "daemon", "libclient", "tools", "test"]
# Sequence numbers, not windows (snd_wnd), shifts or counts; the difference of
# two of them is a count.
NUMBERS = (r"\b(?:snd_(?:una|nxt|up|wl1|wl2|max)|rcv_(?:nxt|up|adv)|iss|irs|"
           r"seg(?:\.|->)(?:seq|ack))\b")
MEMBER = r"(?:\w+(?:->|\.))*"
COMPARED = re.compile(rf"(?<!- )(?<![\w>.]){MEMBER}{NUMBERS}\s*[<>](?![<>])|"
                      rf"(?<![<>-])[<>]=?\s*{MEMBER}{NUMBERS}(?! -)")
COMMENT = re.compile(r"/\*.*?\*/|//[^\n]*", re.S)
STRING = re.compile(r'"(?:\\.|[^"\\\n])*"')
MACHINE = re.compile(r"(?<![\w})])/(?:work|home|root)/|/tmp/build")
FLAGS = ["-std=gnu17", "-D_GNU_SOURCE", "-fsyntax-only", "-Wall", "-Wextra",
         "-Werror", "-x", "c"]


def files(root, pattern):
    return [f for d in SOURCES for f in sorted((root / d).rglob(pattern))
            if "__pycache__" not in f.parts and
            not f.is_relative_to(root / FOREIGN)]


def blank(match):
    return re.sub(r"[^\n]", " ", match.group())


def code_of(text):
    """Without comments and strings, lines kept."""
    return STRING.sub(blank, COMMENT.sub(blank, text))


def long_functions(path, code):
    """A body runs from a `{` in column 1 to the next `}` in column 1."""
    start = None
    for n, line in enumerate(code.split("\n"), 1):
        if line.startswith("{"):
            start = n
        elif line.startswith("}") and start:
            if n - start - 1 > FUNCTION_LINES:
                yield f"{path}:{start}: function of {n - start - 1} lines"
            start = None


def in_source(root):
    for f in files(root, "*.[ch]"):
        path, text = f.relative_to(root).as_posix(), f.read_text()
        lines = text.count("\n")
        if lines > FILE_LINES:
            yield f"{path}: {lines} lines"
        code = code_of(text)
        yield from long_functions(path, code)
        for n, line in enumerate(code.split("\n"), 1):
            if COMPARED.search(line):
                yield f"{path}:{n}: sequence numbers compared: {line.strip()}"


def machine_paths(root):
    shipped = [f for f in root.rglob("*") if f.is_file() and
               not set(f.relative_to(root).parts) & {".git", "__pycache__"} and
               not f.relative_to(root).parts[0].startswith("build") and
               not f.is_relative_to(root / FOREIGN)]
    for f in shipped:
        if f.name == "style.py":
            continue
        try:
            text = f.read_text()
        except UnicodeDecodeError:
            continue
        for n, line in enumerate(text.split("\n"), 1):
            if MACHINE.search(line):
                yield f"{f.relative_to(root)}:{n}: a machine's path: {line.strip()}"


def compiles(job):
    root, cc, header, flags = job
    # the header itself may be guarded only once: include it twice
    text = f'#include "{header}"\n#include "{header}"\nextern int nothing;\n'
    dirs = ["", "daemon", "libclient/include", "libclient/util",
            "test/wire"]
    r = subprocess.run([cc, *FLAGS, *flags, *(f"-I{root / d}" for d in dirs),
                        "-"], input=text, text=True, capture_output=True)
    if r.returncode:
        return f"{header.relative_to(root)} does not compile alone:\n" \
               f"{r.stderr[:600]}"
    return None


def headers_alone(root, cc):
    # pkg-config's folders, where there are any
    libs = ["libevent", "libbpf", "libxdp", "jansson", "cmocka"]
    flags = subprocess.run(["pkg-config", "--cflags", *libs], text=True,
                           capture_output=True).stdout.split()
    jobs = [(root, cc, h, flags) for h in files(root, "*.h")
            if not h.is_relative_to(root / NOT_ALONE)]
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        yield from (r for r in pool.map(compiles, jobs) if r)


def main():
    root = pathlib.Path(sys.argv[1]).resolve()
    cc = sys.argv[2] if len(sys.argv) > 2 else "cc"
    bad = [*in_source(root), *machine_paths(root), *headers_alone(root, cc)]
    print("\n".join(bad) or "style: nothing to say")
    return 1 if bad else 0


sys.exit(main())
