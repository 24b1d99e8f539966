"""Routers of the test network: their configuration, and their data plane without an agent."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.kernel.agent.lab import ADDRESS, BLOCK1, BLOCK3, MN_MAC, inside, run

from dmm_agent.config import AgentConfig
from dmm_agent.dataplane.lifecycle import bring_up, take_down
from dmm_agent.dataplane.netlink import Netlink
from dmm_agent.functions.effects import Install, Remove, Route
from dmm_agent.functions.events import Interception

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

HOSTS = ("gw1", "gw2", "gw3", "ar1", "ar3")
DATA_PLANES = {
    "seg6": dict.fromkeys(HOSTS, "seg6"),
    "ip6tnl": dict.fromkeys(HOSTS, "ip6tnl"),
    "mixed": {"gw1": "ip6tnl", "gw2": "seg6", "gw3": "seg6", "ar1": "seg6", "ar3": "ip6tnl"},
    "mixed the other way": {
        "gw1": "seg6", "gw2": "ip6tnl", "gw3": "ip6tnl", "ar1": "ip6tnl", "ar3": "seg6"
    },
}  # fmt: skip
"""How the routers tunnel, by the name of the test's parameter; mixed: no two neighbours alike."""

data_plane_of: dict[str, str] = dict(DATA_PLANES["seg6"])
"""How each router tunnels now; the fixture `data_planes` changes it."""


def no_ip6tnl() -> str | None:
    """Why this kernel cannot tunnel by device, or None if it can."""
    try:
        run("unshare", "--net", "ip", "link", "add", "dmm-try0", "type", "ip6tnl", "external")
    except RuntimeError as error:
        return f"this kernel has no ip6tnl devices ({str(error).split(': ')[-1].strip()})"
    return None


NETWORKS = (1, 2, 3)


def settings(host: str, networks: Sequence[int] = NETWORKS) -> dict[str, Any]:
    """What Ansible would write into a host's configuration file, with these in the directory."""
    number = int(host[2])
    access = host.startswith("ar")
    blocks = {1: BLOCK1, 3: BLOCK3}
    allocator = {
        "blocks": [{"access_router": ADDRESS[f"ar{number}"], "prefix": str(blocks[number])}]
        if number in blocks
        else []
    }
    return {
        "schema": 1,
        "host": host,
        "network": f"net{number}",
        "address": ADDRESS[host],
        "dataplane": data_plane_of[host],
        "uplinks": [f"gw{number}"] if access else ["core"],
        "access_links": ["mn"] if access else [],
        "home_block": str(blocks[number]) if access else None,
        "directory": {
            "networks": [
                {
                    "network": f"net{n}",
                    "prefix": f"2001:db8:{n}::/48",
                    "mobile_pool": f"2001:db8:{n}:8000::/49",
                    "lm": ADDRESS[f"gw{n}"],
                    "mr": ADDRESS[f"gw{n}"],
                }
                for n in networks
            ]
        },
        "mobile_nodes": {"nodes": [{"id": "mn11@dmm.example", "link_layer": MN_MAC}]},
        "functions": {"proxy": {}} if access else {"allocator": allocator, "lm": {}, "mr": {}},
    }


class Router:
    """The data plane of one host, driven by the test instead of by functions."""

    def __init__(
        self,
        host: str,
        *intercepts: Interception,
        access_mrs: Sequence[Mapping[str, Any]] = (),
        hold_device: int = 0,
        rewrites: bool = False,
        declined_flows: Sequence[Mapping[str, Any]] = (),
        networks: Sequence[int] = NETWORKS,
    ) -> None:
        self.host = host
        described = settings(host, networks)
        described["mobile_nodes"]["declined_flows"] = declined_flows
        if rewrites:
            for number, network in enumerate(described["directory"]["networks"], start=1):
                network["locators"] = f"3fff:{number:x}::/32"
        described["directory"]["networks"][0]["access_mrs"] = access_mrs
        self.config = AgentConfig.model_validate(described)
        with inside(host):
            self.netlink = Netlink()
            of_proxy = {Interception.BROUGHT_ALONG}
            wanted = [i for i in intercepts if (i in of_proxy) == self.host.startswith("ar")]
            self.forwarding = bring_up(
                self.config, self.netlink, frozenset(wanted), hold_device, rewrites=rewrites
            )

    def install(self, *routes: Route) -> None:
        """Install routes; the kernel must take all of them."""
        self._apply([Install(route) for route in routes])

    def remove(self, *routes: Route) -> None:
        """Remove routes; the kernel must not mind."""
        self._apply([Remove(route) for route in routes])

    def _apply(self, effects: list[Install | Remove]) -> None:
        with inside(self.host):
            assert self.forwarding.apply(effects) == []

    def flush(self) -> None:
        """Take everything down, as `dmm-agent --flush` does."""
        with inside(self.host):
            take_down(self.netlink)
