# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=sh disable=SC2034
#
# User-Mode Linux kernels with Quarry in them; sourced after common.sh, apt.sh and
# ksrc.sh, and after ksrc_get:
#
#	uml_build	builds or updates one, in UML_DIR; nobody else can until unlock
#	uml_memory	how much memory it can be given, as mem= takes it
#	uml_run		runs it as a step, with a time limit
#
# A script may set UML_BITS to 32 before.

UML_BITS=64

# uml_build VARIANT FILE-OR-LINE...: of Kconfig settings, on top of uml.config.
uml_build() {
	ksrc_prepare
	variant=$1
	[ "$UML_BITS" -eq 64 ] || variant=$1-$UML_BITS
	shift
	UML_DIR=$CACHE/uml/$(ksrc_key)-$variant
	uml_configure "$@" >"$TEMP/kunitconfig"
	set --
	[ "$UML_BITS" -eq 64 ] || { uml_prepare_32; set -- --make_options=SUBARCH=i386; }
	ksrc_build "UML ($variant)" "$UML_DIR" "$@"
}

# uml_prepare_32: gcc-multilib is all that it takes, but can't be installed beside the cross
# compiler that check needs. So take what it depends on, and make its link to the headers,
# which serve both sizes.
uml_prepare_32() {
	need_packages libc6-dev-i386 "lib32gcc-$(gcc -dumpversion | cut -d . -f 1)-dev"
	mkdir -p "$CACHE/uml/include-32"
	ln -sfn /usr/include/x86_64-linux-gnu/asm "$CACHE/uml/include-32/asm"
	export C_INCLUDE_PATH="$CACHE/uml/include-32"
}

uml_configure() {
	cat "$TREE/scripts/uml.config"
	! uml_has_smp || printf '%s\n' CONFIG_SMP=y CONFIG_NR_CPUS=4
	for part; do
		case $part in
		CONFIG_*) printf '%s\n' "$part" ;;
		*) cat "$TREE/scripts/$part" ;;
		esac
	done
}

uml_has_smp() { grep -q UML_SUBARCH_SUPPORTS_SMP "$KSRC_DIR/arch/um/Kconfig"; }

# uml_run LABEL SECONDS ARGUMENT...: the first console and the kernel's messages are
# $STEP_LOG. The memory is a sparse file of which only what is used takes room.
uml_run() {
	label=$1
	STEP_LIMIT=$2
	shift 2
	! uml_has_smp || set -- ncpus=2 seccomp=on "$@"
	step "$label" env TMPDIR="$(uml_memory_folder)" "$UML_DIR/linux" \
		"uml_dir=$TEMP/" "mem=$(uml_memory)M" con=null con0=null,fd:1 console=tty "$@"
}

# uml_memory: in MiB; 8 GiB if the machine can give it, which only the test of the
# largest space needs, which 32 bits can't address.
uml_memory() {
	if [ "$UML_BITS" -eq 64 ] && [ "$(uml_free_memory)" -ge 10240 ] &&
		uml_has_room "$(uml_memory_folder)" 9216; then
		say 8192
	else
		say 1024
	fi
}

# uml_free_memory: of the machine or, if that is less, of the container, in MiB.
uml_free_memory() {
	limit=$(cat /sys/fs/cgroup/memory.max 2>/dev/null) || limit=max
	awk -v limit="$limit" '$1 == "MemAvailable:" {
		free = $2 / 1024
		if (limit != "max" && limit / 1048576 < free)
			free = limit / 1048576
		printf "%d\n", free
	}' /proc/meminfo
}

# uml_memory_folder: UML maps it executable, which many containers forbid for /dev/shm.
uml_memory_folder() {
	case ,$(findmnt -no OPTIONS -T /dev/shm), in
	*,noexec,*) say "$TEMP" ;;
	*) if uml_has_room /dev/shm 1280; then say /dev/shm; else say "$TEMP"; fi ;;
	esac
}

uml_has_room() { [ "$(df -Pm "$1" | awk 'NR == 2 { print $4 }')" -ge "$2" ]; }
