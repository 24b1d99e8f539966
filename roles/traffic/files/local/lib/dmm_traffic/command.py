"""The command line of dmm-traffic."""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dmm_traffic import limits
from dmm_traffic.control import NotRunningError, PeerError, ask, names
from dmm_traffic.words import CANNOT_START, NOT_RUNNING, OK, SCHEMA, readable

if TYPE_CHECKING:
    from collections.abc import Callable

_STOP_TIMEOUT_S = 10.0

EPILOG = """\
exit codes: 0 all is well; 1 the TCP session broke or a byte was wrong; 2 wrong usage;
3 the server is not there or the port is taken; 4 nothing of that name is running.

`forward` is from the server to the client, `reverse` from the client to the server.
example:  cn2#  dmm-traffic serve --background
          mn11# dmm-traffic run --to 2001:db8:2:2::2 --tcp --udp --rate 200 --background
          mn11# dmm-traffic report
          mn11# dmm-traffic stop
"""


def main(arguments: list[str] | None = None) -> int:
    """Run one command and return its exit code."""
    options = _parser().parse_args(arguments)
    try:
        return int(options.command(options))
    except (PeerError, NotRunningError) as error:
        print(f"dmm-traffic: {error}", file=sys.stderr)
        return CANNOT_START if isinstance(error, PeerError) else NOT_RUNNING
    except KeyboardInterrupt:
        return 128 + signal.SIGINT


def _parser() -> argparse.ArgumentParser:
    directory = os.environ.get("DMM_TRAFFIC_DIRECTORY", "/run/dmm-traffic")
    parser = argparse.ArgumentParser(
        prog="dmm-traffic",
        description="A verified TCP session and a numbered UDP stream, in both directions.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--directory",
        type=Path,
        default=Path(directory),
        help="where control sockets and logs are (default: %(default)s)",
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    serve = commands.add_parser("serve", help="answer clients on TCP and UDP")
    serve.add_argument("--listen", default="::", metavar="ADDR", help="default: every address")
    _add_process_options(serve, "serve")
    serve.set_defaults(command=_live("serve"))

    run = commands.add_parser("run", help="open a TCP session and a UDP stream to a server")
    _add_peer_options(run)
    run.add_argument("--tcp", action="store_true", help="the TCP session")
    run.add_argument("--udp", action="store_true", help="the UDP stream (neither: both)")
    run.add_argument(
        "--rate",
        type=_number(1, limits.MAX_UDP_RATE_PER_S),
        default=200.0,
        help="UDP packets/s each way",
    )
    run.add_argument(
        "--payload",
        type=_whole(limits.MIN_PAYLOAD_BYTES, limits.MAX_PAYLOAD_BYTES),
        default=64,
        help="UDP payload, bytes (default: 64)",
    )
    run.add_argument(
        "--tcp-rate",
        type=_whole(100, limits.MAX_TCP_RATE_BYTES_PER_S),
        default=100_000,
        help="TCP bytes/s each way (default: 100000)",
    )
    run.add_argument("--stream", type=_whole(0, (1 << 32) - 1), help="identifier and seed")
    run.add_argument("--duration", type=_number(0.1, 1e6), metavar="S", help="stop after S seconds")
    _add_process_options(run, "run")
    run.set_defaults(command=_live("run"))

    once = commands.add_parser("connect", help="one short connection; prints its source address")
    _add_peer_options(once)
    once.add_argument("--json", action="store_true")
    once.set_defaults(command=_live("connect_once"))

    for name, command, text in (
        ("report", _report, "counters of what runs here, since it began"),
        ("journal", _journal, "times of each packet sent and received, as JSON"),
        ("stop", _stop, "stop what runs here; nothing running is fine"),
    ):
        asking = commands.add_parser(name, help=text)
        asking.add_argument("--name", help="only the process of that name")
        asking.add_argument("--json", action="store_true", help="for programs")
        asking.set_defaults(command=command)
    return parser


def _add_process_options(parser: argparse.ArgumentParser, name: str) -> None:
    parser.add_argument("--name", default=name, type=_name, help="default: %(default)s")
    parser.add_argument("--background", action="store_true", help="return once it is under way")
    if name == "serve":
        parser.add_argument("--port", type=_whole(1, 65535), default=limits.PORT)


def _add_peer_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--to", required=True, metavar="ADDR", help="the server")
    parser.add_argument("--from", dest="source", metavar="ADDR", help="default: the kernel chooses")
    parser.add_argument("--port", type=_whole(1, 65535), default=limits.PORT)
    parser.add_argument(
        "--connect-timeout", type=_number(0.1, 600), default=10.0, metavar="S", help="default: 10"
    )


def _whole(least: int, most: int) -> Callable[[str], int]:
    def integer(text: str) -> int:
        if not least <= (value := int(text)) <= most:
            raise argparse.ArgumentTypeError(f"expected {least} to {most}, got {text}")
        return value

    return integer


def _number(least: float, most: float) -> Callable[[str], float]:
    def number(text: str) -> float:
        if not least <= (value := float(text)) <= most:
            raise argparse.ArgumentTypeError(f"expected {least:g} to {most:g}, got {text}")
        return value

    return number


def _name(text: str) -> str:
    if not text.replace("-", "").replace("_", "").isalnum():
        raise argparse.ArgumentTypeError("expected letters, digits, - and _")
    return text


def _live(name: str) -> Callable[[argparse.Namespace], int]:
    """A command that sends and receives itself.

    What it needs is loaded when it is run: asking a process that runs already shall be quick, for
    an emulated machine takes a second for asyncio alone.
    """

    def command(options: argparse.Namespace) -> int:
        from dmm_traffic import live

        return int(getattr(live, name)(options))

    return command


def _ask_all(options: argparse.Namespace, question: str) -> list[Any]:
    found = [options.name] if options.name else names(options.directory)
    return [ask(options.directory, name, question) for name in found]


def _report(options: argparse.Namespace) -> int:
    processes = _ask_all(options, "report")
    if options.json:
        print(json.dumps({"schema": SCHEMA, "processes": processes}))
    else:
        print(readable(processes) or "nothing is running")
    return OK


def _journal(options: argparse.Namespace) -> int:
    print(json.dumps({"schema": SCHEMA, "processes": _ask_all(options, "journal")}))
    return OK


def _stop(options: argparse.Namespace) -> int:
    """Stop, and return when the processes are gone."""
    if options.name and options.name not in names(options.directory):
        processes = []
    else:
        processes = _ask_all(options, "stop")
    deadline = time.monotonic() + _STOP_TIMEOUT_S
    while {p["name"] for p in processes} & set(names(options.directory)):
        if time.monotonic() > deadline:
            raise NotRunningError(f"did not stop in {_STOP_TIMEOUT_S:g} s")
        time.sleep(0.02)
    if options.json:
        print(json.dumps({"schema": SCHEMA, "processes": processes}))
    else:
        print(readable(processes) or "nothing was running")
    return OK
