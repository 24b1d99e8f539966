"""Running a server or a client until it is told to stop; one short connection."""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import sys
import time
from typing import TYPE_CHECKING, Any

from dmm_traffic.background import detach
from dmm_traffic.client import Client, Plan, connect
from dmm_traffic.control import PeerError, socket_path
from dmm_traffic.control_socket import ControlSocket
from dmm_traffic.server import Server
from dmm_traffic.words import BROKEN, CANNOT_START, OK, SCHEMA, readable

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable


def serve(options: argparse.Namespace) -> int:
    """Answer clients; returns the exit code."""

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


def run(options: argparse.Namespace) -> int:
    """Send to a server, and be sent to; returns the exit code."""
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
        print(readable([report]))
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


def connect_once(options: argparse.Namespace) -> int:
    """Open one connection and print its source address; returns the exit code."""
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
