"""Mobility declined by policy, to a node and for a flow: plain IP, and no state anywhere (REQ2)."""

from __future__ import annotations

import json
from ipaddress import IPv6Address, IPv6Network
from typing import TYPE_CHECKING, Any

import pytest
from looks import AGENT_PROTOCOL, bindings, table
from tests.playing import ROOT

from dmm_agent.functions.prefix import hnp_of
from dmm_testbed.measure.traffic import Session, connection_source
from dmm_testbed.scenario.radio import address_in, move
from dmm_testbed.topology import load_topology
from dmm_testbed.topology.model import Role

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from labs import Lab

DECLINED, OTHER, CORRESPONDENT = "mn12", "mn11", "cn"
TO = "2001:db8:0:1::2"
PLAIN = {router: IPv6Network(f"2001:db8:{router[2]}:4100::/56") for router in ("ar11", "ar21")}
GONE_WITHIN_S = 60.0
"""A plain address is valid for half a minute."""
SEND = """
import socket, sys, time
sender = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
sender.bind((sys.argv[1], 0))
for _ in range(10):
    sender.sendto(b"?", (sys.argv[2], int(sys.argv[3])))
    time.sleep(0.05)
"""


@pytest.fixture(scope="module")
def lab(five_networks: Lab) -> Lab:
    five_networks.begin_anew()
    return five_networks


@pytest.fixture(scope="module")
def session(lab: Lab) -> Iterator[Session]:
    """A session that the declined node opened where it started."""
    runner = lab.reach.runner()
    move(runner, DECLINED, "ar11")
    source = address_in(runner, DECLINED, PLAIN["ar11"])
    opened = Session(runner, DECLINED, CORRESPONDENT, 700, "declined")
    opened.start(TO, source, rate_per_s=20.0)
    yield opened
    opened.stop()


def whereabouts(lab: Lab) -> dict[str, list[str]]:
    """Everything that names the node or its prefixes, by host; where it is attached, too."""
    shown = json.loads(lab.host(DECLINED).check_output("ip -json -6 address show dev radio0"))
    own = {
        str(hnp_of(IPv6Address(info["local"])))
        for entry in shown
        for info in entry.get("addr_info", [])
        if info.get("scope") == "global"
    }
    found = {}
    for name in lab.machines(Role.GATEWAY, Role.ACCESS_ROUTER):
        tables = ("leases", "bindings", "cache", "attachments")
        rows = [row for each in tables for row in table(lab, name, each)]
        routes = json.loads(
            lab.host(name).check_output(f"ip -json -6 route show table all proto {AGENT_PROTOCOL}")
        )
        named = [
            str(row) for row in rows if DECLINED in str(row) or own & set(map(str, row.values()))
        ]
        named += [str(route) for route in routes if route["dst"] in own]
        if named:
            found[name] = named
    return found


def test_it_has_an_address_of_its_link_and_talks(lab: Lab, session: Session) -> None:
    assert IPv6Address(session.mark().tcp["reverse"].local) in PLAIN["ar11"]
    assert set(whereabouts(lab)) == {"ar11"}


def test_elsewhere_it_has_the_new_links_and_new_sessions_take_it(
    lab: Lab, session: Session, until: Callable[..., Any]
) -> None:
    del session
    runner = lab.reach.runner()
    move(runner, DECLINED, "ar21")
    address = address_in(runner, DECLINED, PLAIN["ar21"])

    def chosen() -> bool:
        return connection_source(runner, DECLINED, TO) == address

    until(chosen, "a connection from the new address")
    until(lambda: set(whereabouts(lab)) == {"ar21"}, "nothing of it but where it is")


def test_its_old_address_is_withdrawn_and_the_session_does_not_go_on(
    lab: Lab, session: Session, until: Callable[..., Any]
) -> None:
    def kept() -> bool:
        shown = lab.host(DECLINED).check_output("ip -6 address show dev radio0")
        return "2001:db8:1:41" in shown

    before = session.mark().tcp["forward"].received_bytes
    until(lambda: not kept(), "the old address is gone", GONE_WITHIN_S)
    assert session.mark().tcp["forward"].received_bytes == before


def test_when_it_leaves_nothing_is_left(lab: Lab, until: Callable[..., Any]) -> None:
    lab.host(DECLINED).check_output("dmm-radio off")
    until(lambda: not whereabouts(lab), "nothing of it anywhere")


def test_a_declined_flow_registers_no_prefix_and_another_does(
    lab: Lab, until: Callable[..., Any]
) -> None:
    runner, node = lab.reach.runner(), lab.host(OTHER)
    pool = load_topology(ROOT / "inventory/five-networks.yml").networks["net1"].mobile_pool
    move(runner, OTHER, "ar11")
    address = address_in(runner, OTHER, pool)
    move(runner, OTHER, "ar21")
    until(lambda: table(lab, "gw2", "leases"), "it has arrived")

    node.check_output("python3 -c %s %s %s 53", SEND, address, TO)
    assert bindings(lab, "gw1") == bindings(lab, "gw2") == {}

    node.check_output("python3 -c %s %s %s 54", SEND, address, TO)
    hnp = str(hnp_of(IPv6Address(address)))
    until(lambda: hnp in bindings(lab, "gw1"), "LM1 has been asked")
