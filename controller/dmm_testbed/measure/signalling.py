"""Signalling as it was on the wire: each message once, counted, named, and kept as a capture."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from ipaddress import IPv6Address
from typing import TYPE_CHECKING

from dmm_testbed import results
from dmm_testbed.measure.naming import decoded, message_detail, message_name
from dmm_testbed.measure.renewals import Renewals

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from dmm_testbed.measure.packets import Sightings, Signal
    from dmm_testbed.measure.wiring import Wiring

LINKTYPE_IPV6 = 229
"""Packets that begin with their IPv6 header."""

_SOURCE_OFFSET = 8
"""Where the source address stands in an IPv6 header, after the hop limit."""


@dataclass(frozen=True, slots=True)
class SentMessage:
    """One message as it left its sender."""

    at_s: float
    sender: str
    receiver: str
    """The machine that has the destination address; its text where no machine has it."""
    name: str
    detail: str
    size_bytes: int
    """From the IPv6 header to the end of the message; tunnels and link layer not."""
    counted: bool
    """False for router solicitations and advertisements."""
    renewal: bool
    """Whether it only makes last what is there already."""
    packet: bytes


def sent_messages(sightings: Sightings, wiring: Wiring) -> list[SentMessage]:
    """Every message once, in order of time: the copy that left the machine it began at."""
    originals, renewals = _Originals(sightings, wiring), Renewals()
    return [
        _message(signal, sightings, peer, renewals)
        for signal in sorted(sightings.signals, key=lambda signal: signal.time_s)
        if (peer := wiring.peer(signal.machine, signal.interface)) and originals.include(signal)
    ]


def between(messages: Iterable[SentMessage], start_s: float, end_s: float) -> list[SentMessage]:
    """The messages sent in a span of time, its end excluded."""
    return [message for message in messages if start_s <= message.at_s < end_s]


def count(messages: Sequence[SentMessage]) -> results.Signalling:
    """Count Mobility Header messages and their bytes, by type and by machine."""
    counted = [message for message in messages if message.counted]
    number = Counter(message.name for message in counted)
    octets: Counter[str] = Counter()
    for message in counted:
        octets[message.name] += message.size_bytes
    sent = Counter(message.sender for message in counted)
    received = Counter(message.receiver for message in counted)
    return results.Signalling(
        messages=len(counted),
        bytes=octets.total(),
        by_type={
            name: results.Volume(messages=number[name], bytes=octets[name])
            for name in sorted(number)
        },
        by_host={
            host: results.HostMessages(sent=sent[host], received=received[host])
            for host in sorted({*sent, *received})
        },
    )


def chart(messages: Iterable[SentMessage], started_at_s: float) -> tuple[results.ChartMessage, ...]:
    """The messages of a sequence chart, router discovery included."""
    return tuple(
        results.ChartMessage(
            at_ms=(message.at_s - started_at_s) * 1000,
            sender=message.sender,
            receiver=message.receiver,
            label=message.name,
            detail=message.detail,
            bytes=message.size_bytes,
            signalling=message.counted,
        )
        for message in messages
    )


def write_capture(messages: Iterable[SentMessage], path: Path) -> None:
    """Write the messages as a capture that Wireshark opens, router discovery included.

    Raises:
        OSError: the file cannot be written.
    """
    from scapy.utils import RawPcapWriter  # as in `packets`: only where it is needed

    path.parent.mkdir(parents=True, exist_ok=True)
    with RawPcapWriter(str(path), linktype=LINKTYPE_IPV6) as writer:
        writer.write_header(None)
        for message in messages:
            seconds, microseconds = divmod(round(message.at_s * 1e6), 1_000_000)
            writer.write_packet(
                message.packet, sec=seconds, usec=microseconds, wirelen=message.size_bytes
            )


class _Originals:
    """Which sightings are a message leaving the machine it began at."""

    def __init__(self, sightings: Sightings, wiring: Wiring) -> None:
        self._owners = sightings.owners
        self._came_in = {
            (signal.machine, signal.packet[_SOURCE_OFFSET:])
            for signal in sightings.signals
            if not signal.outgoing and wiring.peer(signal.machine, signal.interface)
        }

    def include(self, signal: Signal) -> bool:
        """Whether this sighting is the one to count.

        A packet from an address that no machine is known to have, a link-local one say, began
        where it went out without having come in, whatever its hop limit.
        """
        if not signal.outgoing:
            return False
        owner = self._owners.get(signal.source)
        if owner is not None:
            return owner == signal.machine
        return (signal.machine, signal.packet[_SOURCE_OFFSET:]) not in self._came_in


def _message(signal: Signal, sightings: Sightings, peer: str, renewals: Renewals) -> SentMessage:
    if signal.mobility is None:
        return SentMessage(
            at_s=signal.time_s,
            sender=signal.machine,
            receiver=peer,
            name="RS" if signal.solicitation else "RA",
            detail="",
            size_bytes=signal.length,
            counted=False,
            renewal=False,
            packet=signal.packet,
        )
    receiver = sightings.owners.get(signal.destination, str(IPv6Address(signal.destination)))
    message = decoded(signal.mobility)
    return SentMessage(
        at_s=signal.time_s,
        sender=signal.machine,
        receiver=receiver,
        name=message_name(signal.mobility),
        detail=message_detail(message),
        size_bytes=signal.length,
        counted=True,
        renewal=renewals.include(signal.time_s, signal.machine, receiver, message),
        packet=signal.packet,
    )
