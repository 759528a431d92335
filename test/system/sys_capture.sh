#!/bin/sh
# mtcpctl capture: readable by tshark and tcpdump, sums right, both directions,
# filters, seen = written + dropped under load, one at a time, none left on
. "$(dirname "$0")/lib.sh"

sys_begin "${1:-xdp}"
need curl tcpdump tshark
mtcpd_start d 2
www
head -c 3000000 /dev/urandom >"$TMP/www/big"
serve "$TMP/www"

# in_capture FILE ARGUMENTS... - in the background, until it has begun
in_capture()
{
	file=$1
	shift
	: >"$TMP/cap.log"
	in_bg cap "$NS_D" "$(bin mtcpctl)" -s "$TMP/d.admin" capture -w "$file" "$@"
	CAP_PID=$BG_PID
	wait_until 50 test -s "$file" || fail "the capture does not begin"
}
end_capture()
{
	kill -s INT "$CAP_PID"
	wait_until 100 gone "$CAP_PID" || fail "the capture does not end"
	grep -q 'frames seen' "$TMP/cap.log" || fail "no totals"
	SEEN=$(sed -n 's/^\([0-9]*\) frames seen, .*/\1/p' "$TMP/cap.log")
	WRITTEN=$(sed -n 's/.* seen, \([0-9]*\) written.*/\1/p' "$TMP/cap.log")
	DROPPED=$(sed -n 's/.* written, \([0-9]*\) dropped.*/\1/p' "$TMP/cap.log")
	[ "$SEEN" = $((WRITTEN + DROPPED)) ] || fail "seen $SEEN, written $WRITTEN, dropped $DROPPED"
}

in_capture "$TMP/a.pcapng" tcp port 80
fetch / -o /dev/null || fail fetch
fetch /big -o /dev/null || fail fetch
sleep 0.2
end_capture
[ "$DROPPED" = 0 ] || fail "$DROPPED dropped of $SEEN"
frames=$(tshark -r "$TMP/a.pcapng" 2>"$TMP/tshark.log" | wc -l)
[ "$frames" = "$WRITTEN" ] || fail "tshark reads $frames of $WRITTEN"
bad=$(tshark -r "$TMP/a.pcapng" -o tcp.check_checksum:TRUE -o ip.check_checksum:TRUE \
	-Y 'tcp.checksum.status == 0 || ip.checksum.status == 0 || _ws.malformed' 2>/dev/null | wc -l)
[ "$bad" = 0 ] || fail "$bad frames with wrong sums"
[ "$(tshark -r "$TMP/a.pcapng" -Y "ip.src == $IP_D && frame.packet_flags_direction == 2" 2>/dev/null | wc -l)" -gt 10 ] || fail "nothing sent"
[ "$(tshark -r "$TMP/a.pcapng" -Y "ip.dst == $IP_D && frame.packet_flags_direction == 1" 2>/dev/null | wc -l)" -gt 10 ] || fail "nothing received"
[ "$(tshark -r "$TMP/a.pcapng" -Y 'tcp.flags.syn == 1 && tcp.flags.ack == 0' 2>/dev/null | wc -l)" = 2 ] || fail "two SYNs"
bytes=$(tshark -r "$TMP/a.pcapng" -q -z "follow,tcp,raw,1" 2>/dev/null | tr -d '\n' | wc -c)
[ "$bytes" -gt 6000000 ] || fail "the stream is not whole: $bytes hexadecimal digits"
pass "$WRITTEN frames, both ways, sums right, the stream whole"

# A pipe, a filter, a count, short frames.
(sleep 1; for i in 1 2 3; do fetch / -o /dev/null; done) &
n=$(timeout 20 "$(bin mtcpctl)" -s "$TMP/d.admin" capture -c 3 -s 60 -w - \
	'tcp[tcpflags] & tcp-syn != 0' 2>"$TMP/cap.log" | tcpdump -nr - 2>/dev/null | wc -l)
wait $!
[ "$n" = 3 ] || fail "tcpdump reads $n of 3"
pass "to a pipe"

