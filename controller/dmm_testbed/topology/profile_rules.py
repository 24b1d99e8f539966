"""What a profile must mean on a topology, with the functions there are; rules yield sentences."""

from __future__ import annotations

from collections import Counter
from itertools import chain
from typing import TYPE_CHECKING

from pydantic import ValidationError

from dmm_testbed.topology.model import Role
from dmm_testbed.topology.placement import FACTS, mobile_nodes_attach, options_for, servers
from dmm_testbed.topology.sentences import did_you_mean, listed, sentences_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dmm_testbed.topology.functions import Functions
    from dmm_testbed.topology.model import Machine, Network, Topology
    from dmm_testbed.topology.profile import Profile


def profile_mistakes(topology: Topology, profile: Profile, functions: Functions) -> list[str]:
    """Everything wrong with a profile whose fields are each right for themselves.

    Returns:
        Sentences that begin with the field; empty if every agent can be configured.

    Raises:
        InputError: a placed function is registered but cannot be loaded.
    """
    # Options can only be asked of functions that exist.
    if unknown := list(_known_functions(profile, functions)):
        return unknown
    rules = (
        _hosts(topology, profile),
        _right_hosts(profile, functions),
        _requirements(topology, profile, functions),
        _option_owners(profile, functions),
        _function_sections(profile, functions),
    )
    if wrong := list(chain.from_iterable(rules)):
        return wrong
    # What runs where is right by now: only then do missing servers and values mean anything.
    return [
        *_networks_served(topology, profile),
        *_mobile_networks(topology, profile),
        *_interception(topology, profile, functions),
        *_option_values(topology, profile, functions),
    ]


def _mobile_networks(topology: Topology, profile: Profile) -> Iterator[str]:
    for machine in topology.with_role(Role.MOBILE_NODE):
        router = machine.mobile is not None and machine.mobile.behind is not None
        if router and "client" not in profile.on(machine):
            yield (
                f"placement.mobile_node: expected client among them, because {machine.name} of "
                f"topology {topology.name} has a mobile network, which only its router can register"
            )


def _placed(profile: Profile) -> list[str]:
    return sorted({name for names in profile.placement.values() for name in names})


def _known_functions(profile: Profile, functions: Functions) -> Iterator[str]:
    if not functions:
        yield "placement: no functions are installed; install the package dmm-agent beside this one"
        return
    for role, names in profile.placement.items():
        for name, times in Counter(names).items():
            if name not in functions:
                yield (
                    f"placement.{role}: unknown function {name}; those installed are "
                    f"{listed(sorted(functions))}{did_you_mean(name, functions)}"
                )
            elif times > 1:
                yield f"placement.{role}: expected each function once, got {name} {times} times"


def _hosts(topology: Topology, profile: Profile) -> Iterator[str]:
    roles = {str(machine.role): None for machine in topology.machines.values()}
    for role, names in profile.placement.items():
        if names and role not in roles:
            yield (
                f"placement.{role}: topology {topology.name} has no host of that role; its roles "
                f"are {listed(roles)}"
            )


def _right_hosts(profile: Profile, functions: Functions) -> Iterator[str]:
    for role, names in profile.placement.items():
        kind = "mobile_node" if role == "mobile_node" else "router"
        fit = sorted(name for name, function in functions.items() if function.runs_on == kind)
        for name in names:
            if name not in fit:
                yield (
                    f"placement.{role}: {name} does not run on {_KINDS[kind]}; functions that do "
                    f"are {listed(fit)}"
                )


_KINDS = {"router": "routers", "mobile_node": "mobile nodes"}


def _requirements(topology: Topology, profile: Profile, functions: Functions) -> Iterator[str]:
    for role, names in profile.placement.items():
        for name in names:
            if missing := sorted(functions[name].requires.difference(names)):
                hosts = [m.name for m in topology.machines.values() if m.role == role]
                yield (
                    f"placement.{role}: {name} needs {listed(missing)} on the same host "
                    f"({listed(hosts)}); add it to this list"
                )


