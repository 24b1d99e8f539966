"""Loss and gaps of a step, from what both ends of the traffic tool wrote down."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from dmm_testbed.measure.continuity import gap_plot, longest_gap_ms, tcp_between, udp_between
from dmm_testbed.measure.errors import MeasuringError
from dmm_testbed.measure.traffic import Journals, Mark, StreamJournal, StreamReport

if TYPE_CHECKING:
    from collections.abc import Collection

EVERY_NS = 5_000_000
DELAY_NS = 1_000_000


def udp_mark(at: int, skew_ns: int = 0, **heard: int) -> Mark:
    """Both ends after `at` packets were sent each way; the server's clock is ahead by `skew_ns`."""
    udp = {
        way: StreamReport(
            stream=7, kind="udp", sends=way, local="::1", peer="::2", open=True, sent=at, **heard
        )
        for way in ("forward", "reverse")
    }
    now_ns = {"forward": at * EVERY_NS + skew_ns, "reverse": at * EVERY_NS}
    return Mark(at_s=at * EVERY_NS / 1e9, now_ns=now_ns, udp=udp)


def udp_journals(
    count: int, lost: Collection[int] = (), skew_ns: int = 0, forgotten: int = 0
) -> Journals:
    """`count` packets each way, those in `lost` missing on the way forward."""

    def end(way: str, clock_ns: int, missing: Collection[int]) -> StreamJournal:
        rows = [(n, n * EVERY_NS + clock_ns) for n in range(count)]
        heard = [(n, at_ns + DELAY_NS) for n, at_ns in rows if n not in missing]
        return StreamJournal(
            stream=7,
            kind="udp",
            sends=way,
            sent=rows[forgotten:],
            received=heard[forgotten:],
            forgotten=forgotten,
        )

    return Journals(
        udp={"forward": end("forward", skew_ns, ()), "reverse": end("reverse", 0, lost)}
    )


def tcp_mark(at_s: float, received: int, corrupt: int = 0, open_: bool = True) -> Mark:
    tcp = {
        way: StreamReport(
            stream=7, kind="tcp", sends=way, local="::1", peer="::2", open=open_,
            received_bytes=received, corrupt_bytes=corrupt,
        )
        for way in ("forward", "reverse")
    }  # fmt: skip
    now_ns = {"forward": int(at_s * 1e9), "reverse": int(at_s * 1e9)}
    return Mark(at_s=at_s, now_ns=now_ns, tcp=tcp)


def tcp_journals(times_s: list[float]) -> Journals:
    rows = [((n + 1) * 1000, int(at_s * 1e9)) for n, at_s in enumerate(times_s)]
    end = {"stream": 7, "kind": "tcp", "sent": [], "received": rows, "forgotten": 0}
    return Journals(
        tcp={way: StreamJournal(sends=way, **_any(end)) for way in ("forward", "reverse")}
    )


def _any(value: Any) -> Any:
    return value


def test_packets_that_never_arrived_are_lost() -> None:
    found = udp_between(udp_journals(300, lost=range(100, 140)), udp_mark(0), udp_mark(200))
    assert found.forward is not None
    assert found.reverse is not None
    assert (found.forward.sent, found.forward.lost) == (200, 40)
    assert (found.reverse.sent, found.reverse.lost) == (200, 0)
    assert (found.sent, found.lost) == (400, 40)


def test_loss_is_the_rate_times_the_gap() -> None:
    """Equation 4, to the packet: 40 lost at 200 a second is 41 intervals without a packet."""
    found = udp_between(udp_journals(300, lost=range(100, 140)), udp_mark(0), udp_mark(200))
    assert found.longest_gap_ms == pytest.approx(41 * 5)
    assert found.reverse is not None
    assert found.reverse.longest_gap_ms == pytest.approx(5)


def test_loss_belongs_to_the_step_in_which_it_was_sent() -> None:
    journals = udp_journals(300, lost=range(100, 140))
    first = udp_between(journals, udp_mark(0), udp_mark(120))
    second = udp_between(journals, udp_mark(120), udp_mark(200))
    assert (first.lost, second.lost) == (20, 20)


def test_clocks_of_the_two_ends_are_never_compared() -> None:
    hour_ns = 3600 * 10**9
    journals = udp_journals(300, lost=range(100, 140), skew_ns=hour_ns)
    found = udp_between(journals, udp_mark(0, hour_ns), udp_mark(200, hour_ns))
    assert found.lost == 40
    assert found.longest_gap_ms == pytest.approx(205)


