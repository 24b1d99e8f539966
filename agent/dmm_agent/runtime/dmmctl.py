"""The command `dmmctl`: asks the agent of this host."""

from __future__ import annotations

import argparse
import json
import socket
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from dmm_agent.runtime import CONTROL_SOCKET

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

EXIT_REFUSED, EXIT_UNREACHABLE = 1, 3
ANSWER_TIMEOUT_S = 10.0
COLUMN_GAP = "  "

TABLES = {
    "leases": "home network prefixes leased to mobile nodes",
    "bindings": "where the prefixes in this location database are reached",
    "cache": "locations learned from other networks",
    "attachments": "mobile nodes on the access links",
    "sessions": "prefixes that sessions of this mobile node use, as its access router is told",
    "routes": "the agent's forwarding state, read from the kernel",
    "counters": "what the agent has counted since it started",
}
"""What there is to ask for as a table; the agent knows them by the same names."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run `dmmctl`; returns the exit status.

    0: the agent answered; 1: it refused; 2: the command line is wrong; 3: it cannot be reached.
    """
    options = _parser().parse_args(arguments)
    if options.command == "events":
        return _events(options.socket, follow=options.follow, as_json=options.json)
    answer = _ask(options.socket, options.command)
    if options.json:
        print(json.dumps(answer))
    elif options.command == "status":
        _print_table([{"field": key, "value": value} for key, value in answer.items()])
    else:
        _print_table(answer)
    return 0


def _parser() -> argparse.ArgumentParser:
    # argparse, not a library on top of it: on an emulated machine such an import takes seconds.
    parser = argparse.ArgumentParser(
        prog="dmmctl", description="Ask the mobility agent of this host; as root."
    )
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)

    def command(name: str, what: str) -> argparse.ArgumentParser:
        added = commands.add_parser(name, help=what, description=f"{what[0].upper()}{what[1:]}.")
        added.add_argument("--json", action="store_true", help="print JSON instead of text")
        added.add_argument(
            "--socket",
            type=Path,
            default=CONTROL_SOCKET,
            metavar="PATH",
            help="the agent's control socket (%(default)s)",
        )
        return added

    command("status", "who this agent is, and how much it holds")
    for name, what in TABLES.items():
        command(name, what)
    events = command("events", "what happened lately, one event a line")
    events.add_argument("--follow", "-f", action="store_true", help="go on as events come")
    return parser


def _events(path: Path, *, follow: bool, as_json: bool) -> int:
    lines = _answers(path, {"command": "events", "follow": follow})
    try:
        for row in _result(next(lines)):
            _print_event(row, as_json=as_json)
        for row in lines:
            _print_event(row, as_json=as_json)
    except KeyboardInterrupt:
        return 0
    if follow:
        _fail("the agent hung up: it stopped, or events came faster than they were read")
    return 0


def _ask(path: Path, command: str) -> Any:
    return _result(next(_answers(path, {"command": command})))


def _result(answer: dict[str, Any]) -> Any:
    if not answer.get("ok"):
        _fail(f"the agent refused: {answer.get('error')}", EXIT_REFUSED)
    return answer["result"]


def _answers(path: Path, request: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Send a request and give each line of the answer."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(ANSWER_TIMEOUT_S)
        try:
            connection.connect(str(path))
            connection.sendall(json.dumps(request).encode() + b"\n")
            with connection.makefile("rb") as lines:
                yield _line(lines.readline())
                if request.get("follow"):
                    connection.settimeout(None)
                for line in lines:
                    yield _line(line)
        except (FileNotFoundError, ConnectionRefusedError):
            _fail(f"the agent does not run on this host: nothing answers on {path}")
        except PermissionError:
            _fail(f"only root may ask the agent ({path})")
        except OSError as error:
            _fail(f"the agent does not answer on {path}: {error}")


def _line(line: bytes) -> dict[str, Any]:
    try:
        answer = json.loads(line)
    except ValueError:
        _fail("the agent hung up before it answered")
    return dict(answer)


def _fail(reason: str, code: int = EXIT_UNREACHABLE) -> NoReturn:
    print(f"dmmctl: {reason}", file=sys.stderr)
    raise SystemExit(code)


def _print_table(rows: list[dict[str, Any]]) -> None:
    if not rows:
        print("none")
        return
    columns = list(dict.fromkeys(key for row in rows for key in row))
    lines = [columns, *([_text(row.get(column)) for column in columns] for row in rows)]
    widths = [max(map(len, cells)) for cells in zip(*lines, strict=True)]
    for line in lines:
        padded = (cell.ljust(width) for cell, width in zip(line, widths, strict=True))
        print(COLUMN_GAP.join(padded).rstrip())


def _text(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(_text, value))
    if isinstance(value, dict):
        return ", ".join(f"{key} {_text(item)}" for key, item in value.items())
    return "" if value is None else str(value)


def _print_event(row: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        print(json.dumps(row), flush=True)
        return
    known = {"sequence", "at_s", "event"}
    details = " ".join(f"{key}={_text(value)}" for key, value in row.items() if key not in known)
    print(f"{row['at_s']:.6f} {row['event']} {details}".rstrip(), flush=True)


if __name__ == "__main__":
    sys.exit(main())
