"""The address plan: every address of a testbed follows from small numbers by the rules here.

A network of number n owns 2001:db8:n::/48 (RFC 3849), n in hexadecimal:

====================  =====================================================================
2001:db8:n::/50       infrastructure: loopbacks 2001:db8:n::h, links 2001:db8:n:L::/64
2001:db8:n:4000::/50  plain prefixes: addresses on access links that no mobility is for; each access
                      router owns a /56 of it, each of its access links a /64 of that
2001:db8:n:8000::/49  mobile pool: home network prefixes, a /64 for each mobile node; its first
                      /56 stays with the gateway, which delegates a /64 of it to each mobile
                      router that starts there; each access router owns one of the others
====================  =====================================================================

Where packets are rewritten, 3fff:n::/32 (RFC 9637) holds the locators that stand for mobile nodes
which are in the network.
"""

from __future__ import annotations

from ipaddress import IPv6Address, IPv6Interface, IPv6Network

MAX_NETWORK_NUMBER = 255
"""A network number is also one byte of its mobile nodes' MAC addresses."""
MAX_MOBILE_NODES_PER_NETWORK = 255
"""So is a mobile node's running number."""
MAX_ACCESS_ROUTERS_PER_NETWORK = 63
"""A /50 holds 64 blocks of /56; the first is nobody's."""
PREFIXES_PER_BLOCK = 256
"""A /56 holds 256 prefixes of /64."""

ACCESS_ROUTER_MAC = "00:00:5e:00:52:13"
"""Link-layer address every access router shows on its access links (RFC 6543, section 4)."""
ACCESS_ROUTER_LINK_LOCAL = IPv6Interface("fe80::200:5eff:fe00:5213/64")
"""Link-local address every access router shows on its access links (RFC 6543, section 4)."""

_DOCUMENTATION_PREFIX = int(IPv6Address("2001:db8::"))
_LOCATORS = int(IPv6Address("3fff::"))
_PLAIN_SUBNET = 0x4000
_MOBILE_SUBNET = 0x8000
_BLOCK_SUBNETS = 0x100


def _subnet(network: int, subnet: int, length: int) -> IPv6Network:
    return IPv6Network((_DOCUMENTATION_PREFIX | network << 80 | subnet << 64, length))


def network_prefix(network: int) -> IPv6Network:
    """Everything a network owns."""
    return _subnet(network, 0, 48)


def infrastructure_prefix(network: int) -> IPv6Network:
    """Loopbacks and links of a network."""
    return _subnet(network, 0, 50)


def plain_prefix(network: int) -> IPv6Network:
    """Addresses of a network's access links, for nodes without mobility."""
    return _subnet(network, _PLAIN_SUBNET, 50)


def plain_block(network: int, access_router: int) -> IPv6Network:
    """The plain prefixes of the links of one access router (1...)."""
    return _subnet(network, _PLAIN_SUBNET + access_router * _BLOCK_SUBNETS, 56)


def access_link_subnet(network: int, access_router: int, link: int) -> IPv6Network:
    """The plain prefix of an access link, by its number (0...) at its access router (1...)."""
    return _subnet(network, _PLAIN_SUBNET + access_router * _BLOCK_SUBNETS + link, 64)


def locator_prefix(network: int) -> IPv6Network:
    """What stands for mobile nodes that are in a network, where packets are rewritten."""
    return IPv6Network((_LOCATORS | network << 96, 32))


def mobile_pool(network: int) -> IPv6Network:
    """Where a network takes home network prefixes."""
    return _subnet(network, _MOBILE_SUBNET, 49)


def home_block(network: int, access_router: int) -> IPv6Network:
    """The part of the mobile pool that leads to one access router (1...), or the gateway (0)."""
    return _subnet(network, _MOBILE_SUBNET + access_router * _BLOCK_SUBNETS, 56)


def mobile_network(network: int, running: int) -> IPv6Network:
    """The prefix behind a mobile router, by its running number (1...): of the gateway's block."""
    return _subnet(network, _MOBILE_SUBNET + running, 64)


def loopback(network: int, host: int) -> IPv6Address:
    """Signalling address and tunnel endpoint of a router, by its number (1...) in its network."""
    return network_prefix(network)[host]


def link_subnet(network: int, link: int) -> IPv6Network:
    """Subnet of a link, by its number (1...) in the network of its first end."""
    return _subnet(network, link, 64)


def link_addresses(subnet: IPv6Network) -> tuple[IPv6Interface, IPv6Interface]:
    """Addresses of a link's first and second end."""
    return IPv6Interface((subnet[1], 64)), IPv6Interface((subnet[2], 64))


def mobile_node_name(network: int, running: int) -> str:
    """Name of a mobile node, by its running number (1...) in the network it starts in."""
    return f"mn{network}{running}"


def mobile_node_mac(network: int, running: int) -> str:
    """Link-layer address of a mobile node (locally administered, IEEE 802)."""
    return f"02:00:00:00:{network:02x}:{running:02x}"


def fixed_node_name(router: str, number: int) -> str:
    """Name of a host in a mobile network, by its number (1...) there."""
    return f"{router}-{number}"


def mobile_node_id(name: str) -> str:
    """Network access identifier of a mobile node (RFC 4283, RFC 7542)."""
    return f"{name}@dmm.example"
