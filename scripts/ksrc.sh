# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=sh disable=SC2034,SC2153
#
# Kernel sources, and trees in which Quarry is a part of the kernel; sourced
# after common.sh and apt.sh:
#
#	ksrc_get	finds a kernel source or fetches it once, and sets
#			KSRC_DIR and KSRC_VERSION
#	ksrc_tree	sets KTREE to a tree of links to that source, with
#			Quarry in lib/quarry; it is ours alone until unlock
#	ksrc_prepare	that, and what it takes to build it
#	ksrc_build	builds a kernel of it, with the settings in $TEMP/kunitconfig

KSRC_SUPPORTED='linux-source-(6\.[0-9]+|7\.[0-3])'
KSRC_SMP='linux-source-7\.[0-3]'

# ksrc_get [WHICH]: a folder of the user's; a version that Debian has, "6.12" say;
# or, if nothing is said, the newest that can be had.
ksrc_get() {
	need_packages xz-utils
	mkdir -p "$CACHE/sources"
	case ${1-} in
	"") ksrc_newest ;;
	[67].[0-9] | [67].[0-9][0-9]) ksrc_named "linux-source-$1" ;;
	*) ksrc_given "$1" ;;
	esac
	! is_odd "$KSRC_DIR" || die "make can't work in a folder such as '$KSRC_DIR'"
	KSRC_VERSION=$(ksrc_field VERSION).$(ksrc_field PATCHLEVEL).$(ksrc_field SUBLEVEL)
}

ksrc_field() { sed -n "s/^$1 = //p" "$KSRC_DIR/Makefile"; }

ksrc_given() {
	for file in Makefile lib/Kconfig arch/um/Kconfig tools/testing/kunit/kunit.py; do
		[ -e "$1/$file" ] || die "KSRC=$1 is no kernel source: it has no $file" \
			"(give a folder, or a version that Debian has, such as 6.12)"
	done
	KSRC_DIR=$(cd "$1" && pwd)
}

# ksrc_newest: first one that has SMP on UML, cached or new; if there is none,
# what the machine's own suites offer.
ksrc_newest() {
	KSRC_DIR=$(ksrc_cached "$KSRC_SMP")
	[ -z "$KSRC_DIR" ] || return 0
	apt_suites trixie-backports && ksrc_offered "$KSRC_SMP" && return
	say "Linux 7.3 can't be had here (trixie-backports has it): no SMP in UML."
	apt_own && ksrc_offered "$KSRC_SUPPORTED" && return
	KSRC_DIR=$(ksrc_cached "$KSRC_SUPPORTED")
	[ -n "$KSRC_DIR" ] || die "no kernel source: the cache has none, and apt could get" \
		"no linux-source, see above. Give a folder: KSRC=..."
}

ksrc_named() {
	KSRC_DIR=$CACHE/sources/$1
	[ ! -d "$KSRC_DIR" ] || return 0
	apt_own && ksrc_offered "$1" && return
	apt_suites bookworm bookworm-security trixie trixie-security trixie-backports &&
		ksrc_offered "$1" && return
	die "apt offers no $1 that could be fetched"
}

ksrc_cached() {
	find "$CACHE/sources" -mindepth 1 -maxdepth 1 -type d | grep -E "/$1\$" | sort -V |
		tail -n 1
}

# ksrc_offered PATTERN: fetch the newest that the chosen suites have, if any.
ksrc_offered() {
	package=$(apt_newest "$1")
	[ -n "$package" ] || return 1
	KSRC_DIR=$CACHE/sources/$package
	lock sources
	ksrc_status=0
	[ -d "$KSRC_DIR" ] || ksrc_fetch "$package" || ksrc_status=$?
	unlock
	return "$ksrc_status"
}

# ksrc_fetch PACKAGE: under another name until it is whole. The one part left out
# is a quarter of it, and no kernel that we build wants it.
# shellcheck disable=SC2016
ksrc_fetch() {
	need_space 3000
	partial=$CACHE/sources/.partial
	rm -rf "$partial"
	mkdir -p "$partial/tree"
	apt_fetch "$partial" "$1" || return
	step "unpacking $1" sh -euc 'cd "$1"
		dpkg-deb -x ./*.deb .
		tar -xf usr/src/*.tar.xz -C tree --strip-components=1 \
			--exclude="drivers/gpu/drm/amd/include"' unpack "$partial" || return
	mv "$partial/tree" "$KSRC_DIR"
	rm -rf "$partial"
}

# ksrc_key: what the cache calls this source, and what was built from it.
ksrc_key() {
	case $KSRC_DIR in
	"$CACHE"/sources/*) printf '%s' "${KSRC_DIR##*/}" ;;
	*) printf 'given-%s' "$(printf '%s' "$KSRC_DIR" | cksum | cut -d ' ' -f 1)" ;;
	esac
}

