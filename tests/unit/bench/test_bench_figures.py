"""The benchmark's parts that need no machines, and how its figures are shown."""

from __future__ import annotations

import io
from datetime import UTC, datetime
from pathlib import Path

import pytest
from rich.console import Console

from dmm_testbed.bench import first_packets, lookups
from dmm_testbed.bench.figures import (
    Computer,
    Figures,
    FirstPacket,
    Lookups,
    Rate,
    Speed,
    Steering,
    Throughput,
    Traffic,
    spread,
)
from dmm_testbed.bench.table import print_figures
from dmm_testbed.topology.profile import load_profile

PROFILES = Path(__file__).parents[3] / "inventory" / "profiles"
ANY = Rate(per_s=1.0, count=1)


@pytest.fixture
def looked_up(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Lookups:
    monkeypatch.setattr(lookups, "MEASURE_S", 0.01)
    monkeypatch.setattr(lookups, "MOBILE_NODES", 3)
    return lookups.measure(tmp_path)


def test_all_nodes_that_are_away_are_looked_up(looked_up: Lookups) -> None:
    assert looked_up.bindings == 3
    assert looked_up.lm.rate.count > 0
    assert looked_up.mr.rate.count > 0


def test_no_lookup_is_faster_than_its_messages(looked_up: Lookups) -> None:
    assert 0 < looked_up.mr.ratio < 1
    assert 0 < looked_up.lm.ratio < 1
    assert 0 < looked_up.lm_kept.ratio < 1
    assert looked_up.lm_kept_together.rate.count > 0
    assert looked_up.mr_cached.per_s > looked_up.mr.rate.per_s


@pytest.mark.parametrize(
    ("profile", "can"),
    [
        ("gateway-query", True),
        ("gateway-query-hold", True),
        ("anycast-query", True),
        ("access-query", False),
        ("gateway-push", False),
        ("distributed-no-ro", False),
    ],
)
def test_first_packets_are_measured_where_the_gateway_asks(profile: str, *, can: bool) -> None:
    assert first_packets.can_be_measured(load_profile(PROFILES / f"{profile}.yml")) is can


def test_every_figure_is_shown(looked_up: Lookups) -> None:
    figures = Figures(
        topology="t",
        profile="gateway-query",
        started_at=datetime.now(UTC),
        duration_s=1.0,
        computer=Computer(cores=2, kernel="6", load_before=0.0, load_after=0.0),
        provisioning=None,
        traffic=Traffic(
            mobile_node="mn11", correspondent="cn2", packets_per_s=500, longest_pause_ms=1.0
        ),
        handovers=(),
        speed=Speed(simulator_events=ANY, encode=ANY, decode=ANY),
        lookups=looked_up,
        steering=(
            Steering(
                profile="gateway-query",
                prefixes=10_000,
                installs_batched=Rate(per_s=80_000.0, count=10_000),
                installs_single=Rate(per_s=20_000.0, count=1_000),
                batching_ratio=4.0,
                tcp_octets=Throughput(plain_per_s=2e9, steered_per_s=1.9e9, ratio=0.95, pairs=1500),
                udp_datagrams=Throughput(plain_per_s=3e5, steered_per_s=2.7e5, ratio=0.9, pairs=10),
            ),
        ),
        first_packets=(
            FirstPacket(profile="gateway-query-hold", first_ms=spread([3.0, 5.0], 0.5)),
        ),
    )
    shown = io.StringIO()
    print_figures(figures, Console(file=shown, width=120))
    for words in (
        "10,000 steered prefixes",
        "80,000",
        "1,900",
        "0.95",
        "gateway-query-hold",
        "8.0",
    ):
        assert words in shown.getvalue()
    print(shown.getvalue())
