"""Proxy binding updates and acknowledgements as both sides build and read them (RFC 5213)."""

from __future__ import annotations

from ipaddress import IPv6Network
from typing import TYPE_CHECKING

from dmm_agent.functions.prefix import HNP_LENGTH
from dmm_agent.wire import (
    AccessTechnology,
    AccessTechnologyType,
    BindingAckFlag,
    BindingAcknowledgement,
    BindingStatus,
    BindingUpdate,
    BindingUpdateFlag,
    Handoff,
    HandoffIndicator,
    HomeNetworkPrefix,
    MobileNodeIdentifier,
    MobileNodeLinkLayerIdentifier,
    Timestamp,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from dmm_agent.config import Directory
    from dmm_agent.wire import Message, Option

ANY_PREFIX = IPv6Network("::/0")
"""In an update: allocate a prefix for me (RFC 5213, 8.3)."""

LONGEST_LIFETIME_S = 65535 * 4
"""The largest lifetime a binding update can carry (RFC 6275, 6.1.7)."""


SHORTEST_LIFETIME_S = 4
"""The smallest one: 0 means de-registration."""


MAX_PREFIXES = 64
"""Most prefixes in one update, so that it and its answer fit into a message."""
MAX_LINK_LAYER_OCTETS = 16


def lifetime_of(remaining_s: float) -> int:
    """The largest lifetime a message can carry that is not more than what remains.

    Where less than the smallest remains, it is the smallest all the same.
    """
    return max(SHORTEST_LIFETIME_S, min(LONGEST_LIFETIME_S, int(remaining_s) // 4 * 4))


def proxy_binding_update(
    *,
    sequence: int,
    mn_id: str,
    hnps: Sequence[IPv6Network],
    handoff: int,
    time: Timestamp,
    lifetime_s: int,
    link_layer: str | None = None,
) -> BindingUpdate:
    """A proxy binding update (RFC 5213, 6.9.1.1); lifetime 0 de-registers."""
    options: list[Option] = [
        MobileNodeIdentifier.nai(mn_id),
        *(HomeNetworkPrefix(hnp) for hnp in hnps),
        HandoffIndicator(handoff),
        AccessTechnologyType(AccessTechnology.IEEE_802_11),
    ]
    if link_layer is not None:
        options.append(MobileNodeLinkLayerIdentifier(bytes.fromhex(link_layer.replace(":", ""))))
    options.append(time)
    return BindingUpdate(
        sequence=sequence,
        flags=BindingUpdateFlag.ACKNOWLEDGE | BindingUpdateFlag.PROXY,
        lifetime_s=lifetime_s,
        options=tuple(options),
    )


def acknowledge(
    update: BindingUpdate,
    *,
    status: int,
    lifetime_s: int,
    hnps: Sequence[IPv6Network],
    now: float,
    more: Iterable[Option] = (),
) -> BindingAcknowledgement:
    """The answer to a proxy binding update (RFC 5213, 5.3.6).

    A refusal of the timestamp carries this host's clock, everything else echoes the update.
    """
    bad_clock = status in (
        BindingStatus.TIMESTAMP_MISMATCH,
        BindingStatus.TIMESTAMP_LOWER_THAN_PREV_ACCEPTED,
    )
    time = update.first(Timestamp)
    options: list[Option] = [
        update.first(MobileNodeIdentifier) or MobileNodeIdentifier.nai(""),
        *(HomeNetworkPrefix(hnp) for hnp in hnps),
        update.first(HandoffIndicator) or HandoffIndicator(0),
        update.first(AccessTechnologyType) or AccessTechnologyType(0),
    ]
    link_layer = update.first(MobileNodeLinkLayerIdentifier)
    if link_layer is not None and len(link_layer.identifier) <= MAX_LINK_LAYER_OCTETS:
        options.append(link_layer)
    if bad_clock:
        options.append(Timestamp.at(now))
    elif time is not None:
        options.append(time)
    options += more
    return BindingAcknowledgement(
        status=status,
        flags=BindingAckFlag.PROXY,
        sequence=update.sequence,
        lifetime_s=lifetime_s,
        options=tuple(options),
    )


def granted_by(
    answer: BindingAcknowledgement, asked: Sequence[IPv6Network], directory: Directory
) -> list[IPv6Network]:
    """What an acknowledgement grants of what was asked for.

    Args:
        answer: What came.
        asked: The prefixes of the update; `ANY_PREFIX` may become any mobile one.
        directory: Which prefixes are mobile.
    """
    if answer.status >= 128 or answer.lifetime_s == 0:
        return []
    named = prefixes_of(answer)
    if ANY_PREFIX not in asked:
        return [hnp for hnp in named if hnp in asked]
    return [h for h in named if h.prefixlen == HNP_LENGTH and directory.home_of(h) is not None]


def prefixes_of(message: Message) -> list[IPv6Network]:
    """The home network prefixes a message names, in its order, each once."""
    return list(dict.fromkeys(option.prefix for option in message.every(HomeNetworkPrefix)))


def node_of(message: Message) -> str:
    """The mobile node a message names, empty when it names none."""
    identifier = message.first(MobileNodeIdentifier)
    return "" if identifier is None else identifier.text


def time_units_of(update: BindingUpdate) -> int:
    """When an update that passed admission was made, in 1/65536 s since 1970 (RFC 5213, 8.8)."""
    time = update.first(Timestamp)
    assert time is not None, "an update without timestamp was accepted"
    return time.units


def handoff_of(message: Message) -> int:
    """The handoff indicator of an update, or of its acknowledgement."""
    indicator = message.first(HandoffIndicator)
    return Handoff.UNKNOWN if indicator is None else indicator.value
