#!/bin/sh
# A booted Debian system, from the packages' installation to their purge: start,
# serve, reload under load, kill -9, upgrade, stop; what systemd thinks of the
# unit's security, where engines run in it, and what the journal tells of it all.
#
#	peer's namespace <-- veth --> the system: systemd-nspawn, a root of
#	ab, curl                      mmdebstrap's that is kept in build-booted
#
# The root itself stays as it is: what a run changes is in memory.
set -u
. "$(dirname "$0")/lib.sh"
. "$SYS_DIR/packages.sh"
need ab curl systemd-nspawn nsenter mmdebstrap git

# What packages of ours depend on, so that apt has nothing to download.
WITH=systemd,systemd-sysv,dbus,iproute2,procps,netbase,libnuma1,libxdp1,libbpf1
WITH=$WITH,libevent-core-2.1-7,libevent-extra-2.1-7,libjansson4,libseccomp2
WITH=$WITH,libinih1,libpcap0.8,libncursesw6,libtinfo6,network-manager
CACHE=${MTCPD_BOOTED_CACHE:-$ROOT/build-booted}
root_there() { [ "$(cat "$CACHE/with" 2>/dev/null)" = "$WITH" ]; }
# 20 seconds with these two, five minutes without
full || { root_there && packages_there; } ||
	skip "no root and packages are built yet: MTCPD_FULL=1 does it"
sys_begin xdp
if ! root_there; then
	rm -rf "$CACHE/root"
	mkdir -p "$CACHE"
	timeout 600 mmdebstrap --variant=apt --include="$WITH" \
		bookworm "$CACHE/root" >"$TMP/root.log" 2>&1 ||
		skip "mmdebstrap makes no root: $(tail -n 1 "$TMP/root.log")"
	# it runs when a test says so
	systemctl -q --root="$CACHE/root" disable NetworkManager \
		NetworkManager-dispatcher NetworkManager-wait-online
	echo "$WITH" >"$CACHE/with"
fi
packages_make

# ---- boot ----

# A control group of its own, or systemd-nspawn would make one beside ours.
GROUP=mtcpd-booted-$$
groups_all()
{
	for g in /sys/fs/cgroup /sys/fs/cgroup/systemd /sys/fs/cgroup/unified; do
		[ ! -e $g/cgroup.procs ] || echo "$g/$GROUP"
	done
}
groups_gone()
{
	for g in $(groups_all); do
		find "$g" -depth -type d -exec rmdir {} + 2>/dev/null
	done
}
power_off()
{
	[ -z "${SYSTEM:-}" ] || kill -s RTMIN+4 "$SYSTEM" 2>/dev/null
	[ -z "${NSPAWN:-}" ] || wait_until 150 gone "$NSPAWN"
	SYSTEM=
}
at_end()
{
	status=$?
	power_off
	groups_gone
	(exit $status)
	cleanup
}
trap at_end EXIT

for g in $(groups_all); do mkdir "$g" 2>/dev/null; done
keep=--keep-unit
[ ! -d /run/systemd/system ] || keep=
# shellcheck disable=SC2016,SC2046,SC2086
sh -c 'for g in $1; do echo $$ >"$g/cgroup.procs"; done 2>/dev/null
	shift
	exec systemd-nspawn "$@"' sh "$(groups_all)" \
	-q -D "$CACHE/root" --volatile=overlay --machine="mtcpd-$$" \
	--register=no $keep --console=pipe \
	--network-namespace-path="/run/netns/$NS_D" \
	--capability=all --system-call-filter=bpf -b \
	</dev/null >"$TMP/boot.log" 2>&1 &
NSPAWN=$!
echo $NSPAWN >>"$TMP/pids"

