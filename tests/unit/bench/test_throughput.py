"""The programs that measure what a way carries, on this host's own loopback."""

from __future__ import annotations

import socket
import subprocess
from ipaddress import IPv6Network
from typing import TYPE_CHECKING

import pytest

from dmm_testbed.bench import program, throughput
from dmm_testbed.bench.away import Ways
from dmm_testbed.bench.figures import BenchError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


class HereRunner:
    """Runs programs of all hosts here."""

    def run(
        self, host: str, argv: Sequence[str], *, timeout_s: float = 30.0
    ) -> subprocess.CompletedProcess[str]:
        del host
        return subprocess.run(argv, capture_output=True, text=True, timeout=timeout_s, check=False)

    def start(self, host: str, argv: Sequence[str]) -> subprocess.Popen[bytes]:
        del host
        return subprocess.Popen(argv)

    def read_file(self, host: str, path: str) -> bytes:
        raise NotImplementedError(host, path)


WAYS = Ways(
    sender="cn",
    receiver="mn",
    plain="::1",
    steered="::1",
    ingress="gw",
    egress_address="::1",
    pool=IPv6Network("2001:db8::/49"),
)


@pytest.fixture(autouse=True)
def little(monkeypatch: pytest.MonkeyPatch) -> None:
    """A port that nobody uses, and not more than a moment of traffic."""
    with socket.socket(socket.AF_INET6) as unused:
        unused.bind(("::1", 0))
        monkeypatch.setattr(throughput, "PORT", unused.getsockname()[1])
    monkeypatch.setattr(throughput, "SLICES_S", 0.3)
    monkeypatch.setattr(throughput, "DATAGRAM_ROUNDS", 2)
    monkeypatch.setattr(throughput, "DATAGRAMS_S", 0.1)


@pytest.fixture
def runner() -> Iterator[HereRunner]:
    here = HereRunner()
    with throughput.server(here, WAYS):
        yield here


def test_slices_of_two_sessions_are_compared_pair_by_pair(runner: HereRunner) -> None:
    found = throughput.large_tcp(runner, WAYS)
    assert found.pairs > 5
    assert found.plain_per_s > throughput.LARGE
    assert found.ratio > 0


def test_datagrams_that_arrive_are_counted(runner: HereRunner) -> None:
    found = throughput.small_udp(runner, WAYS)
    assert found.pairs == 2
    assert found.plain_per_s > 64
    assert found.steered_per_s > 64


def test_what_a_program_complains_about_is_told(runner: HereRunner) -> None:
    with pytest.raises(BenchError, match="cn: no way"):
        program.output(runner, "cn", "import sys; sys.exit('no way')")


def test_a_way_that_nobody_answers_on_is_told_not_measured() -> None:
    with pytest.raises(BenchError, match="refused"):
        throughput.large_tcp(HereRunner(), WAYS)
