# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=sh
#
# Debian's own kernels, unpacked into the cache, and Quarry's modules for them;
# sourced after common.sh and apt.sh:
#
#	kernel_get	unpacks image and headers of 6.12, 6.1 or 6.12-rt once and
#			sets KERNEL_DIR; status 3 if Debian doesn't offer it here
#	kernel_modules	builds quarry.ko and quarry_bench.ko for it and sets
#			MODULES_DIR
#	kernel_consumer	builds a module that uses quarry.ko and sets CONSUMER_DIR

KERNELS="6.12 6.1 6.12-rt"

# kernel_describe KERNEL: how its packages are called, and which release has it if
# this machine's has not.
kernel_describe() {
	case $1 in
	6.1) kernel_pattern='6\.1\.0-[0-9]+-cloud-amd64' kernel_home=bookworm ;;
	6.12) kernel_pattern='6\.12\.[0-9]+\+deb[0-9]+-cloud-amd64' kernel_home=trixie ;;
	6.12-rt) kernel_pattern='6\.12\.[0-9]+\+deb[0-9]+-rt-amd64' kernel_home=trixie ;;
	*) bad_usage "KERNEL=$1: it must be one of: $KERNELS" ;;
	esac
}

kernel_get() {
	kernel_describe "$1"
	mkdir -p "$CACHE/kernels"
	lock kernels
	kernel_status=0
	kernel_find "$1" || kernel_status=$?
	unlock
	return "$kernel_status"
}

# kernel_find KERNEL: the newest that apt offers, or, if it can't be had, the
# newest that the cache has.
kernel_find() {
	find_status=0
	kernel_offered || find_status=$?
	if [ "$find_status" -eq 0 ]; then
		KERNEL_DIR=$CACHE/kernels/$release
		[ -e "$KERNEL_DIR/complete" ] || kernel_unpack || find_status=1
	fi
	[ "$find_status" -eq 0 ] || kernel_cached "$1" || return "$find_status"
}

# kernel_offered: 1 if apt can't tell, 3 if it doesn't.
kernel_offered() {
	apt_own || return 1
	release=$(kernel_newest)
	if [ -z "$release" ] && [ "$(os_release VERSION_CODENAME)" != "$kernel_home" ]; then
		apt_suites "$kernel_home" "$kernel_home-security" || return 1
		release=$(kernel_newest)
	fi
	[ -n "$release" ] || return 3
}

kernel_newest() { apt_newest "linux-image-$kernel_pattern" | sed 's/^linux-image-//'; }

kernel_cached() {
	release=$(cd "$CACHE/kernels" && find . -path './*/complete' | cut -d / -f 2 |
		grep -Ex "$kernel_pattern" | sort -V | tail -n 1)
	[ -n "$release" ] || return 1
	KERNEL_DIR=$CACHE/kernels/$release
	warn "$1: using $release, which the cache has; apt's newest can't be had"
}

# kernel_unpack: under another name until it is whole.
kernel_unpack() {
	headers=linux-headers-$release
	depends=$(apt_depends "$headers")
	others=$(printf '%s\n' "$depends" | grep -E '^linux-(headers-.*-common|kbuild-)')
	need_space 1000
	partial=$CACHE/kernels/.partial
	rm -rf "$partial"
	# shellcheck disable=SC2086
	apt_fetch "$partial/debs" "linux-image-$release" "$headers" $others &&
		step "unpacking Linux $release" sh -eu -c "$kernel_unpack_script" unpack \
			"$partial" "$KERNEL_DIR" "$release" &&
		printf '%s\n' "$depends" | grep -Eo 'gcc-[0-9]+' >"$partial/compiler" &&
		touch "$partial/complete" &&
		rm -rf "$KERNEL_DIR" &&
		mv "$partial" "$KERNEL_DIR"
}

# Of the image, only the kernel itself. The headers' one absolute path is led to
# where they are going to be, and they lose the type information (BTF) that would
# make every build need pahole.
# shellcheck disable=SC2016
kernel_unpack_script='
	cd "$1"
	for deb in debs/linux-headers-*.deb debs/linux-kbuild-*.deb; do
		dpkg-deb -x "$deb" .
	done
	dpkg-deb --fsys-tarfile debs/linux-image-*.deb >image.tar
	tar -xf image.tar "./boot/vmlinuz-$3"
	mv "boot/vmlinuz-$3" vmlinuz
	rm -r debs boot image.tar
	sed -i "s|/usr/src/|$2/usr/src/|" "usr/src/linux-headers-$3/Makefile"
	rm -f "usr/src/linux-headers-$3/vmlinux"
'

# kernel_modules: named by what they are built from, so a change builds anew, and
# two checkouts don't meet.
kernel_modules() {
	kernel_compiler=$(cat "$KERNEL_DIR/compiler")
	need_packages make "$kernel_compiler" libelf1
	MODULES_DIR=$CACHE/modules/${KERNEL_DIR##*/}/$(source_hash)
	lock modules
	modules_status=0
	modules_build || modules_status=$?
	unlock
	return "$modules_status"
}

# kernel_consumer: a module that is built with what "make headers_install" installs
# and nothing else, in $CONSUMER_DIR, where each of these headers is also included in
# a file of its own.
kernel_consumer() {
	CONSUMER_DIR=$TEMP/consumer-${KERNEL_DIR##*/}
	installed=$TEMP/installed-${KERNEL_DIR##*/}
	headers=$KERNEL_DIR/usr/src/linux-headers-${KERNEL_DIR##*/}
	cp -r "$TREE/scripts/consumer" "$CONSUMER_DIR"
	make -s -C "$MODULES_DIR" -f "$TREE/Makefile" headers_install "KDIR=$headers" \
		"INSTALL_HDR_PATH=$installed" || return 1
	for header in "$installed"/include/quarry/*.h; do
		name=$(basename "$header" .h)
		echo "#include <quarry/$name.h>" >"$CONSUMER_DIR/alone_$name.c"
		echo "quarry_consumer-y += alone_$name.o" >>"$CONSUMER_DIR/Kbuild"
	done
	step "building a module that uses them" timeout 300 make -C "$headers" \
		M="$CONSUMER_DIR" CC="$kernel_compiler" -j"$(nproc)" QUARRY="$installed" \
		KBUILD_EXTRA_SYMBOLS="$installed/${KERNEL_DIR##*/}/Module.symvers" modules
}

# Not what "make" may have left there.
source_files() { (cd "$TREE" && find Kbuild lib module -name Kbuild -o -name '*.[ch]' | sort); }

source_hash() { (cd "$TREE" && source_files | xargs sha256sum) | sha256sum | cut -c 1-16; }

modules_build() {
	if [ -e "$MODULES_DIR/build.log" ]; then
		touch "$MODULES_DIR"
		return
	fi
	partial=$CACHE/modules/.partial
	rm -rf "$partial"
	mkdir -p "$partial" "${MODULES_DIR%/*}"
	find "$CACHE/modules" -mindepth 2 -maxdepth 2 -mtime +7 -exec rm -rf {} +
	(cd "$TREE" && source_files | xargs cp --parents -t "$partial") &&
		step "building the modules for Linux ${KERNEL_DIR##*/}" timeout 300 \
			make -C "$KERNEL_DIR/usr/src/linux-headers-${KERNEL_DIR##*/}" \
			M="$partial" CC="$kernel_compiler" -j"$(nproc)" modules &&
		cp "$STEP_LOG" "$partial/build.log" &&
		mv "$partial" "$MODULES_DIR"
}
