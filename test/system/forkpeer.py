# The peer of forker: forkpeer.py ADDRESS PORT MODE [N]
import socket
import sys
import threading
import time

addr, port, mode = sys.argv[1], int(sys.argv[2]), sys.argv[3]
n = int(sys.argv[4]) if len(sys.argv) > 4 else 1


def connect():
    s = socket.create_connection((addr, port), 10)
    s.settimeout(15)
    return s


def rest(s):
    data = b''
    while True:
        got = s.recv(65536)
        if not got:
            return data
        data += got


def expect(got, want):
    if got != want:
        sys.exit(f'got {got[:60]!r}, wanted {want[:60]!r}')


def dies():
    s = connect()
    s.sendall(b'helloworld')
    expect(rest(s), b'parent,world,child')


def turns():
    s = connect()
    words = [b'%03d' % i for i in range(2 * n)]
    s.sendall(b''.join(words))
    want = b''.join((b'c' if i % 2 else b'p') + w for i, w in enumerate(words))
    expect(rest(s), want + b'end')


def many():
    all_ = [connect() for _ in range(n)]
    time.sleep(0.5)
    for i, s in enumerate(all_):
        s.sendall(bytes([i % 251]))
    for i, s in enumerate(all_):
        expect(rest(s), bytes([i % 251]))


failed = []


def asks(count):
    for i in range(count):
        try:
            s = connect()
            word = b'word %d' % i
            s.sendall(word)
            if rest(s) != word:
                failed.append('wrong answer')
        except OSError as e:
            failed.append(str(e))


def workers():
    threads = [threading.Thread(target=asks, args=(n,)) for _ in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    print(f'{4 * n} asked, {len(failed)} failed: {failed[:5]}')
    # those that the killed worker had are lost, others are not
    sys.exit(len(failed) > int(sys.argv[5]))


def plain():
    s = connect()
    s.sendall(b'hello')
    expect(rest(s), b'hello')


{'d': dies, 't': turns, 'm': many, 'w': workers, 'p': plain}[mode]()
