#!/usr/bin/env python3
"""stuck.py PID NAME - stops one thread of a process, as a debugger does

The thread is the first whose name has NAME in it; it stands still until our
standard input closes, or until its process is gone.  Prints "stopped" and,
if it can be let go again, "goes on".
"""
import ctypes
import os
import sys

PTRACE_SEIZE, PTRACE_INTERRUPT, PTRACE_DETACH = 0x4206, 0x4207, 17
WALL = 0x40000000	# __WALL: threads too

libc = ctypes.CDLL(None, use_errno=True)


def ptrace(what, tid):
    if libc.ptrace(ctypes.c_long(what), ctypes.c_long(tid), None, None) < 0:
        sys.exit(f"ptrace {what:#x}: {os.strerror(ctypes.get_errno())}")


def thread(pid, name):
    for tid in sorted(map(int, os.listdir(f"/proc/{pid}/task"))):
        with open(f"/proc/{pid}/task/{tid}/comm", encoding="ascii") as f:
            if name in f.read():
                return tid
    sys.exit(f"no thread {name} in process {pid}")


def main():
    tid = thread(sys.argv[1], sys.argv[2])
    ptrace(PTRACE_SEIZE, tid)
    ptrace(PTRACE_INTERRUPT, tid)
    os.waitpid(tid, WALL)
    print("stopped", flush=True)
    sys.stdin.read()
    ptrace(PTRACE_DETACH, tid)
    print("goes on", flush=True)


main()
