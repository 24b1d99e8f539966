"""A small internet of names, and journeys of probes through it as captures would show them."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise

import pytest

from dmm_testbed.measure.packets import FORWARD, Probe, Sightings, Tunnel
from dmm_testbed.measure.wiring import Wiring

LINKS = (
    "core gw1", "core gw2", "core gw3", "core anchor", "gw1 ar11", "gw1 ar12", "gw2 ar21",
    "gw3 ar31", "gw3 ar32", "ar21 cn2", "ar11 mn11", "ar12 mn11", "ar31 mn11", "ar32 mn11",
    "ar21 mn11", "ar11 mn21", "ar21 mn21", "ar31 mn21",
)  # fmt: skip
STREAM = 7
SENT_EVERY_S = 0.005
_LINK_DELAY_S = 0.0001
_BRACKETS = "(![])"
_FIRST_HOP_LIMIT = 64


def address(host: str) -> bytes:
    """A made-up address of a machine."""
    return host.encode().ljust(16, b"\0")


@dataclass
class Internet:
    """Three networks, and what was captured in them so far."""

    wiring: Wiring
    sightings: Sightings = field(default_factory=Sightings)
    direction: int = FORWARD
    next_sequence: int = 0

    def send(self, *legs: str, skew_s: dict[str, float] | None = None) -> list[Probe]:
        """Let one probe travel; returns its sightings, which are captured as well.

        Args:
            legs: machines in order, each leg beginning where the one before ended. A leg in
                round brackets is a tunnel, in square ones addresses are rewritten; a leg that ends
                in "!" loses the probe on its last link.
            skew_s: how far the clock of a machine is ahead.
        """
        sequence = self.next_sequence
        self.next_sequence += 1
        probes = self._travel(legs, sequence, sequence * SENT_EVERY_S, skew_s or {})
        self.sightings.probes += probes
        self.sightings.probes.sort(key=lambda probe: probe.time_s)
        return probes

    def send_many(self, number: int, *legs: str) -> None:
        """Let several probes travel the same way."""
        for _ in range(number):
            self.send(*legs)

    def forget(self, machine: str, interface: str, sequence: int, *, outgoing: bool) -> None:
        """Drop a sighting, as a capture that missed it."""
        self.sightings.probes = [
            probe
            for probe in self.sightings.probes
            if (probe.machine, probe.interface, probe.sequence, probe.outgoing)
            != (machine, interface, sequence, outgoing)
        ]

    def _travel(
        self, legs: tuple[str, ...], sequence: int, at_s: float, skew_s: dict[str, float]
    ) -> list[Probe]:
        """Hop limits as Linux makes them.

        Encapsulation copies the inner hop limit out before forwarding lowers the outer one; the
        inner one is lowered only where the packet is forwarded plain.
        """
        probes = []
        sender = legs[0].strip(_BRACKETS).split()[0]
        inner = _FIRST_HOP_LIMIT
        for leg in legs:
            hosts = leg.strip(_BRACKETS).split()
            ends = address(sender), address("receiver")
            if leg.startswith("["):
                ends = address(f"from {hosts[0]}"), address(f"to {hosts[-1]}")
            outer = inner
            for near, far in pairwise(hosts):
                tunnels: tuple[Tunnel, ...] = ()
                if leg.startswith("("):
                    outer -= near != sender
                    tunnels = (Tunnel(address(hosts[0]), address(hosts[-1]), outer),)
                else:
                    inner -= near != sender
                lost = leg.endswith("!") and far == hosts[-1]
                for machine, peer, outgoing in ((near, far, True), (far, near, False)):
                    if lost and not outgoing:
                        continue
                    at_s += _LINK_DELAY_S
                    probes.append(
                        Probe(
                            at_s + skew_s.get(machine, 0.0), machine, peer, outgoing, tunnels,
                            *ends, inner,
                            STREAM, self.direction, sequence,
                        )
                    )  # fmt: skip
        return probes


@pytest.fixture
def internet() -> Internet:
    """Three networks with correspondent cn2 and mobile nodes mn11 and mn21; all is captured."""
    wiring = Wiring.of(
        (tuple(link.split()) for link in LINKS),  # type: ignore[misc]
        mobile_nodes=["mn11", "mn21"],
        hosts=["cn2"],
    )
    return Internet(wiring, Sightings(machines=set(wiring.neighbours)))
