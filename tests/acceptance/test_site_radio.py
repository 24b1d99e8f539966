"""A mobile node whose network goes away and comes back, as at a reboot."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from dmm_testbed.topology.model import Role

if TYPE_CHECKING:
    from collections.abc import Iterator

    from labs import Lab


@pytest.fixture
def node(lab: Lab) -> Iterator[Any]:
    """A mobile node; afterwards it is where the topology says."""
    name, described = next(iter(lab.machines(Role.MOBILE_NODE).items()))
    host = lab.host(name)
    yield host
    host.check_output("dmm-radio move %s", described["mobile"]["attach"])


@pytest.fixture
def away(lab: Lab) -> str:
    """An access router that the node hears, and is not at home at."""
    return lab.elsewhere(next(iter(lab.machines(Role.MOBILE_NODE))))


def come_back(node: Any) -> dict[str, Any]:
    """Take the network down and up; gives where the radio is then."""
    node.check_output("service dmm-network restart")
    status: dict[str, Any] = json.loads(node.check_output("dmm-radio status"))
    return status


def test_it_is_attached_where_it_was(node: Any, away: str) -> None:
    node.check_output("dmm-radio move %s", away)

    assert come_back(node)["to"] == away


def test_switched_off_it_stays_so(node: Any) -> None:
    node.check_output("dmm-radio off")

    assert come_back(node)["to"] is None


def test_an_access_router_that_it_cannot_hear_any_more_is_told(node: Any) -> None:
    node.check_output("dmm-radio off")
    node.check_output("echo gone > /var/lib/dmm-radio/attached")

    resumed = node.run("dmm-radio resume")

    assert (resumed.rc, json.loads(resumed.stdout)["to"]) == (0, None)
    assert resumed.stderr == "dmm-radio: gone, attached at last, is not in reach\n"
