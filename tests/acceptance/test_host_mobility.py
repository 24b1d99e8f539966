"""Mobility by the mobile node itself, on access networks that run nothing for it (host-gateway)."""

from __future__ import annotations

import json
from contextlib import contextmanager
from ipaddress import IPv6Address, IPv6Network
from typing import TYPE_CHECKING, Any

import pytest
from cast import Cast
from labs import lab_of_its_own
from looks import bindings, of_foreign_source, table, tunnels
from tests.playing import ROOT

from dmm_testbed.scenario.file import load_scenario
from dmm_testbed.topology import load_topology
from dmm_testbed.topology.model import Role

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from labs import Lab
    from testinfra.host import Host

    from dmm_testbed.topology import Machine

PROFILE = "host-gateway"
TOPOLOGY = "mobile-network"
WITHIN_S = 60.0
CONNECT_ONCE_ADDRESSED = """
import socket, subprocess, time
until = time.monotonic() + 10
addresses = ["ip", "-6", "-oneline", "address", "show", "dev", "radio0", "scope", "global"]
while not subprocess.run(addresses, capture_output=True).stdout and time.monotonic() < until: pass
print(socket.create_connection(("{to}", 8642), timeout=5).getsockname()[0])
"""


@pytest.fixture(scope="module")
def plain(request: pytest.FixtureRequest) -> Iterator[Lab]:
    """Two networks that nodes move between, a router among them; a correspondent in a third."""
    with lab_of_its_own(request.config, "host", TOPOLOGY, PROFILE) as made:
        yield made


class Play:
    """A mobile node with a session that begins at home."""

    def __init__(self, lab: Lab, until: Callable[..., Any]) -> None:
        topology = load_topology(ROOT / f"inventory/{TOPOLOGY}.yml")
        # Who plays is as in the scenario of `small`, whose machines all are here, too.
        small = load_topology(ROOT / "inventory/small.yml")
        scenario = load_scenario(ROOT / "inventory/scenarios/small.yml", small)
        self.cast = Cast(topology, scenario)
        self.lab, self.until = lab, until
        self.node = lab.host(self.cast.mobile_node)
        self.talking = self.node
        self.correspondent = lab.host(self.cast.correspondent.name)
        self.home = self.cast.home_access_router
        self.home_agent = self.cast.gateway_of(self.home).name
        others = topology.with_role(Role.ACCESS_ROUTER)
        self.away, self.within = (r for r in others if r.network != self.home.network)

    def move(self, router: Machine) -> str:
        """Attach at an access router; the address that the node then prefers."""
        self.node.check_output(f"dmm-radio move {router.name}")

        def here() -> str:
            block = router.plain_block
            return next((str(a) for a in self.preferred() if block and a in block), "")

        return str(self.until(here, f"an address at {router.name}", WITHIN_S))

    def move_and_register(self, router: Machine) -> None:
        """Attach at an access router, and wait until the home agent has heard of it."""
        here = self.move(router)
        self.until(lambda: is_registered(self, here), f"bound to {router.name}", WITHIN_S)

    def preferred(self) -> list[IPv6Address]:
        """The node's addresses that new sessions may take."""
        return addresses_of(self.node, "radio0")

    def begin(self) -> None:
        """Serve at the correspondent, and open a TCP session and a UDP stream to it."""
        self.correspondent.check_output("dmm-traffic serve --background")
        to = self.cast.correspondent_address
        self.talking.check_output(f"dmm-traffic run --to {to} --tcp --udp --rate 50 --background")

    def end(self) -> dict[str, Any]:
        """Stop; what the session was like."""
        report = self._report("tcp")
        self.talking.check_output("dmm-traffic stop")
        self.correspondent.check_output("dmm-traffic stop")
        return report

    def goes_on(self) -> None:
        """Wait until both sessions have brought something since now."""
        before = self._arrived()
        self.until(
            lambda: all(now > then for now, then in zip(self._arrived(), before, strict=True)),
            "the sessions go on",
            WITHIN_S,
        )

    def ends_well_at_home(self) -> None:
        """Come home, where nobody need know any more, and end the sessions, which were intact."""
        self.move(self.home)
        self.until(lambda: is_registered(self, None), "de-registered at home", WITHIN_S)
        self.goes_on()
        report = self.end()
        assert report["intact"], report
        assert report["error"] is None, report

    def _arrived(self) -> list[int]:
        return [self._report("tcp")["received_bytes"], self._report("udp")["received"]]

    def _report(self, kind: str) -> dict[str, Any]:
        """A session as the node sees it."""
        shown = json.loads(self.talking.check_output("dmm-traffic report --json"))
        streams = [s for process in shown["processes"] for s in process["streams"]]
        return dict(next(s for s in streams if s["kind"] == kind))


