"""The correspondent's side: answers any number of clients on one TCP and one UDP port."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import time
from functools import partial
from typing import Any

from dmm_traffic import tcp, udp
from dmm_traffic.streams import Direction

MAX_STREAMS = 256
"""TCP sessions and UDP streams kept, finished ones included; the oldest finished one makes room."""
IDLE_S = 600.0
"""A client silent for this long is gone."""
_HELLO_TIMEOUT_S = 10.0

_IPV6_PKTINFO = getattr(socket, "IPV6_PKTINFO", 50)
_IPV6_RECVPKTINFO = getattr(socket, "IPV6_RECVPKTINFO", 49)

Key = tuple[str, int, tuple[str, int]]
"""Kind, stream and the client's address and port."""


class Server:
    """All streams of one listening port."""

    def __init__(self, address: str, port: int) -> None:
        """Bind the port.

        Raises:
            OSError: the address is not here or the port is taken.
        """
        self.streams: dict[Key, tcp.TcpSession | udp.UdpStream] = {}
        self._tcp = socket.socket(socket.AF_INET6, socket.SOCK_STREAM)
        self._udp = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
        self._greeting: set[asyncio.Task[None]] = set()
        self._accepting: asyncio.Task[None] | None = None
        for sock in (self._tcp, self._udp):
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        self._tcp.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._tcp.bind((address, port))
        self._tcp.listen(64)
        self._tcp.setblocking(False)
        udp.prepare(self._udp)
        self._udp.setsockopt(socket.IPPROTO_IPV6, _IPV6_RECVPKTINFO, 1)
        self._udp.bind((address, port))

    def start(self) -> None:
        """Begin to answer."""
        loop = asyncio.get_running_loop()
        loop.add_reader(self._udp, self._receive)
        self._accepting = loop.create_task(self._accept())

    async def stop(self) -> None:
        """Close everything."""
        asyncio.get_running_loop().remove_reader(self._udp)
        for task in (self._accepting, *self._greeting):
            if task is not None:
                task.cancel()
        for stream in self.streams.values():
            await _end(stream)
        self._tcp.close()
        self._udp.close()

    async def _accept(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                sock, peer = await loop.sock_accept(self._tcp)
            except OSError:  # such as: out of file descriptors; the listener itself is still good
                await asyncio.sleep(0.1)
                continue
            task = loop.create_task(self._greet(sock, peer))
            self._greeting.add(task)
            task.add_done_callback(self._greeting.discard)

    async def _greet(self, sock: socket.socket, peer: Any) -> None:
        """Answer a client's first line, and serve it unless it only wanted the answer."""
        try:
            tcp.prepare(sock)
            stream, rate = await tcp.receive_hello(sock, _HELLO_TIMEOUT_S)
            if rate and not await self._make_room():
                raise tcp.HandshakeError("too many sessions")
            await tcp.send_hello(sock, stream, rate)
        except (OSError, tcp.HandshakeError):
            sock.close()
            return
        if not rate:
            await _linger(sock)
            return
        session = tcp.TcpSession(sock, stream, Direction.FORWARD, rate)
        self.streams["tcp", stream, (peer[0], peer[1])] = session
        session.start()

    async def _make_room(self) -> bool:
        """Forget the oldest finished stream when there are too many; False if none is finished."""
        if len(self.streams) < MAX_STREAMS:
            return True
        for key, stream in self.streams.items():
            if not stream.open:
                del self.streams[key]
                return True
        return False

    def _receive(self) -> None:
        """Take the packets that wait, a bounded number, so that sending goes on in between."""
        for _ in range(64):
            try:
                data, ancillary, _, source = self._udp.recvmsg(2048, 512)
            except OSError:
                return
            packet = udp.decode(data)
            if packet is not None and packet.direction is Direction.REVERSE:
                self._take(packet, ancillary, source)

    def _take(self, packet: udp.Packet, ancillary: Any, source: Any) -> None:
        key: Key = ("udp", packet.stream, (source[0], source[1]))
        stream = self.streams.get(key)
        if packet.kind == udp.HELLO and stream is None:
            stream = self._open(packet, ancillary, source)
        if not isinstance(stream, udp.UdpStream) or not stream.open:
            return
        if packet.kind == udp.HELLO:
            with contextlib.suppress(OSError):
                stream.transmit(stream.packet(udp.WELCOME))
            stream.start()
        elif packet.kind == udp.DATA:
            stream.take(packet, udp.received_ns(ancillary))
        elif packet.kind == udp.BYE:
            stream.stop()

    def _open(self, packet: udp.Packet, ancillary: Any, source: Any) -> udp.UdpStream | None:
        """A new stream as its hello asks for it; None if that is not acceptable."""
        self._drop_idle()
        offer = udp.read_offer(packet.body)
        local = _destination(ancillary)
        if offer is None or local is None or len(self.streams) >= MAX_STREAMS:
            return None
        # An answer leaves with the address the client wrote to, whatever the routing prefers.
        # Without an interface index: the way back may change.
        info = struct.pack("@16sI", socket.inet_pton(socket.AF_INET6, local), 0)
        control = [(socket.IPPROTO_IPV6, _IPV6_PKTINFO, info)]
        send = partial(_send, self._udp, control, source)
        stream = udp.UdpStream(packet.stream, Direction.FORWARD, send, local, source[0], *offer)
        self.streams["udp", packet.stream, (source[0], source[1])] = stream
        return stream

    def _drop_idle(self) -> None:
        for key, stream in list(self.streams.items()):
            if isinstance(stream, udp.UdpStream):
                if time.monotonic() - stream.heard_at_s > IDLE_S:
                    stream.stop()
                if not stream.open and len(self.streams) >= MAX_STREAMS:
                    del self.streams[key]


def _send(sock: socket.socket, control: Any, destination: Any, data: bytes) -> None:
    sock.sendmsg([data], control, 0, destination)


def _destination(ancillary: Any) -> str | None:
    """The address the client wrote to."""
    for level, kind, data in ancillary:
        if level == socket.IPPROTO_IPV6 and kind == _IPV6_PKTINFO:
            return socket.inet_ntop(socket.AF_INET6, data[:16])
    return None


async def _linger(sock: socket.socket) -> None:
    """Let the client close first, so that it is the one that keeps the connection's state."""
    with contextlib.suppress(OSError, TimeoutError):
        await asyncio.wait_for(asyncio.get_running_loop().sock_recv(sock, 1), _HELLO_TIMEOUT_S)
    sock.close()


async def _end(stream: tcp.TcpSession | udp.UdpStream) -> None:
    if isinstance(stream, udp.UdpStream):
        stream.stop()
    else:
        await stream.stop()
