"""What carries links of VMs and of hosts that exist already, by inventory and topology."""

from __future__ import annotations

from typing import Any

import pytest

from dmm_testbed.machines import MachineError
from dmm_testbed.machines.carriers import Host, network_cards, reached_at, tunnels_and_interfaces
from dmm_testbed.machines.links import link_layer_address
from dmm_testbed.machines.spec import Impairments, LinkSpec

LINKS = (
    LinkSpec(ends=("gw", "ar"), mtu=1450, impairments=Impairments(delay_ms=20)),
    LinkSpec(ends=("ar", "mn"), mtu=1400),
)


def hosts(**changes: dict[str, Any]) -> dict[str, Host]:
    addresses = {"gw": "192.0.2.1", "ar": "192.0.2.2", "mn": "192.0.2.3"}
    return {
        name: Host(name, **({"address": address} | changes.get(name, {})))
        for name, address in addresses.items()
    }


def of(machine: str, **changes: dict[str, Any]) -> dict[str, dict[str, Any]]:
    links = tunnels_and_interfaces(machine, LINKS, hosts(**changes), 4789, 100)
    return {link["name"]: link for link in links}


class TestNetworkCards:
    def test_each_link_is_a_card_with_the_address_that_vagrant_gives_it(self) -> None:
        (link,) = network_cards("gw", LINKS)
        assert link["name"] == "ar"
        assert link["mtu"] == 1450
        assert link["impairments"]["delay_ms"] == 20
        assert link["carrier"] == {"kind": "nic", "mac": link_layer_address("gw", "ar")}
        assert [link["name"] for link in network_cards("ar", LINKS)] == ["gw", "mn"]


class TestVxlan:
    def test_both_ends_of_a_link_agree(self) -> None:
        here, there = of("gw")["ar"]["carrier"], of("ar")["gw"]["carrier"]
        assert (here["local"], here["remote"]) == ("192.0.2.1", "192.0.2.2")
        assert (there["local"], there["remote"]) == ("192.0.2.2", "192.0.2.1")
        assert here["vni"] == there["vni"] == 100
        assert here["port"] == there["port"] == 4789
        assert here["mac"] != there["mac"]

    def test_two_links_never_have_the_same_identifier(self) -> None:
        found = of("ar")
        assert {link["carrier"]["vni"] for link in found.values()} == {100, 101}

    def test_an_underlay_address_is_for_links_and_the_other_for_reaching_the_host(self) -> None:
        moved = of("gw", ar={"underlay_address": "10.0.0.2"})
        assert moved["ar"]["carrier"]["remote"] == "10.0.0.2"

    def test_a_name_is_resolved_because_tunnels_end_at_addresses(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        found = [(0, 0, 0, "", ("2001:db8::7", 0)), (0, 0, 0, "", ("192.0.2.7", 0))]
        monkeypatch.setattr("socket.getaddrinfo", lambda *_, **__: found)
        assert str(reached_at(Host("gw", "gw.example.org"))) == "192.0.2.7"

    def test_an_address_that_only_the_host_itself_can_use_is_refused(self) -> None:
        with pytest.raises(
            MachineError, match=r"host ar: ansible_host: 127\.0\.0\.1 is an address"
        ):
            of("gw", ar={"address": "127.0.0.1"})

    def test_two_ip_versions_at_the_ends_are_refused(self) -> None:
        with pytest.raises(MachineError, match="hosts gw and ar: expected addresses of one IP v"):
            of("gw", ar={"address": "2001:db8::2"})

    def test_a_link_that_does_not_fit_is_refused_with_what_would(self) -> None:
        with pytest.raises(MachineError, match=r"link gw-ar: mtu: .* has room for 1430, got 1450"):
            of("gw", gw={"address": "2001:db8::1"}, ar={"address": "2001:db8::2"})

    def test_a_larger_network_has_room_for_it(self) -> None:
        large = {"underlay_mtu": 9000}
        found = of(
            "gw", gw={"address": "2001:db8::1", **large}, ar={"address": "2001:db8::2", **large}
        )
        assert found["ar"]["mtu"] == 1450


class TestRealInterfaces:
    def test_both_ends_have_one(self) -> None:
        both: dict[str, Any] = {"ar": {"interfaces": {"mn": "eth2"}}}
        both["mn"] = {"interfaces": {"ar": {"interface": "eth1", "vlan": 12}}}
        assert of("ar", **both)["mn"]["carrier"] == {
            "kind": "interface",
            "interface": "eth2",
            "vlan": None,
        }
        assert of("mn", **both)["ar"]["carrier"]["vlan"] == 12
        assert of("ar", **both)["gw"]["carrier"]["kind"] == "vxlan"

    def test_at_one_end_only_it_is_refused_at_either(self) -> None:
        one = {"ar": {"interfaces": {"mn": "eth2"}}}
        for machine in ("ar", "mn"):
            with pytest.raises(
                MachineError, match="host mn: dmm_interfaces: expected an interface"
            ):
                of(machine, **one)

    def test_an_interface_for_a_machine_without_a_link_is_refused(self) -> None:
        with pytest.raises(
            MachineError, match="host gw: dmm_interfaces: it has no link to mn; exp"
        ):
            of("gw", gw={"interfaces": {"mn": "eth2"}})

    @pytest.mark.parametrize(
        "given", [7, "", "a name", {"interface": "eth2", "vlan": 0}, {"vlan": 3}, {"card": "eth2"}]
    )
    def test_what_is_no_interface_is_refused(self, given: Any) -> None:
        both: dict[str, Any] = {
            n: {"interfaces": {p: given}} for n, p in (("ar", "mn"), ("mn", "ar"))
        }
        with pytest.raises(MachineError, match="host ar: dmm_interfaces: mn: "):
            of("ar", **both)
