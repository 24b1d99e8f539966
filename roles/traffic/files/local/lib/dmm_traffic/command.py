"""The command line of dmm-traffic."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import signal
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dmm_traffic import tcp, udp
from dmm_traffic.background import detach
from dmm_traffic.client import Client, PeerError, Plan, connect
from dmm_traffic.control import ControlSocket, NotRunningError, ask, names, socket_path
from dmm_traffic.server import Server
from dmm_traffic.streams import PORT

if TYPE_CHECKING:
    from collections.abc import Callable

SCHEMA = 1
OK, BROKEN, USAGE, CANNOT_START, NOT_RUNNING = 0, 1, 2, 3, 4
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
    serve.set_defaults(command=_serve)

    run = commands.add_parser("run", help="open a TCP session and a UDP stream to a server")
    _add_peer_options(run)
    run.add_argument("--tcp", action="store_true", help="the TCP session")
    run.add_argument("--udp", action="store_true", help="the UDP stream (neither: both)")
    run.add_argument(
        "--rate", type=_number(1, udp.MAX_RATE_PER_S), default=200.0, help="UDP packets/s each way"
    )
    run.add_argument(
        "--payload",
        type=_whole(udp.MIN_PAYLOAD_BYTES, udp.MAX_PAYLOAD_BYTES),
        default=64,
        help="UDP payload, bytes (default: 64)",
    )
    run.add_argument(
        "--tcp-rate",
        type=_whole(100, tcp.MAX_RATE_BYTES_PER_S),
        default=100_000,
        help="TCP bytes/s each way (default: 100000)",
    )
    run.add_argument("--stream", type=_whole(0, (1 << 32) - 1), help="identifier and seed")
    run.add_argument("--duration", type=_number(0.1, 1e6), metavar="S", help="stop after S seconds")
    _add_process_options(run, "run")
    run.set_defaults(command=_run)

    once = commands.add_parser("connect", help="one short connection; prints its source address")
    _add_peer_options(once)
    once.add_argument("--json", action="store_true")
    once.set_defaults(command=_connect)

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
        parser.add_argument("--port", type=_whole(1, 65535), default=PORT)


def _add_peer_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--to", required=True, metavar="ADDR", help="the server")
    parser.add_argument("--from", dest="source", metavar="ADDR", help="default: the kernel chooses")
    parser.add_argument("--port", type=_whole(1, 65535), default=PORT)
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


def _serve(options: argparse.Namespace) -> int:
    async def begin() -> Server:
        try:
            server = Server(options.listen, options.port)
        except OSError as error:
            raise PeerError(
                f"cannot listen on {options.listen} port {options.port}: {error.strerror}"
            ) from error
        server.start()
        return server

    return _live(options, "server", begin, lambda server: list(server.streams.values()))


def _run(options: argparse.Namespace) -> int:
    plan = Plan(
        to=options.to,
        source=options.source,
        port=options.port,
        with_tcp=options.tcp or not options.udp,
        with_udp=options.udp or not options.tcp,
        rate_per_s=options.rate,
        payload_bytes=options.payload,
        tcp_rate_bytes_per_s=options.tcp_rate,
        connect_timeout_s=options.connect_timeout,
        stream=options.stream,
    )

    async def begin() -> Client:
        client = Client(plan)
        await client.start()
        return client

    return _live(options, "client", begin, lambda client: client.streams)


def _live(
    options: argparse.Namespace, role: str, begin: Callable[[], Any], streams: Callable[[Any], Any]
) -> int:
    """Run a server or a client until it is told to stop, in the background if asked."""
    log = options.directory / f"{options.name}.log"
    say = detach(log) if options.background else _say_directly
    try:
        report = asyncio.run(_until_stopped(options, role, begin, streams, lambda: say("")))
    except (PeerError, OSError) as error:
        reason = error if isinstance(error, PeerError) or not error.errno else error.strerror
        say(f"dmm-traffic: {reason}")
        return CANNOT_START
    if not options.background:
        print(_readable([report]))
    broken = [s for s in report["streams"] if s["kind"] == "tcp" and not _whole_session(s)]
    return BROKEN if role == "client" and broken else OK


def _say_directly(problem: str) -> None:
    if problem:
        print(problem, file=sys.stderr)


def _whole_session(stream: dict[str, Any]) -> bool:
    return bool(stream["intact"]) and stream["error"] is None


async def _until_stopped(
    options: argparse.Namespace,
    role: str,
    begin: Callable[[], Any],
    streams: Callable[[Any], Any],
    ready: Callable[[], None],
) -> dict[str, Any]:
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopping.set)

    def document(part: str) -> dict[str, Any]:
        parts = [getattr(stream, part)() for stream in streams(running)]
        return {"name": options.name, "role": role, "now_ns": time.time_ns(), "streams": parts}

    def stop() -> dict[str, Any]:
        stopping.set()
        return document("report")

    control = ControlSocket(
        socket_path(options.directory, options.name),
        {
            "report": lambda: document("report"),
            "journal": lambda: document("journal"),
            "stop": stop,
        },
    )
    control.refuse_a_second()
    starting = asyncio.ensure_future(begin())
    stopped = asyncio.ensure_future(stopping.wait())
    await asyncio.wait([starting, stopped], return_when=asyncio.FIRST_COMPLETED)
    if not starting.done():
        starting.cancel()
        raise PeerError("interrupted before the server answered")
    running = starting.result()
    try:
        await control.open()
        ready()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stopped, getattr(options, "duration", None))
        report = document("report")
    finally:
        control.close()
        await running.stop()
    return report


def _connect(options: argparse.Namespace) -> int:
    plan = Plan(
        to=options.to,
        source=options.source,
        port=options.port,
        with_tcp=True,
        with_udp=False,
        rate_per_s=0,
        payload_bytes=0,
        tcp_rate_bytes_per_s=0,
        connect_timeout_s=options.connect_timeout,
    )
    sock = asyncio.run(connect(plan, 0, 0))
    with sock:
        local, peer = sock.getsockname()[0], sock.getpeername()[0]
    print(json.dumps({"schema": SCHEMA, "local": local, "peer": peer}) if options.json else local)
    return OK


def _ask_all(options: argparse.Namespace, question: str) -> list[Any]:
    found = [options.name] if options.name else names(options.directory)
    return [ask(options.directory, name, question) for name in found]


def _report(options: argparse.Namespace) -> int:
    processes = _ask_all(options, "report")
    if options.json:
        print(json.dumps({"schema": SCHEMA, "processes": processes}))
    else:
        print(_readable(processes) or "nothing is running")
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
        print(_readable(processes) or "nothing was running")
    return OK


def _readable(processes: list[Any]) -> str:
    return "\n".join(
        f"{process['name']} ({process['role']}) {_line(stream)}"
        for process in processes
        for stream in process["streams"] or [None]
    )


def _line(stream: dict[str, Any] | None) -> str:
    if stream is None:
        return "no streams"
    state = "open" if stream["open"] else stream["error"] or "closed"
    head = f"{stream['kind']} {stream['stream']:08x} {stream['local']} - {stream['peer']} {state}:"
    gap = f"longest gap {stream['longest_gap_ms']:.1f} ms"
    if stream["kind"] == "tcp":
        wrong = stream["corrupt_bytes"]
        verdict = "intact" if not wrong else f"{wrong} WRONG from {stream['first_corrupt_offset']}"
        return f"{head} received {stream['received_bytes']} bytes {verdict}, {gap}"
    return (
        f"{head} sent {stream['sent']} ({stream['refused']} refused), received "
        f"{stream['received']} of {stream['next_expected']}, {stream['duplicated']} duplicated, "
        f"{stream['reordered']} reordered, {gap}"
    )
