# shellcheck shell=bash
#
# fresh.sh: machines that have never seen streamq, for .ci/run: chroots of bare Debian
# systems, in which newcomer.sh does what a new user does.  To be sourced.

# fresh_machine SUITE MAJOR KIND: a copy of its chroot, used once; the log is
# fresh-SUITE-KIND.log
fresh_machine()
{
	local dir=${work:?}/fresh/$1-$3

	mkdir -p "$work/fresh" &&
		cp -a "$(chroot_dir "$@")" "$dir" &&
		apt_as_here "$dir" &&
		tar -C "${src:?}" -cf "$dir/streamq.tar" . &&
		cp "$src/.ci/newcomer.sh" "$dir/newcomer.sh" &&
		fresh_run "$dir" bash /newcomer.sh "$2" "$3"
}

# apt_as_here DIR: apt in the chroot reaches its archives in the way this machine's does
apt_as_here()
{
	local f

	for f in /etc/resolv.conf /etc/hosts; do
		[ ! -e "$f" ] || cat "$f" >"$1$f"
	done
	{
		apt-config dump | grep -E '^Acquire::(https?|ftp)::'
		# nobody wants this machine after a crash
		echo 'DPkg::Options { "--force-unsafe-io"; };'
	} >"$1/etc/apt/apt.conf.d/00streamq-ci"
	if grep -qs 'https:' "$1/etc/apt/sources.list" && [ -d /etc/ssl/certs ]; then
		mkdir -p "$1/etc/ssl/certs" && cp -RL /etc/ssl/certs/. "$1/etc/ssl/certs/" 2>/dev/null
	fi
	return 0
}

# fresh_run DIR COMMAND...: in the chroot, with processes of its own that end with it.
# Process 1 waits for nobody but its child, as in many containers: what is killed
# stays a zombie unless the scripts see to it.  Ends the shell that calls it.
fresh_run()
{
	local dir=$1
	shift
	# shellcheck disable=SC2016	# for the inner shells
	exec unshare --mount --pid --fork --kill-child=KILL sh -c '
		dir=$1; shift
		mount -t proc proc "$dir/proc" &&
		mount -t tmpfs tmpfs "$dir/dev/shm" &&
		mount -t tmpfs tmpfs "$dir/tmp" && chmod 1777 "$dir/tmp" "$dir/dev/shm" &&
		exec env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
			HOME=/root ${http_proxy:+"http_proxy=$http_proxy"} ${https_proxy:+"https_proxy=$https_proxy"} \
			chroot "$dir" perl -e '\''
				my $pid = fork() // die;
				if (!$pid) { exec @ARGV or die }
				waitpid($pid, 0);
				exit($? >> 8 || $?)'\'' "$@"' sh "$dir" "$@" </dev/null 9>&-
}

# fresh_outcome PID LOG: of a machine in the background
fresh_outcome()
{
	local rc

	wait "$1"
	rc=$?
	grep '^-- ' "$2" | sed 's/^--/  /'
	[ "$rc" = 0 ] || cat "$2"
	return $rc
}

# fresh_machines: at the same time, as half of it is waiting
fresh_machines()
{
	local machine suite major kind pids=() i=0
	local machines=("bookworm 15 bare" "bookworm 15 server" "trixie 17 bare")

	for machine in "${machines[@]}"; do
		read -r suite major kind <<<"$machine"
		step "chroot of Debian $suite, $kind" make_chroot "$suite" "$major" "$kind"
	done
	for machine in "${machines[@]}"; do
		read -r suite major kind <<<"$machine"
		fresh_machine "$suite" "$major" "$kind" >"$work/fresh-$suite-$kind.log" 2>&1 &
		pids+=($!)
	done
	for machine in "${machines[@]}"; do
		read -r suite major kind <<<"$machine"
		step "a new user on Debian $suite, $kind" \
			fresh_outcome "${pids[$i]}" "$work/fresh-$suite-$kind.log"
		rm -rf "$work/fresh/$suite-$kind"
		i=$((i + 1))
	done
}
