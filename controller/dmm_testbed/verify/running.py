"""What a running lab says of itself: its agents, its kernels and its mobile nodes, at one time."""

from __future__ import annotations

import json
import re
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from ipaddress import IPv6Address, IPv6Network
from typing import TYPE_CHECKING, Any

from dmm_agent.config import AgentConfig
from dmm_testbed.measure.errors import MeasuringError
from dmm_testbed.topology.agent_config import agent_config
from dmm_testbed.topology.model import Role
from dmm_testbed.topology.placement import rewrites
from dmm_testbed.verify.kernel_routes import name_endpoints, read_routes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from dmm_agent.config import Directory
    from dmm_testbed.machines.reach import Reach
    from dmm_testbed.topology import Machine, Topology
    from dmm_testbed.topology.profile import Profile

AGENT_PROTOCOL = 77
TABLES = ("status", "attachments", "bindings", "cache", "routes")
BRIDGE = "radio0"
THREADS = 4
POLL_S = 0.25
END = "END-OF-ANSWER"

Rows = list[dict[str, Any]]


@dataclass(frozen=True)
class RunningLab:
    """A lab, and what topology and profile say of it."""

    reach: Reach
    topology: Topology
    profile: Profile

    def host(self, name: str) -> Any:
        """Testinfra's view of a machine."""
        return self.reach.host(name)

    @property
    def agents(self) -> list[Machine]:
        """The machines on which the profile places functions."""
        return [m for m in self.topology.machines.values() if self.profile.on(m)]

    @property
    def steering(self) -> list[Machine]:
        """Those of them that are routers, whose kernels have routes and rules of the agent."""
        return [machine for machine in self.agents if machine.role.routes]

    @property
    def mobile_nodes(self) -> tuple[Machine, ...]:
        """All of them, switched on or off."""
        return self.topology.with_role(Role.MOBILE_NODE)

    def config(self, host: str) -> AgentConfig:
        """What the agent of a host should have been told."""
        return AgentConfig.model_validate(agent_config(self.topology, self.profile, host))

    @property
    def directory(self) -> Directory:
        """Who serves which network, by topology and profile."""
        return self.config(self.agents[0].name).directory

    def owner(self, address: IPv6Address | str) -> Machine | None:
        """The router with this loopback address."""
        wanted = IPv6Address(address)
        return next((m for m in self.topology.machines.values() if m.loopback == wanted), None)

    def look(self) -> Snapshot:
        """Ask everybody."""
        agents = [m.name for m in self.agents]
        nodes = [m.name for m in self.mobile_nodes]
        with ThreadPoolExecutor(THREADS) as pool:
            views = pool.map(lambda name: look_at_agent(self.host(name)), agents)
            radios = pool.map(lambda name: look_at_node(self.host(name)), nodes)
            seen = Snapshot(
                dict(zip(agents, views, strict=True)), dict(zip(nodes, radios, strict=True))
            )
        if rewrites(self.profile):
            for name, view in seen.agents.items():
                name_endpoints(view.kernel_routes, self.config(name))
        return seen


@dataclass(frozen=True)
class AgentView:
    """One agent's tables, and the routes and rules of its kernel."""

    trouble: str = ""
    """Why it does not answer, in its own words."""
    tables: dict[str, Any] = field(default_factory=dict)
    kernel_routes: Rows = field(default_factory=list)
    kernel_rules: Rows = field(default_factory=list)

    def rows(self, table: str) -> Rows:
        """The rows of one of its tables; none if it does not answer."""
        return list(self.tables.get(table, []))


@dataclass(frozen=True)
class NodeView:
    """Where a mobile node's radio is, and its addresses."""

    at: str | None
    switched_on: bool
    addresses: Rows

    def preferred(self) -> list[IPv6Address]:
        """Addresses that a new connection can use."""
        return [
            IPv6Address(a["local"])
            for a in self.addresses
            if not a.get("deprecated") and not a.get("tentative")
        ]


@dataclass(frozen=True)
class Snapshot:
    """Everybody's answers, within a second or two of each other."""

    agents: dict[str, AgentView]
    nodes: dict[str, NodeView]

    def bindings(self, host: str) -> dict[IPv6Network, dict[str, Any]]:
        """A host's location database by prefix."""
        view = self.agents.get(host, AgentView())
        return {IPv6Network(row["hnp"]): row for row in view.rows("bindings")}

    def on(self) -> dict[str, NodeView]:
        """The mobile nodes that are switched on and attached somewhere."""
        return {name: view for name, view in self.nodes.items() if view.switched_on and view.at}


@dataclass
class Watch:
    """Looks at the lab again for as long as something is amiss, once for all checks."""

    lab: RunningLab
    seen: Snapshot
    deadline: float

    def until_quiet(self, amiss: Callable[[Snapshot], Iterable[str]]) -> list[str]:
        """What is still amiss when the time is up; the time is one for all checks."""
        while True:
            silent = [name for name, view in self.seen.agents.items() if view.trouble]
            found = [f"nothing is known of {name}: its agent does not answer" for name in silent]
            found += dict.fromkeys(amiss(self.seen))
            if not found or time.monotonic() > self.deadline:
                return found
            time.sleep(POLL_S)
            self.seen = self.lab.look()


def look_at_agent(host: Any) -> AgentView:
    """Ask an agent for all its tables, and its kernel for all that is the agent's."""
    asked, said = _ask(
        host,
        *(f"dmmctl {table} --json" for table in TABLES),
        f"ip -json -6 route show table all proto {AGENT_PROTOCOL}",
        "ip -json -6 rule show",
    )
    if asked.rc:
        return AgentView(trouble=asked.stderr.strip() or f"exit code {asked.rc}")
    *tables, routes, rules = said
    shown = {name: json.loads(table) for name, table in zip(TABLES, tables, strict=True)}
    own = [rule for rule in json.loads(rules) if rule.get("protocol") == str(AGENT_PROTOCOL)]
    return AgentView("", shown, read_routes(routes), own)


def look_at_node(host: Any) -> NodeView:
    """Ask a mobile node where it is.

    Raises:
        MeasuringError: it does not say.
    """
    asked, answers = _ask(host, "dmm-radio status", f"ip -json address show dev {BRIDGE}")
    if asked.rc:
        raise MeasuringError(f"{host.backend.hostname}: {asked.stderr.strip()}")
    status, (link,) = map(json.loads, answers)
    addresses = [
        info
        for info in link.get("addr_info", [])
        if info.get("family") == "inet6" and info.get("scope") == "global"
    ]
    return NodeView(status["to"], "UP" in link["flags"], addresses)


def _ask(host: Any, *commands: str) -> tuple[Any, list[str]]:
    """Run commands that print JSON, all at once: over SSH each would take half a second.

    Returns:
        What became of them, and what each of them said; nothing is an empty list.
    """
    asked = host.run(f" && echo {END} && ".join(commands))
    if asked.rc:
        return asked, []
    parts = re.split(f"^{END}$", asked.stdout, flags=re.MULTILINE)
    return asked, [part.strip() or "[]" for part in parts]
