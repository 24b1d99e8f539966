"""The mobile node's side: opens one TCP session and one UDP stream to a server."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import random
import socket
from dataclasses import dataclass
from typing import Any

from dmm_traffic import tcp, udp
from dmm_traffic.control import PeerError
from dmm_traffic.streams import Direction


@dataclass(frozen=True)
class Plan:
    """What to run."""

    to: str
    source: str | None
    """Address to send from; None leaves the choice to the kernel."""
    port: int
    with_tcp: bool
    with_udp: bool
    rate_per_s: float
    """UDP packets a second each way."""
    payload_bytes: int
    tcp_rate_bytes_per_s: int
    connect_timeout_s: float
    stream: int | None = None
    """Identifier, also the seed of the TCP bytes; None draws one."""


class Client:
    """The streams to one server."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.stream = random.getrandbits(32) if plan.stream is None else plan.stream
        self.streams: list[tcp.TcpSession | udp.UdpStream] = []
        self._udp: socket.socket | None = None
        self._udp_stream: udp.UdpStream | None = None
        self._welcome: asyncio.Future[None] | None = None

    async def start(self) -> None:
        """Open the streams and begin to send when all of them stand.

        Raises:
            PeerError: the server cannot be reached, does not answer, or refuses.
        """
        try:
            if self.plan.with_tcp:
                self.streams.append(await self._open_tcp())
            if self.plan.with_udp:
                self.streams.append(await self._open_udp())
        except PeerError:
            await self.stop()
            raise
        for stream in self.streams:
            stream.start()

    async def stop(self) -> None:
        """Close the streams; what they counted stays."""
        for stream in self.streams:
            if isinstance(stream, udp.UdpStream):
                stream.stop()
                udp.say_bye(stream)
            else:
                await stream.stop()
        if self._udp is not None:
            asyncio.get_running_loop().remove_reader(self._udp)
            self._udp.close()
            self._udp = None

    async def _open_tcp(self) -> tcp.TcpSession:
        rate = self.plan.tcp_rate_bytes_per_s
        sock = await connect(self.plan, self.stream, rate)
        return tcp.TcpSession(sock, self.stream, Direction.REVERSE, rate)

    async def _open_udp(self) -> udp.UdpStream:
        loop = asyncio.get_running_loop()
        with _explained("the UDP stream", self.plan):
            sock = _socket(socket.SOCK_DGRAM, self.plan)
            self._udp = sock
            udp.prepare(sock)
            sock.connect(_address(self.plan.to, self.plan.port))
            stream = udp.UdpStream(
                self.stream,
                Direction.REVERSE,
                sock.send,
                sock.getsockname()[0],
                sock.getpeername()[0],
                self.plan.rate_per_s,
                self.plan.payload_bytes,
            )
            self._udp_stream = stream
            self._welcome = loop.create_future()
            loop.add_reader(sock, self._receive)
            await udp.greet(stream, self._welcome, self.plan.connect_timeout_s)
        return stream

    def _receive(self) -> None:
        """Take the packets that wait, a bounded number, so that sending goes on in between."""
        for _ in range(64):
            if self._udp is None or self._udp_stream is None or self._welcome is None:
                return
            try:
                data, ancillary, _, _ = self._udp.recvmsg(2048, 512)
            except BlockingIOError:
                return
            except OSError as error:  # an ICMP error for an earlier packet
                if not self._welcome.done() and error.errno == errno.ECONNREFUSED:
                    self._welcome.set_exception(error)
                continue
            packet = udp.decode(data)
            if packet is None or packet.stream != self.stream:
                continue
            if packet.kind == udp.WELCOME and not self._welcome.done():
                self._welcome.set_result(None)
            elif packet.kind == udp.DATA:
                self._udp_stream.take(packet, udp.received_ns(ancillary))


async def connect(plan: Plan, stream: int, rate: int) -> socket.socket:
    """Open a TCP connection and exchange first lines.

    Raises:
        PeerError: the server cannot be reached, does not answer, or refuses.
    """
    loop = asyncio.get_running_loop()
    with _explained("the TCP session", plan):
        sock = _socket(socket.SOCK_STREAM, plan)
        try:
            tcp.prepare(sock)
            destination = _address(plan.to, plan.port)
            await asyncio.wait_for(loop.sock_connect(sock, destination), plan.connect_timeout_s)
            await tcp.send_hello(sock, stream, rate)
            if await tcp.receive_hello(sock, plan.connect_timeout_s) != (stream, rate):
                raise tcp.HandshakeError("the server answered for another session")
        except BaseException:
            sock.close()
            raise
        return sock


def _socket(kind: socket.SocketKind, plan: Plan) -> socket.socket:
    sock = socket.socket(socket.AF_INET6, kind)
    if plan.source is not None:
        try:
            sock.bind(_address(plan.source, 0))
        except OSError as error:
            sock.close()
            raise PeerError(
                f"cannot send from {plan.source}: {error.strerror}; "
                "--from must be an address of this machine (ip -6 addr)"
            ) from error
    return sock


def _address(text: str, port: int) -> Any:
    """A socket address from an IPv6 address or a name; a zone such as %radio0 is understood."""
    found = socket.getaddrinfo(text, port, socket.AF_INET6, socket.SOCK_STREAM)
    return found[0][4]


@contextlib.contextmanager
def _explained(what: str, plan: Plan) -> Any:
    """Turn every way in which opening can fail into one sentence."""
    where = f"{plan.to} port {plan.port}"
    try:
        yield
    except (socket.gaierror, UnicodeError) as error:
        raise PeerError(f"{plan.to!r} is no IPv6 address or host name: {error}") from error
    except TimeoutError as error:
        raise PeerError(
            f"cannot open {what} with {where}: no answer in {plan.connect_timeout_s:g} s; "
            "look at the route to it and back"
        ) from error
    except tcp.HandshakeError as error:
        raise PeerError(f"cannot open {what} with {where}: {error}") from error
    except OSError as error:
        advice = "is `dmm-traffic serve` running there?"
        if error.errno in (errno.ENETUNREACH, errno.EHOSTUNREACH, errno.EADDRNOTAVAIL):
            advice = "look at the routes and addresses of this machine"
        # asyncio's own text for a failed connect hides the kernel's.
        reason = os.strerror(error.errno) if error.errno else str(error)
        raise PeerError(f"cannot open {what} with {where}: {reason}; {advice}") from error
