"""The scenario on real machines: each step is played, then verified on the machines themselves.

The tests build on each other, in the order of this file: a mobile node that comes home must have
been away. And they come before those that move nodes about (`test_site_radio.py`): where a node
first attaches in a network, its prefix of that network is at home for a day.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from ipaddress import IPv6Address
from typing import TYPE_CHECKING, Any

import pytest
from labs import USUAL_PROFILE
from looks import addresses, bindings, home_prefix, table, tunnels

from dmm_testbed.measure.traffic import connection_source
from dmm_testbed.scenario.play import Player

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from cast import Cast
    from labs import Lab

    from dmm_testbed.results import Results
    from dmm_testbed.topology import Machine

VANISHED_WITHIN_S = 60.0


@pytest.fixture(scope="module")
def player(lab: Lab, cast: Cast, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Player]:
    """Plays the scenario; afterwards its node is at home, and not silent."""
    made = Player(
        cast.topology,
        USUAL_PROFILE,
        cast.scenario,
        lab.reach,
        tmp_path_factory.mktemp("run"),
        say=print,
    )
    try:
        made.begin()
        yield made
    finally:
        made.abandon()


@pytest.fixture(scope="module")
def measured(player: Player, cast: Cast) -> Results:
    """What captures and traffic say once every step has been played."""
    missing = [s.name for s in cast.scenario.steps[len(player.played) :]]
    assert not missing, f"steps {missing} were not played: run the whole file"
    return player.finish()


@pytest.fixture
def play(player: Player, cast: Cast) -> Callable[[str], None]:
    def one(name: str) -> None:
        step = cast.step(name)
        if step is None:
            pytest.skip(f"the scenario of topology {cast.topology.name} has no step {name}")
        assert player.play(step).failures == []

    return one


def loopback(machine: Machine) -> str:
    return str(machine.loopback)


def test_a_node_at_home_uses_plain_slaac_and_its_lm_has_no_entry(
    lab: Lab, cast: Cast, play: Callable[[str], None]
) -> None:
    play("attach")
    (home,) = addresses(lab, cast, cast.home_pool)
    assert home["dynamic"], "given by a router advertisement, with a lifetime"
    assert not home.get("deprecated")
    routes = json.loads(lab.host(cast.mobile_node).check_output("ip -json -6 route show default"))
    assert {(r["protocol"], r["gateway"]) for r in routes} == {("ra", "fe80::200:5eff:fe00:5213")}
    gateway = cast.gateway_of(cast.home_access_router).name
    assert bindings(lab, gateway) == {}
    leased = [row["mn_id"] for row in table(lab, gateway, "leases")]
    assert any(mn_id.startswith(f"{cast.mobile_node}@") for mn_id in leased)
    assert all(not tunnels(lab, host) for host in cast.agents)


def test_after_a_move_the_home_lm_points_at_the_new_network_and_that_at_the_access_router(
    lab: Lab, cast: Cast, play: Callable[[str], None]
) -> None:
    play("away")
    hnp, visited = home_prefix(lab, cast), cast.visited("away")
    home_gateway, new_gateway = cast.gateway_of(cast.home_access_router), cast.gateway_of(visited)
    assert bindings(lab, home_gateway.name)[hnp] == loopback(new_gateway)
    assert bindings(lab, new_gateway.name)[hnp] == loopback(visited)
    assert tunnels(lab, home_gateway.name)[hnp] == loopback(new_gateway)
    assert tunnels(lab, new_gateway.name)[hnp] == loopback(visited)


def test_the_old_prefix_is_deprecated_and_new_connections_use_the_new_one(
    lab: Lab, cast: Cast, player: Player
) -> None:
    (old,) = addresses(lab, cast, cast.home_pool)
    assert old["deprecated"]
    assert old["valid_life_time"] > 0
    pool = cast.visited("away").network.mobile_pool
    assert [a.get("deprecated", False) for a in addresses(lab, cast, pool)] == [False]
    chosen = connection_source(player.runner, cast.mobile_node, cast.correspondent_address)
    assert IPv6Address(chosen) in pool


def test_the_correspondents_mr_sends_straight_to_the_new_network(lab: Lab, cast: Cast) -> None:
    mr = cast.gateway_of(cast.correspondent)
    new_gateway = cast.gateway_of(cast.visited("away"))
    if mr is new_gateway:
        pytest.skip(f"in topology {cast.topology.name} the correspondent is in the new network")
    assert tunnels(lab, mr.name)[home_prefix(lab, cast)] == loopback(new_gateway)


def test_a_move_inside_the_network_changes_its_own_lm_alone(
    lab: Lab, cast: Cast, play: Callable[[str], None]
) -> None:
    play("within")
    hnp, visited = home_prefix(lab, cast), cast.visited("within")
    home_gateway, gateway = cast.gateway_of(cast.home_access_router), cast.gateway_of(visited)
    assert bindings(lab, home_gateway.name)[hnp] == loopback(gateway)
    assert set(bindings(lab, gateway.name).values()) == {loopback(visited)}


def test_at_home_again_bindings_caches_and_tunnels_are_gone(
    lab: Lab, cast: Cast, play: Callable[[str], None]
) -> None:
    play("home")
    assert all(not bindings(lab, host) for host in cast.agents)
    steering = [r for h in cast.agents for r in table(lab, h, "cache") if r["location"]]
    assert steering == []
    assert all(not tunnels(lab, host) for host in cast.agents)
    assert not addresses(lab, cast, cast.home_pool)[0].get("deprecated")


def test_two_nodes_talk_while_both_move(play: Callable[[str], None]) -> None:
    play("meet")


def test_a_node_that_vanishes_leaves_nothing_behind(
    lab: Lab, cast: Cast, play: Callable[[str], None], until: Callable[..., Any]
) -> None:
    play("vanish")

    def left() -> list[dict[str, Any]]:
        names = ("bindings", "attachments")
        rows = [row for host in cast.agents for name in names for row in table(lab, host, name)]
        return [row for row in rows if row["mn_id"].startswith(f"{cast.mobile_node}@")]

    until(lambda: not left(), "no host knows the node any more", VANISHED_WITHIN_S)


def test_every_step_measured_as_expected(measured: Results) -> None:
    assert measured.failures == ()
    assert measured.verdict == "pass"


def test_no_byte_was_lost_or_changed_and_every_path_is_direct_in_the_end(
    measured: Results,
) -> None:
    for step in (s for s in measured.steps if s.tcp is not None):
        assert step.tcp is not None
        assert step.tcp.intact, step.name
        assert step.tcp.survived, step.name
        assert (step.stretch.forward.after, step.stretch.reverse.after) == (1.0, 1.0), step.name


def test_first_packets_after_the_move_went_by_the_home_network(
    cast: Cast, measured: Results
) -> None:
    home = cast.gateway_of(cast.home_access_router).name
    if cast.gateway_of(cast.correspondent) is cast.gateway_of(cast.visited("away")):
        pytest.skip(
            f"in topology {cast.topology.name} the correspondent is in the new network, whose MR "
            "knows of the move before the home network does"
        )
    away = next(step for step in measured.steps if step.name == "away")
    for way in (away.path.forward, away.path.reverse):
        transitional = [seen for seen in way.observed if seen.tunnels and home in seen.hosts]
        assert transitional
        assert home not in way.after


def test_no_udp_packet_was_lost_while_nobody_moved(measured: Results) -> None:
    attach = measured.steps[0]
    assert attach.udp is not None
    assert attach.udp.lost == 0
    assert attach.udp.sent > 0


def test_the_capture_is_kept_and_dissects_without_a_complaint(player: Player) -> None:
    capture = player.directory / "signalling.pcap"
    tshark = shutil.which("tshark")
    assert tshark, "tshark is missing: make setup installs it"
    shown = subprocess.run(
        [tshark, "-r", str(capture), "-T", "fields", "-e", "mip6.mhtype", "-e", "_ws.malformed"],
        capture_output=True,
        text=True,
        check=True,
    )
    rows = [line.split("\t") for line in shown.stdout.splitlines()]
    assert {"5", "6", "11"} <= {row[0] for row in rows}
    assert [row for row in rows if row[1]] == []
