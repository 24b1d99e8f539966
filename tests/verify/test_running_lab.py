"""Whether a running lab is as topology and profile say; changes nothing, and waits for the quiet.

`ansible-playbook playbooks/verify.yml` runs it; `tests/acceptance` makes a lab of its own instead.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from dmm_testbed.topology.model import InterfaceKind, Role
from dmm_testbed.verify.forwarding import (
    LEARNED,
    adopted,
    by_dmmctl,
    by_entries,
    by_kernel,
    learned,
    missing,
    strangers,
)
from dmm_testbed.verify.location import attachments_elsewhere, disagreements
from dmm_testbed.verify.running import THREADS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from dmm_testbed.topology import Machine
    from dmm_testbed.verify.running import RunningLab, Snapshot, Watch

    Holds = Callable[[Callable[[Snapshot], Iterable[str]]], None]
    NothingAmiss = Callable[[Iterable[str]], None]


def on_each(machines: Iterable[Machine], look: Callable[[Machine], list[str]]) -> list[str]:
    with ThreadPoolExecutor(THREADS) as pool:
        return [sentence for found in pool.map(look, machines) for sentence in found]


def test_every_machine_of_the_topology_runs(lab: RunningLab, nothing_amiss: NothingAmiss) -> None:
    running = lab.reach.running()
    nothing_amiss(f"{name} does not run" for name in lab.topology.machines if name not in running)


def test_agents_run_where_the_profile_places_functions_and_nowhere_else(
    lab: RunningLab, nothing_amiss: NothingAmiss
) -> None:
    def look(machine: Machine) -> list[str]:
        wanted = bool(lab.profile.on(machine))
        runs = lab.host(machine.name).service("dmm-agent").is_running
        if wanted == runs:
            return []
        should = "should run" if wanted else "should not run"
        return [f"{machine.name}: an agent {should} here by profile {lab.profile.name}"]

    nothing_amiss(on_each(lab.topology.machines.values(), look))


def test_dmmctl_answers_with_the_functions_of_the_profile(lab: RunningLab, holds: Holds) -> None:
    def amiss(seen: Snapshot) -> Iterator[str]:
        for machine in lab.agents:
            view = seen.agents[machine.name]
            expected, has = sorted(lab.profile.on(machine)), view.tables.get("status", {})
            if view.trouble:
                yield f"{machine.name}: {view.trouble}"
            elif sorted(has["functions"]) != expected:
                yield f"{machine.name} runs {has['functions']}, the profile places {expected}"

    holds(amiss)


def test_ospf_neighbours_are_full(lab: RunningLab, nothing_amiss: NothingAmiss) -> None:
    def look(machine: Machine) -> list[str]:
        shown = lab.host(machine.name).run("birdc show ospf neighbors")
        full = {line.split()[-2] for line in shown.stdout.splitlines() if "Full/" in line}
        links = [i.name for i in machine.interfaces if i.kind is InterfaceKind.ROUTER]
        return [
            f"{machine.name}: its OSPF neighbour {link} is not full"
            for link in links
            if link not in full
        ]

    nothing_amiss(on_each((m for m in lab.topology.machines.values() if m.role.routes), look))


def test_every_mobile_node_prefers_one_address_out_of_a_pool(lab: RunningLab, holds: Holds) -> None:
    networks = lab.topology.networks.values()

    def amiss(seen: Snapshot) -> Iterator[str]:
        for node, view in seen.on().items():
            addresses = view.preferred()
            plain = _is_told_plain_prefixes(lab, node, view.at)
            pools = [network.plain if plain else network.mobile_pool for network in networks]
            if not addresses:
                yield f"{node} has no address that it can use at {view.at}"
            for address in addresses:
                if not any(address in pool for pool in pools):
                    kind = "plain prefix" if plain else "mobile pool"
                    yield f"{node} uses {address}, which is out of no network's {kind}"

    holds(amiss)


def _is_told_plain_prefixes(lab: RunningLab, node: str, at: str | None) -> bool:
    """Whether mobility is declined to a node, or nobody at its access router has any for it."""
    mobile = lab.topology.machines[node].mobile
    declined = mobile is not None and mobile.mobility == "declined"
    return declined or at is None or "proxy" not in lab.profile.on(lab.topology.machines[at])


def test_every_mobile_node_reaches_every_correspondent(
    lab: RunningLab, watch: Watch, nothing_amiss: NothingAmiss
) -> None:
    on = watch.seen.on()
    correspondents = lab.topology.with_role(Role.CORRESPONDENT)

    def reach(machine: Machine) -> list[str]:
        host: Any = lab.host(machine.name)
        return [
            f"{machine.name} at {on[machine.name].at} does not reach "
            f"{correspondent.name} ({address.ip})"
            for correspondent in correspondents
            for address in correspondent.interfaces[0].addresses
            if host.run(f"ping -q -i 0.2 -c 5 -W 2 {address.ip}").rc
        ]

    nothing_amiss(on_each((m for m in lab.mobile_nodes if m.name in on), reach))


def test_only_the_access_router_where_the_radio_is_believes_a_node_is_there(
    lab: RunningLab, holds: Holds
) -> None:
    holds(lambda seen: attachments_elsewhere(lab, seen))


def test_location_databases_lead_to_the_access_router_where_the_radio_is(
    lab: RunningLab, holds: Holds
) -> None:
    holds(lambda seen: disagreements(lab, seen))


def test_kernels_hold_the_routes_that_dmmctl_shows(holds: Holds) -> None:
    def amiss(seen: Snapshot) -> Iterator[str]:
        for name, view in seen.agents.items():
            shown, held = by_dmmctl(view), by_kernel(view)
            yield from (f"{name}: dmmctl shows {r}, the kernel not" for r in sorted(shown - held))
            yield from (f"{name}: the kernel has {r}, dmmctl not" for r in sorted(held - shown))

    holds(amiss)


def test_every_entry_has_its_route_and_every_route_its_entry(lab: RunningLab, holds: Holds) -> None:
    def amiss(seen: Snapshot) -> Iterator[str]:
        for machine in lab.agents:
            view, name = seen.agents[machine.name], machine.name
            if view.trouble:
                continue
            config = lab.config(name)
            held = by_kernel(view) - adopted(view)
            wanted = by_entries(view, config)
            steering = {r for r in held if r.kind in LEARNED} - wanted
            yield from (f"{name}: no {r}" for r in sorted(wanted - by_kernel(view)))
            yield from (f"{name}: {r} without an entry" for r in sorted(held - steering - wanted))
            answers = learned(view)
            yield from (
                f"{name}: {r} without a cached answer"
                for r in sorted(steering)
                if (r.prefix, r.to) not in answers
            )
            steered = {(r.prefix, r.to) for r in by_kernel(view) if r.kind in LEARNED}
            yield from (
                f"{name}: no route for the cached answer that {prefix} is at {to}"
                for prefix, to in sorted(answers - steered)
            )

    holds(amiss)


def test_no_kernel_holds_a_route_or_rule_of_ours_that_nothing_explains(
    lab: RunningLab, holds: Holds
) -> None:
    def amiss(seen: Snapshot) -> Iterator[str]:
        for machine in lab.steering:
            view, config = seen.agents[machine.name], lab.config(machine.name)
            if view.trouble:
                continue
            yield from (f"{machine.name}: {what} is nobody's" for what in strangers(view, config))
            yield from (f"{machine.name}: expected {what}" for what in missing(view, config))

    holds(amiss)