class NetworkPlay(Play):
    """A mobile router, and a host behind it with a session that begins at home."""

    def __init__(self, lab: Lab, until: Callable[..., Any]) -> None:
        super().__init__(lab, until)
        (host,) = self.cast.topology.with_role(Role.FIXED_NODE)
        (link,) = host.interfaces
        mobile = self.cast.topology.machines[link.name].mobile
        assert mobile is not None
        assert mobile.behind is not None
        self.router, self.of_router = link.name, mobile.behind.address.ip
        self.prefix, self.home_address = mobile.behind.prefix, mobile.home_address
        self.node, self.talking = lab.host(link.name), lab.host(host.name)

    def move_and_register(self, router: Machine) -> None:
        here = self.move(router)
        self.until(lambda: self.bound() == {here}, f"bound to {router.name}", WITHIN_S)

    def bound(self) -> set[str]:
        """Where the home agent has the router's address and its network, which is one place."""
        found = bindings(self.lab, self.home_agent)
        wanted = {str(IPv6Network(self.home_address)), str(self.prefix)}
        return set(found.values()) if found.keys() == wanted else set()

    def inside(self) -> list[IPv6Address]:
        """The addresses of the host."""
        return addresses_of(self.talking, self.router)


def addresses_of(host: Host, interface: str) -> list[IPv6Address]:
    """What new sessions may take there."""
    shown = host.check_output(f"ip -json -6 address show dev {interface} scope global")
    infos = [i for entry in json.loads(shown) for i in entry.get("addr_info", []) if i]
    return [IPv6Address(i["local"]) for i in infos if not i.get("deprecated")]


@pytest.fixture
def behind(plain: Lab, until: Callable[..., Any]) -> Iterator[NetworkPlay]:
    """The router at home, and its host with an address of the mobile network."""
    play = NetworkPlay(plain, until)
    play.move(play.home)
    until(lambda: is_registered(play, None), "nobody is away", WITHIN_S)
    until(play.inside, "an address in the mobile network", WITHIN_S)
    yield play
    play.talking.run("dmm-traffic stop")
    play.correspondent.run("dmm-traffic stop")
    play.move(play.home)
    until(lambda: is_registered(play, None), "de-registered at home", WITHIN_S)


@pytest.fixture
def stage(plain: Lab, until: Callable[..., Any]) -> Iterator[Play]:
    """The node at home, where nobody knows of it."""
    play = Play(plain, until)
    play.move(play.home)
    yield play
    play.node.run("dmm-traffic stop")
    play.correspondent.run("dmm-traffic stop")


def is_registered(play: Play, address: str | None) -> bool:
    """Whether the home agent has just this care-of address for the node, or nothing."""
    locations = list(bindings(play.lab, play.home_agent).values())
    return locations == ([] if address is None else [address])


def test_access_routers_run_no_agent(plain: Lab) -> None:
    for name in plain.machines(Role.ACCESS_ROUTER):
        processes = plain.host(name).check_output("ps -e -o args=")
        assert "dmm-agent" not in processes, name


def test_a_session_can_begin_as_soon_as_the_node_has_an_address(stage: Play) -> None:
    stage.correspondent.check_output("dmm-traffic serve --background")
    stage.node.check_output("dmm-radio off")
    stage.node.check_output("ip -6 address flush dev radio0 scope global")
    connect = CONNECT_ONCE_ADDRESSED.format(to=stage.cast.correspondent_address)
    stage.node.check_output(f"dmm-radio attach {stage.home.name}")
    used = stage.node.check_output("python3 -c %s", connect)
    assert stage.home.plain_block is not None
    assert IPv6Address(used.strip()) in stage.home.plain_block


def test_a_session_survives_away_within_and_home_and_leaves_nothing(stage: Play) -> None:
    stage.begin()
    stage.goes_on()
    assert is_registered(stage, None), "in the network where it is, nobody need know"
    for router in (stage.away, stage.within, stage.away):
        stage.move_and_register(router)
        stage.goes_on()
    stage.ends_well_at_home()
    assert table(stage.lab, stage.cast.mobile_node, "routes") == []
    assert table(stage.lab, stage.home_agent, "routes") == []


def test_who_is_on_its_home_link_reaches_a_node_that_is_away_and_one_that_is_home(
    stage: Play,
) -> None:
    address = next(a for a in stage.preferred() if a in (stage.home.plain_block or ()))
    router = stage.lab.host(stage.home.name)
    ping = f"ping -c 1 -W 2 -I {stage.home.loopback} {address}"
    stage.until(lambda: router.run(ping).rc == 0, "reached at home", WITHIN_S)
    stage.begin()
    stage.move_and_register(stage.away)
    stage.until(lambda: router.run(ping).rc == 0, "reached by the home agent", WITHIN_S)
    stage.end()
    stage.until(lambda: is_registered(stage, None), "de-registered", WITHIN_S)
    assert router.run(ping).rc != 0, "nobody has the address, and nothing goes in circles"


