"""What an access router does for the prefixes of its nodes.

It delivers and advertises them, and when a lease has ended it withdraws them, so that sessions
notice (draft, 5).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from dmm_agent.functions.attachments import LINGERING_S, MAX_WITHDRAWN, ServedPrefix
from dmm_agent.functions.effects import Delivery, Effect, Install, Record, Remove, Withdrawal
from dmm_agent.functions.lease_lifetimes import leases_of
from dmm_agent.functions.proxy_messages import MAX_PREFIXES
from dmm_agent.wire import Timestamp

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from ipaddress import IPv6Address, IPv6Network

    from dmm_agent.functions.attachments import Attachment
    from dmm_agent.functions.base import Context
    from dmm_agent.functions.effects import Advertise, Route
    from dmm_agent.functions.proxy import ProxyOptions
    from dmm_agent.wire import BindingAcknowledgement


class Serving:
    """The nodes on the access links, and the prefixes that each has there."""

    def __init__(self, context: Context, options: ProxyOptions) -> None:
        self._options = options
        self._home_block = context.home_block
        self._own_pool = context.directory.named(context.network).mobile_pool
        self.attachments: dict[str, Attachment] = {}
        """By link."""
        self._inherited: dict[IPv6Network, Delivery] = {}
        """Those of an earlier run, whose nodes have not been found yet."""

    def inherit(self, routes: Iterable[Route]) -> None:
        """An earlier run delivered these; that goes on until their node is known to have left."""
        self._inherited = {r.prefix: r for r in routes if isinstance(r, Delivery)}

    def stop_inherited(self, hnp: IPv6Network) -> Iterator[Effect]:
        """The prefix is elsewhere."""
        delivery = self._inherited.pop(hnp, None)
        if delivery is not None:
            yield Remove(delivery)

    def stop_inherited_on(self, link: str, but: IPv6Address | None = None) -> Iterator[Effect]:
        """Nobody is on the link, or nobody but the node of that link-local address."""
        for delivery in tuple(self._inherited.values()):
            if delivery.link == link and delivery.link_local != but:
                yield from self.stop_inherited(delivery.prefix)

    def is_home(self, hnp: IPv6Network) -> bool:
        """Whether plain routing brings the prefix here, so that no LM has an entry."""
        return self._home_block is not None and hnp.subnet_of(self._home_block)

    def is_own(self, hnp: IPv6Network) -> bool:
        """Whether this network leased the prefix."""
        return hnp.subnet_of(self._own_pool)

    def serve(
        self, here: Attachment, hnp: IPv6Network, answer: BindingAcknowledgement, now: float
    ) -> Iterator[Effect]:
        """The LM has granted a node a prefix here, or goes on granting it."""
        if hnp not in here.prefixes:
            if len(here.prefixes) >= MAX_PREFIXES:
                return
            for other in self.attachments.values():
                other.prefixes.pop(hnp, None)  # its delivery is replaced, not removed
            self._inherited.pop(hnp, None)  # so is that of an earlier run
            yield Install(Delivery(hnp, here.link, here.link_local))
        here.lapsed.pop(hnp, None)
        yield from self._withdrawn_no_more(here, hnp)
        echo = answer.first(Timestamp)
        # A lifetime began before its grant arrived, at the earliest when it was asked for
        # (RFC 6275, 11.7.3): so nothing here outlives what the LM remembers.
        since = now if echo is None else min(now, echo.seconds)
        before = here.prefixes.get(hnp)
        here.prefixes[hnp] = ServedPrefix(
            hnp,
            expires_at=since + answer.lifetime_s,
            refresh_at=since + answer.lifetime_s / 2,
            lifetime_s=answer.lifetime_s,
            leased_until=since + leases_of(answer).get(hnp, answer.lifetime_s),
            used_at=now if before is None else before.used_at,
        )

    def stop(self, here: Attachment, hnp: IPv6Network) -> Iterator[Effect]:
        """The prefix is not the node's here any more."""
        if here.prefixes.pop(hnp, None) is not None:
            yield Remove(Delivery(hnp, here.link, here.link_local))

    def stop_expired(self, here: Attachment, now: float) -> Iterator[Effect]:
        """What the LM has granted no further is not served; once its lease is over, withdrawn."""
        for prefix in [p for p in here.prefixes.values() if p.expires_at <= now]:
            here.lapsed[prefix.hnp] = prefix.leased_until
            yield from self.stop(here, prefix.hnp)
        for hnp in [hnp for hnp, until in here.lapsed.items() if until <= now]:
            yield from self.withdraw(here, hnp, now)

    def withdraw(self, here: Attachment, hnp: IPv6Network, now: float) -> Iterator[Effect]:
        """The prefix is the node's no more, and whatever still uses it shall notice."""
        yield from self.stop(here, hnp)
        here.lapsed.pop(hnp, None)
        if hnp in here.withdrawn:
            return
        if len(here.withdrawn) >= MAX_WITHDRAWN:
            yield from self._withdrawn_no_more(here, next(iter(here.withdrawn)))
        here.withdrawn[hnp] = now + LINGERING_S
        yield Record("withdrawn", {"link": here.link, "mn_id": here.mn_id, "hnp": str(hnp)})
        yield Install(Withdrawal(hnp, here.link, here.link_local))

    def _withdrawn_no_more(self, here: Attachment, hnp: IPv6Network) -> Iterator[Effect]:
        if hnp in here.withdrawn:
            del here.withdrawn[hnp]
            yield Remove(Withdrawal(hnp, here.link, here.link_local))

    def reached_at(self, here: Attachment, link_local: IPv6Address) -> Iterator[Effect]:
        """The node has another link-local address now."""
        here.link_local = link_local
        for hnp in here.prefixes:
            yield Install(Delivery(hnp, here.link, link_local))
        for hnp in here.withdrawn:
            yield Install(Withdrawal(hnp, here.link, link_local))

    def leave(self, gone: Attachment) -> Iterator[Effect]:
        """The node is here no longer."""
        for hnp in gone.prefixes:
            yield Remove(Delivery(hnp, gone.link, gone.link_local))
        for hnp in gone.withdrawn:
            yield Remove(Withdrawal(hnp, gone.link, gone.link_local))

    def advertisement(self, here: Attachment, now: float) -> Advertise:
        """What a node is to hear of its prefixes."""
        options = self._options
        interval_s = options.advertisement_interval_s
        return here.advertisement(self._own_pool, options.preferred_lifetime_s, interval_s, now)
