# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=sh disable=SC2034
#
# A kernel for the m68k with Quarry in it: 32 bits, big-endian, one CPU, and longs that
# are aligned to two bytes. QEMU emulates the machine. Sourced after common.sh, apt.sh
# and ksrc.sh, and after ksrc_get:
#
#	m68k_build	builds or updates it, in M68K_DIR; nobody else can until unlock
#	m68k_run	runs it as a step, with a time limit

# m68k_build FILE...: of Kconfig settings, on top of m68k.config.
m68k_build() {
	ksrc_prepare
	need_packages gcc-m68k-linux-gnu qemu-system-misc
	M68K_DIR=$CACHE/m68k/$(ksrc_key)
	(cd "$TREE/scripts" && cat m68k.config "$@") >"$TEMP/kunitconfig"
	ksrc_build m68k "$M68K_DIR" --arch=m68k --cross_compile=m68k-linux-gnu-
}

# m68k_run LABEL SECONDS ARGUMENT...: the kernel's messages are $STEP_LOG.
m68k_run() {
	label=$1
	STEP_LIMIT=$2
	shift 2
	step "$label" qemu-system-m68k -machine virt -m 1G -nodefaults -no-user-config -no-reboot \
		-display none -serial stdio -kernel "$M68K_DIR/vmlinux" \
		-append "console=ttyGF0 panic=-1 $*"
}
