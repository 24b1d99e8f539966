"""A node that visited five networks with a session in each holds five prefixes (draft, 4.4).

Each has a home network, an LM entry and a path of its own. The correspondent is in a network
without mobility, so nobody but the homes steers packets for it, and the paths are apart.

The tests build on each other, in the order of this file.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace
from ipaddress import IPv6Address, IPv6Network
from typing import TYPE_CHECKING, Any, Literal

import pytest
from looks import bindings, table, tunnels
from tests.playing import ROOT

from dmm_agent.functions.prefix import hnp_of
from dmm_testbed.measure.capture import Capture
from dmm_testbed.measure.path import trace
from dmm_testbed.measure.traffic import Session
from dmm_testbed.measure.wiring import Wiring
from dmm_testbed.scenario.radio import address_in, move
from dmm_testbed.topology import load_topology

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from labs import Lab

    from dmm_testbed.measure.packets import Sightings
    from dmm_testbed.measure.path import Walk
    from dmm_testbed.measure.traffic import Mark

NODE, CORRESPONDENT = "mn11", "cn"
NETWORKS = range(1, 6)
FIRST_STREAM = 500
RATE_PER_S = 20.0
Way = Literal["forward", "reverse"]
WAYS: tuple[Way, ...] = ("forward", "reverse")
PROBES, IN_FLIGHT = 40, 10
"""Packets of a session by which its path is known; the last ones may be on their way yet."""
LEFT_WITHIN_S = 120.0
"""A prefix is given up after it was idle for a minute, by default."""


@dataclass
class Tour:
    """Where the node has been, and its session of each network."""

    lab: Lab
    sessions: dict[int, Session] = field(default_factory=dict)
    addresses: dict[int, str] = field(default_factory=dict)

    def go(self, network: int) -> None:
        move(self.lab.reach.runner(), NODE, f"ar{network}1")

    def open_session(self, network: int) -> None:
        """A session from the prefix of the network that the node is in."""
        runner = self.lab.reach.runner()
        pool = load_topology(ROOT / "inventory/five-networks.yml").networks[f"net{network}"]
        self.addresses[network] = address_in(runner, NODE, pool.mobile_pool)
        session = Session(runner, NODE, CORRESPONDENT, FIRST_STREAM + network, f"home-{network}")
        session.start(self.to, self.addresses[network], rate_per_s=RATE_PER_S)
        self.sessions[network] = session

    @property
    def to(self) -> str:
        topology = load_topology(ROOT / "inventory/five-networks.yml")
        return str(topology.machines[CORRESPONDENT].interfaces[0].addresses[0].ip)

    def prefix(self, network: int) -> str:
        return str(hnp_of(IPv6Address(self.addresses[network])))

    def marks(self) -> dict[int, Mark]:
        return {network: session.mark() for network, session in self.sessions.items()}

    def received(self) -> dict[int, tuple[int, int]]:
        """The bytes of each TCP session that came in at its two ends, all of them intact."""
        found = {}
        for network, session in self.sessions.items():
            ends = session.mark().tcp
            assert {end.corrupt_bytes for end in ends.values()} == {0}, network
            assert all(end.open for end in ends.values()), (network, ends)
            assert ends["reverse"].local == self.addresses[network]
            found[network] = (ends["forward"].received_bytes, ends["reverse"].received_bytes)
        return found

    def go_on(self) -> bool:
        """Whether bytes come in at both ends of every session, from now on."""
        before = self.received()
        return all(
            now > then
            for network, pair in self.received().items()
            for now, then in zip(pair, before[network], strict=True)
        )


@pytest.fixture(scope="module")
def lab(five_networks: Lab) -> Lab:
    """The lab that tests wait for."""
    return five_networks


@pytest.fixture(scope="module")
def tour(five_networks: Lab) -> Iterator[Tour]:
    """The node has been everywhere, and is in the fifth network."""
    made = Tour(five_networks)
    five_networks.begin_anew()
    try:
        for network in NETWORKS:
            made.go(network)
            made.open_session(network)
        yield made
    finally:
        for session in made.sessions.values():
            session.stop()


def at(network: int) -> str:
    """The loopback of a network's gateway, as tables show it."""
    return f"2001:db8:{network}::1"


@dataclass
class Captured:
    """What the probes did that were sent while every machine captured."""

    sightings: Sightings
    first: dict[int, Mark]
    last: dict[int, Mark]

    def walks(self, session: Session, network: int, way: Way) -> set[Walk]:
        first = self.first[network].udp[way].sent
        last = self.last[network].udp[way].sent - IN_FLIGHT
        flow = session.forward if way == "forward" else session.reverse
        probes = [
            probe
            for probe in self.sightings.probes
            if (probe.stream, probe.direction) == (flow.stream, flow.direction)
            and first <= probe.sequence < last
        ]
        wiring = Wiring.of_topology(load_topology(ROOT / "inventory/five-networks.yml"))
        traced = trace(replace(self.sightings, probes=probes), wiring, flow)
        assert len(traced) >= PROBES / 2
        return {each.walk for each in traced}


