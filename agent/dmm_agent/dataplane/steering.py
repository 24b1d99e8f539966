"""Where routes point that send packets to an endpoint: into a tunnel, or to be rewritten."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from dmm_agent.dataplane.entrance import next_hops
from dmm_agent.dataplane.rtnetlink import Encapsulate, Via

if TYPE_CHECKING:
    from ipaddress import IPv6Address, IPv6Network

    from dmm_agent.config import AgentConfig
    from dmm_agent.dataplane.rtnetlink import Target
    from dmm_agent.dataplane.tunnels import Tunnel


@dataclass(frozen=True, slots=True)
class Steering:
    """The ways of one host."""

    tunnel: Tunnel
    own: IPv6Address | None
    """Outer source; None at a mobile node."""
    device: int
    """The tunnel's interface."""
    hops: dict[IPv6Address, Via] = field(default_factory=dict)
    """The next hop of packets that are rewritten, by the mobility router they go to."""
    known: tuple[IPv6Network, ...] = ()
    """Prefixes of networks between which packets can be rewritten."""

    def to(self, endpoint: IPv6Address) -> Via | Encapsulate:
        """For packets to addresses of networks in the directory."""
        return self.hops.get(endpoint) or self.to_anywhere(endpoint)

    def to_anywhere(self, endpoint: IPv6Address, source: IPv6Address | None = None) -> Encapsulate:
        """For packets whose destination has no locator there; from this host unless told whence."""
        return self.tunnel.encapsulate(endpoint, source or self.own, self.device)

    def endpoint(self, target: Target) -> IPv6Address | None:
        """Who a route of ours sends packets to, if it sends them to an endpoint."""
        if isinstance(target, Encapsulate):
            return target.endpoint
        return next((mr for mr, hop in self.hops.items() if hop == target), None)


def steering(config: AgentConfig, tunnel: Tunnel, device: int, entrance: int) -> Steering:
    """The ways of a host.

    Args:
        config: what it is, and who else there is.
        tunnel: how it tunnels.
        device: interface index of the tunnel's device.
        entrance: that of the entrance to rewriting; 0: the host tunnels only.
    """
    others = [hop for hop in next_hops(config) if hop.network.network != config.network]
    if not entrance:
        others = []
    return Steering(
        tunnel,
        None if config.radio is not None else config.address,
        device,
        {hop.network.mr: Via(entrance, hop.address) for hop in others},
        tuple(hop.network.prefix for hop in others),
    )