# inside COMMAND... - as root in the system
inside()
{
	timeout 120 nsenter -t "$SYSTEM" -m -u -i -n -p -r -w \
		env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin \
		DEBIAN_FRONTEND=noninteractive SYSTEMD_COLORS=0 "$@"
}
booted()
{
	alive "$NSPAWN" || skip "systemd-nspawn does not work here: $(tail -n 1 "$TMP/boot.log")"
	SYSTEM=$(pgrep -P "$NSPAWN" | head -n 1)
	[ -n "$SYSTEM" ] &&
		inside systemctl is-system-running 2>/dev/null |
			grep -qE 'running|degraded'
}
wait_until 300 booted || fail "the system does not boot"
# what a change of it in there is, too
HERE=/proc/$SYSTEM/root
pass "booted: $(inside systemctl --version | head -n 1)"

# ---- install ----

files_of_system()
{
	(cd "$HERE" && find etc usr lib/systemd var/lib run opt root \
		! -path 'run/systemd/*' ! -path 'run/log/*' \
		! -path 'run/udev/*' ! -path 'var/lib/dpkg/*' \
		! -path 'var/lib/apt/*' ! -path '*.pyc' | sort)
}
packages_of_system()
{
	# shellcheck disable=SC2016
	inside dpkg-query -W -f '${Package} ${Status}\n' | sort
}
apt()
{
	inside apt-get -q -y "$@" >>"$TMP/apt.log" 2>&1 ||
		fail "apt-get $*"
}
mkdir "$HERE/srv/debs"
cp "$PACKAGES"/mtcpd_*.deb "$PACKAGES"/mtcp-tools_*.deb \
	"$PACKAGES"/libmtcpclient0_*.deb "$HERE/srv/debs/"
