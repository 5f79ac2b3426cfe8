# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=sh disable=SC2034
#
# The one place that runs QEMU; sourced after common.sh, apt.sh and kernel.sh:
#
#	vm_prepare	what a VM needs on this machine
#	vm_pack MODE	makes an initramfs with the modules that runs guest/MODE
#	vm_run NAME S	boots it, for S seconds at most; what the guest prints is
#			shown and goes to $RUN/NAME-guest.log, the kernel's console
#			to $RUN/NAME-kernel.log
#	vm_verdict	whether the guest got to its end and the kernel had no trouble
#	vm_shell	boots it with this terminal as the guest's
#
# Emulated (TCG) unless ACCEL=kvm: a /dev/kvm that opens may still never boot a
# guest. A script may set VM_CPUS, VM_CLOCK and VM_APPEND (to the kernel's command
# line) and VM_OPTIONS (to QEMU's) before.

ACCEL=${ACCEL:-tcg}
VM_CPUS=2
VM_APPEND=
VM_OPTIONS=

# On a busy host, a guest that calibrates its clock by the emulated TSC may find
# time to go ten times too fast, and then sees stalls where there are none.
VM_CLOCK="tsc=unstable rcupdate.rcu_cpu_stall_timeout=60 watchdog_thresh=30"
[ "$ACCEL" = tcg ] || VM_CLOCK=

# What a kernel says when something is wrong, as extended regular expressions.
VM_TROUBLE='BUG
WARNING
Oops
Call Trace
Kernel panic
general protection fault
nable to handle
kmemleak
KASAN:
UBSAN:
INFO: (lockdep|trying to register)
possible .*deadlock
inconsistent lock state
while atomic
sleeping function
(rcu|self-detected|detected).* stall
soft lockup|hard LOCKUP
blocked for more than
Bad page
page allocation failure
refcount_t:
(list_add|list_del) corruption'

vm_prepare() {
	case $ACCEL in
	tcg) ;;
	kvm) [ -w /dev/kvm ] || die "ACCEL=kvm: /dev/kvm is not there, or not yours to use" ;;
	*) bad_usage "ACCEL=$ACCEL: it must be tcg or kvm" ;;
	esac
	need_packages qemu-system-x86
	vm_busybox
}

# vm_busybox: the guest's user space.
vm_busybox() {
	lock busybox
	[ -x "$CACHE/busybox" ] || vm_fetch_busybox
	unlock
}

# Not installed, as it would take the place of another busybox package.
vm_fetch_busybox() {
	apt_own
	apt_fetch "$TEMP/busybox" busybox-static
	dpkg-deb -x "$TEMP"/busybox/*.deb "$TEMP/busybox"
	find "$TEMP/busybox" -type f -path '*/bin/busybox' -exec mv {} "$CACHE/busybox" \;
}

# vm_pack MODE [NAME=VALUE]...: the guest learns its mode and settings from a file.
# The kernel's command line is echoed to the console; so only a guest that reads
# the file and gets to its end can say the token.
vm_pack() {
	VM_TOKEN=$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n')
	vm_root=$TEMP/root
	rm -rf "$vm_root"
	mkdir -p "$vm_root/bin" "$vm_root/quarry"
	cp "$CACHE/busybox" "$vm_root/bin/busybox"
	cp "$TREE"/scripts/guest/* "$MODULES_DIR"/*.ko "$vm_root/quarry"
	[ -z "${CONSUMER_DIR-}" ] || cp "$CONSUMER_DIR"/*.ko "$vm_root/quarry"
	install -m 755 "$TREE/scripts/guest/init" "$vm_root/init"
	{
		echo "TOKEN=$VM_TOKEN"
		printf 'MODE=%s\n' "$1"
		shift
		[ $# -eq 0 ] || printf '%s\n' "$@"
	} >"$vm_root/quarry/settings"
	(cd "$vm_root" && find . | "$CACHE/busybox" cpio -o -H newc) 2>/dev/null |
		gzip -1 >"$TEMP/initrd"
}

# vm_start NAME SECONDS CHARDEV: three serial lines: the kernel's console, the
# guest's own terminal, the guest's last word.
vm_start() {
	VM_LOG=$RUN/$1
	vm_cpu=max
	[ "$ACCEL" = tcg ] || vm_cpu=host
	: >"$VM_LOG-end.log"
	# shellcheck disable=SC2086
	set -- timeout -k 5 --foreground "$2" qemu-system-x86_64 -accel "$ACCEL" -cpu "$vm_cpu" \
		-smp "$VM_CPUS" -m 1G -nodefaults -no-user-config -no-reboot \
		-display none $VM_OPTIONS -kernel "$KERNEL_DIR/vmlinuz" -initrd "$TEMP/initrd" \
		-append "console=ttyS0 panic=-1 oops=panic softlockup_panic=1 printk.devkmsg=on $VM_CLOCK $VM_APPEND" \
		-serial "file:$VM_LOG-kernel.log" -chardev "$3,id=guest,signal=off" \
		-serial chardev:guest -serial "file:$VM_LOG-end.log"
	"$VM_HOW" "$@"
}

vm_run() {
	VM_HOW=background
	vm_start "$1" "$2" "stdio,logfile=$RUN/$1-guest.log" </dev/null
	vm_wait
}

# vm_shell: eight hours should be enough for anybody.
vm_shell() {
	VM_HOW=vm_in_terminal
	TERMINAL=$(stty -g)
	vm_start shell 28800 stdio,mux=on
	vm_wait
}

vm_in_terminal() {
	"$@" </dev/tty &
	CHILD=$!
}

vm_wait() {
	vm_status=0
	wait_child || vm_status=$?
}

# vm_verdict: a status, and in VM_FAULT what is wrong.
vm_verdict() {
	VM_FAULT=
	if grep -Eq "$VM_TROUBLE" "$VM_LOG-kernel.log"; then
		VM_FAULT=$(grep -Em 1 "$VM_TROUBLE" "$VM_LOG-kernel.log" | tr -d '\r')
		VM_FAULT="trouble in the kernel's log: $VM_FAULT"
	elif [ "$vm_status" -eq 124 ] || [ "$vm_status" -eq 137 ]; then
		VM_FAULT="the guest ran into its time limit"
	elif [ "$vm_status" -ne 0 ]; then
		VM_FAULT="QEMU ended with status $vm_status"
	elif [ "$(cat "$VM_LOG-end.log")" != "end $VM_TOKEN" ]; then
		VM_FAULT="the guest did not get to its end: $(cat "$VM_LOG-end.log")"
	fi
	[ -z "$VM_FAULT" ]
}
