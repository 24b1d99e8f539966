"""The lab under test: made of namespaces by our playbook, or of VMs by Vagrant, which runs it."""

from __future__ import annotations

import os
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from effort import need_room, spare_emulated_machines
from tests.playing import ROOT, play

from dmm_testbed.machines.reach import reach
from dmm_testbed.machines.state import secret_file
from dmm_testbed.scenario.expectations import expected_with
from dmm_testbed.scenario.file import load_scenario
from dmm_testbed.scenario.play import Player
from dmm_testbed.topology import load_topology
from dmm_testbed.topology.model import Role
from dmm_testbed.topology.plain import plain_machine
from dmm_testbed.topology.profile import load_profile

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import pytest
    from tests.playing import Played

    from dmm_testbed.machines.reach import Reach
    from dmm_testbed.results import Results

KINDS = ("namespace", "vagrant")
NAMES = ("test", "five", "many", "flat", "host")
"""What the labs of these tests are called, after the user's own."""
VAGRANT = ROOT / "vagrant"
VAGRANT_UP_WITHIN_S = 2400.0
VAGRANT_DESTROY_WITHIN_S = 300.0
CLEARED_WITHIN_S = 120.0
PLAYBOOK_WITHIN_S = {"namespace": 600.0, "vagrant": 1800.0}
LAST_LINES = 200
NO_ADDRESS = "dmm-radio off; ip -6 address flush dev radio0 scope global"
FORGET = (
    "service dmm-agent stop"
    " && /opt/dmm-agent/bin/dmm-agent --flush"
    " && rm -f /var/lib/dmm/agent.db /var/lib/dmm/agent.db-*"
)
"""Ends an agent, and leaves nothing of what it knew."""
START = "service dmm-agent start"
AT_ONCE = 4
CONCERNED = "localhost,underlay,mobile_nodes"
"""Where profiles differ."""
USUAL_PROFILE = "gateway-query"
BRIEF_PROFILE = "gateway-query-brief"
"""The same with lifetimes of seconds."""


def name_of(lab: str) -> str:
    """The whole name of one of our labs, apart from those that the user may have."""
    return f"{os.environ.get('LAB', 'dmm')[:11]}-{lab}"


@contextmanager
def lab_of_its_own(
    config: pytest.Config, name: str, topology: str, profile: str = ""
) -> Iterator[Lab]:
    """One more lab, of the same kind of machines, for as long as the block runs.

    Args:
        config: says of which kind; a lab of VMs that is too much for the computer is skipped.
        name: one of NAMES.
        topology: name of its topology.
        profile: what it is made with; the usual one if left out.
    """
    made = Lab(name_of(name), config.getoption("--machines"), topology, profile or USUAL_PROFILE)
    spare_emulated_machines(config)
    need_room(config, made.file)
    try:
        made.make(print)
        yield made
    finally:
        made.destroy(print)


