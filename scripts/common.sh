# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=sh disable=SC2034
#
# What the scripts have in common; sourced by each of them as
#
#	. "$(dirname "$0")/common.sh"
#	quarry_start NAME
#
# and then there are
#
#	$TREE		the checkout
#	$CACHE		where what was fetched and built is kept (QUARRY_CACHE)
#	$RUN		this run's own folder in it: logs; older ones go after a week
#	say, warn, die	a line to the user; die also ends the script with status 1
#	usage		the script's own head comment
#	check_number, check_choice
#			settings that are variables, before anything is done
#	step		run one long command: progress, a log, its end on failure
#	background	start a command, and run_script another script of these, in such a
#	run_script	way that they end when this one does; wait_child waits for them
#	need_packages	install what is missing of these Debian packages
#	lock, unlock	one run at a time beyond here
#
# Whatever ends a script (success, die, Ctrl-C, SIGTERM), everything that it
# started is ended and its temporary files are removed. Unless it was interrupted,
# the function that AT_END names, if any, then has the last word; its argument is
# the status so far.

TREE=$(cd "$(dirname "$0")/.." && pwd)
CACHE=${QUARRY_CACHE:-${XDG_CACHE_HOME:-${HOME:-/root}/.cache}/quarry}
export LC_ALL=C
unset MAKEFLAGS MFLAGS MAKELEVEL
CHILD=
TICKER=
TERMINAL=
TEMP=
AT_END=

say() { printf '%s\n' "$*"; }
warn() { printf '%s: %s\n' "${0##*/}" "$*" >&2; }
die() { warn "$*"; exit 1; }

usage() { sed -n '3,/^$/s/^# \{0,1\}//p' "$0"; }

# bad_usage WHAT: the arguments make no sense.
bad_usage() {
	warn "$1"
	usage >&2
	exit 2
}

# no_arguments "$@": for the scripts that take their settings from variables.
no_arguments() {
	case ${1-} in
	"") ;;
	-h | --help) usage; exit 0 ;;
	*) bad_usage "unknown argument: $1" ;;
	esac
}

# check_number NAME...: settings that are numbers, if they are there at all.
check_number() {
	for setting; do
		eval "value=\${$setting-}"
		case $value in
		*[!0-9]*) bad_usage "$setting=$value: it must be a number" ;;
		esac
	done
}

# check_choice NAME WORD...: a setting that is one of these words, if it is there at all.
check_choice() {
	eval "value=\${$1-}"
	[ -n "$value" ] || return 0
	setting=$1
	shift
	case " $* " in
	*" $value "*) ;;
	*) bad_usage "$setting=$value: it must be one of: $*" ;;
	esac
}

# is_odd PATH: whether it has a character that a makefile, a sed script or an option of
# QEMU takes for something else.
is_odd() {
	case $1 in
	*[[:space:][:cntrl:]]* | *[\\:,\;\&\|\#$%\"\'\`\(\)\<\>*?=]* | *[][]*) true ;;
	*) false ;;
	esac
}

quarry_start() {
	trap quarry_end EXIT
	trap 'exit 129' HUP
	trap 'exit 130' INT
	trap 'exit 143' TERM
	mkdir -p "$CACHE/runs" 2>/dev/null || :
	[ -w "$CACHE/runs" ] ||
		die "can't write to $CACHE: set QUARRY_CACHE to a folder that is yours"
	CACHE=$(cd "$CACHE" && pwd)
	! is_odd "$CACHE" ||
		die "make and QEMU can't work in a folder such as '$CACHE': set QUARRY_CACHE"
	# Another run may be at the same.
	find "$CACHE/runs" -mindepth 1 -maxdepth 1 -mtime +7 -exec rm -rf {} + 2>/dev/null || :
	RUN=$CACHE/runs/$(date +%Y%m%d-%H%M%S)-$1-$$
	mkdir "$RUN"
	TEMP=$RUN/temp
	mkdir "$TEMP"
}

quarry_end() {
	status=$?
	trap '' HUP INT TERM
	trap - EXIT
	if [ -n "$TICKER" ]; then
		kill "$TICKER" 2>/dev/null || :
		echo
	fi
	[ -z "$CHILD" ] || end_child
	[ -z "$TERMINAL" ] || stty "$TERMINAL" || :
	[ -z "$TEMP" ] || rm -rf "$TEMP"
	case $status in
	129 | 130 | 143) warn "interrupted; nothing is left running" ;;
	*) [ -z "$AT_END" ] || "$AT_END" "$status" || status=1 ;;
	esac
	exit "$status"
}

# need_space MIB: better to say so now than to break in the middle.
need_space() {
	free_kib=$(df -Pk "$CACHE" | awk 'NR == 2 { print $4 }')
	[ "$((free_kib / 1024))" -ge "$1" ] ||
		die "$CACHE has $((free_kib / 1024)) MiB free, but this needs $1 MiB"
}

# background COMMAND...: in a session of its own, so that the whole tree of
# processes below it can be ended at once.
background() {
	setsid "$@" &
	CHILD=-$!
}

# run_script COMMAND...: one that ends its own children. It stays in this session:
# sudo may have to ask.
run_script() {
	"$@" &
	CHILD=$!
	wait_child
}

