"""What a profile changes in what a scenario expects.

Scenario files say what is expected where gateways ask (RS1.gw, RS2.query: the profile
`gateway-query`). Another placement of the same functions finds the direct route elsewhere, by other
messages, or not at all.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dmm_testbed.scenario.file import Expectation, Scenario, Step
    from dmm_testbed.topology.profile import Profile


def expected_with(profile: Profile, scenario: Scenario) -> Scenario:
    """The scenario with the expectations that suit a profile."""
    options = profile.options_of("mr")
    steps = tuple(_step(options, step) for step in scenario.steps)
    return scenario.model_copy(update={"steps": steps})


def _step(options: dict[str, Any], step: Step) -> Step:
    return step.model_copy(update={"expect": _expectation(options, step.expect)})


def _expectation(options: dict[str, Any], expect: Expectation) -> Expectation:
    changes: dict[str, Any] = {}
    resolution = options.get("resolution", "query")
    if resolution == "none":
        changes |= {"direct": False, "cache": dict.fromkeys(expect.cache, 0)}
    if resolution == "push":
        # A visitor's packets take the way by the destination's home from the first one on.
        changes["triangle_ways"] = ("forward",)
    if options.get("interception", "gateway") == "access":
        # Access routers hold what gateways would; which of them is up to who sends.
        changes["cache"] = {host: count for host, count in expect.cache.items() if not count}
    return expect.model_copy(update=changes)
