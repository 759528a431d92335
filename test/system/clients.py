#!/usr/bin/env python3
"""clients.py IP PORT COUNT SECONDS - COUNT short connections over SECONDS

Each asks for / and must get an answer that begins with HTTP/1. within 20 s.
They begin evenly spaced, whatever became of the others.  The last line tells
how many were served and how long that took.  Exit status 0: all were.
"""
import asyncio
import sys
import time


async def one(ip, port, at, times, errors):
    await asyncio.sleep(at)
    begun = time.monotonic()
    try:
        reader, writer = await asyncio.wait_for(
            asyncio.open_connection(ip, port), 20)
        writer.write(b"GET / HTTP/1.0\r\n\r\n")
        answer = await asyncio.wait_for(reader.read(), 20)
        writer.close()
        if not answer.startswith(b"HTTP/1."):
            raise OSError("no answer of HTTP's")
        times.append(time.monotonic() - begun)
    except (OSError, asyncio.TimeoutError) as e:
        errors.append(repr(e))


async def main():
    ip, port = sys.argv[1], int(sys.argv[2])
    count, seconds = int(sys.argv[3]), float(sys.argv[4])
    times, errors = [], []
    await asyncio.gather(*(one(ip, port, seconds * i / count, times, errors)
                           for i in range(count)))
    times.sort()
    for e in errors[:5]:
        print(e)
    if times:
        print(f"{len(times)} of {count} served, median "
              f"{1000 * times[len(times) // 2]:.1f} ms, "
              f"slowest {1000 * times[-1]:.0f} ms")
    sys.exit(len(times) != count)


asyncio.run(main())
