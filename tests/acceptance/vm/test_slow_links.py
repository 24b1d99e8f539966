"""Links that are late and lossy, as the topology declares them, and a handover over them."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from dmm_testbed.scenario.file import load_scenario
from dmm_testbed.scenario.play import Player
from dmm_testbed.topology import load_topology

if TYPE_CHECKING:
    from collections.abc import Iterator

    from labs import Lab

    from dmm_testbed.results import Results
    from dmm_testbed.topology import Topology

ROOT = Path(__file__).parents[3]
DELAY_MS = 20
LOSS_PERCENT = 1
PROFILE = "distributed-query"


@pytest.fixture(scope="module")
def slow(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Topology]:
    """The lab with every link between routers late and lossy, and as it was afterwards."""
    usual = ROOT / "inventory" / f"{lab.topology}.yml"
    described = yaml.safe_load(usual.read_text(encoding="utf-8"))
    for link in described["links"]:
        link |= {"delay_ms": DELAY_MS, "loss_percent": LOSS_PERCENT}
    file = tmp_path_factory.mktemp("slow") / usual.name
    file.write_text(yaml.safe_dump(described), encoding="utf-8")
    done = lab.change_to(file)
    assert done.status == 0, done.output
    yield load_topology(file)
    restored = lab.play("site")
    assert restored.status == 0, restored.output
    assert "netem" not in lab.host("gw1").check_output("tc qdisc show")


@pytest.fixture(scope="module")
def measured(lab: Lab, slow: Topology, tmp_path_factory: pytest.TempPathFactory) -> Results:
    """The topology's scenario, played over slow links."""
    scenario = load_scenario(ROOT / "inventory" / "scenarios" / f"{lab.topology}.yml", slow)
    directory = tmp_path_factory.mktemp("run")
    player = Player(slow, PROFILE, scenario, lab.reach, directory, say=print)
    try:
        player.begin()
        for step in scenario.steps:
            assert player.play(step).failures == [], step.name
        return player.finish()
    finally:
        player.abandon()


def fixed_links(topology: Topology) -> list[tuple[str, str]]:
    return [
        end for link in topology.links if not link.radio for end in (link.ends, link.ends[::-1])
    ]


def test_both_ends_of_a_link_delay_and_lose_what_they_send(lab: Lab, slow: Topology) -> None:
    for own, peer in fixed_links(slow):
        shown = lab.host(own).check_output("tc -json qdisc show dev %s root", peer)
        (queue,) = json.loads(shown)
        assert queue["kind"] == "netem", (own, peer)
        assert queue["options"]["delay"]["delay"] == pytest.approx(DELAY_MS / 1000), (own, peer)
        assert queue["options"]["loss-random"]["loss"] == pytest.approx(LOSS_PERCENT / 100)


def test_a_round_trip_takes_the_delay_of_both_directions(lab: Lab, slow: Topology) -> None:
    own, peer = fixed_links(slow)[0]
    address = next(i.peer_address for i in slow.machines[own].interfaces if i.name == peer)
    said = lab.host(own).run("ping -q -c 20 -i 0.2 -W 2 %s", str(address)).stdout
    fastest = re.search(r"rtt min/avg/max/mdev = ([\d.]+)", said)
    assert fastest, said
    assert float(fastest[1]) >= 2 * DELAY_MS


def test_sessions_survive_a_handover_over_late_and_lossy_links(measured: Results) -> None:
    assert measured.failures == ()
    moved: list[Any] = [step for step in measured.steps if step.tcp is not None]
    assert moved
    for step in moved:
        assert step.tcp.survived, step.name
        assert step.tcp.intact, step.name


def test_packets_take_the_direct_route_over_late_and_lossy_links(measured: Results) -> None:
    for step in (step for step in measured.steps if step.tcp is not None):
        assert (step.stretch.forward.after, step.stretch.reverse.after) == (1.0, 1.0), step.name


def test_links_that_lose_packets_lost_some(measured: Results) -> None:
    lost = sum(step.udp.lost for step in measured.steps if step.udp is not None)
    sent = sum(step.udp.sent for step in measured.steps if step.udp is not None)
    assert 0 < lost < 0.2 * sent