def test_a_gap_that_still_lasts_counts_as_far_as_it_got() -> None:
    found = udp_between(udp_journals(300, lost=range(100, 300)), udp_mark(0), udp_mark(200))
    assert found.forward is not None
    assert found.forward.lost == 100
    assert found.forward.longest_gap_ms == pytest.approx(100 * 5 + 4)


def test_counters_are_differences() -> None:
    start = udp_mark(0, duplicated=3, reordered=4, refused=5)
    end = udp_mark(200, duplicated=4, reordered=6, refused=8)
    found = udp_between(udp_journals(300), start, end)
    assert (found.duplicated, found.reordered, found.refused) == (2, 4, 6)


def test_a_sender_that_paused_is_told_apart_from_a_network_that_lost() -> None:
    found = udp_between(udp_journals(300, lost=range(100, 140)), udp_mark(0), udp_mark(200))
    assert found.longest_pause_ms == pytest.approx(5)


def test_a_journal_that_forgot_the_start_is_refused() -> None:
    journals = udp_journals(300, forgotten=50)
    assert udp_between(journals, udp_mark(100), udp_mark(200)).lost == 0
    with pytest.raises(MeasuringError, match=r"has forgotten the first 0\.3 s of the step"):
        udp_between(journals, udp_mark(0), udp_mark(200))


def test_a_stream_that_is_not_there_is_said() -> None:
    with pytest.raises(MeasuringError, match="no UDP stream"):
        udp_between(Journals(), udp_mark(0), udp_mark(1))
    with pytest.raises(MeasuringError, match="no TCP session"):
        tcp_between(Journals(), tcp_mark(0, 0), tcp_mark(1, 0))


def test_tcp_bytes_and_gaps_of_a_step() -> None:
    journals = tcp_journals([0.5, 1.5, 1.6, 2.6, 9.0])
    found = tcp_between(journals, tcp_mark(1.0, 1000), tcp_mark(3.0, 4000))
    assert found.bytes == 2 * 3000
    assert found.longest_gap_ms == pytest.approx(1000)
    assert found.intact
    assert found.survived


def test_corruption_counts_in_its_own_step() -> None:
    journals = tcp_journals([0.5, 1.5, 2.5, 3.5])
    marks = [tcp_mark(1.0, 1000), tcp_mark(2.0, 2000, 1), tcp_mark(3.0, 3000, 1)]
    assert not tcp_between(journals, marks[0], marks[1]).intact
    assert tcp_between(journals, marks[1], marks[2]).intact


def test_a_broken_session_did_not_survive() -> None:
    journals = tcp_journals([0.5])
    end = tcp_mark(2.0, 1000, open_=False)
    assert not tcp_between(journals, tcp_mark(1.0, 1000), end).survived


@pytest.mark.parametrize(
    ("times", "gap_ms"),
    [
        ([], 10),
        ([5], 15),
        ([5, 12, 14, 18], 7),
        ([11, 12, 30], 8),
        ([25], 10),
        ([10, 20], 10),
    ],
)
def test_the_longest_gap_reaches_into_the_span(times: list[int], gap_ms: float) -> None:
    """The span is from 10 to 20 ms."""
    assert longest_gap_ms([at * 1_000_000 for at in times], 10_000_000, 20_000_000) == gap_ms


def test_the_gap_plot_keeps_the_longest_of_each_bin() -> None:
    journals = udp_journals(100, lost=range(40, 60))
    plot = gap_plot(journals, "mn11", "cn2", 0.0, {"mn11": 0.0, "cn2": 0.0})
    assert max(point.gap_ms for point in plot.forward) == pytest.approx(105)
    assert max(point.gap_ms for point in plot.reverse) == pytest.approx(5)
    assert len(plot.reverse) == pytest.approx(100 * 5 / plot.bin_ms, abs=1)
    assert [point.at_ms for point in plot.forward] == sorted(p.at_ms for p in plot.forward)


def test_the_gap_plot_has_one_clock_for_both_ends() -> None:
    """The server's clock, cn2's, is three seconds ahead; both plots begin when the run did."""
    journals = udp_journals(100, skew_ns=3_000_000_000)
    plot = gap_plot(journals, "mn11", "cn2", 0.0, {"mn11": 0.0, "cn2": 3.0})
    assert [p.at_ms for p in plot.forward] == pytest.approx([p.at_ms for p in plot.reverse])
    assert 0 <= plot.reverse[0].at_ms < 100