# shellcheck disable=SC2046
debs() { (cd "$HERE" && printf '/%s\n' srv/debs/*.deb); }
packages_of_system >"$TMP/packages-before"
files_of_system >"$TMP/files-before"
# shellcheck disable=SC2046
apt install $(debs)
inside id mtcpd >/dev/null || fail "no user mtcpd"
! inside systemctl -q is-active mtcpd || fail "it runs before it is configured"
inside man -w mtcpd >/dev/null 2>&1 ||
	[ ! -x "$HERE/usr/bin/man" ] || fail "no manual page"
pass "installed by apt from files, with its user, not running yet"

# ---- start, state, security, placement ----

cpu=$(awk '/^Cpus_allowed_list/ { n = split($2, a, /[-,]/); print a[n] }' \
	/proc/self/status)
cat >"$HERE/etc/mtcpd/mtcpd.conf" <<EOF
[daemon]
group = mtcpd
[engine]
# the last core of this machine
cores = $cpu
huge_pages = no
[port uplink]
driver = xdp
device = mtd
address = $IP_D/24
# few: what may be locked where LimitMEMLOCK= cannot be raised
frames = 1024
[tcp]
retries = 9
EOF
inside systemctl start mtcpd || fail "start: $(inside journalctl -u mtcpd -n 20)"
inside systemctl status mtcpd >"$TMP/status.log" || fail "status"
grep -q 'Active: active (running)' "$TMP/status.log" || fail "not running"
grep -q 'Status: "1 engine, 1 port, 0 programs, 0 connections"' \
	"$TMP/status.log" || fail "no line of state"
main_pid() { inside systemctl show -P MainPID mtcpd; }
pass "started: $(sed -n 's/ *Status: //p' "$TMP/status.log")"

inside systemd-analyze security --no-pager mtcpd >"$TMP/security.log" ||
	fail "systemd-analyze"
level=$(sed -n 's/.*exposure level.*: \([0-9.]*\).*/\1/p' "$TMP/security.log")
awk "BEGIN { exit !($level > 0 && $level <= 2.5) }" || fail "security: $level"
pass "systemd-analyze security: $level"

pid=$(main_pid)
seen() { inside cat "/proc/$pid/$1"; }
seen status | grep -q "^CapEff:	0000000000000000" || fail "capabilities"
seen status | grep -q "^NoNewPrivs:	1" || fail "new privileges"
[ "$(inside stat -c %U "/proc/$pid")" != root ] || fail "it is root"
# shellcheck disable=SC2016
pinned=$(inside sh -c 'for t in /proc/$1/task/*; do
	awk -v n="$(cat "$t/comm")" "/^Cpus_allowed_list/ { print n, \$2 }" "$t/status"
done' sh "$pid" | grep -c " $cpu\$")
[ "$pinned" -ge 1 ] || fail "no thread is pinned to core $cpu"
ctl_in() { inside mtcpctl "$@"; }
node=$(ctl_in --json engines | json 'd[0]["numa_node"]')
[ "$(ctl_in --json engines | json 'd[0]["core"]')" = "$cpu" ] ||
	fail "engines: $(ctl_in engines)"
if inside test -e "/proc/$pid/numa_maps" && [ "$node" -ge 0 ]; then
	seen numa_maps | grep 'memfd:mtcpd' | grep -qE "(bind|prefer)[^ ]*:$node " ||
		fail "no memory bound to node $node: $(seen numa_maps | grep memfd)"
fi
pass "in the unit: core $cpu, NUMA node $node, no capability"

# ---- who else would take the device ----

# Each takes it, leaves it alone while mtcpd runs, and has it again afterwards.
networkd_of() { inside networkctl --no-legend list mtd 2>/dev/null; }
nm_of() { inside nmcli -g GENERAL.STATE device show mtd 2>/dev/null; }
left_alone() { "$1" | grep -q unmanaged; }
taken() { "$1" | grep -q . && ! left_alone "$1"; }
# alone STATE NAME - of the manager that STATE tells of
alone()
{
	wait_until 150 taken "$1" || fail "$2 does not take the device: $($1)"
	inside systemctl start mtcpd || fail "start beside $2"
	wait_until 100 left_alone "$1" || fail "$2 takes the port: $($1)"
	old=$(main_pid)
	inside kill -9 "$old"
	other() { [ "$(main_pid)" != "$old" ] && [ "$(main_pid)" != 0 ]; }
	wait_until 100 other || fail "not back after kill -9 beside $2"
	left_alone "$1" || fail "$2 takes the port after kill -9: $($1)"
	in_peer curl -s --connect-timeout 5 "http://$IP_D:9/" 2>/dev/null
	[ $? = 7 ] || fail "no answer beside $2"	# refused, by mtcpd
	inside systemctl stop mtcpd || fail "stop beside $2"
	wait_until 150 taken "$1" || fail "$2 does not have it again: $($1)"
	pass "$2 leaves the port alone, and has the device again after a stop"
}
inside systemctl stop mtcpd || fail stop
printf '[Match]\nName=mt*\n[Network]\nAddress=192.0.2.1/24\n' \
	>"$HERE/etc/systemd/network/50-all.network"
inside systemctl start systemd-networkd || fail "systemd-networkd"
alone networkd_of systemd-networkd
inside systemctl stop systemd-networkd.socket systemd-networkd
rm "$HERE/etc/systemd/network/50-all.network"
inside systemctl start NetworkManager || fail "NetworkManager"
alone nm_of NetworkManager
inside systemctl stop NetworkManager
ip -n "$NS_D" addr flush dev mtd
inside systemctl start mtcpd || fail "start again"

# ---- serve, reload under load ----

inside useradd --system --groups mtcpd web
mkdir "$HERE/srv/www"
head -c 64 /dev/zero | tr '\0' x >"$HERE/srv/www/index.html"
printf 'num_cores = 1\nmax_concurrency = 2000\n' >"$HERE/srv/app.conf"
inside systemd-run -q --unit=web -p User=web -p Restart=no \
	epserver -p /srv/www -f /srv/app.conf || fail "systemd-run epserver"
serves() { fetch / -o /dev/null; }
wait_until 100 serves || fail "no page: $(inside journalctl -u web -n 20)"
pass "a page served to the peer, by a user of the group mtcpd"
# Who is not in the group gets no further than the socket.
! inside setpriv --reuid nobody --regid nogroup --clear-groups \
	timeout 10 epserver -p /srv/www -f /srv/app.conf >"$TMP/nobody.log" 2>&1 ||
	fail "a user outside the group attaches"
grep -q 'Permission denied' "$TMP/nobody.log" || fail "outside the group: no word of it"
! inside setpriv --reuid nobody --regid nogroup --clear-groups \
	mtcpctl stats >"$TMP/nobody.log" 2>&1 ||
	fail "a user outside the group looks in"
pass "a user outside the group may neither attach nor look in"

in_peer timeout 60 ab -q -t 4 -n 100000000 -c 20 "http://$IP_D/" \
	>"$TMP/ab.log" 2>&1 &
AB=$!
echo $AB >>"$TMP/pids"
for n in 11 12 13; do
	sleep 1
	sed -i "s/^retries = .*/retries = $n/" "$HERE/etc/mtcpd/mtcpd.conf"
	inside systemctl reload mtcpd || fail "reload"
done
now_set() { [ "$(ctl_in config get tcp.retries)" = 13 ]; }
wait_until 20 now_set || fail "reloaded, but tcp.retries is $(ctl_in config get tcp.retries)"
wait $AB || fail "ab"
grep -q '^Failed requests: *0$' "$TMP/ab.log" || fail "failed requests"
pass "3 reloads under load, no failed request of $(awk \
	'/^Complete/ { print $3 }' "$TMP/ab.log")"
cp "$HERE/etc/mtcpd/mtcpd.conf" "$TMP/good.conf"
sed -i 's/^retries = .*/retries = many/' "$HERE/etc/mtcpd/mtcpd.conf"
! inside systemctl reload mtcpd 2>"$TMP/reload.log" ||
	fail "systemctl reload takes a bad configuration for good"
told_bad() { inside journalctl -q -u mtcpd | grep -q 'retries.*many'; }
wait_until 50 told_bad || fail "a bad configuration is not told of"
serves || fail "a bad configuration stops it"
cat "$TMP/good.conf" >"$HERE/etc/mtcpd/mtcpd.conf"

# ---- kill -9 ----

old=$(main_pid)
inside kill -9 "$old"
back() { [ "$(main_pid)" != "$old" ] && [ "$(main_pid)" != 0 ] && serves; }
wait_until 150 back || fail "not back: $(inside systemctl status mtcpd)"
pass "kill -9: back, with its program, as process $(main_pid)"

# ---- stuck ----

# The unit's watchdog, made impatient; systemd ends mtcpd and starts it again.
mkdir -p "$HERE/run/systemd/system/mtcpd.service.d"
printf '[Service]\nWatchdogSec=2\n' \
	>"$HERE/run/systemd/system/mtcpd.service.d/test.conf"
inside systemctl daemon-reload
inside systemctl restart mtcpd || fail "restart"
wait_until 150 serves || fail "does not serve after a restart"
old=$(main_pid)
# shellcheck disable=SC2016
outside=$(for p in $(pgrep -x mtcpd); do
	[ "$(awk '/^NSpid/ { print $3 }' "/proc/$p/status")" != "$old" ] ||
		[ "$(readlink "/proc/$p/ns/pid")" != \
		  "$(readlink "/proc/$SYSTEM/ns/pid")" ] || echo "$p"
done)
mkfifo "$TMP/hold"
in_bg stuck "$NS_D" sh -c "exec python3 '$SYS_DIR/stuck.py' $outside engine \
	<'$TMP/hold'"
exec 7>"$TMP/hold"
barks()
{
	inside journalctl -q -u mtcpd >"$TMP/journal.log"
	grep -q 'Watchdog timeout' "$TMP/journal.log"
}
wait_until 100 barks || fail "stuck, and the watchdog does not bark"
exec 7>&-		# a thread with a tracer does not die before it
wait_until 150 back || fail "not started again: $(inside systemctl status mtcpd)"
rm -r "$HERE/run/systemd/system/mtcpd.service.d"
inside systemctl daemon-reload
pass "a stuck engine: the watchdog ends mtcpd, systemd starts it again"

# ---- upgrade ----

rm "$HERE"/srv/debs/*
for p in mtcpd mtcp-tools libmtcpclient0; do
	package_version "$PACKAGES/$p"_*.deb 99.0 "$HERE/srv/debs"
done
old=$(main_pid)
# shellcheck disable=SC2046
apt -o Dpkg::Options::=--force-confold install $(debs)
[ "$(inside dpkg-query -W -f '${Version}' mtcpd)" = 99.0 ] || fail "not upgraded"
[ "$(main_pid)" = "$old" ] || fail "the upgrade ended it"
serves || fail "the upgrade ended its service"
grep -q 'systemctl restart mtcpd' "$TMP/apt.log" || fail "no word of the restart"
grep -q 'retries = 13' "$HERE/etc/mtcpd/mtcpd.conf" || fail "its configuration"
inside systemctl restart mtcpd || fail restart
wait_until 150 serves || fail "the new one does not serve"
[ "$(main_pid)" != "$old" ] || fail "not restarted"
pass "upgraded: connections go on; restarted: the new one serves"

# ---- stop, remove, purge, and the story ----

inside systemctl stop web
inside systemctl stop mtcpd || fail stop
[ "$(inside systemctl show -P Result mtcpd)" = success ] || fail "stopped badly"
[ ! -e "$HERE/run/mtcpd" ] || fail "left: $(ls "$HERE/run/mtcpd")"
ip -n "$NS_D" link show dev mtd | grep -q xdp && fail "its XDP program is left"
inside systemctl start mtcpd || fail "start again"
apt remove mtcpd
! inside systemctl -q is-active mtcpd || fail "removed, and it runs on"
inside journalctl -q -o short-monotonic -u mtcpd >"$TMP/journal.log"
told()
{
	grep -qE -- "$1" "$TMP/journal.log" || fail "the journal has no '$1'"
}
told 'Starting mtcpd.service'
told 'Started mtcpd.service'
told 'Reloaded mtcpd.service'
told 'retries.*many'
told 'status=9/KILL'
told 'Scheduled restart job'
told 'Stopped mtcpd.service'
# by events: number and name (doc/journal.md)
events() { inside journalctl -q -o cat "$@" | wc -l; }
[ "$(events MTCPD_EVENT=ready)" = "$(grep -c 'is ready:' "$TMP/journal.log")" ] ||
	fail "the journal's events: $(inside journalctl -q MTCPD_EVENT=ready)"
[ "$(events MESSAGE_ID=5d0f8c1a92e64b7fa3d1c6b80e470009)" -ge 3 ] ||
	fail "no program that attaches is an event"
[ "$(events MTCPD_EVENT=reloaded -p info)" = 3 ] || fail "no reload is an event"
[ "$(events MTCPD_EVENT=engine_stuck -p warning)" -ge 1 ] ||
	fail "no stuck engine is an event"
pass "the journal holds the story: $(wc -l <"$TMP/journal.log") lines"

apt purge mtcpd mtcp-tools libmtcpclient0
rm -r "$HERE/srv/debs" "$HERE/srv/www" "$HERE/srv/app.conf"
inside userdel web
packages_of_system >"$TMP/packages-after"
files_of_system >"$TMP/files-after"
diff "$TMP/packages-before" "$TMP/packages-after" >"$TMP/packages.log" ||
	fail "packages are left"
for f in NetworkManager/conf.d/mtcpd.conf systemd/network/10-mtcpd.network; do
	[ ! -e "$HERE/run/$f" ] || fail "left: /run/$f"
done
# users stay, as of every Debian package; backups are theirs; what the managers
# of devices keep is theirs
grep -vE '^(etc/(passwd|group|shadow|gshadow|subuid|subgid)-?|var/lib/systemd/.*|(run|var/lib)/NetworkManager(/.*)?)$' \
	"$TMP/files-after" >"$TMP/after"
comm -13 "$TMP/files-before" "$TMP/after" >"$TMP/left.log"
[ ! -s "$TMP/left.log" ] || fail "files are left"
pass "removed and purged: nothing is left"
power_off
pass "powered off"
sys_end
