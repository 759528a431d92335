#!/bin/sh
# mtcpctl: filters, JSON, exit status, colours, completion, hostile requests
. "$(dirname "$0")/lib.sh"

sys_begin xdp
need curl bash
mtcpd_start d
www
serve "$TMP/www"

# Ten idle connections from the peer.
in_bg hold "$NS_P" python3 -c 'import socket, time
c = [socket.create_connection(("'$IP_D'", 80)) for _ in range(10)]
time.sleep(60)'
ten() { [ "$(ctl d --json conns state established sport 80 | json 'len(d)')" = 10 ]; }
wait_until 100 ten || fail "ten connections are not seen"
pass "a filter finds the ten connections"

n() { ctl d --json conns "$@" | json 'len(d)'; }
[ "$(n 'state established and ( dst 10.77.0.0/24 and not dport 80 )')" = 10 ] ||
	fail "an expression as one word"
[ "$(n client epserver state established)" = 10 ] || fail "client by name"
[ "$(n state listening)" = 1 ] || fail "listeners"
[ "$(n state established src :81)" = 0 ] || fail "what does not match"
id=$(ctl d --json conns state established | json 'd[3]["id"]')
[ "$(n id "$id")" = 1 ] || fail "a connection by its id"
pass "filters"

status() { want=$1; shift; ctl "$@" >"$TMP/out" 2>"$TMP/err"; got=$?
	[ $got = "$want" ] || fail "mtcpctl $*: exit status $got, not $want"; }
status 0 d conns
status 3 d conns sport 81 state established
status 2 d conns state nonsense
grep -q nonsense "$TMP/err" || fail "the error does not name the word"
status 2 d nonsense
status 2 d stats more
status 2 d
timeout 10 "$(bin mtcpctl)" -s "$TMP/none" stats 2>/dev/null
[ $? = 1 ] || fail "no daemon: exit status 1"
pass "exit status"

ctl d conns -i state established | grep -q 'id:.*cubic.*mss:1448' ||
	fail "conns -i has no internals"
ctl d --color always conns | grep -q "$(printf '\033\[1m')" ||
	fail "--color always has no colours"
if ctl d conns | grep -q "$(printf '\033')"; then
	fail "colours where there is no terminal"
fi
pass "internals and colours"

# Whatever is printed is documented.
for cmd in conns clients listeners ports engines stats arp routes policy \
	   'config show' 'config get tcp.retries' 'config set tcp.retries 14' \
	   'config diff' reload 'arp add 10.77.0.97 02:00:00:00:00:97' \
	   'arp delete 10.77.0.97'; do
	# shellcheck disable=SC2086
	ctl d --json $cmd || fail "--json $cmd"
done | python3 -c 'import json, re, sys
known = set()
for part in re.findall(r"`([^`]+)`", open(sys.argv[1]).read()):
    known.add(part)
free = {"tcp", "tcp_drops", "net", "net_drops", "control", "detach_reasons"}
missing = set()
def walk(x):
    if isinstance(x, list):
        [walk(y) for y in x]
    elif isinstance(x, dict):
        for k, v in x.items():
            if k not in known: missing.add(k)
            if k not in free: walk(v)
lines = sys.stdin.readlines()
assert len(lines) == 16, len(lines)
for line in lines:
    walk(json.loads(line))
sys.exit("not in doc/mtcpctl-json.md: %s" % missing if missing else 0)' \
	"$ROOT/doc/mtcpctl-json.md" || fail "a name is not documented"
pass "the schema is documented"

# Every command is completed, by both shells' scripts.
"$(bin mtcpctl)" -h | awk '/^  [a-z]/ { print $1 }' >"$TMP/commands"
[ -s "$TMP/commands" ] || fail "mtcpctl -h names no commands"
bash -c '. "$1"; COMP_WORDS=(mtcpctl ""); COMP_CWORD=1; _mtcpctl
	printf "%s\n" "${COMPREPLY[@]}"' _ "$ROOT/etc/completion/mtcpctl.bash" |
	sort >"$TMP/bash"
