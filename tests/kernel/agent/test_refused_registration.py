"""A home address that is not to be had any more: sockets that use it see their end."""

from __future__ import annotations

import errno
import socket
from typing import TYPE_CHECKING

import pytest
import yaml
from tests.kernel.agent.agents import installed
from tests.kernel.agent.lab import CN, inside, until
from tests.kernel.agent.plain_network import (
    AWAY,
    HOME,
    Client,
    HomeAgent,
    Session,
    make_plain,
    move,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.kernel.agent.lab import Lab

DEADLINE_S = 60.0
BINDING = f"{HOME}/128"


class Estranged(HomeAgent):
    """A home agent that knows the node by another MAC address, so that no address is its own."""

    def write_config(self) -> None:
        """Write its configuration file."""
        super().write_config()
        config = yaml.safe_load(self.config.read_text())
        config["mobile_nodes"]["nodes"][0]["link_layer"] = "02:00:00:00:09:09"
        self.config.write_text(yaml.safe_dump(config))


@pytest.fixture
def client(lab: Lab, tmp_path: Path) -> Iterator[Client]:
    """A node at home with a client."""
    installed(tmp_path)
    make_plain()
    agent = Client("mn", tmp_path)
    agent.start()
    move(lab, 1, HOME)
    yield agent
    agent.kill()


@pytest.fixture
def session(client: Client) -> Iterator[Session]:
    assert client.ask("bindings") == []
    opened = Session(HOME)
    assert opened.lives(1000)
    yield opened
    opened.close()


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Callable[[type[HomeAgent]], HomeAgent]]:
    """Starts a home agent of the node's home network."""
    running: list[HomeAgent] = []

    def start(kind: type[HomeAgent]) -> HomeAgent:
        running.append(kind("gw1", tmp_path))
        running[-1].start()
        return running[-1]

    yield start
    for agent in running:
        agent.kill()


def error_of(opened: socket.socket) -> int:
    """What a socket comes to say; it waits for what never comes meanwhile."""
    opened.settimeout(DEADLINE_S)
    try:
        opened.recv(1)
    except TimeoutError:
        pytest.fail("the socket notices nothing")
    except OSError as error:
        return error.errno or 0
    return 0


def test_a_session_sees_that_its_address_is_refused(
    lab: Lab, client: Client, session: Session, run: Callable[[type[HomeAgent]], HomeAgent]
) -> None:
    run(Estranged)
    with inside("mn"):
        udp = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
    udp.bind((str(HOME), 0))
    udp.connect((CN, 9))
    move(lab, 3, AWAY)
    with inside("mn"):
        other = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
    other.bind((str(AWAY), 0))
    other.connect((CN, 9))
    with udp, other:
        assert error_of(session.node) == errno.ECONNABORTED
        assert error_of(udp) == errno.ECONNABORTED
        assert client.count("events", "registration_refused") == 1
        assert HOME not in lab.addresses()
        assert AWAY in lab.addresses()
        assert other.send(b"goes on") == len(b"goes on")


def test_a_session_sees_that_nobody_answers_for_its_address(
    lab: Lab, client: Client, session: Session, run: Callable[[type[HomeAgent]], HomeAgent]
) -> None:
    home_agent = run(HomeAgent)
    move(lab, 3, AWAY)
    bound = until(lambda: [r["hnp"] for r in client.ask("bindings")] == [BINDING], DEADLINE_S)
    assert bound
    assert session.lives(1000)
    home_agent.kill()
    assert error_of(session.node) == errno.ECONNABORTED
    assert until(lambda: HOME not in lab.addresses(), DEADLINE_S)
