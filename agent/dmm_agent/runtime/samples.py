"""The packets that the kernel shows to the agent: which it is asked for, and what they mean."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

from dmm_agent.dataplane.interception import INTERCEPTED_GROUP
from dmm_agent.dataplane.nftables import OBSERVED_GROUP, USED_GROUP
from dmm_agent.functions.events import Intercepted, Interception, Observed, Used
from dmm_agent.functions.prefix import hnp_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dmm_agent.attachment.access import AccessLinks
    from dmm_agent.config import AgentConfig
    from dmm_agent.dataplane.nflog import Sample
    from dmm_agent.functions.events import Event


def groups(config: AgentConfig, intercepts: frozenset[Interception]) -> list[int]:
    """The groups of NFLOG that a host's rules show packets to."""
    brought_along = {Interception.BROUGHT_ALONG}
    return [
        *([OBSERVED_GROUP] if config.access_links else []),
        *([USED_GROUP] if intercepts & brought_along else []),
        *([INTERCEPTED_GROUP] if intercepts - brought_along else []),
    ]


def meaning(sample: Sample, config: AgentConfig, access: AccessLinks | None) -> Iterator[Event]:
    """What the functions hear of a packet."""
    if sample.group == USED_GROUP:
        yield from _used(sample, config)
    elif sample.group != INTERCEPTED_GROUP:
        if access is not None:
            yield from _observed(sample, access)
    elif sample.inner is None:
        yield Intercepted(sample.source, sample.destination)
    else:
        yield Intercepted(*sample.inner, tunnelled_by=sample.source)


def _used(sample: Sample, config: AgentConfig) -> Iterator[Event]:
    """A prefix of another network, or two if one visitor talks to another."""
    for end in (sample.source, sample.destination):
        home = config.directory.home_of(end)
        if home is not None and home.network != config.network:
            yield Used(hnp_of(end))


def _observed(sample: Sample, access: AccessLinks) -> Iterator[Event]:
    try:
        link = socket.if_indextoname(sample.interface)
    except OSError:
        return
    yield from access.look(link)
    yield Observed(link, sample.link_layer, sample.source)
