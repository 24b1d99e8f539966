"""Which address sessions of a node have that has moved, and what the network keeps for them."""

from __future__ import annotations

from ipaddress import IPv6Address, IPv6Network
from typing import TYPE_CHECKING, Any

import pytest
from looks import addresses, bindings, events, home_prefix, table, tunnels

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from cast import Cast
    from labs import Lab

pytestmark = pytest.mark.not_emulated

PORT = 7653
SERVER = """
import signal, socket, sys
server = socket.create_server((sys.argv[1], PORT), family=socket.AF_INET6)
signal.pause()
""".replace("PORT", str(PORT))
CLIENT = """
import signal, socket, sys
session = socket.create_connection((sys.argv[1], PORT), timeout=10)
print(session.getsockname()[0], flush=True)
if sys.argv[2] == "stay":
    signal.pause()
""".replace("PORT", str(PORT))
DEPRECATED_WITHIN_S = 30.0
"""A prefix without traffic stays preferred for 15 s: the new network does not know of it."""
GRACEFUL_S = 10.0
"""`graceful_replacement_s` of the profile with reports."""


class Programs:
    """Programs in the background of machines, ended with the test."""

    def __init__(self, lab: Lab, until: Callable[..., Any]) -> None:
        self._lab, self._until = lab, until
        self._started: list[tuple[str, str]] = []

    def start(self, host: str, command: str, *arguments: str) -> str:
        """Start one; the file that it writes to."""
        output = f"/run/address-choice-{len(self._started)}"
        pid = self._lab.host(host).check_output(
            f"setsid {command} > {output} 2>&1 < /dev/null & echo $!", *arguments
        )
        self._started.append((host, pid.strip()))
        return output

    def serve(self, host: str, address: str, option: str = "") -> None:
        """A TCP server, and wait until it listens."""
        self.start(
            host, f"{f'dmm-run {option} ' if option else ''}python3 -c %s %s", SERVER, address
        )
        listening = f"ss -6Htln 'sport = :{PORT}'"
        self._until(lambda: self._lab.host(host).check_output(listening), "a server")

    def hold_session(self, host: str, option: str, peer: str) -> IPv6Address:
        """A TCP session of a type that stays; its local address."""
        output = self.start(host, f"dmm-run {option} python3 -c %s %s stay", CLIENT, peer)
        said = self._until(lambda: self._lab.host(host).check_output(f"cat {output}"), "a session")
        return IPv6Address(said.strip())

    def end(self) -> None:
        for host, pid in self._started:
            self._lab.host(host).run("kill -9 %s", pid)


@pytest.fixture
def programs(lab: Lab, until: Callable[..., Any]) -> Iterator[Programs]:
    started = Programs(lab, until)
    yield started
    started.end()


def move(lab: Lab, cast: Cast, until: Callable[..., Any], to: str) -> IPv6Network:
    """Move the node, and wait until it has a preferred address there; the network's pool."""
    pool = cast.topology.machines[to].network.mobile_pool
    lab.host(cast.mobile_node).check_output("dmm-radio move %s", to)

    def arrived() -> bool:
        ours = addresses(lab, cast, pool)
        others = [a for p in pools(cast) - {pool} for a in addresses(lab, cast, p)]
        return any(is_preferred(a) for a in ours) and not any(is_preferred(a) for a in others)

    until(arrived, f"an address of {to} is preferred, and no other", DEPRECATED_WITHIN_S)
    return pool


def pools(cast: Cast) -> set[IPv6Network]:
    return {m.network.mobile_pool for m in cast.topology.machines.values()}


def is_preferred(address: dict[str, Any]) -> bool:
    return address["preferred_life_time"] > 0 and not address.get("tentative")


def test_new_sessions_have_the_present_networks_address_fixed_ones_the_first(
    lab: Lab, cast: Cast, programs: Programs, until: Callable[..., Any]
) -> None:
    """And they work, since a TCP session is not made without answers."""
    home = move(lab, cast, until, cast.home_access_router.name)
    programs.serve(cast.correspondent.name, cast.correspondent_address)
    there = move(lab, cast, until, cast.visited("away").name)
    node = lab.host(cast.mobile_node)
    for option, expected in {
        "": there,
        "dmm-run --session-lasting": there,
        "dmm-run --graceful-replacement": there,
        "dmm-run --non-persistent": there,
        "dmm-run --fixed": home,
    }.items():
        connect = f"{option} python3 -c %s %s leave"
        source = node.check_output(connect, CLIENT, cast.correspondent_address).strip()
        assert IPv6Address(source) in expected, option
    lab.host(cast.mobile_node).check_output("dmm-radio move %s", cast.home_access_router.name)


