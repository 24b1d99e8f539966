#!/bin/bash
# Builds a Vagrant box for libvirt from Debian's packages alone: a disk image that boots by itself.
#
#   build.sh DIRECTORY SUITE KERNEL PACKAGES...
#
# DIRECTORY gets box.img, metadata.json, Vagrantfile and the key that opens the box, and NAME.box,
# NAME being the directory's. Nothing is run as root of this computer unless root runs this.
#
# The image is made without mounting anything: a FAT partition with syslinux, the kernel and a small
# initial RAM disk, and an ext4 partition written by mke2fs from a tree of files.
set -euo pipefail

OUT=$1 SUITE=$2 KERNEL=$3
shift 3
PACKAGES=("$@")
HERE=$(cd "$(dirname "$0")" && pwd)
BOOT_MIB=64
ROOT_MIB=3072
MBR=/usr/lib/syslinux/mbr/mbr.bin
APPEND='root=/dev/vda2 ro net.ifnames=0 console=tty0 console=ttyS0,115200 quiet'

mkdir -p "$OUT"
WORK=$(mktemp -d "$OUT/.build.XXXXXX")
trap 'rm -rf "$WORK"' EXIT

say() {
    printf 'box: %s\n' "$*"
}

say "fetching and unpacking ${#PACKAGES[@]} Debian packages, and what they need"
ssh-keygen -q -t ed25519 -N '' -C "$(basename "$OUT")" -f "$WORK/id_ed25519"
# Of Debian's recommendations none; of documentation none: the image is copied to each machine.
include=$(IFS=,; printf '%s' "${PACKAGES[*]}")
mmdebstrap --quiet --variant=minbase --include="$include,$KERNEL" \
    --aptopt='APT::Install-Recommends "false"' \
    --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/man/*' \
    --dpkgopt='path-exclude=/usr/share/locale/*' \
    --customize-hook="copy-in $WORK/id_ed25519.pub /root" \
    --customize-hook="upload $HERE/inside.sh /root/inside.sh" \
    --customize-hook='chroot "$1" sh /root/inside.sh' \
    --customize-hook="download /boot/vmlinuz $WORK/vmlinuz" \
    --customize-hook="download /boot/initrd $WORK/initrd" \
    "$SUITE" "$WORK/root.tar" 2>"$WORK/log" || {
    tail -n 12 "$WORK/log" >&2
    say "mmdebstrap failed; its last words are above. Does \`apt-get update\` work here?" >&2
    exit 1
}

say "making the disk image"
root=$WORK/root.img boot=$WORK/boot.img disk=$WORK/disk.img
mkdir "$WORK/root"
truncate --size "${ROOT_MIB}M" "$root"
# fakeroot: files keep their owners in the image, whoever runs this.
fakeroot sh -c 'tar -C "$1" -xf "$2" && mke2fs -q -t ext4 -L root -d "$1" "$3"' \
    sh "$WORK/root" "$WORK/root.tar" "$root"
truncate --size "${BOOT_MIB}M" "$boot"
mkfs.fat -F 16 -n BOOT "$boot" >/dev/null
printf 'DEFAULT linux\nLABEL linux\nLINUX vmlinuz\nINITRD initrd\nAPPEND %s\n' "$APPEND" >"$WORK/syslinux.cfg"
mcopy -i "$boot" "$WORK/vmlinuz" "$WORK/initrd" "$WORK/syslinux.cfg" ::
syslinux --install "$boot"
truncate --size "$((1 + BOOT_MIB + ROOT_MIB))M" "$disk"
sfdisk --quiet "$disk" <<END
label: dos
start=2048, size=$((BOOT_MIB * 2048)), type=e, bootable
start=$((2048 + BOOT_MIB * 2048)), type=83
END
dd if="$MBR" of="$disk" bs=440 count=1 conv=notrunc status=none
dd if="$boot" of="$disk" bs=1M seek=1 conv=notrunc,sparse status=none
dd if="$root" of="$disk" bs=1M seek=$((1 + BOOT_MIB)) conv=notrunc,sparse status=none
qemu-img convert -O qcow2 "$disk" "$WORK/box.img"

say "packing the box"
gigabytes=$(((1 + BOOT_MIB + ROOT_MIB + 1023) / 1024))
printf '{"provider": "libvirt", "format": "qcow2", "virtual_size": %d}\n' "$gigabytes" >"$WORK/metadata.json"
cp "$HERE/Vagrantfile" "$WORK/Vagrantfile"
cp "$WORK/vmlinuz" "$OUT/vmlinuz" # for trying whether KVM boots it
tar -C "$WORK" -cf "$WORK/box" metadata.json Vagrantfile id_ed25519 box.img
mv "$WORK"/{box.img,metadata.json,Vagrantfile,id_ed25519} "$OUT"
mv "$WORK/box" "$OUT/$(basename "$OUT").box"
