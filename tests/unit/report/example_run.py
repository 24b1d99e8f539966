"""A made-up run of thirteen machines and seven steps, with the numbers a real one might have.

`python tests/unit/report/example_run.py DIRECTORY` writes it as `DIRECTORY/results.json`; the
tests read the one in `data/`.
"""

from __future__ import annotations

import json
import random
import sys
from collections import Counter
from pathlib import Path
from typing import Any

STEP_MS = 10_000.0
BIN_MS = 100.0

NETWORKS = {
    "core": ["core"],
    "net1": ["gw1", "ar11", "ar12"],
    "net2": ["gw2", "ar21", "cn2"],
    "net3": ["gw3", "ar31", "ar32"],
    "central": ["anchor"],
}
ROLES = {"co": "router", "gw": "gateway", "ar": "access_router", "cn": "correspondent"}
LINKS = [
    ("core", "gw1"), ("core", "gw2"), ("core", "gw3"), ("core", "anchor"),
    ("gw1", "ar11"), ("gw1", "ar12"), ("gw2", "ar21"), ("gw3", "ar31"), ("gw3", "ar32"),
    ("ar21", "cn2"),
]  # fmt: skip
MOBILES = {"mn11": "net1", "mn21": "net2"}

MESSAGE_BYTES = {
    "PBU": 132, "PBA": 124, "Query": 84, "Answer": 116, "BRI": 92, "BRA": 92, "RS": 64, "RA": 128,
}  # fmt: skip


def path(text: str) -> list[str]:
    return text.split()


def direction(
    before: str, during: str, after: str, tunnels: dict[str, list[tuple[str, str]]], at_ms: float
) -> dict[str, Any]:
    observed = [
        {
            "hosts": path(hosts),
            "delivered": True,
            "probes": 120,
            "first_ms": at_ms,
            "last_ms": at_ms + 500,
            "tunnels": [{"start": a, "end": b} for a, b in tunnels.get(phase, [])],
        }
        for phase, hosts in (("before", before), ("during", during), ("after", after))
        if hosts
    ]
    return {
        "before": path(before),
        "during": path(during),
        "after": path(after),
        "observed": observed,
    }


def detail(label: str, sequence: int) -> str:
    """Returns what a message says."""
    status = "status accepted, " if label in {"PBA", "BRA", "Answer"} else ""
    lifetime = "" if label in {"Query", "BRI", "BRA"} else "lifetime 60 s, "
    if label in {"RS", "RA"}:
        return ""
    return f"seq {sequence}, {status}{lifetime}2001:db8:1:8100::/64"


def back(text: str) -> str:
    return " ".join(reversed(text.split()))


def tunnels_back(tunnels: dict[str, list[tuple[str, str]]]) -> dict[str, list[tuple[str, str]]]:
    return {phase: [(b, a) for a, b in reversed(ends)] for phase, ends in tunnels.items()}


