#!/usr/bin/env python3
"""programs_page.py - the table of doc/programs.md out of the tests' results

    programs_page.py LOG...     what the tests printed: writes the table anew
    programs_page.py --check    is every row of the tests in the page, and
                                nothing else?

A row is what a sys_programs_*.sh test says with `end NAME WHAT`, `end_busy NAME
WHAT` or `row_ok NAME WHAT`.  One that a log has is shown as it ran; one whose test
failed says why; the others keep the word that the page has.
"""
import glob
import os
import re
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
PAGE = os.path.join(HERE, "../../doc/programs.md")
BEGIN = "<!-- rows: test/system/programs_page.py writes them -->\n"
END = "<!-- end of rows -->\n"
ROW = re.compile(r'^\s+(?:end|end_busy|row_ok)\s+(?:"([^"]*)"|(\S+))\s+"([^"]*)"',
                 re.M)


def declared():
    """(test, name, what) of every row, in the tests' order."""
    rows = []
    for path in sorted(glob.glob(os.path.join(HERE, "sys_programs_*.sh"))):
        with open(path) as f:
            text = re.sub(r"\\\n\s*", "", f.read())
        test = os.path.basename(path)[len("sys_programs_"):-len(".sh")]
        for quoted, plain, what in ROW.findall(text):
            if "$" in quoted + plain + what:
                continue    # a function's: its callers name the row
            rows.append((test, quoted or plain, what))
    return rows


def parts():
    with open(PAGE) as f:
        text = f.read()
    head, rest = text.split(BEGIN)
    table, tail = rest.split(END)
    return head, table, tail


def shown(table):
    """{(test, name, what): result}"""
    out = {}
    for line in table.splitlines()[2:]:
        cells = [c.strip() for c in line.strip("|\n").split(" | ")]
        if len(cells) == 4:
            out[(cells[2].strip(), cells[0], cells[1])] = cells[3]
    return out


def results(logs):
    """What ran well, and {test: why it failed}."""
    good, bad = set(), {}
    for path in logs:
        with open(path) as f:
            for line in f:
                m = re.match(r"sys_programs_(\w+): (ok|FAILED): (.*)", line)
                if m and m.group(2) == "ok":
                    good.add((m.group(1), m.group(3)))
                elif m:
                    bad[m.group(1)] = m.group(3)
    return good, bad


def write(logs):
    head, table, tail = parts()
    old, (good, bad) = shown(table), results(logs)
    lines = ["| program | shown | test | result |\n", "|---|---|---|---|\n"]
    for row in declared():
        test, name, what = row
        if (test, "%s: %s" % (name, what)) in good:
            word = "works"
        elif test in bad and bad[test].startswith(name.split(",")[0]):
            word = "does not: " + bad[test]
        else:
            word = old.get(row, "not run yet")
        lines.append("| %s | %s | %s | %s |\n" % (name, what, test, word))
    with open(PAGE, "w") as f:
        f.write(head + BEGIN + "".join(lines) + END + tail)


def check():
    have, want = set(shown(parts()[1])), set(declared())
    for row in sorted(want - have):
        print("doc/programs.md lacks the row %s: %s (%s)"
              % (row[1], row[2], row[0]))
    for row in sorted(have - want):
        print("doc/programs.md has a row that no test shows: %s: %s (%s)"
              % (row[1], row[2], row[0]))
    if len(want) < 20:
        print("the tests' rows are not found: %d" % len(want))
        return 1
    return have != want


if sys.argv[1:] == ["--check"]:
    sys.exit(check())
if not sys.argv[1:]:
    sys.exit(__doc__)
write(sys.argv[1:])
