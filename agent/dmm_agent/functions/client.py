"""Mobility by the mobile node itself: Mobile IPv6 (RFC 6275, 11), for sessions that need it.

In the network where it is, a node uses an address of that network and tells nobody. When it has
moved while sockets need to go on, the address they use becomes a home address: the LM of its
network is told where the node is (draft, 3.1: the client), and packets go through a tunnel both
ways for as long as the sockets last. Access routers know nothing of it.

A mobile router (RFC 3963) has a network behind it whose sessions it does not see. So it registers
the network's prefix, with the home address that policy gives it, wherever it is but at home.
"""

from __future__ import annotations

from ipaddress import IPv6Address
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field

from dmm_agent.functions.base import Context, Function, Options
from dmm_agent.functions.binding_update_list import SEQUENCES, Registration
from dmm_agent.functions.client_authentication import ClientAuthentication
from dmm_agent.functions.effects import (
    CancelTimer,
    DropAddress,
    Effect,
    Install,
    KeepAddress,
    Record,
    Remove,
    SetTimer,
    VisitorRoute,
)
from dmm_agent.functions.events import (
    Addressed,
    Event,
    OwnAddress,
    PrefixesAdvertised,
    Received,
    SocketsInUse,
    Started,
    TimerFired,
)
from dmm_agent.functions.own_networks import OwnNetworks, lacks_networks
from dmm_agent.functions.requests import INITIAL_BINDACK_TIMEOUT_S, Patience, Requests
from dmm_agent.wire import (
    BindingAcknowledgement,
    BindingError,
    BindingErrorStatus,
    BindingRefreshRequest,
    BindingStatus,
    round_lifetime,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from ipaddress import IPv6Network

    from dmm_agent.wire import BindingUpdate

MAX_HOME_ADDRESSES = 64
"""Most home addresses that are registered at once."""
FIRST_REGISTRATION_TIMEOUT_S = 1.5
"""InitialBindackTimeoutFirstReg (RFC 6275, 13)."""
NOT_FOR_GOOD = frozenset({BindingStatus.REASON_UNSPECIFIED, BindingStatus.INSUFFICIENT_RESOURCES})
"""Refusals after which asking again, with growing pauses, makes sense."""


class ClientOptions(Options):
    """Options of `client`."""

    mobility: Literal["host"] = "host"
    binding_lifetime_s: int = Field(60, ge=4, le=262140)
    """For how long a binding is asked for at a time."""
    authentication: Literal["mn-ha", "none"] = "mn-ha"
    """How node and home agent prove who they are to each other (RFC 4285, 5.1)."""


class Client(Function[ClientOptions]):
    """Registers the home addresses of one mobile node, as long as sockets use them elsewhere."""

    name: ClassVar[str] = "client"
    options_class: ClassVar[type[Options]] = ClientOptions
    runs_on: ClassVar[Literal["router", "mobile_node"]] = "mobile_node"

    def __init__(self, context: Context, options: ClientOptions) -> None:
        super().__init__(context, options)
        policy = next((n for n in context.mobile_nodes.nodes if n.mobility == "offered"), None)
        self._mn_id = "" if policy is None else policy.id
        """Who this node is; empty if no mobility is offered to it."""
        self._networks = OwnNetworks(policy)
        self._link = ""
        self._advertised: frozenset[IPv6Network] = frozenset()
        self._addresses: dict[IPv6Address, OwnAddress] = {}
        self._known: frozenset[IPv6Address] = frozenset()
        """Those there were at the last advertisement: of others it may be that the next one tells
        the prefix, since the kernel may be quicker to make an address than we are to hear why."""
        self._in_use: frozenset[IPv6Address] = frozenset()
        self._registrations: dict[IPv6Address, Registration] = {}
        self._requests = Requests(self.name, MAX_HOME_ADDRESSES)
        self._authentication = (
            ClientAuthentication(context, self._mn_id) if self.authenticates else None
        )

    @property
    def takes_home_addresses(self) -> bool:
        """Acknowledgements come with its home address in a routing header."""
        return True

    @property
    def authenticates(self) -> bool:
        """It has a key for each home agent, unless the profile says otherwise."""
        return self.options.authentication == "mn-ha"

    def handle(self, event: Event, now: float) -> Iterable[Effect]:
        """Follow where the node is and what its sockets use; hear what home agents say."""
        match event:
            case Started():
                yield from self._networks.hold()
            case PrefixesAdvertised(link, prefixes) if prefixes:
                self._link, self._advertised = link, prefixes
                self._known = frozenset(self._addresses)
                yield from self._settle(now)
            case Addressed(addresses):
                self._addresses = {own.address: own for own in addresses}
                yield from self._settle(now)
            case SocketsInUse(addresses):
                self._in_use = addresses
                yield from self._settle(now)
            case Received(message=message, home_address=home):
                home = message.home_address if isinstance(message, BindingError) else home
                yield from self._heard(event, home, now)
            case TimerFired(_, ("request", key)):
                yield from self._requests.again(key, now)
            case TimerFired(_, (what, IPv6Address() as home)):
                yield from self._woken(str(what), home, now)
            case _:
                return

    # Where the node is, and what for

    def _settle(self, now: float) -> Iterator[Effect]:
        """Have each home address registered where it must be, and nowhere else."""
        if not self._mn_id:
            return
        care_of = self._care_of(now)
        for own in self._addresses.values():
            if self._is_on_link(own.address):
                yield from self._at_home(own.address, now)
        if not self._advertised or care_of is None or care_of in self._registrations:
            # An address that still is bound elsewhere is no place to send packets to.
            return
        for own in tuple(self._addresses.values()):
            if own.address in self._known and not self._is_on_link(own.address):
                yield from self._away(own, care_of, now)
        of_networks = self._networks.home
        unheld = of_networks is not None and of_networks not in self._addresses
        if of_networks and unheld and not self._is_on_link(of_networks):
            # A router that was started elsewhere, or was long alone: policy says its home address.
            yield from self._away(OwnAddress(of_networks, 0.0, 0.0), care_of, now)
        for home in self._registrations.keys() - self._addresses.keys() - {of_networks}:
            if self._registrations[home].lifetime_s:
                # The kernel lets it go before its binding ends, and tells no socket.
                yield DropAddress(self._link, home)
            yield from self._ask(self._registrations[home], care_of, 0, now)

    def _care_of(self, now: float) -> IPv6Address | None:
        """An address of the link the node is on that it prefers for new sessions."""
        here = (
            own.address
            for own in self._addresses.values()
            if self._is_on_link(own.address) and own.preferred_until > now
        )
        return min(here, default=None)

    def _is_on_link(self, address: IPv6Address) -> bool:
        return any(address in prefix for prefix in self._advertised)

    def _home_agent(self, address: IPv6Address) -> IPv6Address | None:
        """Who serves an address of an access link without mobility: the LM of its network."""
        owner = self.context.directory.plain_of(address)
        return None if owner is None else owner.lm

    def _at_home(self, home: IPv6Address, now: float) -> Iterator[Effect]:
        """The link has the address's prefix again (11.5.5): nobody need tunnel any more."""
        registration = self._registrations.get(home)
        if registration is not None and not registration.at_home:
            registration.registered_until = 0.0
            yield from _tunnel_no_more(registration)
            yield from self._ask(registration, home, 0, now)

    def _away(self, own: OwnAddress, care_of: IPv6Address, now: float) -> Iterator[Effect]:
        """The link has other prefixes: new sessions use those, old ones need a binding."""
        home, agent = own.address, self._home_agent(own.address)
        if agent is None:
            return
        if self._authentication is not None and not self._authentication.can_ask(agent):
            yield Record("no_key", {"hoa": str(home), "agent": str(agent)}, warning=True)
            return
        if own.preferred_until > now:
            yield KeepAddress(self._link, home, own.valid_until - now)
        registration = self._registrations.get(home)
        if home in self._in_use or self._networks.need(home, self._advertised):
            if registration is None:
                if len(self._registrations) >= MAX_HOME_ADDRESSES:
                    yield Record("too_many_home_addresses", {"hoa": str(home)})
                    return
                sequence = self.context.random.randrange(SEQUENCES)
                networks = self._networks.behind(home)
                registration = Registration(home, agent, sequence, source=home, networks=networks)
                self._registrations[home] = registration
            lifetime_s = round_lifetime(self.options.binding_lifetime_s)
            yield from self._ask(registration, care_of, lifetime_s, now)
        elif registration is not None:
            yield from self._ask(registration, care_of, 0, now)

    # Binding updates

    def _ask(
        self, registration: Registration, source: IPv6Address, lifetime_s: int, now: float
    ) -> Iterator[Effect]:
        """Register from there, or de-register, unless that is what was asked for last."""
        asked = (registration.source, registration.lifetime_s)
        if registration.sent_at and asked == (source, lifetime_s):
            return
        registration.source, registration.lifetime_s = source, lifetime_s
        yield from self._send(registration, now)

    def _send(self, registration: Registration, now: float) -> Iterator[Effect]:
        """Send an update until it is answered, or nothing that it could change is left (11.8)."""
        first = registration.registered_until <= now
        wait_s = FIRST_REGISTRATION_TIMEOUT_S if first else INITIAL_BINDACK_TIMEOUT_S
        yield CancelTimer(self.name, ("refresh", registration.home))
        yield from self._requests.start(
            registration.home,
            registration.agent,
            lambda _, sent_at: self._next_update(registration, sent_at),
            Patience(attempts=None, first_wait_s=wait_s),
            now,
            source=registration.source,
            home_source=registration.home,
        )
        if registration.lifetime_s == 0:
            yield SetTimer(self.name, ("expiry", registration.home), registration.may_last_until)

    def _next_update(self, registration: Registration, now: float) -> BindingUpdate:
        update = registration.next_update(self._mn_id, now)
        if self._authentication is None:
            return update
        return self._authentication.signed(update, registration, now)

    def _heard(self, event: Received, home: IPv6Address | None, now: float) -> Iterator[Effect]:
        """A message for a home address; what is not from its home agent does not count."""
        registration = None if home is None else self._registrations.get(home)
        if registration is None or event.source != registration.agent:
            return
        match event.message:
            case BindingAcknowledgement() as answer if self._believes(event, answer, registration):
                yield from self._acknowledged(registration, answer, now)
            case BindingAcknowledgement():
                fields = {"hoa": str(registration.home), "agent": str(registration.agent)}
                yield Record("answer_not_believed", fields, warning=True)
            case BindingError(status=BindingErrorStatus.UNKNOWN_BINDING) | BindingRefreshRequest():
                yield from self._renew(registration, now)
            case _:
                return

    def _believes(
        self, event: Received, answer: BindingAcknowledgement, registration: Registration
    ) -> bool:
        return self._authentication is None or self._authentication.believes(
            event, answer, registration
        )

    def _acknowledged(
        self, registration: Registration, answer: BindingAcknowledgement, now: float
    ) -> Iterator[Effect]:
        """A home agent answers (11.7.3); only the newest update counts."""
        if registration.home not in self._requests:
            return
        if answer.status == BindingStatus.SEQUENCE_OUT_OF_WINDOW:
            yield from self._out_of_window(registration, answer, now)
            return
        if answer.sequence != registration.sequence:
            return
        if answer.status == BindingStatus.MIPV6_ID_MISMATCH and self._authentication is not None:
            yield from self._authentication.learn(registration, answer, now)
            if not registration.adopted_time:
                registration.adopted_time = True
                yield from self._send(registration, now)
            return
        if registration.lifetime_s == 0:
            yield from self._end(registration, now)
        elif answer.status < BindingStatus.REASON_UNSPECIFIED and answer.lifetime_s:
            yield from self._registered(registration, answer, now)
        elif answer.status not in NOT_FOR_GOOD:
            fields = {"hoa": str(registration.home), "status": int(answer.status)}
            yield Record("registration_refused", fields)
            if registration.networks:
                yield from self._networks.refused(answer.status, self._advertised)
            yield from self._lose(registration, now)

    def _no_router(self, registration: Registration, now: float) -> Iterator[Effect]:
        """Take back what the home agent has bound without the networks (RFC 3963, 5.3)."""
        yield Record("networks_not_registered", {"hoa": str(registration.home)})
        yield from _tunnel_no_more(registration)
        self._networks.give_up()
        registration.networks = ()
        yield from self._ask(registration, registration.source, 0, now)

    def _out_of_window(
        self, registration: Registration, answer: BindingAcknowledgement, now: float
    ) -> Iterator[Effect]:
        """It knows a later update than this one: count on from there, at once but once."""
        registration.sequence = answer.sequence
        if not registration.adopted_sequence:
            registration.adopted_sequence = True
            yield from self._send(registration, now)

    def _registered(
        self, registration: Registration, answer: BindingAcknowledgement, now: float
    ) -> Iterator[Effect]:
        if lacks_networks(registration, answer):
            yield from self._no_router(registration, now)
            return
        yield from self._requests.finish(registration.home)
        home = registration.home
        if registration.registered_until <= now:
            fields = {"hoa": str(home), "care_of": str(registration.source)}
            yield Record("registered", fields)
        refresh_at = registration.grant(answer)
        agent, care_of = registration.agent, registration.source
        for prefix in registration.prefixes:
            yield Install(VisitorRoute(prefix, agent, source=care_of))
        yield KeepAddress(self._link, home, registration.registered_until - now)
        yield SetTimer(self.name, ("refresh", home), refresh_at)
        yield SetTimer(self.name, ("expiry", home), registration.registered_until)

    def _woken(self, what: str, home: IPv6Address, now: float) -> Iterator[Effect]:
        registration = self._registrations.get(home)
        if registration is None:
            return
        if what == "refresh":
            yield from self._renew(registration, now)
        elif what == "expiry" and registration.ends_at > now:
            yield SetTimer(self.name, ("expiry", home), registration.ends_at)
        elif what == "expiry" and registration.lifetime_s == 0:
            yield from self._end(registration, now)
        elif what == "expiry":
            yield from self._lapsed(registration, now)

    def _lapsed(self, registration: Registration, now: float) -> Iterator[Effect]:
        """Nobody has answered for a whole lifetime.

        The home agent may have accepted an update all the same. Until that has ended or is taken
        back, the address is no place to send packets to.
        """
        yield Record("registration_lapsed", {"hoa": str(registration.home)})
        if registration.may_last_until <= now:
            yield from self._lose(registration, now)
            return
        yield from self._requests.finish(registration.home)
        yield CancelTimer(self.name, ("refresh", registration.home))
        yield from _tunnel_no_more(registration)
        yield DropAddress(self._link, registration.home)
        self._addresses.pop(registration.home, None)
        registration.abandon()
        yield SetTimer(self.name, ("expiry", registration.home), registration.ends_at)
        yield from self._settle(now)

    def _renew(self, registration: Registration, now: float) -> Iterator[Effect]:
        """The binding's time is soon up, or the home agent has it no more."""
        if registration.lifetime_s and registration.home not in self._requests:
            yield from self._send(registration, now)

    def _lose(self, registration: Registration, now: float) -> Iterator[Effect]:
        """Nobody forwards for the address: take it away, so that sessions see their end."""
        yield DropAddress(self._link, registration.home)
        self._addresses.pop(registration.home, None)
        yield from self._end(registration, now)

    def _end(self, registration: Registration, now: float) -> Iterator[Effect]:
        """There is no binding any more. Others may have waited for that."""
        home = registration.home
        del self._registrations[home]
        yield from self._requests.finish(home)
        yield CancelTimer(self.name, ("refresh", home))
        yield CancelTimer(self.name, ("expiry", home))
        yield from _tunnel_no_more(registration)
        yield Record("registration_ended", {"hoa": str(home)})
        yield from self._settle(now)

    def snapshot(self, now: float) -> Mapping[str, list[dict[str, Any]]]:
        """The binding update list."""
        return {
            "bindings": [
                {
                    "hnp": str(prefix),
                    "mn_id": self._mn_id,
                    "location": str(r.source),
                    "visiting": False,
                    "leaving": r.lifetime_s == 0,
                    "remaining_s": round(max(0.0, r.registered_until - now), 3),
                }
                for r in self._registrations.values()
                for prefix in r.prefixes
            ]
        }


def _tunnel_no_more(registration: Registration) -> Iterator[Effect]:
    for prefix in registration.prefixes:
        yield Remove(VisitorRoute(prefix, registration.agent))
