#!/bin/bash
# Builds the disk of a plain Debian 12 host with nothing that a machine of the testbed needs.
#
#   bare-image.sh DIRECTORY
#
# In DIRECTORY: disk.qcow2, vmlinuz, initrd, and key, which user admin (passwordless sudo) can log in
# with. Takes a minute; needs root, and mmdebstrap, e2fsprogs and qemu-utils.
set -euo pipefail
directory=$(realpath "$1")
PACKAGES=systemd,systemd-sysv,dbus,udev,openssh-server,sudo,zstd,python3,linux-image-cloud-amd64,initramfs-tools

mkdir -p "$directory"
work=$(mktemp -d "$directory/building.XXXXXX")
trap 'rm -rf --one-file-system "$work"' EXIT
ssh-keygen -q -t ed25519 -N '' -C bare -f "$work/key"

# shellcheck disable=SC2016 # $1 is for the hooks' shell: the new root
mmdebstrap --quiet --variant=minbase --mode=root --include="$PACKAGES" \
    --aptopt='APT::Install-Recommends "false"' \
    --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/man/*' \
    --dpkgopt='path-exclude=/usr/share/locale/*' \
    --customize-hook='printf "127.0.0.1\tlocalhost\n127.0.1.1\thost1 host2 host3 host4 host5 host6\n# kept by the owner of this host\n192.0.2.7\tprinter\n" >"$1/etc/hosts"' \
    --customize-hook='chroot "$1" useradd -m -s /bin/bash admin' \
    --customize-hook='echo "admin ALL=(ALL) NOPASSWD: ALL" >"$1/etc/sudoers.d/admin"' \
    --customize-hook='install -d -m 0700 "$1/home/admin/.ssh"' \
    --customize-hook="copy-in $work/key.pub /tmp" \
    --customize-hook='mv "$1/tmp/key.pub" "$1/home/admin/.ssh/authorized_keys"' \
    --customize-hook='chroot "$1" chown -R admin: /home/admin' \
    --customize-hook='printf "[Match]\nName=eth0\n[Network]\nDHCP=ipv4\nLinkLocalAddressing=no\n[DHCPv4]\nClientIdentifier=mac\n" >"$1/etc/systemd/network/10-eth0.network"' \
    --customize-hook='for n in 1 2 3 4 5 6; do printf "[Match]\nMACAddress=52:54:00:4d:00:0$n\n[Network]\nAddress=10.77.0.$n/24\nLinkLocalAddressing=no\n" >"$1/etc/systemd/network/20-lan-$n.network"; done' \
    --customize-hook='chroot "$1" systemctl enable systemd-networkd >/dev/null 2>&1' \
    --customize-hook='echo "/dev/vda / ext4 errors=remount-ro 0 1" >"$1/etc/fstab"' \
    --customize-hook='printf "virtio_blk\nvirtio_pci\next4\nvirtio_net\n" >>"$1/etc/initramfs-tools/modules"' \
    --customize-hook='sed -i "s/^MODULES=.*/MODULES=list/; s/^COMPRESS=.*/COMPRESS=zstd/" "$1/etc/initramfs-tools/initramfs.conf"' \
    --customize-hook='chroot "$1" update-initramfs -u >/dev/null' \
    bookworm "$work/root"

cp "$work"/root/boot/vmlinuz-* "$directory/vmlinuz"
cp "$work"/root/boot/initrd.img-* "$directory/initrd"
mke2fs -q -t ext4 -O '^metadata_csum' -d "$work/root" "$work/disk.img" 1536M
qemu-img convert -O qcow2 "$work/disk.img" "$directory/disk.qcow2"
mv "$work/key" "$work/key.pub" "$directory/"
