"""Three plain hosts, and an inventory that says where they are. `--keep-hosts`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
from tests.metal import bare_hosts
from tests.playing import ROOT, play

from dmm_testbed.vagrant.box import build, plain_box

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.metal.bare_hosts import BareHost
    from tests.playing import Played

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
        ansible_user: {user}
        ansible_become: true
        ansible_ssh_private_key_file: {work}/key
        ansible_ssh_common_args: -o UserKnownHostsFile={work}/known_hosts
        dmm_clock: lab
      hosts:
"""


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
        inventories = (TOPOLOGY, self.inventory)
        return play(self.lab, inventories, playbook, *options, within_s=PLAYBOOK_WITHIN_S)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--keep-hosts", action="store_true", help="leave the hosts on at the end")


@pytest.fixture(scope="session")
def metal(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Metal]:
    """The hosts, as their owner has them, and nothing of the testbed on them."""
    box = plain_box()
    build(box, print)
    work = tmp_path_factory.mktemp("metal")
    hosts = bare_hosts.start(NAMES, box, work, CABLE)
    patch = pytest.MonkeyPatch()
    try:
        bare_hosts.all_at_once(bare_hosts.BareHost.set_up, hosts)
        # The record of the lab goes away with the hosts.
        patch.setenv("DMM_LABS", str(work / "labs"))
        made = Metal("metal-test", {host.name: host for host in hosts}, work)
        made.inventory.write_text(inventory(made))
        (work / "known_hosts").write_text("".join(bare_hosts.all_at_once(host_keys, hosts)))
        yield made
    finally:
        patch.undo()
        if request.config.getoption("--keep-hosts"):
            print(f"\nhosts stay on; their disks and consoles are in {work}")
        else:
            bare_hosts.stop(hosts)


def inventory(metal: Metal) -> str:
    """Where the hosts are, as their user would write it."""
    text = INVENTORY.format(work=metal.work, user=bare_hosts.USER)
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