def test_the_end_of_the_last_session_ends_the_registration(stage: Play) -> None:
    stage.begin()
    stage.move_and_register(stage.away)
    stage.end()
    stage.until(lambda: is_registered(stage, None), "de-registered from elsewhere", WITHIN_S)
    stage.until(
        lambda: table(stage.lab, stage.cast.mobile_node, "routes") == [], "no tunnel", WITHIN_S
    )


def test_a_node_that_moves_without_a_session_is_known_to_nobody(stage: Play) -> None:
    before = _said(stage)
    stage.move(stage.away)
    stage.move(stage.within)
    stage.move(stage.home)
    assert _said(stage) == before
    assert is_registered(stage, None)


def test_a_host_behind_a_mobile_router_keeps_its_sessions_and_its_address(
    behind: NetworkPlay,
) -> None:
    (address,) = behind.inside()
    assert address in behind.prefix
    behind.begin()
    behind.goes_on()
    for router in (behind.away, behind.within):
        behind.move_and_register(router)
        behind.goes_on()
        assert behind.inside() == [address]
        here = addresses_of(behind.node, "radio0")
        into = tunnels(behind.lab, behind.home_agent)[str(behind.prefix)]
        assert IPv6Address(into) in here, "its whole network goes there"
    behind.ends_well_at_home()
    assert behind.inside() == [address]
    assert [row["kind"] for row in table(behind.lab, behind.router, "routes")] == ["InsideRoute"]
    assert table(behind.lab, behind.home_agent, "routes") == []
    for host in (behind.router, behind.home_agent):
        assert tunnels(behind.lab, host) == {}


def test_a_mobile_network_is_reached_also_when_its_router_starts_elsewhere(
    behind: NetworkPlay,
) -> None:
    behind.node.check_output("service dmm-agent stop")
    behind.move(behind.away)
    behind.node.check_output("service dmm-agent start")
    behind.until(behind.bound, "registered from there", WITHIN_S)
    (address,) = behind.inside()
    behind.correspondent.check_output(f"ping -c 1 -W 5 {address}")


def test_hosts_hear_that_a_prefix_which_their_router_was_refused_is_over(
    behind: NetworkPlay,
) -> None:
    agent = behind.lab.host(behind.home_agent)
    other = IPv6Network((int(behind.prefix.network_address) + (0x7F << 64), 64))
    with of_another_policy(agent, str(behind.prefix), str(other)):
        behind.move(behind.away)
        behind.until(lambda: not behind.inside(), "no address of the network", WITHIN_S)
        assert behind.talking.check_output("ip -6 route show default") == ""
        behind.move(behind.home)
    behind.node.check_output("service dmm-agent restart")
    behind.until(behind.inside, "an address in the mobile network again", WITHIN_S)


@contextmanager
def of_another_policy(agent: Host, before: str, after: str) -> Iterator[None]:
    """Have an agent's configuration say something else for a while."""
    said = agent.check_output("cat /etc/dmm/agent.yml")
    assert before in said
    try:
        agent.check_output(f"sed -i 's|{before}|{after}|' /etc/dmm/agent.yml")
        agent.check_output("service dmm-agent restart")
        yield
    finally:
        agent.check_output(f"sed -i 's|{after}|{before}|' /etc/dmm/agent.yml")
        agent.check_output("service dmm-agent restart")


@pytest.mark.parametrize("whose", ["nobody's", "the router's"])
def test_what_a_host_behind_a_router_sends_from_elsewhere_ends_there(
    behind: NetworkPlay, whose: str
) -> None:
    foreign = behind.of_router if whose == "the router's" else IPv6Address("2001:db8:dead::1")
    ping = f"ping -c 2 -i 0.2 -W 1 -I {foreign} {behind.cast.correspondent_address}"
    before = of_foreign_source(behind.lab, behind.router)
    behind.talking.check_output(f"ip -6 address add {foreign}/128 dev lo")
    try:
        assert behind.talking.run(ping).rc != 0
    finally:
        behind.talking.check_output(f"ip -6 address delete {foreign}/128 dev lo")
    assert of_foreign_source(behind.lab, behind.router) == before + 2


def test_the_host_behind_a_router_runs_nothing_of_ours(behind: NetworkPlay) -> None:
    processes = behind.talking.check_output("ps -e -o args=")
    assert "dmm-agent" not in processes
    assert "bird" not in processes


def _said(play: Play) -> int:
    rows = table(play.lab, play.cast.mobile_node, "counters")
    wanted = ("sent", "BindingUpdate")
    return sum(row["count"] for row in rows if (row["group"], row["key"]) == wanted)
