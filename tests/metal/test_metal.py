"""The playbooks on hosts that nobody made for the testbed, from plain Debian to a lab and back.

The tests build on each other, in the order of this file.
"""

from __future__ import annotations

import json
import time
from ipaddress import IPv6Address
from typing import TYPE_CHECKING, Any

import pytest
from tests.metal.bare_hosts import all_at_once
from tests.metal.host_state import differences, files_of, look, packages

from dmm_testbed.topology import load_topology

if TYPE_CHECKING:
    from tests.metal.conftest import Metal

TRAFFIC_WITHIN_S = 60.0
OWN_BIRD = "# A routing daemon that the owner of this host has set up.\n"
TOPOLOGY = load_topology("inventory/three-hosts.yml")


@pytest.fixture(scope="module")
def before(metal: Metal) -> dict[str, Any]:
    """What the hosts were like, one of them with a routing configuration of its owner's."""
    gateway = metal.hosts["gw1"]
    gateway.output(f"mkdir /etc/bird && printf '{OWN_BIRD}' >/etc/bird/bird.conf")
    found = all_at_once(lambda host: (look(host), packages(host)), metal.hosts.values())
    return dict(zip(metal.hosts, found, strict=True))


@pytest.mark.usefixtures("before")
def test_checking_tells_what_would_be_made_and_touches_no_host(metal: Metal) -> None:
    checked = metal.play("site", "--check")
    assert checked.status == 0, checked.output
    assert set(checked.changed) == {"localhost", *metal.hosts}
    assert "what would be done in it cannot be told" in " ".join(checked.output.split())
    for host in metal.hosts.values():
        assert host.ssh("ls /etc/dmm /var/lib/dmm-testbed /usr/sbin/bird").returncode != 0


@pytest.mark.usefixtures("before")
def test_plain_hosts_without_internet_become_a_lab(metal: Metal) -> None:
    made = metal.play("site")
    assert made.status == 0, made.output
    assert packages(metal.hosts["gw1"]) >= {"bird2", "chrony", "ifupdown", "nftables"}


def test_links_are_what_the_inventory_says(metal: Metal) -> None:
    assert kind(metal, "gw1", "ar11") == kind(metal, "ar11", "gw1") == "vxlan"
    assert kind(metal, "ar11", "mn11") == kind(metal, "mn11", "ar11") == "macvlan"
    for host in metal.hosts.values():
        assert host.output("dmm-links status") == "all links are as wanted\n"
    gateway, router = metal.hosts["gw1"], metal.hosts["ar11"]
    (link,) = json.loads(gateway.output("ip -json -details link show dev ar11"))
    data = link["linkinfo"]["info_data"]
    assert (data["local"], data["remote"]) == (gateway.lan_address, router.lan_address)


def test_links_carry_packets_as_large_as_declared_and_no_larger(metal: Metal) -> None:
    peer = TOPOLOGY.machines["gw1"].interface("ar11").peer_address
    mtu = TOPOLOGY.machines["gw1"].interface("ar11").mtu
    payload = mtu - 48  # IPv6 and ICMPv6 headers
    for _ in range(2):  # a link that has become smaller shows at the second packet
        assert metal.hosts["gw1"].ssh(f"ping -c 1 -W 5 -M do -s {payload} {peer}").returncode == 0
    assert metal.hosts["gw1"].ssh(f"ping -c 1 -W 5 -M do -s {payload + 1} {peer}").returncode != 0


def test_clocks_are_in_step(metal: Metal) -> None:
    for name in ("ar11", "mn11"):
        tracking = metal.hosts[name].output("chronyc -n -c tracking").split(",")
        assert tracking[1] == metal.hosts["gw1"].lan_address, "the first machine's time"
        assert abs(float(tracking[4])) < 0.3, "what agents allow"


def test_a_mobile_node_gets_a_prefix_of_the_gateway_and_its_traffic_passes(metal: Metal) -> None:
    node = metal.hosts["mn11"]
    address = await_address(metal)
    leases = json.loads(metal.hosts["gw1"].output("dmmctl leases --json"))
    assert [lease["mn_id"] for lease in leases] == ["mn11@dmm.example"]
    gateway = TOPOLOGY.machines["gw1"].loopback
    assert node.ssh(f"ping -c 3 -W 5 -I {address} {gateway}").returncode == 0


