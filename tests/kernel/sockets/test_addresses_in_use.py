"""Which addresses of a host its sockets need, on real sockets."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import pytest
from tests.kernel.agent.lab import PREFIX, inside, run, until
from tests.kernel.sockets.pair import CN, FIRST, PORT, PRESENT, Pair, watch

from dmm_agent.config import Flow
from dmm_agent.sockets.continuity import InUse
from dmm_agent.sockets.monitor import SocketMonitor

if TYPE_CHECKING:
    from collections.abc import Iterator
    from ipaddress import IPv6Address

SO_LINGER_RESET = b"\1\0\0\0\0\0\0\0"


@pytest.fixture
def monitor(pair: Pair) -> Iterator[SocketMonitor]:
    del pair
    made = watch()
    yield made
    made.close()


def states_of(address: IPv6Address) -> list[str]:
    """What another reader of the kernel, ss(8), says of the TCP sockets at an address."""
    listed = run("ip", "netns", "exec", PREFIX + "mn", "ss", "-6Htan", "src", f"[{address}]")
    return [line.split()[0] for line in listed.splitlines()]


def test_a_host_without_sockets_needs_no_address(monitor: SocketMonitor) -> None:
    assert monitor.look().addresses == frozenset()


def test_a_tcp_session_needs_its_address_whether_data_flows_or_not(
    pair: Pair, monitor: SocketMonitor
) -> None:
    client, accepted = pair.session(FIRST)
    assert monitor.look().addresses == {FIRST}
    client.sendall(b"data")
    assert accepted.recv(10) == b"data"
    assert monitor.look().addresses == {FIRST}


def test_a_session_that_the_node_accepted_needs_its_address_the_listener_none(
    pair: Pair, monitor: SocketMonitor
) -> None:
    server = pair.listening("mn")
    assert monitor.look().addresses == frozenset()
    client = pair.tcp("cn")
    client.connect((str(FIRST), PORT))
    assert monitor.look().addresses == {FIRST}  # before any process has accepted it
    accepted, _ = server.accept()
    server.close()
    assert monitor.look().addresses == {FIRST}
    accepted.close()


def test_a_session_that_is_being_opened_needs_its_address(
    pair: Pair, monitor: SocketMonitor
) -> None:
    run("ip", "-n", PREFIX + "cn", "link", "set", "mn", "down")
    run("ip", "-n", PREFIX + "mn", "-6", "neigh", "replace", str(CN), "lladdr",
        "02:00:00:00:00:01", "dev", "cn")  # fmt: skip
    client = pair.tcp("mn")
    client.setblocking(False)
    client.connect_ex((str(CN), PORT))
    assert states_of(PRESENT) == ["SYN-SENT"]
    assert monitor.look().addresses == {PRESENT}


@pytest.mark.parametrize("who", ["the node", "the correspondent"])
def test_a_half_closed_session_needs_its_address_until_both_sides_are_closed(
    pair: Pair, monitor: SocketMonitor, who: str
) -> None:
    client, accepted = pair.session(FIRST)
    first, second = (client, accepted) if who == "the node" else (accepted, client)
    expected = ["FIN-WAIT-2"] if who == "the node" else ["CLOSE-WAIT"]

    first.shutdown(socket.SHUT_WR)
    assert until(lambda: states_of(FIRST) == expected)
    assert monitor.look().addresses == {FIRST}

    second.close()
    assert until(lambda: states_of(FIRST) in ([], ["TIME-WAIT"]))
    assert until(lambda: monitor.look().addresses == frozenset())


def test_what_a_process_left_to_be_sent_needs_its_address(
    pair: Pair, monitor: SocketMonitor
) -> None:
    client, accepted = pair.session(FIRST, takes_octets=4096)
    client.setblocking(False)
    client.send(bytes(1 << 20))
    client.close()
    assert states_of(FIRST) == ["FIN-WAIT-1"]
    assert monitor.look().addresses == {FIRST}
    while accepted.recv(1 << 20):
        pass
    accepted.close()
    assert until(lambda: monitor.look().addresses == frozenset())


def test_a_session_that_no_process_has_and_whose_data_has_arrived_needs_nothing(
    pair: Pair, monitor: SocketMonitor
) -> None:
    client, _accepted = pair.session(FIRST)
    client.close()
    assert until(lambda: states_of(FIRST) == ["FIN-WAIT-2"])
    assert monitor.look().addresses == frozenset()


def test_time_wait_needs_nothing(pair: Pair, monitor: SocketMonitor) -> None:
    client, accepted = pair.session(FIRST)
    client.close()
    accepted.close()
    assert until(lambda: states_of(FIRST) == ["TIME-WAIT"])
    assert monitor.look().addresses == frozenset()


def test_a_connected_udp_socket_needs_its_address_until_it_is_closed(
    pair: Pair, monitor: SocketMonitor
) -> None:
    connected = pair.udp("mn")
    connected.connect((str(CN), PORT))
    assert monitor.look().addresses == {PRESENT}
    connected.close()
    assert monitor.look().addresses == frozenset()


def test_an_unconnected_udp_socket_needs_no_address_even_when_it_sends(
    pair: Pair, monitor: SocketMonitor
) -> None:
    loose = pair.udp("mn")
    loose.sendto(b"data", (str(CN), PORT))
    assert monitor.look().addresses == frozenset()


@pytest.mark.parametrize("kind", ["tcp", "udp"])
def test_a_server_needs_the_address_it_is_bound_to(
    pair: Pair, monitor: SocketMonitor, kind: str
) -> None:
    if kind == "tcp":
        pair.listening("mn", FIRST)
    else:
        pair.udp("mn").bind((str(FIRST), PORT))
    assert monitor.look().addresses == {FIRST}


def test_servers_on_all_addresses_need_none(pair: Pair, monitor: SocketMonitor) -> None:
    pair.listening("mn")
    pair.udp("mn").bind(("::", PORT))
    assert monitor.look().addresses == frozenset()


def test_addresses_that_no_network_gave_are_not_counted(pair: Pair, monitor: SocketMonitor) -> None:
    pair.listening("mn", "::1", PORT)
    pair.listening("mn", "::ffff:127.0.0.1", PORT + 1)
    bound = pair.udp("mn")
    bound.bind(pair.link_local("mn", PORT))
    assert monitor.look().addresses == frozenset()


def test_several_addresses_in_use_are_all_told(pair: Pair, monitor: SocketMonitor) -> None:
    pair.session(FIRST)
    pair.session()
    assert monitor.look().addresses == {FIRST, PRESENT}


def test_declined_flows_do_not_count_others_do(pair: Pair) -> None:
    pair.session(FIRST)
    for flows, expected in (
        ([Flow(protocol="tcp", port=80), Flow(protocol="tcp", port=PORT)], frozenset()),
        ([Flow(protocol="tcp", port=80)], {FIRST}),
        ([Flow(protocol="udp", port=PORT)], {FIRST}),
    ):
        monitor = watch(*flows)
        assert monitor.look().addresses == expected, flows
        monitor.close()


def test_the_end_of_a_session_makes_the_monitor_readable(
    pair: Pair, monitor: SocketMonitor
) -> None:
    client, accepted = pair.session(FIRST)
    connected = pair.udp("mn")
    connected.bind((str(PRESENT), 0))
    connected.connect((str(CN), PORT))
    assert monitor.look().addresses == {FIRST, PRESENT}

    accepted.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, SO_LINGER_RESET)
    accepted.close()  # resets the session; the node's process has to notice it
    client.close()
    assert until(lambda: monitor.read() == InUse(frozenset({PRESENT})))
    connected.close()
    assert until(lambda: monitor.read() == InUse())


def test_many_ends_are_a_reason_for_one_look(pair: Pair) -> None:
    with inside("mn"):
        monitor = SocketMonitor((), lambda: 7.0)  # all in one moment
    client, _accepted = pair.session(FIRST)
    monitor.look()
    client.close()
    assert not until(lambda: monitor.read() is not None, deadline_s=0.3)
    assert monitor.look().addresses == frozenset()
    monitor.close()


def test_the_end_of_a_socket_that_needs_nothing_is_no_reason_to_look(
    pair: Pair, monitor: SocketMonitor
) -> None:
    pair.session(FIRST)
    monitor.look()
    loose = pair.udp("mn")
    loose.connect((str(CN), PORT))
    loose.close()
    assert not until(lambda: monitor.read() is not None, deadline_s=0.3)
