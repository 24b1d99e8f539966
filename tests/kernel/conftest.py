"""Throw-away network namespaces, and a runner that reaches them."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

TOOL_FOLDER = Path(__file__).parents[2] / "roles" / "traffic" / "files" / "local" / "bin"

PREFIX = "ms"


class NamespaceRunner:
    """Runs programs in network namespaces called PREFIX-HOST; files are this machine's own."""

    def __init__(self, prefix: str, folder: Path) -> None:
        self._prefix = prefix
        self._folder = folder

    def run(
        self, host: str, argv: Sequence[str], *, timeout_s: float = 30.0
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*self._enter(host), *argv],
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
            env=self._environment(host),
        )

    def start(self, host: str, argv: Sequence[str]) -> subprocess.Popen[bytes]:
        return subprocess.Popen([*self._enter(host), *argv], env=self._environment(host))

    def read_file(self, host: str, path: str) -> bytes:
        del host
        return Path(path).read_bytes()

    def configure(self, host: str, *commands: str) -> None:
        """Run commands of ip(8) or sysctl(8), which must succeed."""
        for command in commands:
            result = self.run(host, command.split())
            assert result.returncode == 0, f"{host}: {command}: {result.stderr}"

    def connect(self, one: str, other: str) -> None:
        """Link two machines; each end is named after the machine at the other."""
        ends = [("name", far, "netns", f"{self._prefix}-{near}")
                for near, far in ((one, other), (other, one))]  # fmt: skip
        subprocess.run(
            ["ip", "link", "add", *ends[0], "type", "veth", "peer", *ends[1]], check=True
        )
        self.configure(one, f"ip link set dev {other} up")
        self.configure(other, f"ip link set dev {one} up")

    def _enter(self, host: str) -> list[str]:
        return ["ip", "netns", "exec", f"{self._prefix}-{host}"]

    def _environment(self, host: str) -> dict[str, str]:
        own = {
            "PATH": f"{TOOL_FOLDER}:{os.environ['PATH']}",
            "DMM_TRAFFIC_DIRECTORY": str(self._folder / host),
        }
        return {**os.environ, **own}


@pytest.fixture
def machines(tmp_path: Path) -> Iterator[NamespaceRunner]:
    """Four namespaces: cn and mn, and the routers ra and rb, without links."""
    if os.geteuid() != 0:
        pytest.skip("needs root to make network namespaces")
    hosts = ("cn", "ra", "rb", "mn")
    runner = NamespaceRunner(PREFIX, tmp_path)
    for host in hosts:
        subprocess.run(["ip", "netns", "add", f"{PREFIX}-{host}"], check=True)
    try:
        for host in hosts:
            runner.configure(host, "ip link set lo up")
        yield runner
    finally:
        for host in hosts:
            runner.run(host, ["dmm-traffic", "stop"])
            subprocess.run(["ip", "netns", "delete", f"{PREFIX}-{host}"], check=False)
