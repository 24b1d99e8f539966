"""The playbooks on a whole lab: its network works, a second run changes nothing."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from looks import of_foreign_source

from dmm_testbed.topology.model import Role

if TYPE_CHECKING:
    from collections.abc import Callable

    from labs import Lab

OSPF_WITHIN_S = 60.0
SAME_TIME = timedelta(seconds=1)
ROUTING = tuple(role for role in Role if role.routes)


@pytest.fixture(scope="module")
def described(lab: Lab) -> dict[str, dict[str, Any]]:
    """All that is known of each machine."""
    return lab.machines()


class TestUnderlay:
    def test_every_router_is_fully_adjacent_to_its_neighbours(
        self, lab: Lab, described: dict[str, dict[str, Any]], until: Callable[..., Any]
    ) -> None:
        for name in lab.machines(*ROUTING):
            expected = {i["name"] for i in described[name]["interfaces"] if i["ospf"] == "ptp"}

            def full(name: str = name, expected: set[str] = expected) -> bool:
                lines = lab.host(name).check_output("birdc show ospf neighbors").splitlines()
                rows = [line.split() for line in lines if "Full/PtP" in line]
                return {row[4] for row in rows} == expected

            until(full, f"{name} is adjacent to {expected}", OSPF_WITHIN_S)

    def test_a_correspondent_reaches_every_router(
        self, lab: Lab, described: dict[str, dict[str, Any]], until: Callable[..., Any]
    ) -> None:
        correspondent = lab.host(first(lab, Role.CORRESPONDENT))
        for name in lab.machines(*ROUTING):
            address = described[name]["loopback"]
            until(
                lambda address=address: correspondent.run("ping -c 1 -W 1 %s", address).rc == 0,
                f"an answer from {name}, {address}",
            )

    def test_machines_know_each_other_by_name(self, lab: Lab) -> None:
        node, correspondent = first(lab, Role.MOBILE_NODE), first(lab, Role.CORRESPONDENT)
        for name in (node, correspondent):
            assert correspondent in lab.host(name).check_output("getent ahostsv6 %s", correspondent)

    def test_a_packet_with_a_foreign_source_ends_at_the_transit_router(
        self, lab: Lab, described: dict[str, dict[str, Any]]
    ) -> None:
        if not lab.machines(Role.ROUTER):
            pytest.skip(f"topology {lab.topology} has no transit router")
        sender, other = list(lab.machines(Role.GATEWAY))[:2]
        router = first(lab, Role.ROUTER)
        target = described[other]["loopback"]
        prefix = described[other]["prefix"].split("::")[0]
        foreign = f"{prefix}:ff::1"
        assert lab.host(sender).run("ping -c 1 -W 2 %s", target).rc == 0, "own source"
        before, arrived = of_foreign_source(lab, router), echo_requests(lab, other)
        lab.host(sender).check_output("ip -6 address add %s/128 dev lo", foreign)
        try:
            lab.host(sender).run("ping -c 2 -i 0.2 -W 1 -I %s %s", foreign, target)
        finally:
            lab.host(sender).check_output("ip -6 address delete %s/128 dev lo", foreign)
        assert of_foreign_source(lab, router) == before + 2
        assert echo_requests(lab, other) == arrived

    def test_links_carry_packets_as_large_as_declared(
        self, lab: Lab, described: dict[str, dict[str, Any]]
    ) -> None:
        for name in lab.machines(Role.GATEWAY):
            for interface in described[name]["interfaces"]:
                payload = interface["mtu"] - 48  # IPv6 and ICMPv6 headers
                ping = f"ping -c 1 -W 2 -M do -s %s {interface['peer_address']}"
                assert lab.host(name).run(ping, str(payload)).rc == 0, interface["name"]
                assert lab.host(name).run(ping, str(payload + 1)).rc != 0, interface["name"]

    def test_access_links_look_the_same_everywhere(
        self, lab: Lab, described: dict[str, dict[str, Any]]
    ) -> None:
        for name in lab.machines(Role.ACCESS_ROUTER):
            for interface in described[name]["interfaces"]:
                if interface["kind"] != "access":
                    continue
                shown = lab.host(name).check_output(
                    "ip -json -6 address show dev %s", interface["name"]
                )
                (link,) = json.loads(shown)
                addresses = {f"{a['local']}/{a['prefixlen']}" for a in link["addr_info"]}
                assert addresses == set(interface["addresses"])
                assert "fe80::200:5eff:fe00:5213/64" in addresses
                assert (
                    lab.host(name).check_output("cat /sys/class/net/%s/address", interface["name"])
                    == "00:00:5e:00:52:13"
                )  # RFC 6543

    def test_every_router_takes_encapsulated_packets_on_every_link(
        self, lab: Lab, described: dict[str, dict[str, Any]]
    ) -> None:
        for name in lab.machines(*ROUTING):
            links = [interface["name"] for interface in described[name]["interfaces"]]
            for interface in ("all", "default", *links):
                assert setting(lab, name, f"{interface}/seg6_enabled") == "1", (name, interface)


class TestRadio:
    def test_a_mobile_node_is_attached_where_the_topology_says(
        self, lab: Lab, described: dict[str, dict[str, Any]]
    ) -> None:
        for name in lab.machines(Role.MOBILE_NODE):
            assert status(lab, name)["to"] == described[name]["mobile"]["attach"]

    def test_a_mobile_node_configures_itself_like_any_host(self, lab: Lab) -> None:
        for name in lab.machines(Role.MOBILE_NODE):
            assert setting(lab, name, "radio0/accept_ra") == "1"
            assert setting(lab, name, "radio0/forwarding") == "0"
            assert setting(lab, name, "radio0/use_tempaddr") == "0"

    def test_a_move_takes_one_port_down_and_one_up_and_keeps_the_carrier(
        self, lab: Lab, described: dict[str, dict[str, Any]]
    ) -> None:
        name = first(lab, Role.MOBILE_NODE)
        home, away = described[name]["mobile"]["attach"], lab.elsewhere(name)
        changes = "cat /sys/class/net/radio0/carrier_changes"
        before = lab.host(name).check_output(changes)
        try:
            moved = json.loads(lab.host(name).check_output("dmm-radio move %s", away))
            up = [i for i in status(lab, name)["in_reach"] if is_up(lab, name, i)]
        finally:
            lab.host(name).check_output("dmm-radio move %s", home)
        assert [action["action"] for action in moved["actions"]] == [
            "down",
            "up",
            "forwarding",
            "solicitation",
        ]
        times = [action["at"] for action in moved["actions"]]
        assert times == sorted(times)
        assert (moved["from"], moved["to"], moved["changed"]) == (home, away, True)
        assert up == [away]
        assert lab.host(name).check_output(changes) == before

    def test_a_node_can_be_off_and_come_back(
        self, lab: Lab, described: dict[str, dict[str, Any]]
    ) -> None:
        name = first(lab, Role.MOBILE_NODE)
        home = described[name]["mobile"]["attach"]
        lab.host(name).check_output("dmm-radio off")
        assert status(lab, name)["to"] is None
        lab.host(name).check_output("dmm-radio attach %s", home)
        assert status(lab, name)["to"] == home
        again = json.loads(lab.host(name).check_output("dmm-radio attach %s", home))
        assert again["changed"] is False

    def test_an_access_router_out_of_reach_is_told(self, lab: Lab) -> None:
        name = first(lab, Role.MOBILE_NODE)
        refused = lab.host(name).run("dmm-radio move nowhere")
        assert refused.rc == 1
        assert refused.stderr.startswith("dmm-radio: nowhere is not in reach: expected one of ")
        assert status(lab, name)["to"]


class TestPlaybooks:
    def test_verifying_finds_nothing_amiss(self, lab: Lab) -> None:
        verified = lab.play("verify")
        assert verified.status == 0, verified.output

    def test_a_second_run_changes_nothing(self, lab: Lab) -> None:
        again = lab.play("site")
        assert again.status == 0, again.output
        assert again.changed == {}, again.output

    def test_checking_a_running_lab_finds_nothing_to_change(self, lab: Lab) -> None:
        checked = lab.play("site", "--check", "--diff")
        assert checked.status == 0, checked.output
        assert checked.changed == {}, checked.output

    def test_a_changed_file_is_put_right_and_its_service_follows(self, lab: Lab) -> None:
        router = first(lab, Role.GATEWAY)
        started, configured = bird_times(lab, router)
        lab.host(router).check_output("echo '# mine' >> /etc/bird/bird.conf")
        checked = lab.play("site", "--check", "--limit", f"localhost,{router}")
        assert checked.changed == {router: 2}, "the file and the reload"
        again = lab.play("site", "--limit", f"localhost,{router}")
        assert again.changed == {router: 2}, again.output
        assert "# mine" not in lab.host(router).file("/etc/bird/bird.conf").content_string
        # BIRD counts back from now, so that corrections of the clock show.
        assert abs(bird_times(lab, router)[0] - started) < SAME_TIME, "its sessions go on"
        assert bird_times(lab, router)[1] > configured

    def test_a_stopped_service_is_started(self, lab: Lab) -> None:
        router = first(lab, Role.GATEWAY)
        lab.host(router).check_output("service bird stop")
        again = lab.play("site", "--limit", f"localhost,{router}")
        assert again.changed == {router: 1}, again.output
        assert lab.host(router).service("bird").is_running

    def test_a_handover_moves_the_node_and_tells_when(
        self, lab: Lab, described: dict[str, dict[str, Any]]
    ) -> None:
        name = first(lab, Role.MOBILE_NODE)
        home, away = described[name]["mobile"]["attach"], lab.elsewhere(name)
        try:
            moved = lab.play("handover", mn=name, to=away)
            assert moved.status == 0, moved.output
            assert moved.changed == {name: 1}
            assert "solicitation" in moved.output
            assert status(lab, name)["to"] == away
        finally:
            lab.play("handover", mn=name, to=home)

    @pytest.mark.parametrize(
        ("given", "sentence"),
        [
            ({}, "mn: expected a mobile node of the topology (mn11"),
            ({"mn": "gw1", "to": "ar11"}, "got 'gw1': add -e mn=NAME"),
            ({"mn": "mn11"}, "to: expected an access router that mn11 hears (ar11"),
            ({"mn": "mn11", "to": "gw1"}, "got 'gw1': add -e to=NAME"),
        ],
    )
    def test_a_handover_of_whom_or_where_is_asked_for(
        self, lab: Lab, given: dict[str, str], sentence: str
    ) -> None:
        refused = lab.play("handover", **given)
        assert refused.status != 0
        assert sentence in " ".join(refused.output.split())


RESTARTS = {"namespace": 10, "vagrant": 2}


class TestAgents:
    def test_one_answers_from_the_moment_its_start_is_done(self, lab: Lab) -> None:
        """What it forwards is in place by then."""
        host = lab.host(list(lab.machines(Role.ACCESS_ROUTER))[-1])
        for _ in range(RESTARTS[lab.kind]):
            host.check_output("service dmm-agent restart")
            host.check_output("dmmctl status")


def first(lab: Lab, role: Role) -> str:
    """Name of the first machine with a role."""
    return next(iter(lab.machines(role)))


def setting(lab: Lab, name: str, path: str) -> str:
    """An IPv6 setting of a machine's interface."""
    return str(lab.host(name).check_output("cat /proc/sys/net/ipv6/conf/%s", path))


def bird_times(lab: Lab, router: str) -> tuple[datetime, datetime]:
    """When a router's BIRD was started, and when it last read its configuration."""
    shown = lab.host(router).check_output("birdc show status")
    found = [line.partition(" on ") for line in shown.splitlines()]
    times = {what: when for what, _, when in found}
    started, configured = times["Last reboot"], times["Last reconfiguration"]
    return datetime.fromisoformat(started), datetime.fromisoformat(configured)


def status(lab: Lab, name: str) -> dict[str, Any]:
    """Where a node's radio is."""
    found: dict[str, Any] = json.loads(lab.host(name).check_output("dmm-radio status"))
    return found


def is_up(lab: Lab, name: str, interface: str) -> bool:
    """Whether an interface is up."""
    flags = lab.host(name).check_output("cat /sys/class/net/%s/flags", interface)
    return bool(int(flags, 16) & 1)


def echo_requests(lab: Lab, name: str) -> int:
    """ICMPv6 echo requests that a machine has got."""
    counted = lab.host(name).check_output("grep Icmp6InEchos /proc/net/snmp6")
    return int(counted.split()[1])
