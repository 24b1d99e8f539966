"""The plans of `dmm-links`, the program that makes links on VMs and hosts that exist already."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.loading import load

PROGRAM = Path(__file__).parents[3] / "roles" / "existing_machine" / "files" / "dmm-links"
NOTHING = {"delay_ms": 0.0, "loss_percent": 0.0, "rate_mbit": None}
MAC = "02:00:00:00:00:01"


@pytest.fixture(scope="module")
def program() -> Any:
    return load(PROGRAM)


def link(kind: str, impairments: dict[str, Any] | None = None, **carrier: Any) -> dict[str, Any]:
    given = {"kind": kind, **carrier}
    return {"name": "gw", "mtu": 1450, "impairments": impairments or NOTHING, "carrier": given}


def seen(name: str, mtu: int = 1500, up: bool = False, **more: Any) -> dict[str, Any]:
    return {
        "ifname": name,
        "mtu": mtu,
        "flags": ["UP"] if up else [],
        "link_type": "ether",
        "address": "02:00:00:00:00:ff",
        "ipv6": "0",
        **more,
    }


class Plan:
    """Plans with one record, as runs of the program on one host do."""

    def __init__(self, program: Any) -> None:
        self.program = program
        self.record: dict[str, Any] = {"made": {}, "before": {}}

    def __call__(
        self, links: list[Any], interfaces: list[Any], queues: list[Any] | None = None
    ) -> list[str]:
        commands = self.program.plan(links, interfaces, queues or [], self.record)
        return [" ".join(command) for command in commands]


@pytest.fixture
def plan(program: Any) -> Plan:
    return Plan(program)


CARD = link("nic", mac=MAC)
TUNNEL = link("vxlan", vni=7, local="192.0.2.1", remote="192.0.2.2", port=4789, mac=MAC)
WHOLE = link("interface", interface="eth2", vlan=None)
VLAN = link("interface", interface="eth2", vlan=12)
DATA = {"id": 7, "local": "192.0.2.1", "remote": "192.0.2.2", "port": 4789}


class TestNetworkCard:
    def test_it_gets_the_name_of_the_machine_at_the_other_end(self, plan: Plan) -> None:
        assert plan([CARD], [seen("eth1", address=MAC, up=True)]) == [
            "ip link set dev eth1 down",
            "ip link set dev eth1 name gw",
            "ip link set dev gw mtu 1450",
        ]

    def test_it_is_known_by_the_address_it_was_made_with(self, plan: Plan) -> None:
        changed = seen("gw", mtu=1450, address="00:00:5e:00:52:13", permaddr=MAC)
        assert plan([CARD], [changed]) == []

    def test_it_is_not_taken_for_what_was_made_on_top_of_it(self, plan: Plan) -> None:
        top = seen("vlan7", address=MAC, linkinfo={"info_kind": "vlan"})
        assert "ip link set dev eth1 name gw" in plan([CARD], [top, seen("eth1", address=MAC)])

    def test_one_that_is_missing_is_told(self, plan: Plan, program: Any) -> None:
        with pytest.raises(
            program.LinkError, match=f"link gw: no network card has the address {MAC}"
        ):
            plan([CARD], [seen("eth1")])

    def test_a_name_that_is_taken_is_told(self, plan: Plan, program: Any) -> None:
        with pytest.raises(program.LinkError, match="another interface has this name already"):
            plan([CARD], [seen("eth1", address=MAC), seen("gw")])

    def test_it_is_given_back_as_it_was(self, plan: Plan) -> None:
        plan([CARD], [seen("eth1", address=MAC, up=True)])
        assert plan([], [seen("gw", mtu=1450, address=MAC)]) == [
            "ip link set dev gw down",
            "tc qdisc delete dev gw root",
            "ip link set dev gw mtu 1500",
            "ip link set dev gw name eth1",
            "ip link set dev eth1 up",
        ]


class TestVxlan:
    MADE = (
        "ip link add name gw address 02:00:00:00:00:01 mtu 1450 type vxlan id 7 "
        "local 192.0.2.1 remote 192.0.2.2 dstport 4789 nolearning"
    )

    def tunnel(self, mtu: int = 1450, **other: Any) -> dict[str, Any]:
        return seen("gw", mtu, linkinfo={"info_kind": "vxlan", "info_data": DATA | other})

    def test_it_is_made_once(self, plan: Plan) -> None:
        assert plan([TUNNEL], []) == [self.MADE]
        assert plan([TUNNEL], [self.tunnel()]) == []

    @pytest.mark.parametrize(
        "other", [{"id": 8}, {"remote": "192.0.2.9"}, {"local": "192.0.2.9"}, {"port": 8472}]
    )
    def test_one_that_leads_elsewhere_is_made_anew(self, plan: Plan, other: dict[str, Any]) -> None:
        plan([TUNNEL], [])
        assert plan([TUNNEL], [self.tunnel(**other)]) == ["ip link delete dev gw", self.MADE]

    def test_over_ipv6_it_is_recognised_too(self, plan: Plan) -> None:
        far = link("vxlan", vni=7, local="2001:db8::1", remote="2001:db8::2", port=4789, mac=MAC)
        data = {"id": 7, "local6": "2001:db8::1", "remote6": "2001:db8::2", "port": 4789}
        plan([far], [])
        made = seen("gw", 1450, linkinfo={"info_kind": "vxlan", "info_data": data})
        assert plan([far], [made]) == []

    def test_another_size_is_put_right(self, plan: Plan) -> None:
        plan([TUNNEL], [])
        assert plan([TUNNEL], [self.tunnel(mtu=1400)]) == ["ip link set dev gw mtu 1450"]

    def test_somebody_elses_interface_of_that_name_is_left_alone(
        self, plan: Plan, program: Any
    ) -> None:
        with pytest.raises(program.LinkError, match="exists already and is not ours"):
            plan([TUNNEL], [self.tunnel()])

    def test_a_link_that_the_topology_has_no_more_is_removed(self, plan: Plan) -> None:
        plan([TUNNEL], [])
        assert plan([], [self.tunnel()]) == ["ip link delete dev gw"]
        assert plan([], []) == []


class TestRealInterface:
    def test_a_whole_interface_is_made_large_enough_silent_and_up(self, plan: Plan) -> None:
        small = link("interface", interface="eth2", vlan=None) | {"mtu": 1600}
        assert plan([small], [seen("eth2")]) == [
            "sysctl -qw net/ipv6/conf/eth2/disable_ipv6=1",
            "ip link set dev eth2 mtu 1600",
            "ip link set dev eth2 up",
            "ip link add link eth2 name gw mtu 1600 type macvlan mode passthru",
        ]

    def test_it_is_left_alone_when_it_is_right(self, plan: Plan) -> None:
        plan([WHOLE], [seen("eth2")])
        made = seen("gw", 1450, link="eth2", linkinfo={"info_kind": "macvlan", "info_data": {}})
        assert plan([WHOLE], [seen("eth2", up=True, ipv6="1"), made]) == []

    def test_afterwards_it_is_as_it_was(self, plan: Plan, program: Any) -> None:
        plan([WHOLE], [seen("eth2", mtu=1400)])
        commands = program.restore([seen("eth2", mtu=1450, up=True)], plan.record)
        assert [" ".join(command) for command in commands] == [
            "ip link set dev eth2 mtu 1400",
            "ip link set dev eth2 down",
            "sysctl -qw net/ipv6/conf/eth2/disable_ipv6=0",
        ]

    def test_of_a_shared_one_a_vlan_is_taken_and_nothing_else_changed(self, plan: Plan) -> None:
        assert plan([VLAN], [seen("eth2", up=True)]) == [
            "ip link add link eth2 name gw mtu 1450 type vlan id 12"
        ]
        data = {"protocol": "802.1Q", "id": 12}
        made = seen("gw", 1450, link="eth2", linkinfo={"info_kind": "vlan", "info_data": data})
        assert plan([VLAN], [seen("eth2", up=True), made]) == []

    @pytest.mark.parametrize("parent", [seen("eth2"), seen("eth2", mtu=1400, up=True)])
    def test_a_shared_one_that_is_down_or_too_small_is_told(
        self, plan: Plan, program: Any, parent: dict[str, Any]
    ) -> None:
        with pytest.raises(program.LinkError, match="needs it up and as large"):
            plan([VLAN], [parent])

    def test_one_that_is_not_there_is_told(self, plan: Plan, program: Any) -> None:
        with pytest.raises(program.LinkError, match="link gw: there is no interface eth2"):
            plan([WHOLE], [seen("eth1")])


SLOW = {"delay_ms": 20.0, "loss_percent": 1.0, "rate_mbit": 10.0}
NETEM = {
    "kind": "netem",
    "dev": "gw",
    "options": {"delay": {"delay": 0.02}, "loss-random": {"loss": 0.00999}},
}
TBF = {"kind": "tbf", "dev": "gw", "options": {"rate": 1_250_000}}


class TestImpairments:
    def queues(self, plan: Plan, wanted: dict[str, Any], *present: dict[str, Any]) -> list[str]:
        there = seen("gw", 1450, address=MAC)
        return plan([link("nic", wanted, mac=MAC)], [there], list(present))

    def test_delay_and_loss_come_first_and_the_rate_below(self, plan: Plan) -> None:
        assert self.queues(plan, SLOW) == [
            "tc qdisc add dev gw root handle 1: netem delay 20.0ms loss 1.0% limit 10000",
            "tc qdisc add dev gw parent 1:1 handle 2: "
            "tbf rate 10000000bit burst 10000b latency 100ms",
        ]

    def test_a_rate_alone_is_at_the_root(self, plan: Plan) -> None:
        (command,) = self.queues(plan, NOTHING | {"rate_mbit": 10.0})
        assert command.startswith("tc qdisc add dev gw root handle 2: tbf rate")

    def test_what_is_there_is_left_alone(self, plan: Plan) -> None:
        assert self.queues(plan, SLOW, NETEM, TBF) == []
        other = NETEM | {"dev": "another"}
        fair = {"kind": "fq_codel", "dev": "gw", "options": {}}
        assert self.queues(plan, NOTHING, other, fair) == []

    @pytest.mark.parametrize(
        "wanted", [SLOW | {"delay_ms": 30.0}, SLOW | {"loss_percent": 2.0}, SLOW | {"rate_mbit": 5}]
    )
    def test_another_value_replaces_it(self, plan: Plan, wanted: dict[str, Any]) -> None:
        commands = self.queues(plan, wanted, NETEM, TBF)
        assert commands[0] == "tc qdisc delete dev gw root"
        assert len(commands) == 3

    def test_what_is_not_wanted_any_more_goes(self, plan: Plan) -> None:
        assert self.queues(plan, NOTHING, NETEM) == ["tc qdisc delete dev gw root"]


class TestAddresses:
    """A link that is made or renamed loses them; other changes leave the network alone."""

    @pytest.mark.parametrize(
        ("command", "anew"),
        [
            ("ip link set dev eth1 name gw", True),
            ("ip link add name gw address 02:00:00:00:00:01 mtu 1450 type vxlan id 1", True),
            ("ip link set dev gw mtu 1450", False),
            ("ip link set dev gw up", False),
            ("tc qdisc replace dev gw root handle 1: netem delay 20ms", False),
        ],
    )
    def test_they_are_given_again_where_they_were_lost(
        self, program: Any, command: str, anew: bool
    ) -> None:
        assert program.makes_anew(command.split()) is anew
