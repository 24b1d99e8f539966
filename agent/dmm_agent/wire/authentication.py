"""Authenticators under a key that mobile node and home agent share (RFC 4285, 5.1).

They cover the care-of address, the home address and the Mobility Header as it travels.
"""

from __future__ import annotations

import hmac
from dataclasses import replace
from typing import TYPE_CHECKING

from dmm_agent.wire.codec import encode
from dmm_agent.wire.errors import DecodeError
from dmm_agent.wire.message import class_of
from dmm_agent.wire.mip6_options import AuthenticationSubtype, MobilityMessageAuthentication
from dmm_agent.wire.option import extents

if TYPE_CHECKING:
    from ipaddress import IPv6Address
    from typing import TypeVar

    from dmm_agent.wire.mip6 import BindingAcknowledgement, BindingUpdate

    BindingT = TypeVar("BindingT", BindingUpdate, BindingAcknowledgement)

AUTHENTICATOR_OCTETS = 12
KEY_OCTETS = 16
_CHECKSUM = slice(4, 6)
_OPTIONS_AFTER = 6
_SUBTYPE_AND_SPI = 5


def authenticated(
    message: BindingT, key: bytes, spi: int, care_of: IPv6Address, home: IPv6Address
) -> BindingT:
    """A message with an MN-HA authentication option at its end.

    Args:
        message: What to say; has no such option yet.
        key: The shared key, 16 octets.
        spi: Security parameter index, which tells the receiver that key.
        care_of: The node's care-of address, where the message comes from or goes to.
        home: Its home address.

    Raises:
        EncodeError: a value has no room in its field.
    """
    blank = MobilityMessageAuthentication(
        AuthenticationSubtype.MN_HA, spi, bytes(AUTHENTICATOR_OCTETS)
    )
    octets = encode(replace(message, options=(*message.options, blank)), care_of, home)
    seal = replace(blank, authenticator=_authenticator(_covered(octets), key, care_of, home))
    return replace(message, options=(*message.options, seal))


def is_authentic(octets: bytes, key: bytes, care_of: IPv6Address, home: IPv6Address) -> bool:
    """Whether a message is as somebody wrote it who has the key.

    Args:
        octets: The Mobility Header as it came.
        key: As in `authenticated`.
        care_of: As in `authenticated`.
        home: As in `authenticated`.
    """
    try:
        covered = _covered(octets)
    except DecodeError:
        return False
    expected = _authenticator(covered, key, care_of, home)
    return hmac.compare_digest(expected, octets[len(covered) :][: len(expected)])


def _authenticator(covered: bytes, key: bytes, care_of: IPv6Address, home: IPv6Address) -> bytes:
    digest = hmac.digest(key, care_of.packed + home.packed + covered, "sha1")
    return digest[:AUTHENTICATOR_OCTETS]


def _covered(octets: bytes) -> bytes:
    """The Mobility Header up to the SPI of the MN-HA option, with no checksum.

    Raises:
        DecodeError: the message does not end with such an option of the right size.
    """
    if len(octets) < _OPTIONS_AFTER + 2:
        raise DecodeError("no Mobility Header")
    whole = bytearray(octets[: octets[1] * 8 + 8])
    whole[_CHECKSUM] = bytes(2)
    options_at = _OPTIONS_AFTER + class_of(whole[2], whole[_OPTIONS_AFTER]).body.minimum
    option_type, start, end = [(0, 0, 0), *extents(bytes(whole), options_at)][-1]
    if (
        option_type != MobilityMessageAuthentication.option_type
        or end - start != _SUBTYPE_AND_SPI + AUTHENTICATOR_OCTETS
        or whole[start] != AuthenticationSubtype.MN_HA
    ):
        raise DecodeError("no MN-HA authentication option at the end", start)
    return bytes(whole[: start + _SUBTYPE_AND_SPI])
