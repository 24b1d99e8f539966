"""Functions to place: their options are those of a real deployment, they themselves do nothing."""

import os
from collections.abc import Iterable
from ipaddress import IPv6Address, IPv6Network
from pathlib import Path
from typing import Any, ClassVar, Literal

import pytest
from pydantic import BaseModel, Field

from dmm_agent.functions.base import Function, Options
from dmm_agent.functions.effects import Effect
from dmm_agent.functions.events import Event

REPOSITORY = Path(__file__).parents[3]


class Block(BaseModel):
    access_router: IPv6Address
    prefix: IPv6Network


class AllocatorOptions(Options):
    pool: IPv6Network
    blocks: tuple[Block, ...]
    lease_lifetime_s: int = Field(3600, ge=4)


class LocationOptions(Options):
    database: Literal["home-network", "central"] = "home-network"
    hierarchy: bool = True
    binding_lifetime_s: int = Field(60, ge=4, description="a lifetime of 4 seconds or more")
    answer_lifetime_s: int = 60


class RoutingOptions(Options):
    interception: Literal["gateway", "access", "anycast"] = "gateway"
    resolution: Literal["query", "push", "none"] = "query"
    while_resolving: Literal["triangle", "hold"] = "triangle"
    resolve_after_s: float = 0.0
    forwarding: Literal["encapsulate", "rewrite"] = "encapsulate"


class ProxyOptions(Options):
    mobility: Literal["network"] = "network"
    session_discovery: Literal["observed"] = "observed"
    binding_lifetime_s: int = Field(60, ge=4, description="a lifetime of 4 seconds or more")
    preferred_lifetime_s: int = 30


class _Idle(Function[Any]):
    def handle(self, event: Event, now: float) -> Iterable[Effect]:
        del event, now
        return ()


class Allocator(_Idle):
    name = "allocator"
    options_class = AllocatorOptions


class LocationManager(_Idle):
    name = "lm"
    options_class = LocationOptions
    requires: ClassVar[frozenset[str]] = frozenset({"allocator"})


class MobilityRouter(_Idle):
    name = "mr"
    options_class = RoutingOptions


class Proxy(_Idle):
    name = "proxy"
    options_class = ProxyOptions


class SessionsOptions(Options):
    report_interval_s: float = 3.0


class Sessions(_Idle):
    name = "sessions"
    options_class = SessionsOptions
    runs_on: ClassVar[Literal["router", "mobile_node"]] = "mobile_node"


@pytest.fixture(scope="session")
def functions() -> dict[str, type[Function[Any]]]:
    """The functions that are installed in these tests."""
    return {f.name: f for f in (Allocator, LocationManager, MobilityRouter, Proxy, Sessions)}


@pytest.fixture
def inventory() -> Path:
    """Where the shipped topologies and profiles are."""
    return REPOSITORY / "inventory"


@pytest.fixture
def update_golden() -> bool:
    """Whether golden files are to be written instead of compared."""
    return os.environ.get("UPDATE_GOLDEN") == "1"