def example() -> dict[str, Any]:
    """Returns the run as the dictionary that results.json holds."""
    messages: list[dict[str, Any]] = []
    asked: Counter[tuple[str, str]] = Counter()

    def exchange(start_ms: float, *lines: str) -> None:
        at_ms = start_ms
        for line in lines:
            wait_ms, sender, receiver, label = line.split()
            at_ms += float(wait_ms)
            messages.append(
                {
                    "at_ms": round(at_ms, 2),
                    "sender": sender,
                    "receiver": receiver,
                    "label": label,
                    "detail": detail(label, sequence_of(sender, receiver, label)),
                    "bytes": MESSAGE_BYTES[label],
                    "signalling": label not in {"RS", "RA"},
                }
            )

    def sequence_of(sender: str, receiver: str, label: str) -> int:
        if label in {"PBA", "BRA", "Answer"}:
            return asked[receiver, sender]
        asked[sender, receiver] += 1
        return asked[sender, receiver]

    def moved(number: int) -> float:
        return number * STEP_MS + 2_000

    home = "cn2 ar21 gw2 core gw1 ar11 mn11"
    triangle = "cn2 ar21 gw2 core gw1 core gw3 ar31 mn11"
    away = "cn2 ar21 gw2 core gw3 ar31 mn11"
    next_door = "cn2 ar21 gw2 core gw3 ar32 mn11"
    via_old = "cn2 ar21 gw2 core gw3 ar31 gw3 ar32 mn11"
    to_gw3 = [("gw2", "gw3"), ("gw3", "ar31")]
    to_ar32 = [("gw2", "gw3"), ("gw3", "ar32")]

    exchange(
        moved(0),
        "11.2 mn11 ar11 RS", "0.9 ar11 gw1 PBU", "1.1 gw1 ar11 PBA", "0.6 ar11 mn11 RA",
    )  # fmt: skip
    exchange(
        moved(1),
        "12.4 mn11 ar31 RS", "0.8 ar31 gw3 PBU", "1.2 gw3 gw1 PBU", "0.1 gw3 ar31 PBA",
        "0.5 ar31 mn11 RA", "998.2 gw3 gw1 PBU", "1.6 gw1 gw3 PBA", "2.1 ar31 gw3 PBU",
        "1.0 gw3 ar31 PBA", "0.7 ar31 mn11 RA", "0.3 gw2 gw1 Query", "1.8 gw1 gw2 Answer",
    )  # fmt: skip
    exchange(
        moved(2), "4.0 gw2 gw1 Query", "1.7 gw1 gw2 Answer", "10.0 gw3 gw2 Query",
        "1.9 gw2 gw3 Answer",
    )  # fmt: skip
    exchange(
        moved(3),
        "10.8 mn11 ar32 RS", "0.9 ar32 gw3 PBU", "1.3 gw3 ar32 PBA", "0.6 ar32 mn11 RA",
        "0.2 gw3 ar31 BRI", "0.9 ar31 gw3 BRA",
    )  # fmt: skip
    exchange(
        moved(4),
        "13.0 mn11 ar11 RS", "0.9 ar11 gw1 PBU", "1.1 gw1 ar11 PBA", "0.6 ar11 mn11 RA",
        "0.4 gw1 gw3 BRI", "1.2 gw3 gw1 BRA", "0.3 gw1 gw2 BRI", "1.4 gw2 gw1 BRA",
        "0.2 gw3 ar32 BRI", "0.8 ar32 gw3 BRA",
    )  # fmt: skip
    exchange(moved(5), "4002.0 ar11 gw1 PBU", "1.3 gw1 ar11 PBA")
    for number, (mobile, router, gateway, home_gateway, peer) in enumerate(
        [("mn21", "ar12", "gw1", "gw2", "gw3"), ("mn11", "ar32", "gw3", "gw1", "gw2")]
    ):
        exchange(
            moved(6) + 2_500 * number,
            f"11.6 {mobile} {router} RS", f"0.9 {router} {gateway} PBU",
            f"1.2 {gateway} {home_gateway} PBU", f"1.5 {home_gateway} {gateway} PBA",
            f"0.7 {gateway} {router} PBA", f"0.5 {router} {mobile} RA",
            f"0.9 {peer} {home_gateway} Query", f"1.6 {home_gateway} {peer} Answer",
        )  # fmt: skip

    def step(
        number: int,
        name: str,
        title: str,
        phases: tuple[str, str, str],
        tunnels: dict[str, list[tuple[str, str]]],
        moves: list[tuple[str, str | None, str | None, float]],
        gap_ms: float,
        lost: int,
        state: dict[str, tuple[int, int, int]],
        during_reverse: str | None = None,
        shortest: tuple[int, int, int] = (6, 6, 6),
        correspondent: str = "cn2",
    ) -> dict[str, Any]:
        at_ms = number * STEP_MS
        before, during, after = (back(text) for text in phases)
        reverse = (before, during if during_reverse is None else during_reverse, after)
        own = [m for m in messages if at_ms <= m["at_ms"] < at_ms + STEP_MS and m["signalling"]]
        counted = Counter(m["label"] for m in own)
        hosts = {m["sender"] for m in own} | {m["receiver"] for m in own}

        def stretch(paths: tuple[str, ...]) -> dict[str, float | None]:
            return {
                phase: (len(text.split()) - 1) / least if text else None
                for phase, text, least in zip(
                    ("before", "during", "after"), paths, shortest, strict=True
                )
            }

        forward_stretch, reverse_stretch = stretch(phases), stretch(reverse)
        return {
            "name": name,
            "title": title,
            "at_ms": at_ms,
            "duration_ms": STEP_MS,
            "mobile_node": "mn11",
            "correspondent": correspondent,
            "moves": [
                {
                    "mobile_node": mobile,
                    "from_router": old,
                    "to_router": new,
                    "at_ms": moved(number) + after_ms,
                    **(
                        {"advertisement_ms": 13.9, "forward_ms": gap_ms, "reverse_ms": 15.2,
                         "direct_ms": gap_ms + 3}
                        if new else {}
                    ),
                }
                for mobile, old, new, after_ms in moves
            ],
            "path": {
                "forward": direction(*phases, tunnels, at_ms),
                "reverse": direction(*reverse, tunnels_back(tunnels), at_ms),
            },
            "stretch": {
                **{
                    phase: max(
                        (s for s in (forward_stretch[phase], reverse_stretch[phase]) if s),
                        default=None,
                    )
                    for phase in forward_stretch
                },
                "forward": forward_stretch,
                "reverse": reverse_stretch,
            },
            "tcp": {
                "bytes": 5_242_880 if phases[2] else 1_048_576,
                "intact": True,
                "survived": bool(phases[2]),
                "longest_gap_ms": round(gap_ms * (3.1 if phases[2] else 1) + 4, 1),
            },
            "udp": {"sent": 4000, "lost": lost, "longest_gap_ms": gap_ms, "longest_pause_ms": 6.9},
            "signalling": {
                "messages": len(own),
                "bytes": sum(m["bytes"] for m in own),
                "by_type": {
                    label: {"messages": count, "bytes": count * MESSAGE_BYTES[label]}
                    for label, count in counted.items()
                },
                "by_host": {
                    host: {
                        "sent": sum(m["sender"] == host for m in own),
                        "received": sum(m["receiver"] == host for m in own),
                    }
                    for host in sorted(hosts)
                },
            },
            "state": {
                host: dict(zip(("bindings", "cache", "leases"), entries, strict=True))
                for host, entries in state.items()
            },
        }  # fmt: skip

    nothing = {"gw1": (0, 0, 1), "gw2": (0, 0, 1), "gw3": (0, 0, 0)}
    mobiles = "cn2 ar21 mn21", "mn21 ar21 gw2 core gw1 ar11 mn11"
    meeting = (
        mobiles[1],
        "mn21 ar12 gw1 core gw2 core gw3 ar32 mn11",
        "mn21 ar12 gw1 core gw3 ar32 mn11",
    )
    steps = [
        step(0, "attach", "mn11 attaches at ar11 and opens its sessions with cn2",
             (home, home, home), {}, [("mn11", None, "ar11", 0)], 5.3, 0, nothing),
        step(1, "move-away", "mn11 moves from network 1 to network 3, its sessions open",
             (home, triangle, away),
             {"during": [("gw1", "gw3"), ("gw3", "ar31")], "after": to_gw3},
             [("mn11", "ar11", "ar31", 0)], 31.4, 6,
             {"gw1": (1, 0, 1), "gw2": (0, 1, 1), "gw3": (1, 0, 1)},
             back(triangle)),
        step(2, "direct-route", "The triangle gives way to the direct route, both ways",
             (away, away, away), dict.fromkeys(("before", "during", "after"), to_gw3), [],
             5.6, 0, {"gw1": (1, 0, 1), "gw2": (0, 1, 1), "gw3": (1, 1, 1)}),
        step(3, "move-inside", "mn11 moves inside network 3, unnoticed by the other networks",
             (away, via_old, next_door),
             {"before": to_gw3, "during": [("gw2", "gw3"), ("gw3", "ar31"), ("ar31", "ar32")],
              "after": to_ar32},
             [("mn11", "ar31", "ar32", 0)], 24.1, 4,
             {"gw1": (1, 0, 1), "gw2": (0, 1, 1), "gw3": (1, 1, 1)}, back(next_door)),
        step(4, "move-home", "mn11 comes home to ar11 and needs no tunnel any more",
             (next_door, "cn2 ar21 gw2 core gw3 core gw1 ar11 mn11", home),
             {"before": to_ar32, "during": [("gw2", "gw3"), ("gw3", "gw1")]},
             [("mn11", "ar32", "ar11", 0)], 28.8, 5, nothing, back(home)),
        step(5, "vanish", "mn11 vanishes without a word; lifetimes clean up",
             (home, "", ""), {}, [("mn11", "ar11", None, 0)], 8_000.0, 3_200,
             {"gw1": (0, 0, 0), "gw2": (0, 0, 1), "gw3": (0, 0, 0)}),
        step(6, "both-move", "mn11 and mn21 talk to each other while both move", meeting,
             {"during": [("gw1", "gw2"), ("gw2", "gw3")], "after": [("gw1", "gw3")]},
             [("mn21", "ar21", "ar12", 0), ("mn11", "ar11", "ar32", 2_500)], 33.0, 11,
             {"gw1": (1, 1, 2), "gw2": (1, 0, 1), "gw3": (2, 1, 1)}, correspondent="mn21"),
    ]  # fmt: skip
    return {
        "schema": 1,
        "profile": "gateway-query",
        "topology": "three-networks",
        "machines": "namespace",
        "started_at": "2026-03-02T09:14:07Z",
        "layout": topology(),
        "steps": steps,
        "messages": messages,
        "gaps": [gap_plot("cn2", steps[:6]), gap_plot("mn21", steps[6:])],
        "notes": ["This kernel has no netem: links have no added delay and no loss."],
        "verdict": "pass",
        "failures": [],
    }


