"""Keys: one for each mobile node and home agent, on the two machines that need it (RFC 4285)."""

from __future__ import annotations

from pathlib import Path

import pytest

from dmm_testbed.topology import load_topology
from dmm_testbed.topology.agent_keys import agent_keys
from dmm_testbed.topology.profile import load_profile

INVENTORY = Path(__file__).parents[3] / "inventory"
TOPOLOGY = load_topology(INVENTORY / "three-networks.yml")
HOST_MOBILITY = load_profile(INVENTORY / "profiles/host-gateway.yml")
SECRET = "only the controller knows"  # noqa: S105


def keys(host: str, secret: str = SECRET) -> dict[tuple[str, str], str]:
    rows = agent_keys(TOPOLOGY, HOST_MOBILITY, host, secret)
    return {(row["mn_id"], row["home_agent"]): row["key"] for row in rows}


def test_both_ends_have_the_same_key() -> None:
    pair = ("mn11@dmm.example", "2001:db8:1::1")
    assert keys("mn11")[pair] == keys("gw1")[pair]


def test_nobody_else_has_it() -> None:
    own, home_agents = keys("mn11"), ("gw1", "gw2", "gw3")
    assert {mn_id for mn_id, _ in own} == {"mn11@dmm.example"}
    assert len(own) == len(set(own.values())) == len(home_agents)
    for name in home_agents:
        assert {agent for _, agent in keys(name)} == {str(TOPOLOGY.machines[name].loopback)}
    assert keys("ar11") == {}


def test_another_lab_has_others() -> None:
    assert not set(keys("gw1").values()) & set(keys("gw1", "another secret").values())


@pytest.mark.parametrize("host", ["gw1", "mn11"])
def test_where_the_network_signals_there_are_none(host: str) -> None:
    profile = load_profile(INVENTORY / "profiles/gateway-query.yml")
    assert agent_keys(TOPOLOGY, profile, host, SECRET) == []


@pytest.mark.parametrize("host", ["gw1", "mn11"])
def test_a_profile_may_do_without(host: str) -> None:
    options = {**HOST_MOBILITY.options, "authentication": "none"}
    profile = HOST_MOBILITY.model_copy(update={"options": options})
    assert agent_keys(TOPOLOGY, profile, host, SECRET) == []