@pytest.fixture(scope="module")
def captured(tour: Tour, tmp_path_factory: pytest.TempPathFactory) -> Captured:
    """Some packets of every session, while the node is in the fifth network."""
    hosts = ["core", "cn", NODE, *(f"gw{n}" for n in NETWORKS), "ar51"]
    capture = Capture(tour.lab.reach.runner(), hosts)
    capture.start()
    try:
        first = last = tour.marks()
        deadline = time.monotonic() + 60.0
        while not all(
            last[n].udp[way].sent >= first[n].udp[way].sent + PROBES + IN_FLIGHT
            for n in NETWORKS
            for way in WAYS
        ):
            assert time.monotonic() < deadline, "the sessions send nothing"
            last = tour.marks()
    except BaseException:
        capture.abandon()
        raise
    return Captured(capture.stop(tmp_path_factory.mktemp("captures")).read(), first, last)


def test_each_session_has_the_prefix_of_the_network_it_began_in(tour: Tour) -> None:
    for network, address in tour.addresses.items():
        assert IPv6Address(address) in IPv6Network(f"2001:db8:{network}:8100::/56")
    rows = [row for row in table(tour.lab, "ar51", "attachments") if row["link"] == NODE]
    assert {prefix for row in rows for prefix in row["prefixes"]} == {
        tour.prefix(network) for network in NETWORKS
    }


def test_each_network_leased_one_of_them(tour: Tour) -> None:
    for network in NETWORKS:
        leased = [row["hnp"] for row in table(tour.lab, f"gw{network}", "leases")]
        assert leased == [tour.prefix(network)]


def test_each_home_lm_points_at_the_fifth_network_but_for_its_own(
    tour: Tour, until: Callable[..., Any]
) -> None:
    for network in NETWORKS[:-1]:
        wanted = {tour.prefix(network): at(5)}
        until(lambda n=network, w=wanted: bindings(tour.lab, f"gw{n}") == w, f"LM{network}")
        assert tunnels(tour.lab, f"gw{network}") == wanted
    visiting = {tour.prefix(network): "2001:db8:5::2" for network in NETWORKS[:-1]}
    assert bindings(tour.lab, "gw5") == visiting


def test_all_sessions_go_on(tour: Tour, until: Callable[..., Any]) -> None:
    until(tour.go_on, "bytes both ways in all five")


def test_each_session_has_a_path_of_its_own(tour: Tour, captured: Captured) -> None:
    there, back = (
        {n: captured.walks(session, n, way) for n, session in tour.sessions.items()} for way in WAYS
    )
    for network in NETWORKS[:-1]:
        home = f"gw{network}"
        away = ("cn", "core", home, "core", "gw5", "ar51", NODE)
        assert {walk.hosts for walk in there[network]} == {away}
        assert {walk.hosts for walk in back[network]} == {away[::-1]}
        assert {walk.tunnels for walk in there[network]} == {((home, "gw5"), ("gw5", "ar51"))}
    plain = ("cn", "core", "gw5", "ar51", NODE)
    assert {walk.hosts for walk in there[5]} == {plain}
    assert {walk.hosts for walk in back[5]} == {plain[::-1]}
    assert {walk.tunnels for walk in (*there[5], *back[5])} == {()}


def test_all_of_them_survive_further_moves(tour: Tour, until: Callable[..., Any]) -> None:
    for network in (3, 1):
        tour.go(network)
        until(tour.go_on, f"bytes both ways in all five, in network {network}")
    for network in NETWORKS[1:]:
        wanted = {tour.prefix(network): at(1)}
        until(lambda n=network, w=wanted: bindings(tour.lab, f"gw{n}") == w, f"LM{network}")
    assert tour.prefix(1) not in bindings(tour.lab, "gw1"), "it is at home"


def test_when_the_sessions_end_nothing_is_left(tour: Tour, until: Callable[..., Any]) -> None:
    for session in tour.sessions.values():
        session.stop()

    def left() -> dict[str, Any]:
        hosts = [f"gw{network}" for network in NETWORKS]
        held = {host: (bindings(tour.lab, host), tunnels(tour.lab, host)) for host in hosts}
        return {host: found for host, found in held.items() if any(found)}

    until(lambda: not left(), "no binding and no tunnel anywhere", LEFT_WITHIN_S)
    (row,) = (r for r in table(tour.lab, "ar11", "attachments") if r["link"] == NODE)
    assert row["prefixes"] == [tour.prefix(1)]
