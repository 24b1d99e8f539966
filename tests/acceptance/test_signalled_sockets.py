"""A mobile node reports the prefixes its sockets use: those are registered, no more, no longer.

None of these sockets sends anything after the move that a network could see.
"""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv6Network
from typing import TYPE_CHECKING, Any

import pytest
from looks import addresses, bindings, home_prefix, table, tunnels

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from cast import Cast
    from labs import Lab

pytestmark = [pytest.mark.not_emulated, pytest.mark.changes_lab(turn=4)]

PORT = 7077
ENDS_WITHIN_S = 5.0
"""The end of a socket is announced, its report goes at once, and so does what follows from it."""
REMEMBERED_S = 15.0
"""Longer than a report holds."""
HOLD = """
import signal, socket, sys
kind, own, peer = sys.argv[1:4]
protocol = socket.SOCK_DGRAM if kind == "udp" else socket.SOCK_STREAM
opened = socket.socket(socket.AF_INET6, protocol)
opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
opened.bind((own, PORT if kind == "listen" else 0))
if kind == "listen":
    opened.listen()
else:
    opened.connect((peer, PORT))
print("open", flush=True)
signal.pause()
""".replace("PORT", str(PORT))


@dataclass
class Visit:
    """A node at home with an address, about to leave."""

    lab: Lab
    cast: Cast
    until: Callable[..., Any]
    address: str
    hnp: str

    @property
    def home(self) -> str:
        return self.cast.gateway_of(self.cast.home_access_router).name

    @property
    def access_router(self) -> str:
        return self.cast.visited("away").name

    @property
    def visited(self) -> str:
        return self.cast.gateway_of(self.cast.visited("away")).name

    def leave(self) -> None:
        self.lab.host(self.cast.mobile_node).check_output("dmm-radio move %s", self.access_router)

    def holders(self) -> set[str]:
        """Hosts that have state for the prefix: LMs, access routers, kernels."""
        found = set()
        for host in (self.home, self.visited, self.access_router):
            served = {p for r in table(self.lab, host, "attachments") for p in r["prefixes"]}
            routed = {r["prefix"] for r in table(self.lab, host, "routes")}
            known = {*served, *routed, *bindings(self.lab, host), *tunnels(self.lab, host)}
            if self.hnp in known:
                found.add(host)
        return found

    def is_served(self) -> bool:
        """Whether all that forward for the prefix do, and its home points at the other network."""
        away = self.hnp in bindings(self.lab, self.home)
        return away and self.holders() == {self.home, self.visited, self.access_router}


@pytest.fixture
def visit(lab: Lab, cast: Cast, until: Callable[..., Any]) -> Iterator[Visit]:
    """The mobile node is at home, and has no sockets."""
    lab.change_to(profile="gateway-query-signalled")
    node, home = lab.host(cast.mobile_node), cast.home_access_router.name
    node.check_output("dmm-radio move %s", home)
    found = until(
        lambda: [a for a in addresses(lab, cast, cast.home_pool) if not a.get("tentative")],
        "an address of the home network",
    )
    hnp = home_prefix(lab, cast)
    gateway = cast.gateway_of(cast.home_access_router).name
    until(lambda: hnp not in bindings(lab, gateway), f"{gateway} has no binding of {hnp}")
    yield Visit(lab, cast, until, str(found[0]["local"]), hnp)
    node.check_output("dmm-radio move %s", home)


class HeldSocket:
    """A process on a machine that keeps a socket open and does nothing with it."""

    def __init__(
        self, host: Any, kind: str, own: str, peer: str, until: Callable[..., Any]
    ) -> None:
        self._host = host
        output = f"/run/held-{kind}-{own}"
        self._pid = host.check_output(
            f"setsid python3 -c %s {kind} %s %s > {output} 2>&1 < /dev/null & echo $!",
            HOLD,
            own,
            peer,
        ).strip()
        said = until(lambda: host.check_output(f"cat {output}"), f"a {kind} socket")
        assert said.strip() == "open", said

    def close(self) -> None:
        self._host.run("kill -9 %s", self._pid)


@pytest.fixture
def hold(visit: Visit) -> Iterator[Callable[..., HeldSocket]]:
    """Open a socket at the mobile node's home address, whose peer is the correspondent."""
    cast, held = visit.cast, []

    def one(host: str, kind: str, own: str) -> HeldSocket:
        opened = HeldSocket(
            visit.lab.host(host), kind, own, cast.correspondent_address, visit.until
        )
        held.append(opened)
        return opened

    yield one
    for opened in held:
        opened.close()


@pytest.mark.parametrize("kind", ["tcp", "udp", "listen"])
def test_a_socket_keeps_its_prefix_registered_until_it_is_closed(
    visit: Visit, hold: Callable[..., HeldSocket], kind: str
) -> None:
    cast = visit.cast
    if kind == "tcp":
        hold(cast.correspondent.name, "listen", cast.correspondent_address)
    opened = hold(cast.mobile_node, kind, visit.address)
    visit.leave()
    visit.until(visit.is_served, f"{visit.hnp} is registered at {visit.access_router}")
    visit.until(
        lambda: reported(visit) == [visit.hnp], "the node's report is acknowledged", ENDS_WITHIN_S
    )

    opened.close()

    visit.until(lambda: not visit.holders(), f"nobody has anything of {visit.hnp}", ENDS_WITHIN_S)
    assert IPv6Network(visit.hnp) in {
        IPv6Network(f"{a['local']}/64", strict=False)
        for a in addresses(visit.lab, cast, cast.home_pool)
    }, "the node keeps its address as long as it is leased"


def reported(visit: Visit) -> list[str]:
    rows = table(visit.lab, visit.cast.mobile_node, "sessions")
    return [row["hnp"] for row in rows if row["acknowledged"]]


def counted(visit: Visit, host: str, group: str, key: str) -> int:
    rows = table(visit.lab, host, "counters")
    return sum(row["count"] for row in rows if (row["group"], row["key"]) == (group, key))


def test_a_node_without_sockets_leaves_nothing_at_home_when_it_moves(visit: Visit) -> None:
    answer = ("received_on_link", "SessionReportAcknowledgement")
    before = counted(visit, visit.cast.mobile_node, *answer)
    bound = counted(visit, visit.home, "events", "binding_set")
    visit.leave()
    visit.until(
        lambda: counted(visit, visit.cast.mobile_node, *answer) > before,
        "the new access router has taken the node's report",
    )
    visit.until(
        lambda: [row["prefixes"] for row in table(visit.lab, visit.access_router, "attachments")],
        "the new network serves the node",
    )

    assert counted(visit, visit.home, "events", "binding_set") == bound
    assert visit.holders() <= {visit.home}, "but for what it had at home"
    assert bindings(visit.lab, visit.home) == {}


def test_a_node_that_says_nothing_any_more_is_forgotten(
    visit: Visit, hold: Callable[..., HeldSocket]
) -> None:
    hold(visit.cast.mobile_node, "udp", visit.address)
    visit.leave()
    visit.until(visit.is_served, f"{visit.hnp} is registered at {visit.access_router}")
    node = visit.lab.host(visit.cast.mobile_node)
    node.check_output("service dmm-agent stop")
    try:
        visit.until(
            lambda: not visit.holders(), f"nobody has anything of {visit.hnp}", REMEMBERED_S + 5
        )
    finally:
        node.check_output("service dmm-agent start")
    visit.until(visit.is_served, f"{visit.hnp} is registered again, since its socket is there")
