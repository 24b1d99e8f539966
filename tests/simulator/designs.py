"""The draft's designs (section 7, and figure 5 for the one without), as options of a world."""

from __future__ import annotations

from typing import NotRequired, TypedDict


class Design(TypedDict):
    """What tells one from another."""

    interception: str
    resolution: str
    while_resolving: NotRequired[str]
    ask_first: NotRequired[str]
    session_discovery: NotRequired[str]


DESIGNS: dict[str, Design] = {
    "gateway-query": {"interception": "gateway", "resolution": "query"},
    "gateway-push": {"interception": "gateway", "resolution": "push"},
    "access-query": {"interception": "access", "resolution": "query"},
    "access-referral": {
        "interception": "access",
        "resolution": "query",
        "ask_first": "own-lm",
    },
    "access-push": {"interception": "access", "resolution": "push"},
    "anycast-query": {"interception": "anycast", "resolution": "query"},
    "anycast-push": {"interception": "anycast", "resolution": "push"},
    "gateway-hold": {
        "interception": "gateway",
        "resolution": "query",
        "while_resolving": "hold",
    },
    "access-hold": {"interception": "access", "resolution": "query", "while_resolving": "hold"},
    "anycast-hold": {"interception": "anycast", "resolution": "query", "while_resolving": "hold"},
    "gateway-signalled": {
        "interception": "gateway",
        "resolution": "query",
        "session_discovery": "signalled",
    },
    "no-ro": {"interception": "gateway", "resolution": "none"},
}
OPTIMISING = [name for name, design in DESIGNS.items() if design["resolution"] != "none"]
"""Those in which packets take the direct route in the end."""
