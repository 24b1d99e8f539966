"""The traffic tool as a user runs it: real processes over the loopback interface."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

TOOL = Path(__file__).parents[3] / "roles/traffic/files/local/bin/dmm-traffic"
UNREACHABLE = "2001:db8:ffff::1"


def wait_for(condition: Callable[[], Any], what: str, within_s: float = 20.0) -> Any:
    deadline_s = time.monotonic() + within_s
    while not (value := condition()):
        assert time.monotonic() < deadline_s, f"{what} did not happen within {within_s} s"
        time.sleep(0.02)
    return value


class Tool:
    """The tool with a folder of its own and a free port."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        with socket.socket(socket.AF_INET6) as sock:
            sock.bind(("::1", 0))
            self.port = str(sock.getsockname()[1])

    def command(self, *arguments: str) -> list[str]:
        return [str(TOOL), "--directory", str(self.folder), *arguments]

    def __call__(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.command(*arguments), capture_output=True, text=True, timeout=60, check=False
        )

    def serve(self) -> None:
        result = self("serve", "--background", "--port", self.port)
        assert result.returncode == 0, result.stderr

    def run(self, *arguments: str, port: str | None = None) -> subprocess.CompletedProcess[str]:
        return self("run", "--to", "::1", "--port", port or self.port, *arguments)

    def streams(self, name: str) -> dict[str, Any]:
        """What the process of that name reports, by kind."""
        answer = json.loads(self("report", "--json", "--name", name).stdout)
        return {stream["kind"]: stream for stream in answer["processes"][0]["streams"]}


@pytest.fixture
def tool(tmp_path: Path) -> Iterator[Tool]:
    made = Tool(tmp_path)
    yield made
    made("stop")


@contextlib.contextmanager
def proxy(target_port: int, spoil_at: int) -> Iterator[int]:
    """A TCP relay on the loopback interface that flips a bit of one byte towards the server."""
    with socket.create_server(("::1", 0), family=socket.AF_INET6) as listener:

        def relay(source: socket.socket, sink: socket.socket, spoil: int | None) -> None:
            passed = 0
            with contextlib.suppress(OSError):
                while data := bytearray(source.recv(4096)):
                    if spoil is not None and passed <= spoil < passed + len(data):
                        data[spoil - passed] ^= 0x01
                    passed += len(data)
                    sink.sendall(data)
                sink.shutdown(socket.SHUT_WR)

        def accept() -> None:
            with contextlib.suppress(OSError):
                client, _ = listener.accept()
                server = socket.create_connection(("::1", target_port))
                back = threading.Thread(target=relay, args=(server, client, None), daemon=True)
                back.start()
                relay(client, server, spoil_at)
                back.join(10)
                client.close()
                server.close()

        threading.Thread(target=accept, daemon=True).start()
        yield listener.getsockname()[1]


def test_both_directions_flow_and_are_verified(tool: Tool) -> None:
    tool.serve()
    assert tool.run("--background").returncode == 0

    def flowing() -> bool:
        both = [tool.streams(name) for name in ("serve", "run")]
        return all(
            end["udp"]["received"] >= 100 and end["tcp"]["received_bytes"] >= 30_000 for end in both
        )

    wait_for(flowing, "traffic")
    for name in ("serve", "run"):
        streams = tool.streams(name)
        assert streams["tcp"]["intact"]
        assert streams["tcp"]["open"]
        assert streams["udp"]["received"] == streams["udp"]["next_expected"]
        assert streams["udp"]["duplicated"] == streams["udp"]["reordered"] == 0


