"""Reading captures: from the bytes of a cooked capture to probes and signalling.

Captures are classic pcap files of LINKTYPE_LINUX_SLL2, which says for each packet the interface
and whether it came in or went out. Addresses stay bytes: tens of thousands of packets are read.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from dmm_testbed.measure.errors import MeasuringError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

PROBE_PORT = 8642
"""UDP port of the traffic tool's server."""
PROBE_MAGIC = b"DMMp"
FORWARD, REVERSE = 1, 2
"""Directions as probes carry them: from the server, from the client."""

LINKTYPE_LINUX_SLL2 = 276

_PROBE = struct.Struct("!4sBBBxIQQ")
"""Magic, version, kind, direction, padding, stream, sequence, time sent: as the tool sends it."""
_PROBE_VERSION = 1
_DATA = 0

_FILE_HEADER_BYTES, _RECORD_HEADER_BYTES = 24, 16
_SLL2 = struct.Struct("!H2xI2xB9x")
"""Protocol, interface index, packet type (SLL2: 20 bytes; the address is of no interest)."""
_ETHERTYPE_IPV6 = 0x86DD
_OUTGOING = 4

_IPV6_HEADER_BYTES = 40
_UDP_HEADER_BYTES = 8
_HOP_BY_HOP, _UDP, _ENCAPSULATED, _ROUTING, _ICMPV6, _DESTINATION, _MOBILITY = (
    0, 17, 41, 43, 58, 60, 135,
)  # fmt: skip
_EXTENSIONS = frozenset({_HOP_BY_HOP, _ROUTING, _DESTINATION})
_ROUTER_SOLICITATION = 133
_ROUTER_DISCOVERY = frozenset({bytes([133]), bytes([134])})
"""ICMPv6 types of router solicitation and advertisement, as they stand in a packet."""
_MAX_TUNNELS = 4
_MAX_EXTENSIONS = 4


class Tunnel(NamedTuple):
    """An outer IPv6 header."""

    source: bytes
    destination: bytes
    hop_limit: int


class Probe(NamedTuple):
    """One sighting of a probe on an interface."""

    time_s: float
    machine: str
    interface: str
    outgoing: bool
    tunnels: tuple[Tunnel, ...]
    """Outermost first; empty for a plain packet."""
    source: bytes
    destination: bytes
    hop_limit: int
    stream: int
    direction: int
    sequence: int


class Signal(NamedTuple):
    """One sighting of a mobility message, a router solicitation or a router advertisement."""

    time_s: float
    machine: str
    interface: str
    outgoing: bool
    tunnels: tuple[Tunnel, ...]
    source: bytes
    destination: bytes
    packet: bytes
    """The innermost IPv6 packet, from its header on, as far as it was captured."""
    length: int
    """Its full length in bytes."""
    mobility: bytes | None
    """The Mobility Header and what follows; None for router discovery."""
    icmp_type: int | None

    @property
    def solicitation(self) -> bool:
        """Whether it is a router solicitation."""
        return self.icmp_type == _ROUTER_SOLICITATION


@dataclass(frozen=True, slots=True)
class Interfaces:
    """The interfaces of a machine while it was captured."""

    names: Mapping[int, str]
    """By interface index."""
    addresses: frozenset[bytes] = frozenset()
    """Every IPv6 address that was seen on it, link-local ones excepted."""


@dataclass(slots=True)
class Sightings:
    """Everything of interest in the captures of a run."""

    probes: list[Probe] = field(default_factory=list)
    signals: list[Signal] = field(default_factory=list)
    owners: dict[bytes, str] = field(default_factory=dict)
    """The machine that has an address."""
    machines: set[str] = field(default_factory=set)
    """Machines that were captured."""


def read_capture(
    path: Path, machine: str, interfaces: Interfaces, clock_offset_s: float = 0.0
) -> tuple[list[Probe], list[Signal]]:
    """Read the capture of one machine.

    Args:
        path: a pcap file of LINKTYPE_LINUX_SLL2.
        machine: whose capture it is.
        interfaces: its interfaces.
        clock_offset_s: how far the machine's clock is ahead of the controller's.

    Raises:
        MeasuringError: not such a file, or cut off.
    """
    # Loading scapy takes most of a second, which other commands need not wait for.
    from scapy.error import Scapy_Exception
    from scapy.utils import RawPcapReader

    probes: list[Probe] = []
    signals: list[Signal] = []
    try:
        with RawPcapReader(str(path)) as reader:
            if reader.linktype != LINKTYPE_LINUX_SLL2:
                raise MeasuringError(
                    f"{path}: link type {reader.linktype}, expected {LINKTYPE_LINUX_SLL2} "
                    "(LINUX_SLL2); capture with `tcpdump -i any -y LINUX_SLL2`"
                )
            _refuse_cut(path, reader.endian)
            fraction_s = 1e-9 if reader.nano else 1e-6
            for data, meta in reader:
                time_s = meta.sec + meta.usec * fraction_s - clock_offset_s
                seen = _dissect(data, time_s, machine, interfaces.names)
                if isinstance(seen, Probe):
                    probes.append(seen)
                elif seen is not None:
                    signals.append(seen)
    except (OSError, EOFError, Scapy_Exception) as error:
        raise MeasuringError(f"{path}: cannot be read as a capture: {error}") from error
    return probes, signals


