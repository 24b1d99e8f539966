#!/bin/sh
# Builds the layer of Debian packages the machines need beyond what the user's machine has.
#
#   image.sh OUTPUT BASE SIZE PACKAGES TREE...
#
# Runs in private mount, PID, UTS and IPC namespaces with the user's network. PACKAGES is one
# word list. apt-get works in an overlay of the user's root, so nothing gets installed or started
# on the user's own machine; what it changed becomes OUTPUT, a tar archive.
set -eu
. "${0%/*}/overlay-root.sh"
output=$1 base=$2 size=$3 packages=$4
shift 4
overlay_root "$base" "" "$size" "$@"
root=$base/root

# The resolver's file may be in /run, which is empty here, or mounted by a container.
resolver=$(readlink -f /etc/resolv.conf || true)
if [ -f "$resolver" ]; then
    mkdir -p "$root${resolver%/*}"
    [ -e "$root$resolver" ] || touch "$root$resolver"
    mount -n --bind "$resolver" "$root$resolver"
fi

inside() {
    chroot "$root" /usr/bin/env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C.UTF-8 \
        DEBIAN_FRONTEND=noninteractive NEEDRESTART_SUSPEND=1 "$@"
}

printf '#!/bin/sh\nexit 101\n' >"$root/usr/sbin/policy-rc.d" # no service starts here
chmod 0755 "$root/usr/sbin/policy-rc.d"
# shellcheck disable=SC2086 # a word list
if ! inside dpkg-query --show $packages >/dev/null 2>&1; then
    inside apt-get --quiet=2 --option Acquire::Retries=3 update
    inside apt-get --quiet --yes --no-install-recommends --option Acquire::Retries=3 \
        --option Dpkg::Use-Pty=0 --option Dpkg::Options::=--force-confold \
        --option 'Dpkg::Options::=--path-exclude=/usr/share/man/*' \
        --option 'Dpkg::Options::=--path-exclude=/usr/share/doc/*' install $packages
fi
rm "$root/usr/sbin/policy-rc.d"

# Debian's script cannot answer "status", which a service manager has to ask.
inside sed -i '/^  \*)$/i\  status)\n\tstatus_of_proc "$DAEMON" "$NAME" \&\& exit 0 || exit $?\n\t;;' /etc/init.d/bird
inside sh -n /etc/init.d/bird
inside grep -q 'status)' /etc/init.d/bird
install -m 0755 "${0%/*}/dmm-network.init" "$root/etc/init.d/dmm-network"

number=1
shift # "/" is upper/1
for tree in "$@"; do
    number=$((number + 1))
    mkdir -p "$base/upper/1$tree"
    cp -a "$base/upper/$number/." "$base/upper/1$tree"
done
tar --create --xattrs --xattrs-include='*' --file "$output" --directory "$base/upper/1" \
    --exclude=./var/cache/apt --exclude=./var/lib/apt --exclude=./var/log --exclude=./tmp \
    --exclude=./run --exclude=./root .
