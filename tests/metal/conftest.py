"""Three plain hosts, and an inventory that says where they are: `--metal-image`, `--keep-hosts`."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.metal import bare_hosts

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.metal.bare_hosts import BareHost

ROOT = Path(__file__).parents[2]
TOPOLOGY = ROOT / "inventory" / "three-hosts.yml"
NAMES = ("gw1", "ar11", "mn11")
CABLE = ("ar11", "mn11")
"""Between these there is a real interface; the other link goes over VXLAN."""
PLAYBOOK_WITHIN_S = 1800.0
INVENTORY = """\
ssh_machines:
  children:
    machines:
      vars:
        dmm_machines: metal
        ansible_connection: ssh
        ansible_python_interpreter: /usr/bin/python3
        ansible_user: admin
        ansible_become: true
        ansible_ssh_private_key_file: {work}/key
        ansible_ssh_common_args: -o UserKnownHostsFile={work}/known_hosts
        dmm_clock: lab
      hosts:
"""


@dataclass(frozen=True)
class Played:
    """What became of a playbook."""

    status: int
    output: str

    @property
    def changed(self) -> dict[str, int]:
        """Changed tasks by host, hosts without changes left out."""
        found = re.findall(r"^(\S+)\s+: ok=\d+\s+changed=(\d+)", self.output, re.MULTILINE)
        return {host: int(count) for host, count in found if int(count)}


@dataclass(frozen=True)
class Metal:
    """The hosts, and the testbed's view of them."""

    lab: str
    hosts: dict[str, BareHost]
    work: Path

    @property
    def inventory(self) -> Path:
        """Where the hosts are, for Ansible."""
        return self.work / "metal.yml"

    def play(self, playbook: str, *options: str) -> Played:
        """Run a playbook of ours on the hosts."""
        done = subprocess.run(
            [
                str(Path(sys.executable).parent / "ansible-playbook"),
                *("-i", str(TOPOLOGY), "-i", str(self.inventory), f"playbooks/{playbook}.yml"),
                *options,
            ],
            cwd=ROOT,
            env={**os.environ, "LAB": self.lab, "DMM_LABS": str(self.work / "labs")},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=PLAYBOOK_WITHIN_S,
            check=False,
        )
        return Played(done.returncode, done.stdout)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--metal-image",
        default="/var/cache/dmm-testbed/bare-host",
        help="directory with the disk of a plain host; built if it is not there",
    )
    parser.addoption("--keep-hosts", action="store_true", help="leave the hosts on at the end")


@pytest.fixture(scope="session")
def metal(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Metal]:
    """The hosts, as their owner has them, and nothing of the testbed on them."""
    if os.geteuid() != 0:
        pytest.fail("building a host's disk needs root: run this as root, for example with sudo")
    image = Path(request.config.getoption("--metal-image"))
    bare_hosts.build(image)
    work = tmp_path_factory.mktemp("metal")
    hosts = bare_hosts.start(NAMES, image, work, CABLE)
    try:
        for host in hosts:
            host.await_boot()
        made = Metal("metal-test", {host.name: host for host in hosts}, work)
        made.inventory.write_text(inventory(made))
        (work / "known_hosts").write_text("".join(map(host_keys, hosts)))
        yield made
    finally:
        if request.config.getoption("--keep-hosts"):
            print(f"\nhosts stay on; their disks and consoles are in {work}")
        else:
            bare_hosts.stop(hosts)


def inventory(metal: Metal) -> str:
    """Where the hosts are, as their user would write it."""
    text = INVENTORY.format(work=metal.work)
    for name, host in metal.hosts.items():
        text += (
            f"        {name}:\n          ansible_host: 127.0.0.1\n"
            f"          ansible_port: {host.port}\n"
            f"          dmm_underlay_address: {host.lan_address}\n"
        )
        if name in CABLE:
            (peer,) = set(CABLE) - {name}
            text += f"          dmm_interfaces: {{{peer}: eth2}}\n"
    return text


def host_keys(host: BareHost) -> str:
    """The host's keys as its owner knows them, from the host itself."""
    keys = host.output("cat /etc/ssh/ssh_host_*_key.pub").splitlines()
    return "".join(f"[127.0.0.1]:{host.port} {' '.join(key.split()[:2])}\n" for key in keys)