wait_child() {
	child_status=0
	wait "${CHILD#-}" || child_status=$?
	CHILD=
	return "$child_status"
}

end_child() {
	kill -TERM "$CHILD" 2>/dev/null || return 0
	child_patience=30
	while kill -0 "$CHILD" 2>/dev/null && [ "$child_patience" -gt 0 ]; do
		sleep 0.2
		child_patience=$((child_patience - 1))
	done
	kill -KILL "$CHILD" 2>/dev/null || :
}

# step LABEL COMMAND...: the output goes to a log of the run. It may take STEP_LIMIT
# seconds, half an hour unless set.
step() {
	step_begin "$1"
	shift
	background timeout -k 5 "${STEP_LIMIT:-1800}" "$@" >"$STEP_LOG" 2>&1 </dev/null
	step_status=0
	wait_child || step_status=$?
	step_finish
}

# root_step LABEL COMMAND...: the same as root, in the foreground: sudo may ask.
root_step() {
	step_begin "$1"
	shift
	step_status=0
	[ "$(id -u)" -eq 0 ] || set -- sudo "$@"
	"$@" >"$STEP_LOG" 2>&1 </dev/null || step_status=$?
	step_finish
}

step_begin() {
	STEP=$1
	STEP_LOG=$RUN/$(printf '%s' "$1" | tr -cs 'A-Za-z0-9.\n' '-').log
	STEP_SINCE=$(date +%s)
	if [ -t 1 ]; then
		printf '  %s ...' "$STEP"
		step_tick 1 '\r  %s ... %d s' &
	else
		printf '  %s ...\n' "$STEP"
		step_tick 20 '  %s ... %d s so far\n' &
	fi
	TICKER=$!
}

# step_tick SECONDS FORMAT: now and then a sign of life.
step_tick() {
	exec 9>&-
	trap - EXIT HUP INT TERM
	while sleep "$1"; do
		# shellcheck disable=SC2059
		printf "$2" "$STEP" $(($(date +%s) - STEP_SINCE))
	done
}

step_finish() {
	kill "$TICKER" 2>/dev/null || :
	wait "$TICKER" 2>/dev/null || :
	TICKER=
	step_took="$(($(date +%s) - STEP_SINCE)) s"
	[ ! -t 1 ] || printf '\r'
	if [ "$step_status" -eq 0 ]; then
		printf '  %s ... done, %s\n' "$STEP" "$step_took"
		return 0
	fi
	[ "$step_status" -ne 124 ] || step_took="$step_took, time limit"
	printf '  %s ... FAILED, %s\n' "$STEP" "$step_took"
	show_log "$STEP_LOG" >&2
	return "$step_status"
}

# show_log FILE: its end.
show_log() {
	printf -- '--- the end of %s:\n' "$1"
	tail -n 25 "$1"
	printf -- '---\n'
}

# lock NAME: wait until no other run holds it. Children hold it too, on purpose:
# should this script be killed outright, their half-done work stays protected.
lock() {
	exec 9>"$CACHE/$1.lock"
	flock -n 9 && return
	say "  waiting for another run that uses $1 ..."
	flock -w 1800 9 || die "another run has held $CACHE/$1.lock for half an hour"
}

unlock() { exec 9>&-; }

os_release() { sed -n "s/^$1=//p" /etc/os-release 2>/dev/null | tr -d '"'; }

# need_debian: all else would have to guess the names of packages.
need_debian() {
	[ "$(os_release ID)" = debian ] || die "this sets itself up on Debian 12 and 13 (amd64) only." \
		"Elsewhere, build with 'make' against the headers of your kernel" \
		"(needs make, gcc); see README.md."
	[ "$(dpkg --print-architecture)" = amd64 ] ||
		die "this runs Debian's amd64 kernels and needs an amd64 Debian to build for them"
}

# need_packages NAME...: nothing is ever removed for it. This is the machine's own
# apt, whatever apt.sh has set up since.
need_packages() {
	missing=
	for package; do
		is_installed "$package" || missing="$missing $package"
	done
	[ -n "$missing" ] || return 0
	need_root "to install these Debian packages:$missing"
	say "Installing these Debian packages:$missing"
	# shellcheck disable=SC2086
	env -u APT_CONFIG apt-get install -s $missing >/dev/null 2>&1 || update_lists
	# shellcheck disable=SC2086
	root_step "apt-get install" env -u APT_CONFIG DEBIAN_FRONTEND=noninteractive \
		apt-get install -y --no-install-recommends --no-remove \
		-o DPkg::Lock::Timeout=300 $missing
}

# is_installed NAME: it, or another that provides it.
is_installed() {
	# shellcheck disable=SC2016
	dpkg-query -W -f '${db:Status-Status}: ${Package}, ${Provides},\n' |
		grep -q "^installed:.* $1\(,\| (\)"
}

update_lists() {
	need_root "for apt-get update: apt's lists are missing or out of date"
	root_step "apt-get update" env -u APT_CONFIG apt-get update
}

need_root() {
	[ "$(id -u)" -eq 0 ] || command -v sudo >/dev/null ||
		die "root is needed $1 (there is no sudo: run this as root, or do that yourself)"
}
