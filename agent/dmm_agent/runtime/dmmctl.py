"""The command `dmmctl`: asks the agent of this host."""

from __future__ import annotations

import json
import socket
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from dmm_agent.runtime.control import DEFAULT_PATH

if TYPE_CHECKING:
    from collections.abc import Iterator

EXIT_REFUSED, EXIT_UNREACHABLE = 1, 3
ANSWER_TIMEOUT_S = 10.0

app = typer.Typer(
    help="Ask the mobility agent of this host.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]
Socket = Annotated[Path, typer.Option("--socket", help="The agent's control socket.")]

CONTROL_SOCKET = Path(DEFAULT_PATH)


@app.command()
def status(as_json: Json = False, path: Socket = CONTROL_SOCKET) -> None:
    """Who this agent is, and how much it holds."""
    result = _ask(path, "status")
    if as_json:
        print(json.dumps(result))
    else:
        _print_table([{"field": key, "value": value} for key, value in result.items()])


@app.command()
def leases(as_json: Json = False, path: Socket = CONTROL_SOCKET) -> None:
    """Home network prefixes leased to mobile nodes."""
    _show(path, "leases", as_json=as_json)


@app.command()
def bindings(as_json: Json = False, path: Socket = CONTROL_SOCKET) -> None:
    """Where the prefixes in this location database are reached."""
    _show(path, "bindings", as_json=as_json)


@app.command()
def cache(as_json: Json = False, path: Socket = CONTROL_SOCKET) -> None:
    """Locations learned from other networks."""
    _show(path, "cache", as_json=as_json)


@app.command()
def attachments(as_json: Json = False, path: Socket = CONTROL_SOCKET) -> None:
    """Mobile nodes on the access links."""
    _show(path, "attachments", as_json=as_json)


@app.command()
def routes(as_json: Json = False, path: Socket = CONTROL_SOCKET) -> None:
    """The agent's forwarding state, read from the kernel."""
    _show(path, "routes", as_json=as_json)


@app.command()
def counters(as_json: Json = False, path: Socket = CONTROL_SOCKET) -> None:
    """What the agent has counted since it started."""
    _show(path, "counters", as_json=as_json)


@app.command()
def events(
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on as events come.")] = False,
    as_json: Json = False,
    path: Socket = CONTROL_SOCKET,
) -> None:
    """What happened lately: one event a line."""
    lines = _answers(path, {"command": "events", "follow": follow})
    try:
        for row in _result(next(lines)):
            _print_event(row, as_json=as_json)
        for row in lines:
            _print_event(row, as_json=as_json)
    except KeyboardInterrupt:
        return
    if follow:
        _fail("the agent hung up: it stopped, or events came faster than they were read")


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
    raise typer.Exit(code)


def _show(path: Path, command: str, *, as_json: bool) -> None:
    rows = _ask(path, command)
    if as_json:
        print(json.dumps(rows))
    else:
        _print_table(rows)


def _print_table(rows: list[dict[str, Any]]) -> None:
    from rich.console import Console
    from rich.table import Table

    if not rows:
        print("none")
        return
    columns = list(dict.fromkeys(key for row in rows for key in row))
    table = Table(*columns)
    for row in rows:
        table.add_row(*(_text(row.get(column)) for column in columns))
    Console(width=None if sys.stdout.isatty() else 200).print(table)


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


def main() -> None:
    """Run `dmmctl`."""
    app()


if __name__ == "__main__":
    main()
