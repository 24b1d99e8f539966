"""Plain Debian 12 hosts that nobody made for the testbed: QEMU VMs, reached by SSH only.

Their disk is the plain box: a Debian without any package of the testbed.
"""

from __future__ import annotations

import os
import socket
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

    from dmm_testbed.vagrant.box import Box

ToldT = TypeVar("ToldT")

USER = "vagrant"
BOOTED_WITHIN_S = 600.0
MEMORY_MIB = 256
POLL_S = 0.5
HOSTS_FILE = """\
127.0.0.1\tlocalhost
127.0.1.1\t{name}
# kept by the owner of this host
192.0.2.7\tprinter
"""
LAN = """\
[Match]
Name=eth1
[Network]
Address={address}/24
LinkLocalAddressing=no
"""
ACCELERATOR = os.environ.get("DMM_TEST_ACCELERATOR", "tcg,tb-size=128")


@dataclass
class BareHost:
    """One running VM."""

    name: str
    number: int
    directory: Path
    port: int
    command: list[str]
    process: subprocess.Popen[bytes]

    @property
    def lan_address(self) -> str:
        """Where the other hosts reach it."""
        return f"10.77.0.{self.number}"

    def ssh(self, command: str, within_s: float = 60.0) -> subprocess.CompletedProcess[str]:
        """Run a shell command as root, past everything of the testbed."""
        options = ["StrictHostKeyChecking=no", "UserKnownHostsFile=/dev/null", "LogLevel=ERROR"]
        line = [part for option in (*options, "ConnectTimeout=10") for part in ("-o", option)]
        return subprocess.run(
            [
                *("ssh", "-i", str(self.directory / "key"), "-p", str(self.port), *line),
                *(f"{USER}@127.0.0.1", f"sudo sh -c {_quoted(command)}"),
            ],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=within_s,
            check=False,
        )

    def output(self, command: str) -> str:
        """What a shell command says; it must succeed."""
        done = self.ssh(command)
        assert done.returncode == 0, f"{self.name}: {command}: {done.stderr}"
        return done.stdout

    def set_up(self) -> None:
        """Give it what its owner has given it, once it has booted: a name, names, an address."""
        self.await_boot()
        name = f"host{self.number}"
        for path, content in (
            ("/etc/hostname", f"{name}\n"),
            ("/etc/hosts", HOSTS_FILE.format(name=name)),
            ("/etc/systemd/network/20-lan.network", LAN.format(address=self.lan_address)),
        ):
            self.output(f"printf %s {_quoted(content)} >{path}")
        online = "/lib/systemd/systemd-networkd-wait-online --interface=eth1 --timeout=60"
        self.output(f"hostname {name} && networkctl reload && {online}")

    def restart(self) -> None:
        """Cut its power, and switch it on again."""
        self.process.kill()
        self.process.wait(30)
        self.process = _switched_on(self.name, self.command, self.directory)
        self.await_boot()

    def await_boot(self) -> None:
        """Wait until it lets us in."""
        deadline = time.monotonic() + BOOTED_WITHIN_S
        while True:
            try:
                if self.ssh("true").returncode == 0:
                    return
            except subprocess.TimeoutExpired:
                pass
            console = self.directory / f"{self.name}.console"
            assert self.process.poll() is None, f"{self.name} ended: see {console}"
            assert time.monotonic() < deadline, f"{self.name} does not boot: see {console}"
            time.sleep(POLL_S)


def all_at_once(act: Callable[[BareHost], ToldT], hosts: Iterable[BareHost]) -> list[ToldT]:
    """Do something with each host, side by side: one emulated machine keeps one core busy."""
    each = list(hosts)
    with ThreadPoolExecutor(len(each)) as pool:
        return list(pool.map(act, each))


def start(names: Sequence[str], box: Box, work: Path, cable: tuple[str, str]) -> list[BareHost]:
    """Start hosts from a fresh disk each.

    Each has eth0, by which it is reached from here, and eth1, a network with the others; the two of
    `cable` have eth2, a cable between them.
    """
    key = work / "key"
    key.touch(0o600)
    key.write_bytes((box.directory / "id_ed25519").read_bytes())
    ports = free_ports(len(names) + 3)
    lan, ends = ports[-1], ports[-3:-1]
    hosts = []
    for number, name in enumerate(names, start=1):
        disk = work / f"{name}.qcow2"
        base = box.directory / "box.img"
        subprocess.run(
            ["qemu-img", "create", "-q", "-f", "qcow2", "-F", "qcow2", "-b", str(base), str(disk)],
            check=True,
        )
        port = ports[number - 1]
        cards = [
            (f"user,hostfwd=tcp:127.0.0.1:{port}-:22,restrict=on", f"52:54:00:4c:00:0{number}"),
            (f"socket,mcast=230.77.0.1:{lan},localaddr=127.0.0.1", f"52:54:00:4d:00:0{number}"),
        ]
        if name in cable:
            here, there = ends if name == cable[0] else ends[::-1]
            address = f"127.0.0.1:{there}"
            cards.append(
                (f"socket,udp={address},localaddr=127.0.0.1:{here}", f"52:54:00:4e:00:0{number}")
            )
        command = _qemu(name, disk, work, cards)
        process = _switched_on(name, command, work)
        hosts.append(BareHost(name, number, work, port, command, process))
    return hosts


def _switched_on(name: str, command: list[str], work: Path) -> subprocess.Popen[bytes]:
    with (work / f"{name}.qemu").open("wb") as told:
        return subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=told
        )


def _qemu(name: str, disk: Path, work: Path, cards: list[tuple[str, str]]) -> list[str]:
    command = [
        *("qemu-system-x86_64", "-nodefaults", "-display", "none", "-accel", ACCELERATOR),
        *("-cpu", "max", "-smp", "1", "-m", str(MEMORY_MIB), "-device", "virtio-rng-pci"),
        *("-serial", f"file:{work / f'{name}.console'}", "-drive", f"file={disk},if=virtio"),
    ]
    for card, (network, mac) in enumerate(cards):
        kind, _, options = network.partition(",")
        command += ["-netdev", f"{kind},id=n{card},{options}"]
        command += ["-device", f"virtio-net-pci,netdev=n{card},mac={mac}"]
    return command


def stop(hosts: Sequence[BareHost]) -> None:
    """End them, as a power cut does."""
    for host in hosts:
        host.process.kill()
        host.process.wait(30)


def free_ports(count: int) -> list[int]:
    """Ports that nobody uses just now, for TCP and UDP."""
    held = []
    try:
        for _ in range(count):
            one = socket.socket()
            one.bind(("127.0.0.1", 0))
            held.append(one)
        return [one.getsockname()[1] for one in held]
    finally:
        for one in held:
            one.close()


def _quoted(command: str) -> str:
    return "'" + command.replace("'", "'\\''") + "'"
