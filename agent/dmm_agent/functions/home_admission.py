"""Which binding updates of mobile nodes a home agent looks at (RFC 6275, 9.5.1 and 10.3.1)."""

from __future__ import annotations

from dataclasses import dataclass, field
from ipaddress import IPv6Address, IPv6Network
from typing import TYPE_CHECKING

from dmm_agent.functions.effects import Send
from dmm_agent.functions.prefix import interface_identifier
from dmm_agent.functions.proxy_messages import node_of
from dmm_agent.wire import (
    AlternateCareOfAddress,
    BindingAckFlag,
    BindingAcknowledgement,
    BindingRefreshAdvice,
    BindingStatus,
    BindingUpdateFlag,
    MobileNodeIdentifier,
)

if TYPE_CHECKING:
    from dmm_agent.functions.base import Context
    from dmm_agent.functions.bindings import BindingTable
    from dmm_agent.functions.events import Received
    from dmm_agent.wire import BindingUpdate, Option

_LOWER_HALF = (1 << 64) - 1


@dataclass(frozen=True, slots=True)
class HomeUpdate:
    """A binding update of a mobile node, with the addresses that came with it."""

    message: BindingUpdate
    source: IPv6Address
    named: IPv6Address | None
    """From the Home Address option; a node at home may leave that out (RFC 6275, 10.3.2)."""
    octets: bytes = field(default=b"", repr=False)
    """The Mobility Header as it came."""

    @classmethod
    def of(cls, event: Received, message: BindingUpdate) -> HomeUpdate:
        """What an event brought."""
        return cls(message, event.source, event.home_address, event.octets)

    @property
    def home(self) -> IPv6Address:
        """The home address."""
        return self.named or self.source

    @property
    def binding(self) -> IPv6Network:
        """What it is a binding of, as the database has it."""
        return IPv6Network(self.home)

    @property
    def care_of(self) -> IPv6Address:
        """The care-of address (6.2.5): the alternate one if there is one, else the source."""
        alternate = self.message.first(AlternateCareOfAddress)
        return self.source if alternate is None else alternate.address

    @property
    def mn_id(self) -> str:
        """The mobile node's identifier (RFC 4283), empty if it names none."""
        return node_of(self.message)

    @property
    def sequence(self) -> int:
        """Its place among the updates of this home address."""
        return self.message.sequence

    @property
    def lifetime_s(self) -> int:
        """How long the binding is to last."""
        return self.message.lifetime_s

    @property
    def ends(self) -> bool:
        """Whether it de-registers (10.3.1)."""
        return self.lifetime_s == 0 or self.care_of == self.home

    def answer(
        self,
        status: BindingStatus,
        lifetime_s: int = 0,
        *,
        sequence: int | None = None,
    ) -> Send:
        """The acknowledgement (9.5.4), to where the update came from."""
        options: list[Option] = []
        from_router = BindingUpdateFlag.MOBILE_ROUTER in self.message.flags
        interval_s = lifetime_s // 2 // 4 * 4
        if interval_s:
            options.append(BindingRefreshAdvice(interval_s))
        if self.mn_id:
            options.append(MobileNodeIdentifier.nai(self.mn_id))
        message = BindingAcknowledgement(
            status=status,
            flags=BindingAckFlag.MOBILE_ROUTER if from_router else BindingAckFlag(0),
            sequence=self.message.sequence if sequence is None else sequence,
            lifetime_s=lifetime_s,
            options=tuple(options),
        )
        return Send(self.source, message, home_destination=self.named)


def refusal(context: Context, bindings: BindingTable, update: HomeUpdate) -> BindingStatus | None:
    """Why an update is refused whatever its sequence number; None when it is not.

    A home address must be one that this very node forms on a link of this network: the interface
    identifier is made of the MAC address that policy knows it by (RFC 4291, appendix A). A care-of
    address must be where the update came from, so that nobody sends traffic to somebody else; and
    no home address that is bound itself, or packets would be tunnelled in circles.

    Args:
        context: Whose update it would be.
        bindings: What is bound there.
        update: What came.
    """
    owner = context.directory.plain_of(update.home)
    on_our_links = owner is not None and owner.lm == context.address
    node = context.mobile_nodes.named(update.mn_id)
    checks = (
        (
            # A network has no correspondents that could be told where it is (RFC 3963, 6.2).
            BindingUpdateFlag.MOBILE_ROUTER not in update.message.flags
            or BindingUpdateFlag.HOME_REGISTRATION in update.message.flags,
            BindingStatus.MOBILE_ROUTER_OPERATION_NOT_PERMITTED,
        ),
        (
            BindingUpdateFlag.HOME_REGISTRATION in update.message.flags,
            BindingStatus.HOME_REGISTRATION_NOT_SUPPORTED,
        ),
        (on_our_links, BindingStatus.NOT_HOME_SUBNET),
        (
            node is not None
            and node.mobility == "offered"
            and has_identifier(update.home, node.link_layer),
            BindingStatus.ADMINISTRATIVELY_PROHIBITED,
        ),
        (
            update.ends or _is_care_of_address(update, bindings),
            BindingStatus.INVALID_CARE_OF_ADDRESS,
        ),
    )
    return next((status for holds, status in checks if not holds), None)


def has_identifier(address: IPv6Address, link_layer: str) -> bool:
    """Whether an address ends in the modified EUI-64 of a MAC address (RFC 4291, appendix A)."""
    return int(address) & _LOWER_HALF == interface_identifier(link_layer)


def _is_care_of_address(update: HomeUpdate, bindings: BindingTable) -> bool:
    address = update.care_of
    ordinary = not (
        address.is_multicast
        or address.is_unspecified
        or address.is_loopback
        or address.is_link_local
    )
    bound = bindings.get(IPv6Network(address)) is not None
    return ordinary and address == update.source and not bound