# Under load: short, and what the rings cannot hold is counted.  What is seen is
# what the port counts, to the frame.
port_frames()
{
	ctl d --json ports | json 'd[0]["rx_frames"] + d[0]["tx_frames"]'
}
quiet() { was=$(port_frames); sleep 0.5; [ "$(port_frames)" = "$was" ]; }
wait_until 20 quiet || fail "frames without a program"
in_capture "$TMP/load.pcapng"
wait_until 20 quiet || fail "frames without a program"
before=$(port_frames)
in_bg load "$NS_P" sh -c "for i in \$(seq 500); do curl -sf -o /dev/null http://$IP_D/big; done"
LOAD=$BG_PID
sleep "$(count 2 10)"
kill -s STOP "$CAP_PID"; sleep 1; kill -s CONT "$CAP_PID"
kill "$LOAD"
wait_until 100 quiet || fail "the load does not end"
after=$(port_frames)
end_capture
[ "$SEEN" = $((after - before)) ] ||
	fail "$SEEN seen of $((after - before)) frames of the port"
[ "$WRITTEN" -gt 1000 ] || fail "$WRITTEN frames under load"
[ "$DROPPED" -gt 0 ] || fail "nothing dropped while mtcpctl stood still"
frames=$(tcpdump -nr "$TMP/load.pcapng" 2>/dev/null | wc -l)
[ "$frames" = "$WRITTEN" ] || fail "tcpdump reads $frames of $WRITTEN"
bad=$(tshark -r "$TMP/load.pcapng" -c "$(count 10000 200000)" \
	-o tcp.check_checksum:TRUE -o ip.check_checksum:TRUE \
	-Y 'tcp.checksum.status == 0 || ip.checksum.status == 0 || _ws.malformed' 2>/dev/null | wc -l)
[ "$bad" = 0 ] || fail "$bad frames with wrong sums under load"
pass "under load: $SEEN seen = $WRITTEN written + $DROPPED dropped"

# One at a time; it ends with mtcpctl, however that ends.
in_capture "$TMP/one.pcapng" port 1
ctl d capture -w "$TMP/two.pcapng" port 2 2>"$TMP/err" && fail "two at a time"
grep -q 'one at a time' "$TMP/err" || fail "what it says of a second one"
kill -s KILL "$CAP_PID"
again() { ctl d capture -w "$TMP/two.pcapng" -t 1 port 2 2>"$TMP/err"; }
wait_until 50 again || fail "a killed capture stays on"
ctl d capture -w "$TMP/two.pcapng" nonsense filter 2>"$TMP/err"
[ $? = 2 ] || fail "exit status of a bad filter"
pass "one at a time, ends with its owner"

python3 - "$TMP/d.admin" <<'P' || fail "hostile requests"
import json, random, socket, sys
random.seed(5)
def ask(*requests):
    s = socket.socket(socket.AF_UNIX)
    s.settimeout(10)
    s.connect(sys.argv[1])
    f = s.makefile("rb")
    out = []
    for r in requests:
        s.sendall(json.dumps(r).encode() + b"\n")
        out.append(json.loads(f.readline()))
    s.close()
    return out
ret = "0006000000010000"
for f in ["", "x", "0006", ret[:-1], "0005000000000005" + ret, "0234000000000000" + ret,
          ret * 4097, None, 7, "0002000000000010" + ret]:
    assert "error" in ask({"cmd": "capture", "filter": f})[0], f
assert "error" in ask({"cmd": "capture-end"})[0]
for i in range(30):	# begun and left at once
    a = ask({"cmd": "capture", "filter": ret, "snaplen": random.choice([-1, 0, 1, 99, 1 << 40])})
    assert "data" in a[0] or "one at a time" in a[0]["error"], a
for i in range(300):
    ask({"cmd": "capture", "filter": "".join(random.choice("0123456789abcdef") for _ in range(16 * random.randrange(6))) + ret})
# A ring whose head is nonsense is a full ring.
import array, mmap, struct, time
s = socket.socket(socket.AF_UNIX); s.settimeout(10); s.connect(sys.argv[1])
for i in range(100):
    s.sendall(json.dumps({"cmd": "capture", "filter": ret}).encode() + b"\n")
    data, anc, flags, addr = s.recvmsg(4096, socket.CMSG_SPACE(4))
    if anc: break
    time.sleep(0.1)
m = mmap.mmap(struct.unpack("i", anc[0][2])[0], 0)
for i in range(200):
    m[64:72] = struct.pack("Q", random.getrandbits(64))
    m[0:8] = struct.pack("Q", random.getrandbits(64))
    time.sleep(0.005)
P
fetch / -o /dev/null || fail "mtcpd after hostile requests"
pass "hostile requests"
sys_end
