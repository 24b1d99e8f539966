"""What must hold of a measured step, beyond what the hosts hold."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from dmm_testbed.measure.signalling import SentMessage
    from dmm_testbed.results import DirectionPath, Step
    from dmm_testbed.scenario.file import Expectation


def failures_of(step: Step, expect: Expectation, sent: Sequence[SentMessage]) -> list[str]:
    """What was expected of a step and did not happen, a sentence each."""
    found = [*_signalling_of_silent(expect, sent)]
    if step.tcp is None:
        return found
    found.extend(_sessions(step))
    for way, path in (("forward", step.path.forward), ("reverse", step.path.reverse)):
        found.extend(_path(way, path))
        if expect.triangle_by is not None and way in expect.triangle_ways:
            found.extend(_triangle(way, path, expect))
    if expect.direct:
        found.extend(_stretch(step))
    return found


def _signalling_of_silent(expect: Expectation, sent: Sequence[SentMessage]) -> Iterator[str]:
    for host in expect.silent:
        caused = (m for m in sent if m.counted and not m.renewal)
        names = [m.name for m in caused if host in (m.sender, m.receiver)]
        if names:
            yield f"{host} should hear nothing, but took part in {', '.join(names)}"


def _sessions(step: Step) -> Iterator[str]:
    if step.tcp is not None and not step.tcp.intact:
        yield "the TCP session lost or changed bytes"
    if step.tcp is not None and not step.tcp.survived:
        yield "the TCP session ended"


def _path(way: str, path: DirectionPath) -> Iterator[str]:
    if not path.after:
        yield f"{way}: no probe arrived at the end of the step"
    if not path.settled:
        yield f"{way}: the path was still changing when the step ended"
    for seen in path.observed:
        if _goes_round(seen.hosts):
            yield f"{way}: {seen.probes} probes went round by {' '.join(seen.hosts)}"


def _goes_round(hosts: Sequence[str]) -> bool:
    """Whether a link was crossed a third time in one direction.

    Twice is no loop: a tunnel to the home network may end where the tunnel to the other node's new
    network leads back to.
    """
    return max(Counter(pairwise(hosts)).values(), default=0) > 2


def _triangle(way: str, path: DirectionPath, expect: Expectation) -> Iterator[str]:
    """Some packets must have passed the host in a tunnel or rewritten; none in the end."""
    by = expect.triangle_by
    ends = (s for seen in path.observed for s in (*seen.tunnels, *seen.rewritten))
    if not any(by in (segment.start, segment.end) for segment in ends):
        yield f"{way}: no first packet went by {by}"
    if expect.direct and by in path.after:
        yield f"{way}: packets still go by {by}"


def _stretch(step: Step) -> Iterator[str]:
    for way, stretch in (("forward", step.stretch.forward), ("reverse", step.stretch.reverse)):
        if stretch.after is not None and stretch.after != 1.0:
            yield f"{way}: stretch is {stretch.after:.2f} in the end, expected 1.00"
