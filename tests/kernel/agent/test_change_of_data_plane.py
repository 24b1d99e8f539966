"""A host whose data plane is changed forwards on, and nothing of the other one stays."""

from __future__ import annotations

import re
from ipaddress import IPv6Address
from typing import TYPE_CHECKING

import pytest
from tests.kernel.agent.agents import AgentProcess, installed
from tests.kernel.agent.lab import (
    ADDRESS,
    CN,
    HNP1,
    HNP2,
    MN_LL,
    Stream,
    goes,
    inside,
    run,
)
from tests.kernel.agent.routers import HOSTS, Router, data_plane_of, no_ip6tnl
from tests.kernel.agent.test_life_of_the_data_plane import ROUTES, state

from dmm_agent.dataplane.tunnels import DataplaneError
from dmm_agent.functions.effects import BindingRoute, Delivery, VisitorRoute

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.kernel.agent.lab import Lab

GW1, GW3, AR3 = (IPv6Address(ADDRESS[host]) for host in ("gw1", "gw3", "ar3"))
CHANGES = [("seg6", "ip6tnl"), ("ip6tnl", "seg6")]


def brought_up(host: str, plane: str) -> Router:
    """The data plane of a host, as an agent finds or makes it that starts with this setting."""
    data_plane_of[host] = plane
    return Router(host)


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    yield
    data_plane_of.update(dict.fromkeys(HOSTS, "seg6"))


IN_A_TABLE = r"(?ms)^\t(?:chain|set|map|counter) .*?^\t}$"
"""As nftables lists it, in the order in which it was made."""


def comparable(host: str) -> tuple[list[str], list[str], str]:
    """The state of a host without what differs from run to run: addresses, counters, order."""
    with inside(host):
        source = run("ip", "sr", "tunsrc", "show")
    text = re.sub(r"([0-9a-f]{2}:){5}[0-9a-f]{2}", "MAC", state(host))
    text = re.sub(r"packets \d+ bytes \d+", "", text)
    inside_tables = re.findall(IN_A_TABLE, text)
    others = re.sub(IN_A_TABLE, "", text).split("\n")
    return [line for line in others if line], sorted(inside_tables), source


@pytest.mark.ip6tnl
@pytest.mark.parametrize(("before", "after"), CHANGES)
def test_after_a_change_the_host_is_as_if_it_had_never_tunnelled_otherwise(
    lab: Lab, before: str, after: str
) -> None:
    del lab
    untouched = comparable("gw1")
    fresh = brought_up("gw1", after)
    fresh.install(*ROUTES)
    wanted = comparable("gw1")
    fresh.flush()
    assert comparable("gw1") == untouched
    brought_up("gw1", before).install(*ROUTES)
    assert comparable("gw1") != wanted

    changed = brought_up("gw1", after)

    assert comparable("gw1") == wanted
    assert {remove.route for remove in changed.forwarding.stale()} == set(ROUTES)
    changed.flush()
    assert comparable("gw1") == untouched


@pytest.mark.ip6tnl
@pytest.mark.parametrize("plane", ["seg6", "ip6tnl"])
def test_flush_takes_out_what_a_change_that_was_cut_short_left_of_both(
    lab: Lab, plane: str
) -> None:
    del lab
    untouched = comparable("gw1")
    router = brought_up("gw1", plane)
    router.install(BindingRoute(HNP1, GW3))
    other = {"seg6": "ip link add dmm-tnl0 type ip6tnl external", "ip6tnl":
             "ip link add dmm0 type bridge"}[plane]  # fmt: skip
    with inside("gw1"):
        run(*other.split())
        device = other.split()[3]
        run("ip", "link", "set", device, "up")
        run(*f"ip -6 route add {HNP2} dev {device} table 601 proto 77".split())

    router.flush()

    assert comparable("gw1") == untouched


@pytest.mark.ip6tnl
def test_no_packet_is_lost_while_the_routers_of_a_session_change_one_by_one(lab: Lab) -> None:
    routers = {host: brought_up(host, "seg6") for host in HOSTS}
    lab.attach("ar3")
    routers["ar3"].install(Delivery(HNP1, "mn", MN_LL))
    routers["gw3"].install(BindingRoute(HNP1, AR3), VisitorRoute(HNP1, GW1))
    routers["gw1"].install(BindingRoute(HNP1, GW3))
    mn, cn = lab.udp("mn", lab.give_address(HNP1)), lab.udp("cn", CN)
    assert goes(cn, mn)
    stream = Stream(cn, mn)
    for plane in ("ip6tnl", "seg6"):
        for host in HOSTS:
            brought_up(host, plane)
    received = stream.finish()

    assert stream.sent > 50
    assert received == list(range(stream.sent))


@pytest.mark.ip6tnl
def test_a_host_with_another_device_of_this_kind_is_told_to_choose(lab: Lab) -> None:
    del lab
    with inside("gw1"):
        run("ip", "link", "add", "mine", "type", "ip6tnl", "external")

    with pytest.raises(DataplaneError, match=r"delete that one .* or choose `dataplane: seg6`"):
        brought_up("gw1", "ip6tnl")


@pytest.mark.skipif(no_ip6tnl() is None, reason="this kernel has ip6tnl devices")
def test_a_kernel_without_such_devices_is_told_and_the_agent_does_not_start(
    lab: Lab, tmp_path: Path
) -> None:
    del lab
    data_plane_of["gw1"] = "ip6tnl"
    agent = AgentProcess("gw1", installed(tmp_path))
    agent.write_config()
    before = comparable("gw1")

    done = agent.run(
        "--config", str(agent.config), "--socket", str(agent.socket), "--state", str(agent.state)
    )

    assert done.returncode == 1
    assert "`dataplane: ip6tnl` needs IPv6" in done.stderr
    assert "modprobe ip6_tunnel" in done.stderr
    assert "CONFIG_IPV6_TUNNEL" in done.stderr
    assert comparable("gw1") == before
