# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=sh
#
# Debian packages that are unpacked into the cache and never installed; sourced
# after common.sh. They come from where the machine's own apt gets its packages:
#
#	apt_own		from the machine's own suites
#	apt_suites	from other suites (bookworm, trixie-backports) of its mirrors
#	apt_newest	the newest of the packages whose names match
#	apt_depends	what a package depends on, names only
#	apt_fetch	download packages into an empty folder

# apt_own: for all that follows.
apt_own() {
	unset APT_CONFIG
	[ -n "$(apt_mirror_of "$(os_release VERSION_CODENAME)")" ] || update_lists
}

# apt_suites SUITE...: for all that follows. A configuration and lists of its own
# leave the machine's alone. Fails if the suites can't be had.
apt_suites() {
	apt_own || return
	apt_dir=$CACHE/apt/$(printf '%s' "$*" | tr ' ' '+')
	mkdir -p "$apt_dir/lists/partial"
	apt_write_sources "$@" >"$TEMP/sources.list"
	apt_write_config >"$TEMP/apt.conf"
	mv "$TEMP/sources.list" "$TEMP/apt.conf" "$apt_dir"
	APT_CONFIG=$apt_dir/apt.conf
	export APT_CONFIG
	[ -n "$(find "$apt_dir/fresh" -mtime -7 2>/dev/null)" ] || apt_refresh "$*"
}

apt_refresh() {
	step "apt-get update for $1" flock -w 600 "$apt_dir" apt-get update --error-on=any &&
		touch "$apt_dir/fresh" && return
	[ -e "$apt_dir/fresh" ] && warn "using the older package lists of $1"
}

apt_write_config() {
	cat <<-END
		Dir::Etc::SourceList "$apt_dir/sources.list";
		Dir::Etc::SourceParts "/dev/null";
		Dir::State::Lists "$apt_dir/lists";
		Dir::Cache::PkgCache "";
		Dir::Cache::SrcPkgCache "";
		APT::Sandbox::User "root";
	END
}

# apt_write_sources SUITE...: each from the mirror that this machine has for the
# same kind of suite of its own release: security updates live apart.
apt_write_sources() {
	own=$(os_release VERSION_CODENAME)
	keyring=/usr/share/keyrings/debian-archive-keyring.gpg
	[ -e "$keyring" ] && signed="[signed-by=$keyring] " || signed=
	for suite; do
		case $suite in
		*-security) like=$own-security ;;
		*) like=$own ;;
		esac
		mirror=$(apt_mirror_of "$like")
		[ -z "$mirror" ] || printf 'deb %s%s %s main\n' "$signed" "$mirror" "$suite"
	done
}

# shellcheck disable=SC2016
apt_mirror_of() {
	env -u APT_CONFIG apt-get indextargets --format '$(CODENAME) $(COMPONENT) $(REPO_URI)' \
		'Created-By: Packages' | awk -v like="$1" '$1 == like && $2 == "main" { print $3; exit }'
}

# apt_newest PATTERN: prints nothing if there is none.
apt_newest() {
	apt-cache pkgnames | grep -Ex "$1" | sort -rV | while read -r package; do
		[ -n "$(apt-cache madison "$package")" ] || continue
		printf '%s\n' "$package"
		break
	done
}

apt_depends() {
	apt-cache show --no-all-versions "$1" | sed -n 's/^Depends: //p' | tr ',' '\n' |
		sed 's/^ *//; s/[ (|].*//'
}

# apt_fetch FOLDER PACKAGE...: lists that are too old name files that are gone.
apt_fetch() {
	fetch_dir=$1
	shift
	mkdir -p "$fetch_dir"
	apt_download "$@" && return
	say "Trying once more with new package lists."
	if [ -n "${APT_CONFIG-}" ]; then
		apt_refresh "the suites of $apt_dir"
	else
		update_lists
	fi && apt_download "$@"
}

apt_download() {
	step "downloading $1" env -C "$fetch_dir" apt-get -o APT::Sandbox::User=root \
		-o Acquire::Retries=3 download "$@"
}
