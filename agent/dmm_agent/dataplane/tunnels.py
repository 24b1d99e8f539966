"""The two ways in which a host puts outer headers on packets and takes them off.

On the wire both are plain IPv6 in IPv6 (RFC 2473), so hosts of either kind work together;
`docs/dataplane.md` compares them. Everything else about forwarding is the same for both.
"""

from __future__ import annotations

import shutil
import subprocess
from ipaddress import IPv6Network
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from dmm_agent.dataplane.layout import (
    IP_PROTOCOL_IPV6,
    MARK_MASK,
    MARK_TUNNELLED,
    RULE_DECAPSULATE,
    TABLE_DECAPSULATE,
)
from dmm_agent.dataplane.rtnetlink import (
    Decapsulate,
    Encapsulate,
    KernelRoute,
    Rule,
    add_bridge,
    add_ip6tnl,
)

if TYPE_CHECKING:
    from collections.abc import Sequence
    from ipaddress import IPv6Address

    from dmm_agent.config import AgentConfig
    from dmm_agent.dataplane.netlink import Request

CONF = Path("/proc/sys/net/ipv6/conf")

SMALLEST_MTU, LARGEST_MTU = 1280, 65535
OUTER_HEADER_BYTES = 40
ROUTING_HEADER_BYTES = 24
"""The kernel reserves room for the routing header of one segment that `encap.red` leaves out."""

COMMAND_TIMEOUT_S = 30


class DataplaneError(Exception):
    """The kernel or a tool cannot do what the data plane needs; the text says what to do."""


class Tunnel(Protocol):
    """One way to tunnel."""

    device: str
    """The one interface that it needs; encapsulating routes point at it."""
    needs: str
    """What the kernel must have and what to do if it has not: the rest of a sentence."""
    tells_senders: bool
    """Whether the kernel passes errors from inside a tunnel on to who sent the original packet."""

    def create_device(self) -> Request:
        """The request that makes the device, not yet up."""

    def device_mtu(self, narrowest: int) -> int:
        """The MTU that makes packets fit an uplink of this MTU once they have an outer header."""

    def open(self, config: AgentConfig) -> None:
        """Set what lies outside of routes, rules and the device.

        Raises:
            DataplaneError: the kernel cannot tunnel this way.
        """

    def close(self) -> None:
        """Set it back.

        Raises:
            DataplaneError: the kernel refuses.
        """

    def encapsulate(
        self, endpoint: IPv6Address, own: IPv6Address | None, device: int
    ) -> Encapsulate:
        """Where a route points whose packets go to `endpoint` with `own` as outer source.

        None: what `use_source` says.
        """

    def use_source(self, source: IPv6Address) -> None:
        """The outer source from now on, of a host that has no fixed one (a mobile node).

        Raises:
            DataplaneError: the kernel refuses.
        """

    def decapsulating_rules(self, own: IPv6Address | None) -> tuple[Rule, ...]:
        """What takes tunnelled packets out of the ordinary way, before all other rules.

        Packets to `own`; without it, to any address of this host, which only marked ones are for.
        """

    def decapsulating_routes(self, own: IPv6Address | None, device: int) -> tuple[KernelRoute, ...]:
        """Where these rules lead."""

    def guards(self, own: IPv6Address | None) -> Sequence[str]:
        """Rules of nftables that close what this way of decapsulating would leave open.

        They follow the rules that mark what a router of the directory tunnelled here.
        """