def topology() -> dict[str, Any]:
    nodes = [
        {"name": name, "network": network, "role": ROLES.get(name[:2], "anchor")}
        for network, names in NETWORKS.items()
        for name in names
    ]
    nodes += [
        {"name": name, "network": home, "role": "mobile_node"} for name, home in MOBILES.items()
    ]
    routers = [node["name"] for node in nodes if node["role"] == "access_router"]
    return {
        "nodes": nodes,
        "links": [{"ends": ends} for ends in LINKS]
        + [{"ends": (router, mobile), "access": True} for mobile in MOBILES for router in routers],
    }


def gap_plot(correspondent: str, steps: list[dict[str, Any]]) -> dict[str, Any]:
    """Returns silences of about 5 ms, and the step's longest one after each move."""
    chance = random.Random(f"{correspondent} gaps")

    def points(scale: float) -> list[dict[str, float]]:
        found = []
        for step in steps:
            silences = [
                (move["at_ms"], step["udp"]["longest_gap_ms"] * scale) for move in step["moves"]
            ]
            at_ms = step["at_ms"]
            while at_ms < step["at_ms"] + step["duration_ms"]:
                at_ms += BIN_MS
                begun = [s for s in silences if s[0] < at_ms]
                if begun:
                    silences.remove(begun[0])
                    if not step["moves"][-1]["to_router"]:
                        break
                gap_ms = begun[0][1] if begun else 5 + abs(chance.gauss(0, 0.5))
                found.append({"at_ms": at_ms, "gap_ms": round(gap_ms, 2)})
        return found

    return {
        "mobile_node": "mn11",
        "correspondent": correspondent,
        "bin_ms": BIN_MS,
        "forward": points(1.0),
        "reverse": points(0.6),
    }


def write(directory: Path) -> None:
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "results.json").write_text(json.dumps(example()) + "\n")


if __name__ == "__main__":
    write(Path(sys.argv[1]))
