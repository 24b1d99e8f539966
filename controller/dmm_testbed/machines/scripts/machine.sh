#!/bin/sh
# First process of one machine, in its new network, mount, PID, UTS and IPC namespaces.
#
#   machine.sh NAME BASE LAYER SIZE TREE...        (see overlay-root.sh)
#
# Tells its starter "ready PID" on standard output, then waits for "go" on standard input. A
# starter that dies before saying so closes that pipe, this process ends, and the machine with it:
# a half-built lab takes itself away.
set -eu
. "${0%/*}/overlay-root.sh"

name=$1
shift
read -r pid _ </proc/self/stat # still the user's /proc: the PID as the user sees it
overlay_root "$@"
cd "$base/root"

mount -n -t sysfs sysfs sys
# Of the kernel's settings a machine may change those of its own network stack, no others.
mount -n --bind proc/sys proc/sys
mount -n -o remount,bind,ro proc/sys
mount -n --bind proc/sys/net proc/sys/net
mount -n -o remount,bind,rw proc/sys/net

echo "$name" >/proc/sys/kernel/hostname
echo "$name" >etc/hostname
printf '127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost\n127.0.1.1\t%s\n' "$name" >etc/hosts
# As Debian installs it; the user's own interfaces are not here.
rm -rf etc/network/interfaces.d etc/sysctl.d/*
mkdir -p etc/network/interfaces.d
printf 'source /etc/network/interfaces.d/*\n\nauto lo\niface lo inet loopback\n' >etc/network/interfaces

# The old root ends up on top of the new one, where it can be let go.
pivot_root . .
umount -n -l .
cd /

echo "ready $pid"
read -r word
[ "$word" = go ]
exec /usr/bin/tini -- /bin/sleep infinity </dev/null >/dev/null 2>&1