# ksrc_tree [NAME]: links, so the source itself is never written to; and copies that
# are touched only when they differ, so what was built stays good. All checkouts of
# Quarry share it, and with it what was built.
ksrc_tree() {
	ktree=$(ksrc_key)${1:+-$1}
	lock "tree-$ktree"
	KTREE=$CACHE/trees/$ktree
	ksrc_link "" lib tools
	ksrc_link lib Kconfig Makefile quarry
	ksrc_link tools testing
	ksrc_link tools/testing kunit
	ksrc_append lib/Kconfig 'source "lib/quarry/Kconfig"'
	# shellcheck disable=SC2016
	ksrc_append lib/Makefile 'obj-$(CONFIG_QUARRY) += quarry/'
	find "$KSRC_DIR/tools/testing/kunit" -type f ! -name '*.pyc' -printf '%P\n' |
		ksrc_copy "$KSRC_DIR/tools/testing/kunit" "$KTREE/tools/testing/kunit"
	quarry_files | ksrc_copy "$TREE" "$KTREE/lib/quarry"
}

ksrc_prepare() {
	need_packages make gcc libc6-dev flex bison bc perl python3
	need_space 2000
	ksrc_tree ""
}

# ksrc_build LABEL FOLDER ARGUMENT...: of kunit.py, which sees that each setting is kept.
ksrc_build() {
	label=$1
	build_dir=$2
	shift 2
	mkdir -p "$build_dir"
	step "building Linux $KSRC_VERSION for $label" env -C "$KTREE" PYTHONUNBUFFERED=1 \
		python3 -B tools/testing/kunit/kunit.py build --jobs="$(nproc)" \
		--build_dir="$build_dir" --kunitconfig="$TEMP/kunitconfig" "$@"
}

# quarry_files: the part of this checkout that goes into a kernel tree.
quarry_files() {
	(cd "$TREE" && find Kbuild Kconfig lib module kunit \
		-name '[!.]*.[ch]' ! -name '*.mod.c' -o -name 'K[bc]*')
}

# ksrc_link FOLDER EXCEPT...: links to all that the source's folder has, but for
# what the tree has on its own.
ksrc_link() {
	folder=$1
	shift
	mkdir -p "$KTREE/$folder"
	find "$KTREE/$folder" -maxdepth 1 -xtype l -delete
	own=" $* "
	set --
	for entry in "$KSRC_DIR/$folder"/*; do
		name=${entry##*/}
		case $own in *" $name "*) continue ;; esac
		[ -e "$KTREE/$folder/$name" ] || set -- "$@" "$entry"
	done
	[ $# -eq 0 ] || ln -s "$@" "$KTREE/$folder"
}

# ksrc_append FILE LINE: the tree's file is the source's and one line more.
ksrc_append() {
	mkdir -p "$TEMP/${1%/*}"
	{ cat "$KSRC_DIR/$1" && printf '%s\n' "$2"; } >"$TEMP/$1"
	printf '%s\n' "${1##*/}" | ksrc_update "$TEMP/${1%/*}" "$KTREE/${1%/*}"
}

# ksrc_copy FROM TO: the files named on standard input, and no others.
ksrc_copy() {
	sort >"$TEMP/files"
	mkdir -p "$2"
	(cd "$2" && find . -type f -printf '%P\n') | sort | comm -13 "$TEMP/files" - |
		while read -r file; do rm "$2/$file"; done
	ksrc_update "$1" "$2" <"$TEMP/files"
}

# ksrc_update FROM TO: the files named on standard input, where they differ.
ksrc_update() {
	while read -r file; do
		cmp -s "$1/$file" "$2/$file" && continue
		case $file in */*) mkdir -p "$2/${file%/*}" ;; esac
		cp "$1/$file" "$2/$file"
	done
}
