#!/bin/sh
# Wrong configurations and surroundings: each a clear message and an exit
# status, never a crash, never half a start.
set -u
. "$(dirname "$0")/lib.sh"
sys_begin xdp
good() { mtcpd_conf d </dev/null; }

# refused WORD... - --check-config ends with an error that has these words
refused()
{
	"$(bin mtcpd)" --check-config -c "$TMP/d.conf" >"$TMP/check.log" 2>&1
	status=$?
	[ $status -ne 0 ] || fail "accepted: $(cat "$TMP/d.conf")"
	[ $status -lt 126 ] || fail "crashed: $status"
	for word in "$@"; do
		grep -qF -- "$word" "$TMP/check.log" ||
			fail "no '$word' in: $(cat "$TMP/check.log")"
	done
	pass "refused: $(head -n 1 "$TMP/check.log")"
}

good
"$(bin mtcpd)" --check-config -c "$TMP/d.conf" >"$TMP/check.log" 2>&1 ||
	fail "a good configuration is refused: $(cat "$TMP/check.log")"
pass "a good configuration"
good; echo 'nonsense = 1' >>"$TMP/d.conf"; refused d.conf nonsense
good; sed -i 's/^count.*/count = 99/' "$TMP/d.conf"; refused d.conf:7 count
good; sed -i 's/^count.*/count = many/' "$TMP/d.conf"; refused count
good; sed -i 's/^driver.*/driver = pigeon/' "$TMP/d.conf"; refused driver xdp
good; sed -i 's/^address.*/address = 10.77.0.300\/24/' "$TMP/d.conf"
refused address
good; sed -i 's/^address.*/address = 10.77.0.2\/33/' "$TMP/d.conf"
refused address
good; sed -i 's/^huge_pages.*/huge_pages = perhaps/' "$TMP/d.conf"
refused huge_pages
good; echo '[nowhere]' >>"$TMP/d.conf"; refused nowhere
good; printf '[route]\ndefault = 1.2.3\n' >>"$TMP/d.conf"; refused 1.2.3
good; printf '[neighbour]\n10.77.0.5 = 02:00\n' >>"$TMP/d.conf"
refused 10.77.0.5
printf '[daemon]\n' >"$TMP/d.conf"; refused port
: >"$TMP/d.conf"; refused port
head -c 4000 /dev/urandom >"$TMP/d.conf"; refused d.conf
rm "$TMP/d.conf"; refused d.conf

# ends WORD... - mtcpd itself gives up within 10 s, with these words
ends()
{
	: >"$TMP/end.log"
	in_bg end "$NS_D" "$(bin mtcpd)" -f -c "$TMP/d.conf"
	wait_until 100 gone "$BG_PID" || fail "mtcpd runs: $(cat "$TMP/d.conf")"
	wait "$BG_PID"
	status=$?
	[ $status -ne 0 ] || fail "status 0"
	[ $status -lt 126 ] || fail "crashed: $status: $(cat "$TMP/end.log")"
	for word in "$@"; do
		grep -qi -- "$word" "$TMP/end.log" ||
			fail "no '$word' in: $(cat "$TMP/end.log")"
	done
	pass "ends: $(tail -n 1 "$TMP/end.log")"
}

good; sed -i 's/^device.*/device = nosuch0/' "$TMP/d.conf"; ends nosuch0
if [ "$(awk '/^HugePages_Free/ { print $2 }' /proc/meminfo)" = 0 ]; then
	good; sed -i 's/^huge_pages.*/huge_pages = yes/' "$TMP/d.conf"
	ends huge nr_hugepages
fi
good; sed -i "s|^socket.*|socket = $TMP/no/such/folder/s|" "$TMP/d.conf"
ends folder
good
if command -v setpriv >/dev/null; then
	chmod 755 "$TMP"
	: >"$TMP/end.log"
	in_bg end "$NS_D" setpriv --reuid 65534 --regid 65534 --clear-groups \
		"$(bin mtcpd)" -f -c "$TMP/d.conf"
	wait_until 100 gone "$BG_PID" || fail "mtcpd runs without privileges"
	grep -qiE 'permission|permitted|privilege|root|capab|denied' \
		"$TMP/end.log" || fail "no clear word: $(cat "$TMP/end.log")"
	pass "no privileges: $(tail -n 1 "$TMP/end.log")"
fi

# Two daemons: the second must go, and leave the first alone.
good
mtcpd_start d
cp "$TMP/d.conf" "$TMP/first.conf"
first=$MTCPD_PID_d
ends "$TMP"
alive "$first" || fail "the first mtcpd died"
ctl d stats >/dev/null || fail "the first mtcpd lost its socket"
pass "a second mtcpd on the same sockets is refused"
sed -i "s|$TMP/d\.|$TMP/e.|" "$TMP/d.conf"
ends mtd
ctl d stats >/dev/null || fail "the first mtcpd was disturbed"
pass "a second mtcpd on the same device is refused"

# A client of another layout, and one that talks nonsense.
python3 - "$TMP/d.sock" <<'EOF' >"$TMP/hello.log" 2>&1 || fail "$(cat "$TMP/hello.log")"
import os, socket, struct, sys
def talk(data):
    s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    s.settimeout(10)
    s.connect(sys.argv[1])
    try:
        s.send(data)
        return s.recv(4096)
    except (ConnectionResetError, BrokenPipeError):
        return b""
hello = struct.pack("=IIIIIIQ32s", 1, 1, 0x12345678, 999, os.getpid(), 0, 0, b"old")
print(talk(hello.ljust(128, b"\0"))[:16])
for n in (1, 4, 127, 128, 129, 4000):
    talk(os.urandom(n))
EOF
alive "$first" || fail "mtcpd died of a bad client"
[ "$(clients d)" = 0 ] || fail "bad clients are listed"
pass "bad clients are let go"

# And what is right: the samples that we ship, as they are.
{
	printf '[daemon]\narp_conf = %s\n' "$ROOT/etc/samples/arp.conf"
	printf 'route_conf = %s\n' "$ROOT/etc/samples/route.conf"
	printf '[port veth0]\ndriver = xdp\naddress = 10.77.0.9/24\n'
} >"$TMP/samples.conf"
out=$("$(bin mtcpd)" --check-config -c "$TMP/samples.conf" 2>&1) ||
	fail "arp.conf or route.conf of the samples: $out"
out=$("$(bin mtcpd)" --check-config -c "$ROOT/etc/mtcpd.conf" 2>&1) ||
	fail "etc/mtcpd.conf: $out"
app server "$(bin epserver)" -p "$ROOT/etc" -f "$ROOT/etc/samples/epserver.conf"
server=$BG_PID
serving() { grep -q 'files, port 80' "$TMP/server.log"; }
wait_until 50 serving || fail "epserver.conf of the samples: $(cat "$TMP/server.log")"
in_daemon timeout 20 "$(bin epwget)" "$IP_P/nothing" 1 \
	-f "$ROOT/etc/samples/epwget.conf" >"$TMP/epwget.log" 2>&1
grep -qi 'connect: ' "$TMP/epwget.log" ||
	fail "epwget.conf of the samples: $(cat "$TMP/epwget.log")"
alive "$server" || fail "epserver ended by itself"
pass "the samples that we ship are accepted"
sys_end