# What the network keeps


@pytest.fixture
def at_home(lab: Lab, cast: Cast, programs: Programs, until: Callable[..., Any]) -> Iterator[str]:
    """The node is at home and says what its sockets need, the correspondent serves; its prefix."""
    lab.change_to(profile="gateway-query-signalled")
    lab.have_no_address(cast.mobile_node)
    move(lab, cast, until, cast.home_access_router.name)
    hnp = home_prefix(lab, cast)
    until(lambda: not holders(lab, cast, hnp), "it is at home everywhere")
    programs.serve(cast.correspondent.name, cast.correspondent_address)
    yield hnp
    programs.end()
    lab.host(cast.mobile_node).check_output("dmm-radio move %s", cast.home_access_router.name)


def holders(lab: Lab, cast: Cast, hnp: str) -> set[str]:
    """Gateways that have a binding or a tunnel for a prefix: its node is elsewhere, and kept."""
    gateways = {cast.gateway_of(m).name for m in (cast.home_access_router, cast.visited("away"))}
    return {g for g in gateways if hnp in (*bindings(lab, g), *tunnels(lab, g))}


def reports_taken(lab: Lab, cast: Cast) -> int:
    """How many of the node's reports access routers have acknowledged."""
    return sum(
        row["count"]
        for row in table(lab, cast.mobile_node, "counters")
        if row["key"] == "SessionReportAcknowledgement"
    )


@pytest.mark.changes_lab(turn=4)
def test_a_non_persistent_session_leaves_nothing_when_the_node_moves(
    lab: Lab, cast: Cast, at_home: str, programs: Programs, until: Callable[..., Any]
) -> None:
    peer = cast.correspondent_address
    source = programs.hold_session(cast.mobile_node, "--non-persistent", peer)
    assert source in cast.home_pool
    before = reports_taken(lab, cast)
    move(lab, cast, until, cast.visited("away").name)
    until(lambda: reports_taken(lab, cast) > before, "the new network knows the node's sessions")
    assert table(lab, cast.mobile_node, "sessions") == []
    assert holders(lab, cast, at_home) == set()


@pytest.mark.changes_lab(turn=4)
def test_a_session_of_graceful_replacement_keeps_its_address_for_a_while(
    lab: Lab, cast: Cast, at_home: str, programs: Programs, until: Callable[..., Any]
) -> None:
    peer, lm = cast.correspondent_address, cast.gateway_of(cast.home_access_router).name
    source = programs.hold_session(cast.mobile_node, "--graceful-replacement", peer)
    assert source in IPv6Network(at_home)
    since_s = float(lab.host(lm).check_output("date +%s.%N"))
    move(lab, cast, until, cast.visited("away").name)

    def kept_s() -> float | None:
        """For how long the home LM knew where it was, which may be over by now."""
        begun, ended = (
            [
                e["at_s"]
                for e in events(lab, lm, name)
                if e["hnp"] == at_home and e["at_s"] > since_s
            ]
            for name in ("binding_set", "binding_gone")
        )
        return ended[-1] - begun[0] if begun and ended else None

    assert until(kept_s, "the prefix is registered, and let go", 5 * GRACEFUL_S) >= GRACEFUL_S
    assert holders(lab, cast, at_home) == set()


@pytest.mark.changes_lab(turn=4)
def test_a_server_at_the_fixed_address_is_reached_wherever_the_node_is(
    lab: Lab, cast: Cast, at_home: str, programs: Programs, until: Callable[..., Any]
) -> None:
    fixed = addresses(lab, cast, cast.home_pool)[0]["local"]
    programs.serve(cast.mobile_node, "::", "--fixed")
    move(lab, cast, until, cast.visited("away").name)
    until(lambda: holders(lab, cast, at_home), "the prefix is registered")
    reached = lab.host(cast.correspondent.name).run("python3 -c %s %s leave", CLIENT, fixed)
    assert reached.rc == 0, reached.stderr
