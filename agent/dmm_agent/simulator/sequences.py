"""`python -m dmm_agent.simulator.sequences`: who says what to whom in each phase of a node's life.

Plays a node's life on a network that loses nothing and prints the messages, for docs/signalling.md.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from dmm_agent.simulator.example import example_world

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dmm_agent.simulator.world import Sent, World

NODE = "mn1@dmm.example"
PHASES = (
    ("attach at home", "ar11"),
    ("move to another network", "ar31"),
    ("move inside that network", "ar32"),
    ("return home", "ar11"),
)
VANISHED_S = 60
"""Until its access router has noticed, and everybody has forgotten."""
SHORT_NAMES = {
    "BindingUpdate": "PBU",
    "BindingAcknowledgement": "PBA",
    "BindingRevocationIndication": "BRI",
    "BindingRevocationAcknowledgement": "BRA",
    "UpdateNotification": "UPN",
    "UpdateNotificationAcknowledgement": "UPA",
    "LocationQuery": "Query",
    "LocationAnswer": "Answer",
    "SessionReport": "Report",
    "SessionReportAcknowledgement": "Report Ack",
}


def sequences() -> Iterator[str]:
    """The phases, a line for each message."""
    world = example_world(options={})
    heard: list[Sent] = []
    world.observers.append(heard.append)

    def phase(title: str) -> Iterator[str]:
        yield f"{title}: {len(heard)} messages"
        yield from (f"  {_line(world, sent)}" for sent in heard)

    for title, access_router in PHASES:
        heard.clear()
        world.attach(NODE, access_router)
        world.run(4)
        yield from phase(title)
        world.start_session(NODE, "net1", every_s=0.3)
        world.run(2)
    world.attach(NODE, "ar31")
    world.run(10)
    world.stop_session(NODE, "net1")
    heard.clear()
    world.leave(NODE, silently=True)
    world.run(VANISHED_S)
    yield from phase("vanish from another network")


def _line(world: World, sent: Sent) -> str:
    source = world.plan.by_address[sent.source].name
    destination = world.plan.by_address[sent.destination].name
    name = SHORT_NAMES[type(sent.message).__name__]
    update = name == "PBU" and sent.message.lifetime_s == 0
    return f"{source:>4} -> {destination:<4}  {name}{' (lifetime 0)' if update else ''}"


if __name__ == "__main__":
    for line in sequences():
        print(line)