sort "$TMP/commands" | comm -23 - "$TMP/bash" >"$TMP/missing"
[ -s "$TMP/missing" ] && fail "bash does not complete: $(cat "$TMP/missing")"
while read -r c; do
	grep -q "'$c:" "$ROOT/etc/completion/_mtcpctl" ||
		fail "zsh does not complete $c"
done <"$TMP/commands"
bash -c '. "$1"; COMP_WORDS=(mtcpctl conns state est); COMP_CWORD=3; _mtcpctl
	[ "${COMPREPLY[*]}" = established ]' _ \
	"$ROOT/etc/completion/mtcpctl.bash" || fail "bash: states"
if command -v zsh >/dev/null; then
	# zsh itself, on a terminal of its own: what Tab makes of a word
	cat >"$TMP/complete.zsh" <<'Z'
zmodload zsh/zpty
zpty z zsh -f -i
wait_for() {
	local all= part
	repeat 100; do
		sleep 0.05
		while zpty -r -t z part; do all+=$part; done
		[[ $all == *$1* ]] && return 0
	done
	print -r -- "no '$1' in: $all"
	return 1
}
zpty -w z "PS1= RPS1=; unsetopt zle_bracketed_paste 2>/dev/null
fpath=($1 \$fpath); autoload -Uz compinit; compinit -u -D
bindkey '^I' complete-word; unsetopt list_beep; echo re''ady"
wait_for ready || exit 1
while read -r typed want; do
	zpty -n -w z "mtcpctl ${typed//+/ }"$'\t'
	wait_for "$want" || exit 1
	zpty -n -w z $'\025'
done <<W
unman unmanaged
conns+state+est established
config+imp import
pol policy
W
zpty -d z
Z
	timeout 60 zsh -f "$TMP/complete.zsh" "$ROOT/etc/completion" \
		>"$TMP/zsh.log" 2>&1 || fail "zsh: $(cat "$TMP/zsh.log")"
fi
pass "completion"

# Garbage on the admin socket: an error or a hang-up, and nobody else notices.
python3 - "$TMP/d.admin" <<'P' || fail "hostile requests"
import json, os, random, socket, sys
random.seed(1)
def ask(data):
    s = socket.socket(socket.AF_UNIX)
    s.settimeout(5)
    s.connect(sys.argv[1])
    try:
        s.sendall(data)
        s.shutdown(socket.SHUT_WR)
        return s.recv(65536)
    except ConnectionError:
        return b""
    finally:
        s.close()
for data in [b"\n", b"{}\n", b"[]\n", b'"x"\n', b'{"cmd":1}\n',
             b'{"cmd":"x"}\n', b"[" * 4000 + b"\n"]:
    assert b"error" in ask(data), data
for i in range(200):
    ask(os.urandom(random.randrange(6000)) + b"\n")
P
ctl d stats >/dev/null || fail "mtcpd after garbage"
pass "hostile requests"
# Files for who would take the device, too.
ctl d unmanaged nm >"$TMP/nm.conf" || fail "unmanaged nm"
[ "$(cat "$TMP/nm.conf")" = "[keyfile]
unmanaged-devices+=interface-name:mtd" ] || fail "$(cat "$TMP/nm.conf")"
ctl d unmanaged networkd >"$TMP/mtcpd.network" || fail "unmanaged networkd"
python3 - "$TMP/mtcpd.network" <<'PY' || fail "$(cat "$TMP/mtcpd.network")"
import configparser, sys
c = configparser.ConfigParser()
c.read(sys.argv[1])
assert c["Match"]["Name"] == "mtd" and c["Link"]["Unmanaged"] == "yes"
PY
ctl d unmanaged | grep -q '^# /etc/NetworkManager' || fail "unmanaged"
! ctl d unmanaged me 2>/dev/null || fail "unmanaged me"
pass "files for NetworkManager and networkd"
sys_end