def test_a_node_that_leaves_and_comes_back_keeps_its_address(metal: Metal) -> None:
    node, gateway = metal.hosts["mn11"], TOPOLOGY.machines["gw1"].loopback
    address = await_address(metal)
    node.output("dmm-radio off")
    assert node.ssh(f"ping -c 1 -W 2 -I {address} {gateway}").returncode != 0
    node.output("dmm-radio move ar11")
    assert await_address(metal) == address
    assert node.ssh(f"ping -c 3 -W 5 -I {address} {gateway}").returncode == 0


def test_a_second_run_changes_nothing(metal: Metal) -> None:
    again = metal.play("site")
    assert again.status == 0, again.output
    assert again.changed == {}, again.output


def test_the_running_lab_is_as_topology_and_profile_say(metal: Metal) -> None:
    verified = metal.play("verify")
    assert verified.status == 0, verified.output


def test_a_link_that_somebody_changed_is_put_right(metal: Metal) -> None:
    gateway = metal.hosts["gw1"]
    gateway.output("ip link set dev ar11 mtu 1300")
    again = metal.play("site", "--limit", "localhost,gw1")
    assert again.status == 0, again.output
    assert again.changed.keys() == {"gw1"}
    assert gateway.output("cat /sys/class/net/ar11/mtu") == "1450\n"


def test_a_host_that_was_switched_off_comes_back_as_a_machine(metal: Metal) -> None:
    metal.hosts["ar11"].restart()
    address = await_address(metal)
    gateway = TOPOLOGY.machines["gw1"].loopback
    ping = f"ping -c 1 -W 2 -I {address} {gateway}"
    deadline = time.monotonic() + TRAFFIC_WITHIN_S
    while metal.hosts["mn11"].ssh(ping).returncode:
        assert time.monotonic() < deadline, "no traffic passes by the access router any more"


def test_leaving_leaves_each_host_as_it_was(metal: Metal, before: dict[str, Any]) -> None:
    kept = metal.hosts["gw1"].output("cat /etc/bird/bird.conf.before-dmm")
    assert kept == OWN_BIRD
    left = metal.play("destroy")
    assert left.status == 0, left.output
    assert "Packages that it lacked before stay: bird2" in " ".join(left.output.split())
    found = all_at_once(lambda host: (look(host), packages(host)), metal.hosts.values())
    different = {}
    for (name, host), (now, has) in zip(metal.hosts.items(), found, strict=True):
        then, had = before[name]
        different[name] = differences(then, now, files_of(host, has - had))
    assert different == {name: {} for name in metal.hosts}
    assert metal.hosts["gw1"].output("cat /etc/bird/bird.conf") == OWN_BIRD


def test_leaving_twice_is_fine(metal: Metal) -> None:
    again = metal.play("destroy")
    assert again.status == 0, again.output
    assert again.changed == {}


def kind(metal: Metal, name: str, peer: str) -> str:
    """What a link is made of."""
    (link,) = json.loads(metal.hosts[name].output(f"ip -json -details link show dev {peer}"))
    return str(link["linkinfo"]["info_kind"])


def await_address(metal: Metal) -> str:
    """The address that the mobile node has out of its gateway's pool."""
    pool = TOPOLOGY.machines["gw1"].network.mobile_pool
    deadline = time.monotonic() + TRAFFIC_WITHIN_S
    while True:
        shown = metal.hosts["mn11"].output("ip -json -6 address show dev radio0 scope global")
        infos = [info for entry in json.loads(shown or "[]") for info in entry.get("addr_info", [])]
        # Older versions of iproute2 print empty objects for the addresses they leave out.
        ready = [i for i in infos if i and not i.get("deprecated") and not i.get("tentative")]
        found = [info["local"] for info in ready]
        if found:
            (address,) = found
            assert IPv6Address(address) in pool
            return str(address)
        assert time.monotonic() < deadline, f"mn11 got no address: {shown}"