def _option_owners(profile: Profile, functions: Functions) -> Iterator[str]:
    fields = {field for n in _placed(profile) for field in functions[n].options_class.model_fields}
    for option in profile.options:
        if option in FACTS:
            yield f"options.{option}: follows from the topology; leave it out"
        elif option not in fields:
            settable = sorted(fields.difference(FACTS))
            yield (
                f"options.{option}: no placed function has this option; they have "
                f"{listed(settable)}{did_you_mean(option, settable)}"
            )


def _function_sections(profile: Profile, functions: Functions) -> Iterator[str]:
    placed = _placed(profile)
    for name, options in profile.functions.items():
        if name not in placed:
            yield (
                f"functions.{name}: expected a function that is placed ({listed(placed)})"
                f"{did_you_mean(name, placed)}"
            )
            continue
        fields = functions[name].options_class.model_fields
        for option in options:
            if option in FACTS:
                yield f"functions.{name}.{option}: follows from the topology; leave it out"
            elif option not in fields:
                settable = sorted(fields.keys() - FACTS.keys())
                yield (
                    f"functions.{name}.{option}: {name} has no such option; it has "
                    f"{listed(settable)}{did_you_mean(option, settable)}"
                )


def _networks_served(topology: Topology, profile: Profile) -> Iterator[str]:
    pair = ("lm", "mr")
    if not set(pair).intersection(_placed(profile)):
        return
    for network in topology.networks.values():
        for function in pair:
            found = servers(topology, profile, function, network)
            if len(found) > 1 or (not found and mobile_nodes_attach(topology, network)):
                yield (
                    f"placement: expected one host to serve network {network.name} of topology "
                    f"{topology.name} as {function}, got {listed(m.name for m in found)}"
                )


def _interception(topology: Topology, profile: Profile, functions: Functions) -> Iterator[str]:
    """Where packets are intercepted (RS1) follows from where MRs are; the option must agree."""
    routing = functions.get("mr")
    if routing is None or "interception" not in routing.options_class.model_fields:
        return
    said = {**profile.options, **profile.functions.get("mr", {})}.get("interception", "gateway")
    below = [m.name for m in topology.with_role(Role.ACCESS_ROUTER) if "mr" in profile.on(m)]
    if said == "access" and not below:
        yield (
            "options.interception: access needs mr on access routers; "
            "add it to placement.access_router"
        )
    central = {m.name for n in topology.networks.values() for m in _mr_of(topology, profile, n)}
    if said != "access" and (extra := [name for name in below if name not in central]):
        yield (
            f"options.interception: expected access, because {listed(extra)} have an mr beside "
            "that of their network; or take mr out of placement.access_router"
        )


def _mr_of(topology: Topology, profile: Profile, network: Network) -> tuple[Machine, ...]:
    return servers(topology, profile, "mr", network)


def _option_values(topology: Topology, profile: Profile, functions: Functions) -> Iterator[str]:
    said = set()
    for machine in topology.machines.values():
        for name in profile.on(machine):
            for sentence in _wrong_values(topology, profile, functions, machine, name):
                if sentence not in said:
                    said.add(sentence)
                    yield sentence


def _wrong_values(
    topology: Topology, profile: Profile, functions: Functions, machine: Machine, name: str
) -> list[str]:
    options_class = functions[name].options_class
    options = options_for(topology, profile, machine, name, options_class)
    try:
        options_class.model_validate(options)
    except ValidationError as error:
        own_section = profile.functions.get(name, {})

        def place(location: tuple[int | str, ...]) -> str:
            where = ".".join(map(str, location)) or name
            own = bool(location) and location[0] in own_section
            return f"functions.{name}.{where}" if own else f"options.{where} ({name})"

        return sentences_of(error, options_class, place)
    return []
