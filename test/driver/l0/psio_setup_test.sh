#!/bin/bash
# psio_setup_test.sh - psio-setup against a made-up /sys, /proc and modprobe
#
# One line a case.  What needs a real module is of L2.
set -uo pipefail
tool=$(cd "$(dirname "$0")/../../../tools" && pwd)/psio-setup
base=$(mktemp -d "${TMPDIR:-/tmp}/psio-setup.XXXXXX")
trap 'rm -rf "$base"' EXIT
root=$base/root bin=$base/bin
export PSIO_ROOT=$root PATH=$bin:$PATH
failed=0

device() {
	mkdir -p "$root/sys/bus/pci/devices/$1"
	echo "$2" >"$root/sys/bus/pci/devices/$1/vendor"
	echo "$3" >"$root/sys/bus/pci/devices/$1/device"
	: >"$root/sys/bus/pci/devices/$1/driver_override"
}

stub() { printf '#!/bin/sh\n%s\n' "$2" >"$bin/$1"; chmod +x "$bin/$1"; }

fresh() {
	rm -rf "$root" "$bin"
	mkdir -p "$bin" "$root"/{etc/mtcpd,run,proc/sys/vm,proc/irq} \
		"$root"/sys/{module,devices/system/cpu,class/net} \
		"$root"/sys/bus/pci/{devices,drivers/ixgbe}
	echo 0-3 >"$root/sys/devices/system/cpu/online"
	: >"$root/sys/devices/system/cpu/isolated"
	echo 0 >"$root/proc/sys/vm/nr_hugepages"
	: >"$root/sys/bus/pci/drivers_probe"
	: >"$root/sys/bus/pci/drivers/ixgbe/unbind"
	device 0000:01:00.0 0x8086 0x10fb
	device 0000:01:00.1 0x8086 0x10fb
	device 0000:02:00.0 0x8086 0x100e
	ln -s ../../drivers/ixgbe "$root/sys/bus/pci/devices/0000:01:00.0/driver"
	mkdir -p "$root/sys/bus/pci/devices/0000:01:00.0/net/eth1"
	stub ip 'exit 0'
	stub dmesg 'echo "ps_ixgbe 0000:01:00.0: needs two MSI-X vectors or more: -28"'
	stub modprobe 'exit 0'
}

# check NAME STATUS TEXT ARGUMENT...
check() {
	local name=$1 want=$2 text=$3 out code
	shift 3
	out=$("$tool" "$@" 2>&1)
	code=$?
	if [ $code = "$want" ] && grep -qE -- "$text" <<<"$out"; then
		echo "ok    L0 psio-setup $name"
	else
		echo "FAIL  L0 psio-setup $name: status $code: $out"
		failed=1
	fi
}

fresh
check "no arguments" 2 '^usage:'
check "not a number" 2 'are numbers' four
check "too many queues" 2 'is 1 to 15' 16
check "no queue" 2 'is 1 to 15' 0
check "TXQ counts" 0 'queues=6' -n 4 6
check "option without its value" 2 'wants a value' 4 --device
check "bad cores" 2 'numbers, as' -c a-b 4
check "address without prefix" 2 'wants its prefix' -a 10.0.0.1 4
check "wrong device" 1 'is no 82599: its PCI id is 0x8086:0x100e' -n -d 0000:02:00.0 4
check "absent device" 1 "no device '0000:09:00.0'" -n -d 0000:09:00.0 4
check "short address of a device" 0 "0000:01:00.1' >/sys/bus/pci/drivers_probe" -n -d 01:00.1 4
check "dry run unbinds" 0 "0000:01:00.0' >/sys/bus/pci/devices/0000:01:00.0/driver/unbind|drivers/ixgbe/unbind" -n 4
check "nothing to undo" 0 'nothing to undo' --undo
check "status" 0 '0000:01:00.0 driver ixgbe interface eth1' --status
check "dry run and its address" 0 'ip address replace 10.0.0.1/24 dev xgeN' -n -a 10.0.0.1/24 4
check "dry run and huge pages" 0 "'64' >/proc/sys/vm/nr_hugepages" -n -p 64 4
check "cores of the machine" 0 'to cores 0 1 2 3' -n 4
echo ' cores = 5,8-9 # those' >"$root/etc/mtcpd/mtcpd.conf"
check "cores of mtcpd.conf" 0 'to cores 5 8 9' -n 4
[ -z "$(ls -A "$root/run")" ] || { echo "FAIL  L0 psio-setup: a dry run wrote"; failed=1; }

fresh
stub ip 'echo "2: eth1 inet 10.0.0.9/24 scope global eth1"'
check "interface in use" 1 'eth1 .* is in use' -n 4
check "forced" 0 'queues=4' -n -f 4

fresh
stub modprobe "echo \"modprobe: ERROR: could not insert 'ps_ixgbe': Key was rejected by service\" >&2; exit 1"
check "Secure Boot" 1 'mokutil --import' 4
stub modprobe 'echo "modprobe: FATAL: Module ps_ixgbe not found in directory /lib/modules/6.1" >&2; exit 1'
check "module absent" 1 'dkms status' 4
stub modprobe "echo \"could not insert 'ps_ixgbe': Operation not permitted\" >&2; exit 1"
check "modules disabled" 1 'loads no modules here' 4
mkdir -p "$root/sys/kernel/security"
echo 'none [integrity] confidentiality' >"$root/sys/kernel/security/lockdown"
check "lockdown" 1 'Secure Boot is on' 4
stub modprobe "echo \"could not insert 'ps_ixgbe': Exec format error\" >&2; exit 1"
check "another kernel's module" 1 'built for another kernel' 4

# The made-up bus binds nothing: the kernel refused, all must be as before.
fresh
check "device refused" 1 'kernel: .*needs two MSI-X vectors' 4
check "and undone" 0 'nothing to undo' --undo
[ ! -e "$root/run/psio-setup" ] || { echo "FAIL  L0 psio-setup: state left"; failed=1; }

fresh
rm -r "$root"/sys/bus/pci/devices/0000:01*
check "no 82599" 1 'there is no Intel 82599' -n 4
exit $failed
