"""Links that are late and lossy, and routers that tunnel in different ways: a handover over both.

With another profile than the other tests, so that pushed locations, too, have been over them. All
at once, because a lab takes minutes to be changed. The tests build on each other, in the order
of this file.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import yaml
from labs import BRIEF_PROFILE

from dmm_testbed.scenario.expectations import expected_with
from dmm_testbed.scenario.file import load_scenario
from dmm_testbed.scenario.play import Player
from dmm_testbed.topology import load_topology
from dmm_testbed.topology.model import Role
from dmm_testbed.topology.profile import load_profile

if TYPE_CHECKING:
    from labs import Lab

    from dmm_testbed.results import Results
    from dmm_testbed.topology import Topology

ROOT = Path(__file__).parents[3]
STEPS = ("attach", "away", "home")
PROFILE = "access-push"
DELAY_MS = 20
LOSS_PERCENT = 1
pytestmark = pytest.mark.changes_lab(turn=1)
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
def hard(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Topology:
    """The lab under these conditions."""
    usual = ROOT / "inventory" / f"{lab.topology}.yml"
    described = yaml.safe_load(usual.read_text(encoding="utf-8"))
    for link in described["links"]:
        link |= {"delay_ms": DELAY_MS, "loss_percent": LOSS_PERCENT}
    for host, plane in data_planes(load_topology(usual)).items():
        described["hosts"][host]["dataplane"] = plane
    file = tmp_path_factory.mktemp("hard") / usual.name
    # In the order of the file, which is that of the machines: the first one keeps the time.
    file.write_text(yaml.safe_dump(described, sort_keys=False), encoding="utf-8")
    lab.begin_anew(file, PROFILE)
    return load_topology(file)


@pytest.fixture(scope="module")
def measured(lab: Lab, hard: Topology, tmp_path_factory: pytest.TempPathFactory) -> Results:
    """What a handover, and the way back, were like."""
    inventory = ROOT / "inventory"
    written = load_scenario(inventory / "scenarios" / f"{lab.topology}.yml", hard)
    profile = load_profile(inventory / "profiles" / f"{PROFILE}.yml")
    scenario = expected_with(profile, written)
    player = Player(hard, PROFILE, scenario, lab.reach, tmp_path_factory.mktemp("run"), say=print)
    try:
        player.begin()
        for step in (step for step in scenario.steps if step.name in STEPS):
            assert player.play(step).failures == [], step.name
        return player.finish()
    finally:
        player.abandon()


def devices(lab: Lab, host: str) -> set[str]:
    """Which of the devices of both data planes a host has."""
    shown = json.loads(lab.host(host).check_output("ip -json link show"))
    return {link["ifname"] for link in shown} & set(DEVICE_OF.values())


def fixed_links(topology: Topology) -> list[tuple[str, str]]:
    return [
        end for link in topology.links if not link.radio for end in (link.ends, link.ends[::-1])
    ]


def test_both_ends_of_a_link_delay_and_lose_what_they_send(lab: Lab, hard: Topology) -> None:
    for own, peer in fixed_links(hard):
        shown = lab.host(own).check_output("tc -json qdisc show dev %s root", peer)
        (queue,) = json.loads(shown)
        assert queue["kind"] == "netem", (own, peer)
        assert queue["options"]["delay"]["delay"] == pytest.approx(DELAY_MS / 1000), (own, peer)
        assert queue["options"]["loss-random"]["loss"] == pytest.approx(LOSS_PERCENT / 100)


def test_a_round_trip_takes_the_delay_of_both_directions(lab: Lab, hard: Topology) -> None:
    own, peer = fixed_links(hard)[0]
    address = next(i.peer_address for i in hard.machines[own].interfaces if i.name == peer)
    said = lab.host(own).run("ping -q -c 20 -i 0.2 -W 2 %s", str(address)).stdout
    fastest = re.search(r"rtt min/avg/max/mdev = ([\d.]+)", said)
    assert fastest, said
    assert float(fastest[1]) >= 2 * DELAY_MS


def test_each_host_tunnels_as_the_topology_says_and_in_no_other_way(
    lab: Lab, hard: Topology
) -> None:
    for host, plane in data_planes(hard).items():
        assert devices(lab, host) == {DEVICE_OF[plane]}, host
        status = json.loads(lab.host(host).check_output("dmmctl status --json"))
        assert status["dataplane"] == plane, host


def test_sessions_survive_handovers(measured: Results) -> None:
    assert measured.failures == ()
    assert [step.name for step in measured.steps] == list(STEPS)
    for step in measured.steps:
        assert step.tcp is not None
        assert step.tcp.survived, step.name
        assert step.tcp.intact, step.name


def test_packets_take_the_direct_route_in_the_end(measured: Results) -> None:
    for step in measured.steps:
        assert (step.stretch.forward.after, step.stretch.reverse.after) == (1.0, 1.0), step.name


def test_packets_were_tunnelled_between_routers_that_tunnel_in_different_ways(
    hard: Topology, measured: Results
) -> None:
    planes = data_planes(hard)
    away = next(step for step in measured.steps if step.name == "away")
    for way in (away.path.forward, away.path.reverse):
        pairs = [(t.start, t.end) for observed in way.observed for t in observed.tunnels]
        assert any(planes[start] != planes[end] for start, end in pairs), pairs


def test_links_that_lose_packets_lost_some(measured: Results) -> None:
    lost = sum(step.udp.lost for step in measured.steps if step.udp is not None)
    sent = sum(step.udp.sent for step in measured.steps if step.udp is not None)
    assert 0 < lost < 0.2 * sent


def test_of_conditions_that_are_over_nothing_stays(lab: Lab, hard: Topology) -> None:
    lab.change_to(profile=BRIEF_PROFILE)  # what the tests of the next turn want

    for host in data_planes(hard):
        assert devices(lab, host) == {"dmm0"}, f"nothing of the tunnel device stays on {host}"
        assert "netem" not in lab.host(host).check_output("tc qdisc show"), host