def test_a_flipped_bit_in_the_tcp_session_is_detected(tool: Tool) -> None:
    tool.serve()
    with proxy(int(tool.port), spoil_at=5_000) as port:
        assert tool.run("--tcp", "--background", port=str(port)).returncode == 0
        spoiled = wait_for(
            lambda: (tool.streams("serve").get("tcp") or {}).get("corrupt_bytes"), "corruption"
        )
        assert spoiled == 1
        session = tool.streams("serve")["tcp"]
        assert not session["intact"]
        assert 4_500 < session["first_corrupt_offset"] < 5_000
        assert tool.streams("run")["tcp"]["intact"]
        assert "1 WRONG from" in tool("report").stdout


def test_a_session_the_server_ends_is_reported_and_fails_the_run(tool: Tool) -> None:
    tool.serve()
    client = subprocess.Popen(
        tool.command("run", "--tcp", "--to", "::1", "--port", tool.port),
        stdout=subprocess.PIPE,
        text=True,
    )
    wait_for(lambda: "tcp" in tool.streams("serve"), "a session")
    tool("stop", "--name", "serve")
    wait_for(lambda: not tool.streams("run")["tcp"]["open"], "the end of the session")
    assert tool("stop", "--name", "run").returncode == 0
    output, _ = client.communicate(timeout=20)
    assert re.search("closed by the other end|Broken pipe|Connection reset", output)
    assert client.returncode == 1


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_ends_it_cleanly_with_its_counters(tool: Tool, number: int) -> None:
    tool.serve()
    client = subprocess.Popen(
        tool.command("run", "--to", "::1", "--port", tool.port), stdout=subprocess.PIPE, text=True
    )
    wait_for(lambda: "udp" in tool.streams("serve"), "a stream")
    wait_for(lambda: tool("report", "--name", "run").returncode == 0, "the client's answer")
    client.send_signal(number)
    output, _ = client.communicate(timeout=20)
    assert client.returncode == 0
    assert "run (client) tcp" in output
    assert "run (client) udp" in output
    wait_for(lambda: not tool.streams("serve")["udp"]["open"], "the server's notice")
    assert not (tool.folder / "run.sock").exists()


def test_an_interrupt_while_connecting_ends_it_at_once(tool: Tool) -> None:
    with socket.create_server(("::1", 0), family=socket.AF_INET6, backlog=8) as silent:
        port = str(silent.getsockname()[1])
        client = subprocess.Popen(
            tool.command("run", "--to", "::1", "--port", port, "--connect-timeout", "60"),
            stderr=subprocess.PIPE,
            text=True,
        )
        connection, _ = silent.accept()
        with connection:
            client.send_signal(signal.SIGINT)
            _, said = client.communicate(timeout=20)
    assert "interrupted" in said
    assert client.returncode == 3


@pytest.mark.parametrize("background", [True, False])
@pytest.mark.parametrize("kind", ["--tcp", "--udp"])
def test_a_peer_that_is_not_there_is_said(tool: Tool, kind: str, background: bool) -> None:
    result = tool.run(kind, *(["--background"] if background else []))
    assert result.returncode == 3
    assert f"with ::1 port {tool.port}: Connection refused" in result.stderr
    assert "is `dmm-traffic serve` running there?" in result.stderr
    assert tool("report").stdout == "nothing is running\n"


def test_a_server_that_says_nothing_is_given_up(tool: Tool) -> None:
    with socket.create_server(("::1", 0), family=socket.AF_INET6) as silent:
        port = str(silent.getsockname()[1])
        result = tool.run("--tcp", "--connect-timeout", "0.3", port=port)
    assert result.returncode == 3
    assert "the other end said nothing in 0.3 s" in result.stderr


def test_a_source_address_of_another_machine_is_refused(tool: Tool) -> None:
    tool.serve()
    result = tool.run("--from", UNREACHABLE)
    assert result.returncode == 3
    assert f"cannot send from {UNREACHABLE}" in result.stderr
    assert "--from must be an address of this machine" in result.stderr


def test_one_connection_tells_its_source_address(tool: Tool) -> None:
    tool.serve()
    connect = ("connect", "--to", "::1", "--port", tool.port)
    assert tool(*connect).stdout == "::1\n"
    assert json.loads(tool(*connect, "--json").stdout)["local"] == "::1"
    assert tool.streams("serve") == {}