def _refuse_cut(path: Path, endian: str) -> None:
    """Refuse a file that ends within a packet: tcpdump goes on when the disk is full."""
    content = path.read_bytes()
    at = _FILE_HEADER_BYTES
    while at < len(content):
        end = at + _RECORD_HEADER_BYTES
        length = int.from_bytes(content[at + 8 : at + 12], "little" if endian == "<" else "big")
        at = end + length
    if at != len(content):
        raise MeasuringError(f"{path}: ends within a packet: was the machine's disk full?")


def merge(
    readings: Iterable[tuple[str, Interfaces, tuple[list[Probe], list[Signal]]]],
) -> Sightings:
    """Put the captures of several machines together, in order of time."""
    merged = Sightings()
    for machine, interfaces, (probes, signals) in readings:
        merged.machines.add(machine)
        merged.probes += probes
        merged.signals += signals
        merged.owners.update(dict.fromkeys(interfaces.addresses, machine))
    merged.probes.sort(key=lambda probe: probe.time_s)
    merged.signals.sort(key=lambda signal: signal.time_s)
    return merged


def _dissect(
    data: bytes, time_s: float, machine: str, names: Mapping[int, str]
) -> Probe | Signal | None:
    """One captured packet; None if it is neither probe nor signalling, or cut short."""
    if len(data) < _SLL2.size + _IPV6_HEADER_BYTES:
        return None
    protocol, index, packet_type = _SLL2.unpack_from(data)
    inner = _unwrap(data) if protocol == _ETHERTYPE_IPV6 else None
    if inner is None:
        return None
    seen = (time_s, machine, names.get(index, f"#{index}"), packet_type == _OUTGOING)
    return _probe(data, inner, seen) if inner.protocol == _UDP else _signal(data, inner, seen)


class _Inner(NamedTuple):
    """Where the innermost IPv6 packet is, and what is in it."""

    tunnels: tuple[Tunnel, ...]
    start: int
    protocol: int
    payload: int


_Seen = tuple[float, str, str, bool]
"""Time, machine, interface, whether outgoing."""


def _unwrap(data: bytes) -> _Inner | None:
    """Find the innermost IPv6 packet; None if it is cut off."""
    tunnels: tuple[Tunnel, ...] = ()
    start = _SLL2.size
    for _ in range(_MAX_TUNNELS + 1):
        protocol, payload = _skip_extensions(data, start)
        if protocol != _ENCAPSULATED:
            return _Inner(tunnels, start, protocol, payload)
        if len(data) < payload + _IPV6_HEADER_BYTES:
            return None
        tunnels += (Tunnel(*_addresses(data, start), data[start + 7]),)
        start = payload
    return None


def _addresses(data: bytes, start: int) -> tuple[bytes, bytes]:
    return data[start + 8 : start + 24], data[start + 24 : start + 40]


def _probe(data: bytes, inner: _Inner, seen: _Seen) -> Probe | None:
    body = inner.payload + _UDP_HEADER_BYTES
    if len(data) < body + _PROBE.size:
        return None
    magic, version, kind, direction, stream, sequence, _ = _PROBE.unpack_from(data, body)
    if magic != PROBE_MAGIC or version != _PROBE_VERSION or kind != _DATA:
        return None
    addresses, hop_limit = _addresses(data, inner.start), data[inner.start + 7]
    return Probe(*seen, inner.tunnels, *addresses, hop_limit, stream, direction, sequence)


def _signal(data: bytes, inner: _Inner, seen: _Seen) -> Signal | None:
    start, payload = inner.start, inner.payload
    mobility = icmp_type = None
    if inner.protocol == _MOBILITY:
        mobility = data[payload:]
    elif inner.protocol == _ICMPV6 and data[payload : payload + 1] in _ROUTER_DISCOVERY:
        icmp_type = data[payload]
    else:
        return None
    length = _IPV6_HEADER_BYTES + int.from_bytes(data[start + 4 : start + 6], "big")
    packet = data[start : start + length]
    addresses = _addresses(data, start)
    return Signal(*seen, inner.tunnels, *addresses, packet, length, mobility, icmp_type)


def _skip_extensions(data: bytes, start: int) -> tuple[int, int]:
    """The upper-layer protocol of the IPv6 packet at `start`, and where it begins."""
    next_header, payload = data[start + 6], start + _IPV6_HEADER_BYTES
    for _ in range(_MAX_EXTENSIONS):
        if next_header not in _EXTENSIONS or len(data) < payload + 2:
            break
        next_header, payload = data[payload], payload + (data[payload + 1] + 1) * 8
    return next_header, payload
