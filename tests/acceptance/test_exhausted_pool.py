"""A network that has leased all that it has refuses newcomers (RFC 5213, 5.3.2), serves others."""

from __future__ import annotations

import json
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from labs import BRIEF_PROFILE
from looks import addresses_of, events, table

from dmm_testbed.topology.model import Role

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from cast import Cast
    from labs import Lab

pytestmark = [pytest.mark.not_emulated, pytest.mark.changes_lab(turn=2)]

CONFIGURATION = "/etc/dmm/agent.yml"


@pytest.fixture
def newcomer(lab: Lab, cast: Cast) -> Iterator[str]:
    """Another network's mobile node, in a lab where nobody has a lease; at home afterwards."""
    nodes = cast.topology.with_role(Role.MOBILE_NODE)
    found = next((node for node in nodes if node.network != cast.home_access_router.network), None)
    if found is None or found.mobile is None:
        pytest.skip(f"topology {cast.topology.name} has mobile nodes of one network alone")
    lab.begin_anew(profile=BRIEF_PROFILE)
    yield found.name
    lab.have_no_address(found.name)
    lab.host(found.name).check_output("dmm-radio attach %s", found.mobile.attach)


@contextmanager
def with_no_prefix_left(lab: Lab, gateway: str) -> Iterator[None]:
    """Let an allocator lease as many prefixes as it has leased, and no more."""
    host = lab.host(gateway)
    tight = yaml.safe_load(host.check_output("cat %s", CONFIGURATION))
    tight["functions"]["allocator"]["max_leases"] = len(table(lab, gateway, "leases"))
    host.check_output("cp -p %s %s.before", CONFIGURATION, CONFIGURATION)
    try:
        host.check_output("echo %s > %s", json.dumps(tight), CONFIGURATION)
        host.check_output("service dmm-agent restart")
        yield
    finally:
        host.check_output("mv %s.before %s", CONFIGURATION, CONFIGURATION)
        host.check_output("service dmm-agent restart")


def test_a_newcomer_is_refused_until_there_is_a_prefix_for_it(
    lab: Lab, cast: Cast, newcomer: str, until: Callable[..., Any]
) -> None:
    access_router = cast.home_access_router
    gateway = cast.gateway_of(access_router).name
    lab.host(cast.mobile_node).check_output("dmm-radio attach %s", access_router.name)

    def leases() -> set[str]:
        return {row["mn_id"].split("@")[0] for row in table(lab, gateway, "leases")}

    def addresses() -> list[dict[str, Any]]:
        return addresses_of(lab, newcomer, cast.home_pool)

    until(lambda: cast.mobile_node in leases(), "a node at home has a lease")
    with with_no_prefix_left(lab, gateway):
        lab.host(newcomer).check_output("dmm-radio attach %s", access_router.name)
        refused = until(lambda: events(lab, gateway, "pool_exhausted"), "that is refused and said")
        assert {event["mn_id"].split("@")[0] for event in refused} == {newcomer}
        assert leases() == {cast.mobile_node}
        assert addresses() == []
        ping = f"ping -c 3 -i 0.2 -W 1 {cast.correspondent_address}"
        assert lab.host(cast.mobile_node).run(ping).rc == 0, "who has one goes on"
    until(addresses, "an address, now that there is room")
    assert leases() == {cast.mobile_node, newcomer}
