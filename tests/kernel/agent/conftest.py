"""Kernel tests need root and a kernel with IPv6 segment routing; they say so when they skip."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.kernel.agent import routers
from tests.kernel.agent.agents import AgentProcess, installed
from tests.kernel.agent.lab import Lab

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


def _why_not() -> str | None:
    if os.geteuid() != 0:
        return "kernel tests need root: they make network namespaces"
    missing = [program for program in ("ip", "nft") if shutil.which(program) is None]
    if missing:
        return f"kernel tests need {' and '.join(missing)} (Debian: iproute2, nftables)"
    if not Path("/proc/sys/net/ipv6/conf/all/seg6_enabled").exists():
        return "kernel tests need a kernel with CONFIG_IPV6_SEG6_LWTUNNEL"
    return None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    ours = [item for item in items if Path(__file__).parent in item.path.parents]
    reason = _why_not()
    if reason is not None:
        return _skip(ours, reason)
    tunnels_by_device = [item for item in ours if _needs_ip6tnl(item)]
    for item in tunnels_by_device:
        item.add_marker("ip6tnl")
    lacking = routers.no_ip6tnl() if tunnels_by_device else None
    return _skip(tunnels_by_device, lacking) if lacking else None


def _skip(items: list[pytest.Item], reason: str) -> None:
    print(f"\nskipping {len(items)} kernel tests: {reason}")
    for item in items:
        item.add_marker(pytest.mark.skip(reason=reason))


def _needs_ip6tnl(item: pytest.Item) -> bool:
    parameters = item.callspec.params if hasattr(item, "callspec") else {}
    planes = routers.DATA_PLANES[parameters.get("data_planes", "seg6")]
    return "ip6tnl" in planes.values() or item.get_closest_marker("ip6tnl") is not None


@pytest.fixture
def data_planes(request: pytest.FixtureRequest) -> Iterator[None]:
    """How the routers tunnel, in one test after the other: see `routers.DATA_PLANES`."""
    before = dict(routers.data_plane_of)
    routers.data_plane_of.update(routers.DATA_PLANES[request.param])
    yield
    routers.data_plane_of.update(before)


@pytest.fixture
def lab() -> Iterator[Lab]:
    made = Lab()
    yield made
    made.close()


@pytest.fixture
def start(lab: Lab, tmp_path: Path) -> Iterator[Callable[..., AgentProcess]]:
    """Start the agent of a host."""
    del lab
    installed(tmp_path)
    started: list[AgentProcess] = []

    def start_one(host: str, *arguments: str, wait: bool = True) -> AgentProcess:
        agent = AgentProcess(host, tmp_path)
        started.append(agent)
        agent.start(*arguments, wait=wait)
        return agent

    yield start_one
    for agent in started:
        agent.kill()


@pytest.fixture
def agents(start: Callable[..., AgentProcess]) -> dict[str, AgentProcess]:
    """The agents of all routers."""
    running = {host: start(host, wait=False) for host in ("gw1", "gw2", "gw3", "ar1", "ar3")}
    for agent in running.values():
        agent.wait()
    return running
