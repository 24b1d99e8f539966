"""Sockets from netlink octets, and what is believed of a list that changed while it was read."""

from __future__ import annotations

import socket
import struct
from dataclasses import replace
from ipaddress import IPv6Address
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dmm_agent.dataplane.netlink import (
    NLM_F_DUMP_INTR,
    NLMSG_DONE,
    DumpInterruptedError,
    Netlink,
    NetlinkError,
    attribute_u32,
)
from dmm_agent.sockets import monitor as monitoring
from dmm_agent.sockets.continuity import InUse, addresses_in_use
from dmm_agent.sockets.monitor import LOOKS_AT_ONCE, SocketMonitor
from dmm_agent.sockets.sock_diag import (
    INET_DIAG_CLASS_ID,
    Socket,
    State,
    decode_socket,
    list_sockets,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ONE, TWO, CN = (IPv6Address(f"2001:db8:{n}::1") for n in (1, 2, 3))


def octets(state: int, local: IPv6Address, remote: IPv6Address, *, inode: int = 7) -> bytes:
    """An inet_diag_msg as linux/inet_diag.h lays it out."""
    sockid = struct.pack("!HH16s16s", 5000, 443, local.packed, remote.packed)
    after = struct.pack("=IIIIIII", 0, 1, 0, 0, 0, 0, 0)  # interface, cookie, timers, queues, uid
    head = struct.pack("=BBBB", socket.AF_INET6, state, 0, 0)
    return head + sockid + after + struct.pack("=I", inode) + attribute_u32(INET_DIAG_CLASS_ID, 5)


def session(local: IPv6Address) -> Socket:
    return Socket("tcp", State.ESTABLISHED, local, 5000, CN, 443, cookie=1, inode=7, priority=0)


def test_a_socket_is_read_as_the_kernel_writes_it() -> None:
    assert decode_socket("tcp", octets(8, ONE, CN)) == Socket(
        "tcp", State.CLOSE_WAIT, ONE, 5000, CN, 443, cookie=1, inode=7, priority=5
    )


@given(st.binary(max_size=200))
def test_anything_else_is_no_socket_and_no_error(data: bytes) -> None:
    found = decode_socket("udp", data)
    assert found is None or found.state in State


def test_states_that_later_kernels_may_invent_are_passed_over() -> None:
    assert decode_socket("tcp", octets(14, ONE, CN)) is None


def test_unusual_addresses_are_not_global() -> None:
    odd = ("::", "::1", "fe80::1", "ff0e::1", "::ffff:192.0.2.1")
    assert addresses_in_use(session(IPv6Address(text)) for text in odd) == InUse()
    local = IPv6Address("fd00::1")
    assert addresses_in_use([session(local)]) == InUse(frozenset({local}))


# Lists that change while they are read


@pytest.mark.parametrize(
    ("state", "port"), [(State.CLOSED, 0), (State.FIN_WAIT_1, 0), (State.CLOSED, 5000)]
)
def test_a_session_that_ended_while_the_kernel_listed_it_needs_nothing(
    state: State, port: int
) -> None:
    ended = replace(session(ONE), state=state, local_port=port, inode=0)
    assert addresses_in_use([ended]) == InUse()
    of_a_program = replace(session(ONE), protocol="udp", state=State.CLOSED)
    assert addresses_in_use([of_a_program]) == InUse(frozenset({ONE}))


@pytest.fixture
def kernel() -> Iterator[tuple[Netlink, socket.socket]]:
    """A netlink socket whose other end is not the kernel but the test."""
    netlink = Netlink()
    netlink.close()
    netlink._socket, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    netlink._socket.settimeout(5.0)
    yield netlink, other
    netlink.close()
    other.close()


def message(kind: int, flags: int, body: bytes) -> bytes:
    return struct.pack("=IHHII", 16 + len(body), kind, flags, 1, 0) + body


def test_a_list_that_changed_is_told_after_its_last_entry(
    kernel: tuple[Netlink, socket.socket],
) -> None:
    netlink, other = kernel
    other.send(message(20, 2 | NLM_F_DUMP_INTR, b"one.") + message(20, 2, b"two."))
    other.send(message(NLMSG_DONE, 2, bytes(4)))
    bodies = netlink.walk(20, b"")
    assert [next(bodies), next(bodies)] == [b"one.", b"two."]
    with pytest.raises(DumpInterruptedError):
        next(bodies)


def test_a_list_that_ends_by_an_error_is_an_error(kernel: tuple[Netlink, socket.socket]) -> None:
    netlink, other = kernel
    other.send(message(NLMSG_DONE, 2, struct.pack("=i", -12)))
    with pytest.raises(NetlinkError, match="Cannot allocate memory"):
        netlink.dump(20, b"")


def test_a_kernel_that_cannot_list_sessions_is_an_error_one_without_udplite_is_not(
    kernel: tuple[Netlink, socket.socket],
) -> None:
    netlink, other = kernel
    no_such = message(NLMSG_DONE, 2, struct.pack("=i", -2))
    nothing = message(NLMSG_DONE, 2, bytes(4))
    for answers in ([nothing, nothing, no_such], [no_such]):
        netlink._sequence = 0
        for number, answer in enumerate(answers, 1):
            other.send(answer[:8] + struct.pack("=I", number) + answer[12:])
        if answers == [no_such]:
            with pytest.raises(NetlinkError, match="tcp_diag"):
                list(list_sockets(netlink))
        else:
            assert list(list_sockets(netlink)) == []


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., SocketMonitor]]:
    """A monitor that sees what the test says, look by look; an exception interrupts a look."""
    made: list[SocketMonitor] = []

    def monitor(*seen: frozenset[IPv6Address] | Exception) -> SocketMonitor:
        pictures = iter(seen)

        def listed(_netlink: Netlink) -> Iterator[Socket]:
            picture = next(pictures)
            if isinstance(picture, Exception):
                raise picture
            return map(session, picture)

        monkeypatch.setattr(monitoring, "list_sockets", listed)
        made.append(SocketMonitor((), lambda: 0.0))
        return made[-1]

    yield monitor
    for each in made:
        each.close()


def test_an_interrupted_look_is_repeated(looks: Callable[..., SocketMonitor]) -> None:
    changed = DumpInterruptedError("changed")
    assert looks(changed, changed, frozenset({ONE})).look().addresses == {ONE}


def test_if_every_look_is_interrupted_what_was_in_use_counts(
    looks: Callable[..., SocketMonitor],
) -> None:
    changed = DumpInterruptedError("changed")
    monitor = looks(frozenset({ONE}), *[changed] * LOOKS_AT_ONCE)
    assert monitor.look().addresses == {ONE}
    assert monitor.look().addresses == {ONE}


def test_an_end_is_believed_when_a_second_look_says_the_same(
    looks: Callable[..., SocketMonitor],
) -> None:
    both, one, none = frozenset({ONE, TWO}), frozenset({ONE}), frozenset[IPv6Address]()
    monitor = looks(both, one, both, none, one, none, none)
    assert [monitor.look().addresses for _ in range(4)] == [both, both, one, none]