@dataclass
class Lab:
    """A lab under test."""

    name: str
    kind: str
    topology: str
    profile: str = USUAL_PROFILE
    """What it is made with."""
    _present: tuple[Path, str] | None = field(init=False)
    """Topology and profile that it is made by, if that is certain."""

    def __post_init__(self) -> None:
        self._present = self._usual

    def make(self, say: Callable[[str], None]) -> None:
        """Make the lab, with everything configured and running."""
        began = time.monotonic()
        if self.kind == "vagrant":
            self.destroy(say)  # a run may have been cut off
            say(f"vagrant up, lab {self.name}, topology {self.topology}: some minutes")
            status, output = self.vagrant("up", within_s=VAGRANT_UP_WITHIN_S)
        else:
            made = self.play("site", profile=self.profile)
            status, output = made.status, made.output
        last = "\n".join(output.splitlines()[-LAST_LINES:])
        assert status == 0, f"the lab could not be made:\n{last}"
        say(f"lab {self.name}: {self.kind} machines up in {time.monotonic() - began:.0f} s")

    def destroy(self, say: Callable[[str], None]) -> None:
        """Take the lab away, whatever state it is in."""
        if self.kind == "namespace":
            self.play("destroy")
        elif not self._destroy_machines(say):
            return
        assert not secret_file(self.name).exists(), "what keys were made from goes with the lab"

    def _destroy_machines(self, say: Callable[[str], None]) -> bool:
        """Take VMs away; gives whether there were any."""
        clear = [str(VAGRANT / "libvirtd"), "clear", self.name, str(self._vagrant_files)]
        subprocess.run(clear, check=True, timeout=CLEARED_WITHIN_S)
        if not self._vagrant_files.exists():
            return False
        say(f"vagrant destroy, lab {self.name}")
        status, output = self.vagrant("destroy", "-f", within_s=VAGRANT_DESTROY_WITHIN_S)
        assert status == 0, output
        return True

    def play(self, playbook: str, *options: str, **variables: str) -> Played:
        """Run a playbook of ours on the lab."""
        return self._play(self.file, playbook, *options, **variables)

    def change_to(self, topology: Path | None = None, profile: str | None = None) -> bool:
        """Have the lab be as another file and another profile say; by default, as it was made.

        Gives whether it was otherwise. Nodes that are attached nowhere stay so.
        """
        wanted = (topology or self.file, profile or self.profile)
        if self._present == wanted:
            return False
        same_machines = self._present is not None and self._present[0] == wanted[0]
        limit = ("--limit", CONCERNED) if same_machines else ()
        self._present = None
        done = self._play(wanted[0], "site", "--skip-tags", "attach", *limit, profile=wanted[1])
        assert done.status == 0, done.output
        self._present = wanted
        return True

    def play_scenario(self, directory: Path, profile: str | None = None) -> Results:
        """Play the scenario of the lab's topology with a profile, on agents that know nothing."""
        self.begin_anew(profile=profile)
        file, chosen = ROOT / self.file, profile or self.profile
        topology = load_topology(file)
        scenario = expected_with(
            load_profile(file.parent / "profiles" / f"{chosen}.yml"),
            load_scenario(file.parent / "scenarios" / file.name, topology),
        )
        player = Player(topology, chosen, scenario, self.reach, directory, say=print)
        try:
            player.begin()
            for step in scenario.steps:
                player.play(step)
            return player.finish()
        finally:
            player.abandon()

    def begin_anew(self, topology: Path | None = None, profile: str | None = None) -> None:
        """Change the lab, with agents and mobile nodes that know nothing: no lease, no route.

        Leases and bindings of another profile would outlive its end, with their old lifetimes.
        Nodes are attached nowhere afterwards.
        """
        nodes, routers = Role.MOBILE_NODE, (Role.GATEWAY, Role.ACCESS_ROUTER)
        self._on_all(NO_ADDRESS, nodes)
        self._on_all(FORGET, *routers)
        if not self.change_to(topology, profile):
            self._on_all(START, *routers)

    def _on_all(self, command: str, *roles: Role) -> None:
        """Run a command on all machines with these roles, some at a time."""
        with ThreadPoolExecutor(AT_ONCE) as pool:
            list(
                pool.map(lambda name: self.host(name).check_output(command), self.machines(*roles))
            )

    def have_no_address(self, node: str) -> None:
        """Have a mobile node be nowhere, without the addresses of where it was.

        It would keep even those whose leases are over for two hours (RFC 4862, 5.5.3 e), and prefer
        those of the last network for a while.
        """
        self.host(node).check_output(NO_ADDRESS)

    def _play(self, topology: Path, playbook: str, *options: str, **variables: str) -> Played:
        within_s = PLAYBOOK_WITHIN_S[self.kind]
        files = self.inventories(topology)
        return play(self.name, files, playbook, *options, within_s=within_s, **variables)

    def inventories(self, topology: Path) -> tuple[Path, ...]:
        """The topology, and where Ansible finds its machines if they are not namespaces."""
        if self.kind == "namespace":
            return (topology,)
        generated = self._vagrant_files / "provisioners/ansible/inventory/vagrant_ansible_inventory"
        return topology, Path("vagrant/inventory.yml"), generated

    @cached_property
    def reach(self) -> Reach:
        """The way to the machines."""
        return reach(self.kind, self.name)

    def host(self, name: str) -> Any:
        """Testinfra's view of a machine."""
        return self.reach.host(name)

    def machines(self, *roles: Role) -> dict[str, dict[str, Any]]:
        """All that is known of the machines with these roles, or of all, by name."""
        machines = load_topology(ROOT / self.file).machines.values()
        return {m.name: plain_machine(m) for m in machines if not roles or m.role in roles}

    def elsewhere(self, node: str) -> str:
        """Where tests move a mobile node: an access router outside the network where it starts.

        Always the same one: where a node first attaches in a network, its prefix of that network
        is at home for a day.
        """
        machines = load_topology(ROOT / self.file).machines
        mobile = machines[node].mobile
        assert mobile is not None
        home = machines[mobile.attach].network
        return next(name for name in mobile.hears if machines[name].network != home)

    @property
    def file(self) -> Path:
        """The topology's file, from the project's folder."""
        return Path("inventory") / f"{self.topology}.yml"

    @property
    def _usual(self) -> tuple[Path, str]:
        return self.file, self.profile

    @property
    def _vagrant_files(self) -> Path:
        return VAGRANT / f".vagrant-{self.name}"

    def vagrant(
        self, *arguments: str, within_s: float, files: Path | None = None
    ) -> tuple[int, str]:
        """Run Vagrant on a lab of its own; gives its exit status and all that it said."""
        try:
            done = subprocess.run(
                ["vagrant", *arguments],
                cwd=VAGRANT,
                env={
                    **os.environ,
                    "TOPOLOGY": self.topology,
                    "PROFILE": self.profile,
                    "LAB": self.name,
                    "VAGRANT_DOTFILE_PATH": str(files or self._vagrant_files),
                },
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                timeout=within_s,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            said = (error.output or b"").decode(errors="replace")
            return 1, f"{said}\nvagrant {arguments[0]} was not done after {within_s:.0f} s"
        return done.returncode, done.stdout.decode(errors="replace")
