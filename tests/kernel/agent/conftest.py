"""Kernel tests need root and a kernel with IPv6 segment routing; they say so when they skip."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.kernel.agent.lab import Lab

if TYPE_CHECKING:
    from collections.abc import Iterator


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
    reason = _why_not()
    if reason is None:
        return
    print(f"\nskipping kernel tests: {reason}")
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.skip(reason=reason))


@pytest.fixture
def lab() -> Iterator[Lab]:
    made = Lab()
    yield made
    made.close()
