"""The library for applications: which address a socket of each type gets, and who keeps it."""

from __future__ import annotations

import socket
import sys
from ipaddress import IPv6Address
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.kernel.agent.lab import inside, ip, until
from tests.kernel.sockets.pair import CN, FIRST, PORT, PRESENT, Pair, watch

from dmm_agent.sockets.continuity import InUse

sys.path.insert(0, str(Path(__file__).parents[3] / "roles/mobile_node/files/local/lib"))
import dmm_sessions
from dmm_sessions import AddressType, AddressTypeError, addresses

if TYPE_CHECKING:
    from collections.abc import Iterator

EXPECTED = [
    (AddressType.FIXED, FIRST, InUse(frozenset({FIRST}))),
    (AddressType.SESSION_LASTING, PRESENT, InUse(frozenset({PRESENT}))),
    (AddressType.NON_PERSISTENT, PRESENT, InUse()),
    (AddressType.GRACEFUL_REPLACEMENT, PRESENT, InUse(replaceable=frozenset({PRESENT}))),
]
each_type = pytest.mark.parametrize(("address_type", "address", "needed"), EXPECTED)


@pytest.fixture(autouse=True)
def fixed_prefix_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file that may name the fixed prefix; it is not there."""
    file = tmp_path / "fixed-prefix"
    monkeypatch.setattr(addresses, "FIXED_PREFIX_FILE", file)
    return file


@pytest.fixture
def mn(pair: Pair) -> Iterator[Pair]:
    """This thread is on the mobile node."""
    with inside("mn"):
        yield pair


def local(sock: socket.socket) -> IPv6Address:
    return IPv6Address(sock.getsockname()[0])


def in_use() -> InUse:
    monitor = watch()
    try:
        return monitor.look()
    finally:
        monitor.close()


def test_an_ordinary_session_gets_the_present_networks_address(mn: Pair) -> None:
    client, _accepted = mn.session()
    assert local(client) == PRESENT
    datagrams = mn.udp("mn")
    datagrams.connect((str(CN), PORT))
    assert local(datagrams) == PRESENT


@each_type
def test_a_tcp_session_gets_its_types_address(
    mn: Pair, address_type: AddressType, address: IPv6Address, needed: InUse
) -> None:
    mn.listening("cn")
    with dmm_sessions.create_connection((str(CN), PORT), address_type, timeout_s=5) as session:
        assert local(session) == address
        assert in_use() == needed


@each_type
def test_a_connected_udp_socket_gets_its_types_address(
    mn: Pair, address_type: AddressType, address: IPv6Address, needed: InUse
) -> None:
    datagrams = mn.udp("mn")
    dmm_sessions.prefer(datagrams, address_type)
    datagrams.connect((str(CN), PORT))
    assert local(datagrams) == address
    assert in_use() == needed


@each_type
def test_a_server_gets_its_types_address_and_what_it_accepts_its_type(
    mn: Pair, address_type: AddressType, address: IPv6Address, needed: InUse
) -> None:
    with dmm_sessions.create_server(PORT, address_type) as server:
        assert local(server) == address
        assert in_use() == needed
        client = mn.tcp("cn")
        client.connect((str(address), PORT))
        accepted, _ = server.accept()
        assert in_use() == needed
        accepted.close()


def test_what_a_server_on_all_addresses_accepts_has_its_type(mn: Pair) -> None:
    server = mn.listening("mn")
    dmm_sessions.prefer(server, AddressType.NON_PERSISTENT)
    client = mn.tcp("cn")
    client.connect((str(FIRST), PORT))
    assert in_use() == InUse()
    dmm_sessions.prefer(server, AddressType.SESSION_LASTING)
    assert in_use() == InUse(frozenset({FIRST}))


def test_a_session_can_change_its_type_while_it_lasts(mn: Pair) -> None:
    client, _accepted = mn.session(FIRST)
    dmm_sessions.prefer(client, AddressType.NON_PERSISTENT)
    assert in_use() == InUse()
    dmm_sessions.prefer(client, AddressType.SESSION_LASTING)
    assert in_use() == InUse(frozenset({FIRST}))


def test_as_many_fixed_sessions_can_be_had_as_others(mn: Pair) -> None:
    mn.listening("cn")
    mn.listening("cn", port=PORT + 1)
    Path("/proc/sys/net/ipv4/ip_local_port_range").write_text("50000 50001")
    made = [
        dmm_sessions.create_connection((str(CN), port), AddressType.FIXED, timeout_s=5)
        for port in (PORT, PORT, PORT + 1, PORT + 1)
    ]
    assert {local(session) for session in made} == {FIRST}
    for session in made:
        session.close()


def test_the_fixed_address_is_the_oldest_that_the_node_still_has(mn: Pair) -> None:
    del mn
    assert dmm_sessions.address_of(AddressType.FIXED) == FIRST

    def comes_back_as_the_youngest() -> bool:
        ip("mn", f"addr del {FIRST}/64 dev cn\naddr add {FIRST}/64 dev cn nodad")
        return dmm_sessions.address_of(AddressType.FIXED) == PRESENT

    assert until(comes_back_as_the_youngest)  # the kernel counts hundredths of seconds


def test_the_fixed_address_is_of_the_prefix_that_the_file_names(
    mn: Pair, fixed_prefix_file: Path
) -> None:
    del mn
    fixed_prefix_file.write_text("2001:db8:3:8000::/49\n")
    assert dmm_sessions.address_of(AddressType.FIXED) == PRESENT
    fixed_prefix_file.write_text("2001:db8:1:8000::/49\n")
    assert dmm_sessions.address_of(AddressType.FIXED) == FIRST


def test_without_an_address_of_that_prefix_there_is_no_fixed_one(
    mn: Pair, fixed_prefix_file: Path
) -> None:
    fixed_prefix_file.write_text("2001:db8:7:8000::/49\n")
    with pytest.raises(AddressTypeError, match="no address of 2001:db8:7:8000::/49"):
        dmm_sessions.prefer(mn.tcp("mn"), AddressType.FIXED)


def test_a_wrong_file_is_named(mn: Pair, fixed_prefix_file: Path) -> None:
    fixed_prefix_file.write_text("2001:db8::1/49")
    with pytest.raises(AddressTypeError, match=r"fixed-prefix: expected one IPv6 prefix.*::1/49"):
        dmm_sessions.prefer(mn.tcp("mn"), AddressType.FIXED)


def test_a_node_that_is_nowhere_has_fixed_addresses_only(mn: Pair) -> None:
    ip("mn", f"addr del {PRESENT}/64 dev cn")
    for address_type in set(AddressType) - {AddressType.FIXED}:
        with pytest.raises(AddressTypeError, match="attach it"):
            dmm_sessions.prefer(mn.tcp("mn"), address_type)
    dmm_sessions.prefer(mn.tcp("mn"), AddressType.FIXED)
    ip("mn", f"addr del {FIRST}/64 dev cn")
    with pytest.raises(AddressTypeError, match="no global address yet"):
        dmm_sessions.prefer(mn.tcp("mn"), AddressType.FIXED)


def test_asking_too_late_or_for_ipv4_is_an_error_that_says_so(mn: Pair) -> None:
    late, _accepted = mn.session()
    with pytest.raises(AddressTypeError, match="before bind"):
        dmm_sessions.prefer(late, AddressType.FIXED)
    with (
        socket.socket(socket.AF_INET) as old,
        pytest.raises(AddressTypeError, match="AF_INET6"),
    ):
        dmm_sessions.prefer(old, AddressType.NON_PERSISTENT)
    assert isinstance(AddressTypeError("..."), OSError)


def test_a_refused_session_is_an_error_as_ever(mn: Pair) -> None:
    del mn
    with pytest.raises(ConnectionRefusedError):
        dmm_sessions.create_connection((str(CN), PORT), AddressType.FIXED, timeout_s=5)
