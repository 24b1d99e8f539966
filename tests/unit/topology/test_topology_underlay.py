"""What routers announce of mobile prefixes, and which routes they are to have."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from dmm_testbed.topology.check import load_checked
from dmm_testbed.topology.underlay import Routing, underlay

if TYPE_CHECKING:
    from pathlib import Path

    from dmm_testbed.topology.functions import Functions

POOLS = {"2001:db8:1:8000::/49", "2001:db8:2:8000::/49", "2001:db8:3:8000::/49"}


@pytest.fixture
def routing(
    request: pytest.FixtureRequest, inventory: Path, functions: Functions
) -> dict[str, Routing]:
    profile = inventory / "profiles" / f"{request.param}.yml"
    return underlay(*load_checked(inventory / "designs.yml", profile, functions))


def mobile(prefixes: tuple[object, ...]) -> set[str]:
    return {str(p) for p in prefixes if not str(p).endswith("/128")}


@pytest.mark.parametrize("routing", ["gateway-query", "access-push"], indirect=True)
def test_a_pool_leads_to_its_gateway_and_a_block_to_its_access_router(
    routing: dict[str, Routing],
) -> None:
    assert mobile(routing["gw1"].announces) == {"2001:db8:1:8000::/49"}
    assert mobile(routing["ar11"].announces) == {"2001:db8:1:8100::/56"}
    assert {"2001:db8:1:8100::/56", *POOLS} <= mobile(routing["core2"].routes)
    assert not any(part.own_blocks_only for part in routing.values())


@pytest.mark.parametrize("routing", ["anycast-query", "anycast-push"], indirect=True)
def test_with_anycast_every_gateway_announces_the_pools_of_all_networks(
    routing: dict[str, Routing],
) -> None:
    for gateway in ("gw1", "gw2", "gw3"):
        assert mobile(routing[gateway].announces) == POOLS
    assert all(part.own_blocks_only for part in routing.values())


@pytest.mark.parametrize("routing", ["anycast-query"], indirect=True)
def test_with_anycast_a_block_is_known_in_its_own_network_alone(
    routing: dict[str, Routing],
) -> None:
    blocks = {"2001:db8:1:8100::/56", "2001:db8:1:8200::/56"}
    assert mobile(routing["ar11"].announces) == {"2001:db8:1:8100::/56"}
    assert blocks <= mobile(routing["gw1"].routes)
    assert blocks.isdisjoint(mobile(routing["core1"].routes))
    assert blocks.isdisjoint(mobile(routing["gw2"].routes))


def test_in_a_flattened_network_the_pool_leads_to_its_one_router(
    inventory: Path, functions: Functions
) -> None:
    profile = inventory / "profiles" / "flat-query.yml"
    parts = underlay(*load_checked(inventory / "flat.yml", profile, functions))
    assert mobile(parts["ar11"].announces) == {"2001:db8:1:8000::/49"}


@pytest.mark.parametrize("routing", ["gateway-query", "anycast-query"], indirect=True)
def test_every_router_is_to_reach_every_router_and_needs_no_route_to_what_it_announces(
    routing: dict[str, Routing],
) -> None:
    for name, part in routing.items():
        assert sum(str(p).endswith("/128") for p in part.routes) == len(routing), name
        assert mobile(part.routes).isdisjoint(mobile(part.announces)), name


@pytest.mark.parametrize("routing", ["gateway-query-rewrite"], indirect=True)
def test_with_rewriting_locators_lead_to_the_gateway_of_their_network(
    routing: dict[str, Routing],
) -> None:
    for number in (1, 2, 3):
        assert f"3fff:{number}::/32" in mobile(routing[f"gw{number}"].announces)
        assert f"3fff:{number}::/32" in mobile(routing["core1"].routes)
    assert mobile(routing["ar11"].announces) == {"2001:db8:1:8100::/56"}


def test_plain_prefixes_lead_to_their_access_router_whatever_is_placed(
    inventory: Path, functions: Functions
) -> None:
    for profile in ("gateway-query", "anycast-query"):
        file = inventory / "profiles" / f"{profile}.yml"
        parts = underlay(*load_checked(inventory / "designs.yml", file, functions))
        assert str(parts["ar11"].plain) == "2001:db8:1:4100::/56"
        assert parts["ar11"].plain in parts["gw3"].routes
        assert parts["gw1"].plain is None


def test_the_underlay_advertises_plain_prefixes_only_where_no_proxy_does(
    inventory: Path, functions: Functions, tmp_path: Path
) -> None:
    bare = tmp_path / "bare.yml"
    bare.write_text(
        "name: bare\n"
        "description: access networks that run no agent\n"
        "placement: {gateway: [allocator, lm, mr]}\n",
        encoding="utf-8",
    )
    usual = inventory / "profiles" / "gateway-query.yml"
    advertising = {
        profile: {n for n, part in parts.items() if part.advertises_plain}
        for profile in (bare, usual)
        for parts in [underlay(*load_checked(inventory / "small.yml", profile, functions))]
    }

    assert advertising == {bare: {"ar11", "ar21", "ar22"}, usual: set()}
