"""The agent's systemd unit leaves open what the functions on its host need, and no more."""

from __future__ import annotations

from pathlib import Path

import pytest
from jinja2 import StrictUndefined, Template

UNIT = Path(__file__).parents[3] / "roles/agent/templates/dmm-agent.service.j2"


def settings(*, steers: bool, holds: bool = False, keyed: bool = False) -> dict[str, str]:
    """The unit's settings by name, of a host whose functions steer packets, hold some, have keys.

    Of a setting that is there more than once it is the last one.
    """
    rendered = Template(UNIT.read_text(encoding="utf-8"), undefined=StrictUndefined).render(
        agent_config_file="/etc/dmm/agent.yml",
        agent_keys_file="/etc/dmm/keys.yml",
        agent_steers=steers,
        agent_holds_packets=holds,
        agent_keyed=keyed,
    )
    lines = (line for line in rendered.splitlines() if "=" in line and not line.startswith("#"))
    return dict(line.split("=", 1) for line in lines)


def test_who_steers_no_packets_has_the_right_to_raw_sockets_alone() -> None:
    unit = settings(steers=False)

    assert unit["AmbientCapabilities"] == unit["CapabilityBoundingSet"] == "CAP_NET_RAW"
    assert unit["RestrictAddressFamilies"] == "AF_UNIX AF_INET6 AF_NETLINK"
    assert "ReadWritePaths" not in unit


def test_who_steers_packets_may_configure_the_network() -> None:
    unit = settings(steers=True)

    assert unit["AmbientCapabilities"] == unit["CapabilityBoundingSet"]
    assert unit["CapabilityBoundingSet"].split() == ["CAP_NET_ADMIN", "CAP_NET_RAW"]
    assert unit["ReadWritePaths"] == "/proc/sys/net/ipv6/conf"


@pytest.mark.parametrize(("keyed", "last_copy"), [(True, "keys.yml"), (False, "agent.yml")])
def test_only_who_shares_keys_gets_a_copy_of_them(keyed: bool, last_copy: str) -> None:
    unit = settings(steers=True, keyed=keyed)

    assert unit["LoadCredential"] == f"{last_copy}:/etc/dmm/{last_copy}"
    assert unit["BindReadOnlyPaths"] == f"%d/{last_copy}:/etc/dmm/{last_copy}"


@pytest.mark.parametrize("steers", [True, False])
def test_the_rest_is_closed_either_way(steers: bool) -> None:
    unit = settings(steers=steers)

    assert unit["DynamicUser"] == "yes"
    assert unit["NoNewPrivileges"] == "yes"
    assert unit["ProtectSystem"] == "strict"
    assert unit["PrivateDevices"] == "yes"
