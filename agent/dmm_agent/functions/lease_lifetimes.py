"""How long leases last, as acknowledgements carry it from who leased to who advertises (draft, 5).

PMIPv6's acknowledgement says how long a registration holds, not how long the prefix is the node's.
No mobility option does, so it is one of the kind that RFC 5094 has for that. `docs/wire.md` draws
it.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from dmm_agent.functions.proxy_messages import prefixes_of
from dmm_agent.wire import VendorSpecific

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from ipaddress import IPv6Network

    from dmm_agent.wire import Message

ENTERPRISE = 32473
"""The number for examples (RFC 5612)."""
LEASE_LIFETIMES = 1
MOST_IN_AN_OPTION = 60
UNKNOWN = 0
LONGEST_S = 0xFFFFFFFF
_LIFETIME = struct.Struct("!I")


def lease_lifetimes(
    hnps: Sequence[IPv6Network], remaining_s: Mapping[IPv6Network, float]
) -> Iterator[VendorSpecific]:
    """Options that say for how long each of a message's prefixes is leased; none if none is known.

    Args:
        hnps: The prefixes, in the order in which the message names them.
        remaining_s: How long the leases of those last of which that is known.
    """
    if not remaining_s.keys() & set(hnps):
        return
    for begin in range(0, len(hnps), MOST_IN_AN_OPTION):
        some = hnps[begin : begin + MOST_IN_AN_OPTION]
        seconds = (min(LONGEST_S, max(0, int(remaining_s.get(h, UNKNOWN)))) for h in some)
        value = b"".join(map(_LIFETIME.pack, seconds))
        yield VendorSpecific(ENTERPRISE, LEASE_LIFETIMES, value)


def leases_of(message: Message) -> dict[IPv6Network, int]:
    """For how many seconds a message says that prefixes are leased; what it does not say is out."""
    octets = b"".join(
        option.value
        for option in message.every(VendorSpecific)
        if (option.vendor, option.subtype) == (ENTERPRISE, LEASE_LIFETIMES)
    )
    whole = octets[: len(octets) // _LIFETIME.size * _LIFETIME.size]
    seconds = (lifetime for (lifetime,) in _LIFETIME.iter_unpack(whole))
    said = zip(prefixes_of(message), seconds, strict=False)
    return {hnp: lifetime for hnp, lifetime in said if lifetime != UNKNOWN}
