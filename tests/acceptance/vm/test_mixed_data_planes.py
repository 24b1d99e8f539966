"""One lab in which some routers tunnel by routes and others by a device, and back again."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import yaml

from dmm_testbed.scenario.file import load_scenario
from dmm_testbed.scenario.play import Player
from dmm_testbed.topology import load_topology
from dmm_testbed.topology.model import Role

if TYPE_CHECKING:
    from collections.abc import Iterator

    from labs import Lab

    from dmm_testbed.results import Results
    from dmm_testbed.topology import Topology

ROOT = Path(__file__).parents[3]
PROFILE = "distributed-query"
DEVICE_OF = {"seg6": "dmm0", "ip6tnl": "dmm-tnl0"}


def data_planes(topology: Topology) -> dict[str, str]:
    """How each host with an agent shall tunnel: no gateway like the first, no router as above."""
    gateways = [machine.name for machine in topology.with_role(Role.GATEWAY)]
    of = {name: "ip6tnl" if number % 2 == 0 else "seg6" for number, name in enumerate(gateways)}
    for machine in topology.with_role(Role.ACCESS_ROUTER):
        assert machine.gateway
        of[machine.name] = "seg6" if of[machine.gateway] == "ip6tnl" else "ip6tnl"
    return of


@pytest.fixture(scope="module")
def mixed(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Topology]:
    """The lab with both data planes in it, and as it was afterwards."""
    usual = ROOT / "inventory" / f"{lab.topology}.yml"
    described = yaml.safe_load(usual.read_text(encoding="utf-8"))
    for host, plane in data_planes(load_topology(usual)).items():
        described["hosts"][host]["dataplane"] = plane
    file = tmp_path_factory.mktemp("mixed") / usual.name
    file.write_text(yaml.safe_dump(described), encoding="utf-8")
    done = lab.change_to(file)
    assert done.status == 0, done.output
    yield load_topology(file)
    restored = lab.play("site")
    assert restored.status == 0, restored.output
    for host in data_planes(load_topology(usual)):
        assert devices(lab, host) == {"dmm0"}, f"nothing of the tunnel device stays on {host}"


def devices(lab: Lab, host: str) -> set[str]:
    """Which of the devices of both data planes a host has."""
    shown = json.loads(lab.host(host).check_output("ip -json link show"))
    return {link["ifname"] for link in shown} & set(DEVICE_OF.values())


@pytest.fixture(scope="module")
def measured(lab: Lab, mixed: Topology, tmp_path_factory: pytest.TempPathFactory) -> Results:
    """The topology's scenario, played with both data planes."""
    scenario = load_scenario(ROOT / "inventory" / "scenarios" / f"{lab.topology}.yml", mixed)
    player = Player(mixed, PROFILE, scenario, lab.reach, tmp_path_factory.mktemp("run"), say=print)
    try:
        player.begin()
        for step in scenario.steps:
            assert player.play(step).failures == [], step.name
        return player.finish()
    finally:
        player.abandon()


def test_each_host_tunnels_as_the_topology_says_and_in_no_other_way(
    lab: Lab, mixed: Topology
) -> None:
    for host, plane in data_planes(mixed).items():
        assert devices(lab, host) == {DEVICE_OF[plane]}, host
        status = json.loads(lab.host(host).check_output("dmmctl status --json"))
        assert status["dataplane"] == plane, host


def test_sessions_survive_handovers_between_both_data_planes(measured: Results) -> None:
    assert measured.failures == ()
    moved = [step for step in measured.steps if step.tcp is not None]
    assert moved
    for step in moved:
        assert step.tcp is not None
        assert step.tcp.survived, step.name
        assert step.tcp.intact, step.name
        assert (step.stretch.forward.after, step.stretch.reverse.after) == (1.0, 1.0), step.name


def test_packets_were_tunnelled_between_them(measured: Results) -> None:
    away = next(step for step in measured.steps if step.name == "away")
    for way in (away.path.forward, away.path.reverse):
        assert any(observed.tunnels for observed in way.observed)