def test_a_second_server_or_client_of_the_same_name_is_refused(tool: Tool) -> None:
    tool.serve()
    second = tool("serve", "--background", "--port", tool.port)
    assert second.returncode == 3
    assert "already running" in second.stderr
    other = tool("serve", "--background", "--name", "other", "--port", tool.port)
    assert other.returncode == 3
    assert "Address already in use" in other.stderr


def test_a_name_left_behind_by_a_killed_process_can_be_used_again(tool: Tool) -> None:
    tool.folder.mkdir(exist_ok=True)
    with socket.socket(socket.AF_UNIX) as left_behind:
        left_behind.bind(str(tool.folder / "serve.sock"))
    tool.serve()
    assert tool.streams("serve") == {}


def test_asking_for_what_does_not_run_says_what_does(tool: Tool) -> None:
    tool.serve()
    result = tool("report", "--name", "absent")
    assert result.returncode == 4
    assert "running here: serve" in result.stderr


def test_stopping_twice_is_fine(tool: Tool) -> None:
    tool.serve()
    assert tool("stop").returncode == 0
    again = tool("stop")
    assert (again.returncode, again.stdout) == (0, "nothing was running\n")


def test_a_run_of_limited_duration_ends_by_itself(tool: Tool) -> None:
    tool.serve()
    result = tool.run("--duration", "0.5", "--udp", "--rate", "400")
    assert result.returncode == 0
    assert "received" in result.stdout


def test_the_journal_has_every_packet_with_its_time(tool: Tool) -> None:
    tool.serve()
    tool.run("--background", "--stream", "7")
    wait_for(lambda: tool.streams("run")["udp"]["received"] >= 50, "traffic")
    processes = json.loads(tool("journal", "--name", "run").stdout)["processes"]
    (udp,) = [stream for stream in processes[0]["streams"] if stream["kind"] == "udp"]
    assert udp["stream"] == 7
    assert [sequence for sequence, _ in udp["sent"]] == list(range(len(udp["sent"])))
    times_ns = [at_ns for _, at_ns in udp["received"]]
    assert times_ns == sorted(times_ns)
    assert abs(times_ns[-1] - time.time_ns()) < 60 * 10**9


@pytest.mark.parametrize(
    "rubbish", [b"", b"GET / HTTP/1.0\r\n\r\n", b'{"dmm-traffic": 2}\n', b"\xff" * 4000]
)
def test_the_server_survives_rubbish(tool: Tool, rubbish: bytes) -> None:
    tool.serve()
    with (
        socket.create_connection(("::1", int(tool.port)), timeout=20) as sock,
        contextlib.suppress(OSError),  # the server may hang up at any moment
    ):
        sock.sendall(rubbish)
        sock.shutdown(socket.SHUT_WR)
        assert sock.recv(100) == b""
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as sock:
        sock.sendto(rubbish, ("::1", int(tool.port)))
    assert tool("connect", "--to", "::1", "--port", tool.port).returncode == 0
    assert (tool.folder / "serve.log").read_text() == ""


@pytest.mark.parametrize(
    "arguments",
    [
        ("run", "--to", "::1", "--rate", "0"),
        ("run", "--to", "::1", "--payload", "10"),
        ("run", "--to", "::1", "--name", "../x"),
        ("run",),
        (),
    ],
)
def test_wrong_usage_is_refused(tool: Tool, arguments: tuple[str, ...]) -> None:
    assert tool(*arguments).returncode == 2


def test_help_names_every_command() -> None:
    text = subprocess.run([TOOL, "--help"], capture_output=True, text=True, check=True).stdout
    for command in ("serve", "run", "connect", "report", "journal", "stop"):
        assert command in text
    assert os.access(TOOL, os.X_OK)
