"""What two ways carry, in turn: thousands of times a few milliseconds each, or many short rounds.

How fast a computer is changes from one second to the next, so what is compared has to be close
together in time; a TCP session's beginning and a program's start have no part in it.
"""

from __future__ import annotations

import json
import time
from contextlib import contextmanager
from statistics import median
from typing import TYPE_CHECKING

from dmm_testbed.bench import program
from dmm_testbed.bench.figures import BenchError, Throughput

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from dmm_testbed.bench.away import Ways
    from dmm_testbed.measure.runner import Runner

PORT = 5201
LARGE = 1 << 17
"""Octets that a TCP session is given at a time."""
SLICE_S = 0.005
"""So long one session is given octets; then the other's turn comes, once all have arrived."""
SLICES_S = 20.0
"""How long slices of the two sessions take turns."""
SMALL = 64
DATAGRAM_ROUNDS = 10
DATAGRAMS_S = 0.5
"""How long datagrams go each way, a round."""
LISTENING_WITHIN_S = 10.0

_SERVER = """
import socket, sys, threading
port = int(sys.argv[1])
datagrams = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
datagrams.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
datagrams.bind(("::", port))
arrived = 0

def count():
    global arrived
    while datagrams.recv(2048):
        arrived += 1

def take(session):
    room, before = bytearray(1 << 20), arrived
    with session:
        while session.recv_into(room):
            pass
        session.sendall(str(arrived - before).encode())

threading.Thread(target=count, daemon=True).start()
server = socket.create_server(("::", port), family=socket.AF_INET6)
while True:
    session, _ = server.accept()
    threading.Thread(target=take, args=(session,), daemon=True).start()
"""
"""Runs on the mobile node: says at the end of a session how many datagrams came meanwhile."""

_SLICES = """
import array, fcntl, json, socket, sys, termios, time
plain, steered, port, size, slice_s, all_s = *sys.argv[1:3], *map(float, sys.argv[3:])
ways = [socket.create_connection((to, int(port)), 10) for to in (plain, steered)]
data, unacknowledged = bytes(int(size)), array.array("i", [0])

def octets_a_second(session):
    began, octets = time.perf_counter(), 0
    while time.perf_counter() - began < slice_s:
        session.sendall(data)
        octets += len(data)
    while True:
        fcntl.ioctl(session, termios.TIOCOUTQ, unacknowledged)
        if not unacknowledged[0]:
            return octets / (time.perf_counter() - began)

for session in ways:
    session.settimeout(30)
pairs, began, warm = [], time.perf_counter(), all_s / 10
while (ago := time.perf_counter() - began) < all_s + warm:
    order = (0, 1) if len(pairs) % 2 else (1, 0)
    found = {each: octets_a_second(ways[each]) for each in order}
    if ago > warm:
        pairs.append((found[0], found[1]))
print(json.dumps(pairs))
"""
"""Runs on the correspondent. A slice ends when all of it is acknowledged, so nothing of it is still
on its way in the next one. The first tenth does not count: windows open meanwhile."""

_DATAGRAMS = """
import socket, sys, time
address, port, size, seconds = sys.argv[1], *map(float, sys.argv[2:])
where, data = (address, int(port)), bytes(int(size))
session = socket.create_connection(where, 10)
session.settimeout(30)
datagrams = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
datagrams.connect(where)
began = time.perf_counter()
while (took := time.perf_counter() - began) < seconds:
    for _ in range(64):
        datagrams.send(data)
time.sleep(0.2)  # what is on its way
session.shutdown(socket.SHUT_WR)
print(int(session.recv(100)) / took)
"""


@contextmanager
def server(runner: Runner, ways: Ways) -> Iterator[None]:
    """Have the node take whatever comes, for as long as this lasts.

    Raises:
        BenchError: it does not begin to.
    """
    started = runner.start(ways.receiver, program.command(_SERVER, PORT))
    try:
        deadline = time.monotonic() + LISTENING_WITHIN_S
        while not runner.run(ways.receiver, ["ss", "-Hltn", f"sport = :{PORT}"]).stdout.strip():
            if time.monotonic() > deadline:
                raise BenchError(f"{ways.receiver}: nobody listens at port {PORT}")
            time.sleep(0.02)
        yield
    finally:
        started.kill()
        started.wait(program.WITHIN_S)


def large_tcp(runner: Runner, ways: Ways) -> Throughput:
    """Octets a second of two TCP sessions that take turns.

    Raises:
        BenchError: they do not get through.
    """
    options = (PORT, LARGE, SLICE_S, SLICES_S)
    pairs = json.loads(
        program.output(runner, ways.sender, _SLICES, ways.plain, ways.steered, *options)
    )
    if not pairs:
        raise BenchError(
            f"{ways.sender}: TCP needs longer than {SLICES_S:.0f} s for {LARGE} octets"
        )
    return _ratio(pairs)


def small_udp(runner: Runner, ways: Ways) -> Throughput:
    """Datagrams a second that arrive; which way comes first alternates.

    Raises:
        BenchError: what counts them does not answer.
    """
    rounds = []
    for number in range(DATAGRAM_ROUNDS):
        order = (ways.plain, ways.steered)[:: -1 if number % 2 else 1]
        arrived = {to: _datagrams_per_s(runner, ways.sender, to) for to in order}
        rounds.append((arrived[ways.plain], arrived[ways.steered]))
    return _ratio(rounds)


def _datagrams_per_s(runner: Runner, sender: str, to: str) -> float:
    return float(program.output(runner, sender, _DATAGRAMS, to, PORT, SMALL, DATAGRAMS_S))


def _ratio(pairs: Sequence[tuple[float, float]]) -> Throughput:
    return Throughput(
        plain_per_s=median(plain for plain, _ in pairs),
        steered_per_s=median(steered for _, steered in pairs),
        ratio=median(steered / plain for plain, steered in pairs),
        pairs=len(pairs),
    )
