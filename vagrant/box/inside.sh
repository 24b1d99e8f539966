#!/bin/sh
# Run by build.sh inside the new system, once: what makes of Debian's packages a machine to reach.
set -eu

echo dmm >/etc/hostname
printf '127.0.0.1 localhost\n::1 localhost ip6-localhost ip6-loopback\n' >/etc/hosts
printf '/dev/vda2 / ext4 errors=remount-ro,noatime 0 0\n' >/etc/fstab

# The user that Vagrant logs in as; the key is made for this box alone.
useradd --create-home --shell /bin/bash vagrant
echo 'vagrant ALL=(ALL) NOPASSWD: ALL' >/etc/sudoers.d/vagrant
chmod 0440 /etc/sudoers.d/vagrant
install -d -o vagrant -g vagrant -m 0700 /home/vagrant/.ssh
install -o vagrant -g vagrant -m 0600 /root/id_ed25519.pub /home/vagrant/.ssh/authorized_keys
rm /root/id_ed25519.pub /root/inside.sh

# Keys only, and a host key for each machine, made when it first boots; RSA keys would take seconds,
# and so does Debian's check of a configuration that nobody has changed.
rm -f /etc/ssh/ssh_host_*
printf 'PasswordAuthentication no\nPermitRootLogin no\nHostKey /etc/ssh/ssh_host_ed25519_key\nUseDNS no\n' \
    >/etc/ssh/sshd_config.d/box.conf
mkdir -p /etc/systemd/system/ssh.service.d
cat >/etc/systemd/system/ssh.service.d/host-key.conf <<'END'
[Service]
ExecStartPre=
ExecStartPre=/bin/sh -c '[ -s /etc/ssh/ssh_host_ed25519_key ] || ssh-keygen -q -t ed25519 -N "" -f /etc/ssh/ssh_host_ed25519_key'
END

# The first interface is for management: an address by DHCP, which the MAC address decides.
mkdir -p /etc/systemd/network
cat >/etc/systemd/network/10-management.network <<'END'
[Match]
Name=eth0

[Network]
DHCP=ipv4
LinkLocalAddressing=no
IPv6AcceptRA=no

[DHCPv4]
ClientIdentifier=mac
UseDNS=no
UseNTP=no
# Its name is Vagrant's to give; asking for one would start a service that nothing else needs.
UseHostname=no
END
# Only that one: the others belong to the testbed.
systemctl enable --quiet systemd-networkd.service
systemctl disable --quiet systemd-networkd-wait-online.service
# Services of packages that the testbed configures first, or that nobody needs beside networkd. With
# their scripts for another init systemd would ask update-rc.d, which takes seconds.
for service in bird chrony networking nftables; do
    systemctl disable --quiet "$service" 2>/dev/null || true
    rm -f "/etc/init.d/$service"
done
# What such a machine has no use for; under emulation each costs up to a second of every boot, and of
# every time that systemd reads its units.
for unit in apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer \
    e2scrub_reap.service fstrim.timer systemd-pstore.service \
    dev-hugepages.mount dev-mqueue.mount proc-sys-fs-binfmt_misc.automount \
    sys-fs-fuse-connections.mount sys-kernel-config.mount sys-kernel-debug.mount \
    sys-kernel-tracing.mount modprobe@configfs.service modprobe@dm_mod.service \
    modprobe@drm.service modprobe@fuse.service modprobe@loop.service \
    getty@tty1.service getty-static.service ifupdown-pre.service systemd-binfmt.service \
    systemd-firstboot.service systemd-logind.service systemd-network-generator.service \
    systemd-pcrphase.service systemd-pcrphase-sysinit.service systemd-repart.service \
    systemd-sysusers.service systemd-update-utmp.service systemd-update-utmp-runlevel.service; do
    ln -sf /dev/null "/etc/systemd/system/$unit"
done
mkdir -p /etc/systemd/system-generators
for generator in /lib/systemd/system-generators/*; do
    case $generator in */systemd-fstab-generator) continue ;; esac
    ln -s /dev/null "/etc/systemd/system-generators/${generator##*/}"
done

: >/etc/machine-id # each machine makes its own
sed -i 's/^MODULES=.*/MODULES=list/; s/^COMPRESS=.*/COMPRESS=gzip/' /etc/initramfs-tools/initramfs.conf
printf 'virtio_pci\nvirtio_blk\next4\n' >>/etc/initramfs-tools/modules
update-initramfs -u >/dev/null
cp -L /boot/vmlinuz-* /boot/vmlinuz
cp -L /boot/initrd.img-* /boot/initrd
rm -f /boot/vmlinuz-* /boot/initrd.img-* # the boot partition has them
apt-get clean
rm -rf /var/lib/apt/lists/* /var/cache/debconf/*-old /var/log/*.log
