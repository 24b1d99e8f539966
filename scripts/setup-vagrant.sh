#!/bin/bash
# Installs on this computer what virtual machines need and what is missing: Vagrant, libvirt, QEMU and
# the tools that build the box. None of these packages starts a service. Again does nothing.
#
# With VAGRANT_DEFAULT_PROVIDER=virtualbox nothing of libvirt: VirtualBox and Vagrant are yours then.
set -euo pipefail
cd "$(dirname "$0")/.."

PACKAGES=(
    dnsmasq-base        # gives VMs their management address
    dosfstools          # mkfs.fat; this and the next ones build the box
    e2fsprogs           # mke2fs
    fakeroot
    fdisk               # sfdisk
    mmdebstrap
    mtools              # mcopy
    syslinux
    syslinux-common     # the boot sector
    iptables            # libvirt's
    libvirt-clients     # virsh
    libvirt-daemon
    libvirt-daemon-driver-qemu
    netcat-openbsd      # SSH into the network namespace of the testbed's own libvirtd
    openssh-client
    qemu-system-x86
    qemu-utils          # qemu-img
    vagrant
    vagrant-libvirt
)
if [ "${VAGRANT_DEFAULT_PROVIDER:-libvirt}" = virtualbox ]; then
    PACKAGES=(openssh-client)
    command -v vagrant VBoxManage >/dev/null || {
        echo "setup: install Vagrant and VirtualBox first (VAGRANT_DEFAULT_PROVIDER is virtualbox)" >&2
        exit 1
    }
fi

scripts/install-packages.sh "${PACKAGES[@]}"
touch .venv/.installed-vagrant