class Seg6Tunnel:
    """Encapsulation and decapsulation attached to routes (`encap seg6`, `seg6local End.DT6`)."""

    device = "dmm0"
    """A bridge without ports: encapsulating routes need a device that is up and is not `lo`."""
    needs = (
        "`dataplane: seg6` needs IPv6, policy rules, bridges and segment routing "
        "(CONFIG_IPV6_SEG6_LWTUNNEL)"
    )
    tells_senders = False

    def create_device(self) -> Request:
        """A bridge."""
        return add_bridge(self.device)

    def device_mtu(self, narrowest: int) -> int:
        """Only this host's own packets obey it: forwarded ones have their outer header by then."""
        return min(narrowest + ROUTING_HEADER_BYTES, LARGEST_MTU)

    def open(self, config: AgentConfig) -> None:
        """Allow segment routing and set the outer source; access links stay closed."""
        # Needed by kernels that look at the sysctl before any seg6 work.
        for name in ("all", *config.uplinks):
            switch = Path(CONF, name, "seg6_enabled")
            try:
                if switch.read_text().strip() != "1":
                    switch.write_text("1\n")
            except FileNotFoundError:
                if name == "all":
                    raise DataplaneError(
                        "this kernel has no segment routing, which `dataplane: seg6` needs: boot a "
                        "kernel with CONFIG_IPV6_SEG6_LWTUNNEL (Debian's has it), or choose "
                        "`dataplane: ip6tnl`"
                    ) from None
            except OSError as error:
                raise DataplaneError(f"cannot set {switch}: {error.strerror}") from error
        own = "::" if config.radio is not None else str(config.address)
        _run("ip", "sr", "tunsrc", "set", own)

    def close(self) -> None:
        """Leave the outer source to the kernel again; `seg6_enabled` stays."""
        _run("ip", "sr", "tunsrc", "set", "::")

    def encapsulate(
        self, endpoint: IPv6Address, own: IPv6Address | None, device: int
    ) -> Encapsulate:
        """The outer source is set for the whole host."""
        del own
        return Encapsulate(endpoint, device)

    def use_source(self, source: IPv6Address) -> None:
        """For the whole host: a mobile node is in one place at a time."""
        _run("ip", "sr", "tunsrc", "set", str(source))

    def decapsulating_rules(self, own: IPv6Address | None) -> tuple[Rule, ...]:
        """Only what bears the mark of a known router is decapsulated."""
        return (
            Rule(
                RULE_DECAPSULATE,
                table=TABLE_DECAPSULATE,
                destination=None if own is None else IPv6Network(own),
                mark=MARK_TUNNELLED,
                mark_mask=MARK_MASK,
                ip_protocol=IP_PROTOCOL_IPV6,
            ),
        )

    def decapsulating_routes(self, own: IPv6Address | None, device: int) -> tuple[KernelRoute, ...]:
        """One, for the agent's own address."""
        where = IPv6Network("::/0") if own is None else IPv6Network(own)
        return (KernelRoute(TABLE_DECAPSULATE, where, Decapsulate(device)),)

    def guards(self, own: IPv6Address | None) -> Sequence[str]:
        """Decapsulated packets keep the mark: one that is again a tunnel to us must not profit.

        nftables does not see it once more, so it is looked for inside of the outer packet: octet 6
        of an IPv6 header is the next header, octets 24 to 39 are the destination.
        """
        tunnel = f"meta l4proto {IP_PROTOCOL_IPV6}"
        again = f"@th,48,8 {IP_PROTOCOL_IPV6}"
        if own is None:
            return [f"{tunnel} fib daddr type local {again} counter drop"]
        return [f"{tunnel} ip6 daddr {own} {again} @th,192,128 {int(own):#x} counter drop"]


class Ip6tnlTunnel:
    """One tunnel device, told the endpoint by each route (`ip6tnl external`, `encap ip6`)."""

    device = "dmm-tnl0"
    needs = (
        "`dataplane: ip6tnl` needs IPv6, policy rules and IPv6 tunnels: try `modprobe ip6_tunnel`; "
        "otherwise boot a kernel with CONFIG_IPV6_TUNNEL and CONFIG_LWTUNNEL (Debian's has both), "
        "or choose `dataplane: seg6`"
    )
    tells_senders = True

    def create_device(self) -> Request:
        """The kernel loads the module ip6_tunnel when asked for this; it allows one a host."""
        return add_ip6tnl(self.device)

    def device_mtu(self, narrowest: int) -> int:
        """Packets that are too big are answered to their sender, forwarded ones too."""
        return max(narrowest - OUTER_HEADER_BYTES, SMALLEST_MTU)

    def open(self, config: AgentConfig) -> None:
        """Nothing: device and routes say everything."""

    def close(self) -> None:
        """Nothing."""

    def encapsulate(
        self, endpoint: IPv6Address, own: IPv6Address | None, device: int
    ) -> Encapsulate:
        """Each route names the outer source."""
        return Encapsulate(endpoint, device, own)

    def use_source(self, source: IPv6Address) -> None:
        """Nothing: routes say it."""

    def decapsulating_rules(self, own: IPv6Address | None) -> tuple[Rule, ...]:
        """None: the packet is delivered to this host, and the device takes it."""
        del own
        return ()

    def decapsulating_routes(self, own: IPv6Address | None, device: int) -> tuple[KernelRoute, ...]:
        """None."""
        del own, device
        return ()

    def guards(self, own: IPv6Address | None) -> Sequence[str]:
        """The device takes whatever is tunnelled to any address of this host, by anybody.

        So what comes out of it without the mark is dropped, and what comes out and would go into
        it once more, with the mark that it still has.
        """
        del own
        out = f'iifname "{self.device}"'
        return [
            f"{out} meta mark and {MARK_MASK:#x} != {MARK_TUNNELLED:#x} counter drop",
            f"{out} meta l4proto {IP_PROTOCOL_IPV6} fib daddr type local counter drop",
        ]


TUNNELS: dict[str, Tunnel] = {"seg6": Seg6Tunnel(), "ip6tnl": Ip6tnlTunnel()}
"""By the name that configuration, profiles and topologies use."""


def _run(*command: str) -> None:
    if shutil.which(command[0]) is None:
        raise DataplaneError(f"{command[0]} is not installed: install Debian's package iproute2")
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, timeout=COMMAND_TIMEOUT_S
    )
    if done.returncode:
        raise DataplaneError(f"{' '.join(command)}: {done.stderr.strip()}")
