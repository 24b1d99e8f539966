"""`dmm-run`: programs that know nothing of it get addresses of the type asked for."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
from contextlib import contextmanager
from ipaddress import IPv6Address
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.kernel.agent.lab import PREFIX, ip, until
from tests.kernel.sockets.pair import CN, FIRST, PORT, PRESENT, Pair, watch

from dmm_agent.sockets.continuity import InUse

if TYPE_CHECKING:
    import socket
    from collections.abc import Iterator

DMM_RUN = Path(__file__).parents[3] / "roles/mobile_node/files/local/bin/dmm-run"
ON_THE_NODE = ["ip", "netns", "exec", PREFIX + "mn"]
ANYBODY = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups"]

EXPECTED = [
    ("--fixed", FIRST, InUse(frozenset({FIRST}))),
    ("--session-lasting", PRESENT, InUse(frozenset({PRESENT}))),
    ("--non-persistent", PRESENT, InUse()),
    ("--graceful-replacement", PRESENT, InUse(replaceable=frozenset({PRESENT}))),
]
each_type = pytest.mark.parametrize(("option", "address", "needed"), EXPECTED)
as_each = pytest.mark.parametrize("who", [[], ANYBODY], ids=["root", "anybody"])

SAYS_ITS_ADDRESS = """
import socket
said = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
{}
print(said.getsockname()[0])
"""


def run(
    option: str, *command: str, who: list[str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a command on the node, to its end."""
    return subprocess.run(
        [*ON_THE_NODE, *(who or []), DMM_RUN, option, *command],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


@contextmanager
def running(option: str, *command: str) -> Iterator[subprocess.Popen[str]]:
    """A command that runs on the node, fed by its standard input."""
    with subprocess.Popen(
        [*ON_THE_NODE, DMM_RUN, option, *command],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def in_use() -> InUse:
    monitor = watch()
    try:
        return monitor.look()
    finally:
        monitor.close()


def accept(server: socket.socket) -> tuple[socket.socket, IPv6Address]:
    accepted, peer = server.accept()
    return accepted, IPv6Address(peer[0])


def supervisors() -> list[int]:
    """Processes of `dmm-run` that run beside the programs."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if os.fsencode(DMM_RUN) in entry.read_bytes().split(b"\0"):
                found.append(int(entry.parent.name))
        except OSError:
            continue
    return found


# Addresses


@each_type
def test_a_shell_gets_its_types_address(
    pair: Pair, option: str, address: IPv6Address, needed: InUse
) -> None:
    server = pair.listening("cn")
    with running(option, "bash", "-c", f"exec 3<>/dev/tcp/{CN}/{PORT}; read line <&3"):
        accepted, peer = accept(server)
        assert peer == address
        assert until(lambda: in_use() == needed)
        accepted.close()


@as_each
@each_type
def test_curl_gets_its_types_address(
    pair: Pair, option: str, address: IPv6Address, needed: InUse, who: list[str]
) -> None:
    del needed
    server = pair.listening("cn")
    answer = b"HTTP/1.0 200 OK\r\n\r\nhello"
    fetch = [*ON_THE_NODE, *who, str(DMM_RUN), option, "curl", "-sg", f"http://[{CN}]:{PORT}/"]
    with subprocess.Popen(fetch, stdout=subprocess.PIPE) as curl:
        accepted, peer = accept(server)
        accepted.recv(4096)
        accepted.sendall(answer)
        accepted.close()
        assert curl.communicate(timeout=10)[0] == b"hello"
    assert peer == address


@pytest.mark.parametrize("program", ["the program", "what it starts", "a thread of it"])
def test_whatever_process_or_thread_opens_a_socket_gets_the_address(
    pair: Pair, program: str
) -> None:
    server = pair.listening("cn")
    connect = f"import socket; socket.create_connection(('{CN}', {PORT})).recv(1)"
    command = {
        "the program": [sys.executable, "-c", connect],
        "what it starts": ["sh", "-c", f'{sys.executable} -c "{connect}" & wait'],
        "a thread of it": [
            sys.executable,
            "-c",
            f"import threading; threading.Thread(target=lambda: exec({connect!r})).start()",
        ],
    }[program]
    with running("--fixed", *command):
        accepted, peer = accept(server)
        accepted.close()
    assert peer == FIRST


@pytest.mark.parametrize(
    "use",
    [
        f"said.connect(('{CN}', {PORT}))",
        f"said.sendto(b'data', ('{CN}', {PORT}))",
        f"said.sendmsg([b'data'], [], 0, ('{CN}', {PORT}))",
        "said.bind(('::', 7001))",
        f"said.bind(('::', 0)); said.sendto(b'data', ('{CN}', {PORT}))",
    ],
)
def test_datagrams_have_the_fixed_address_however_they_are_sent(pair: Pair, use: str) -> None:
    del pair
    said = run("--fixed", sys.executable, "-c", SAYS_ITS_ADDRESS.format(use))
    assert said.stdout.split() == [str(FIRST)], said.stderr


@pytest.mark.parametrize(
    ("use", "expected"),
    [
        (f"said.bind(('{PRESENT}', 0)); said.connect(('{CN}', {PORT}))", str(PRESENT)),
        ("said.connect(('::1', 7001))", "::1"),
        ("said.connect(('::ffff:127.0.0.1', 7001))", "::ffff:127.0.0.1"),
        ("said = socket.socket(); said.bind(('127.0.0.1', 0))", "127.0.0.1"),
    ],
)
def test_what_a_program_chose_itself_and_what_stays_on_the_node_is_left_alone(
    pair: Pair, use: str, expected: str
) -> None:
    del pair
    said = run("--fixed", sys.executable, "-c", SAYS_ITS_ADDRESS.format(use))
    assert said.stdout.split() == [expected], said.stderr


def test_a_server_on_all_addresses_is_at_the_fixed_one_alone(pair: Pair) -> None:
    serve = "import socket, sys; s = socket.create_server(('::', 7001), family=socket.AF_INET6)"
    with running(
        "--fixed", sys.executable, "-c", f"{serve}; s.accept(); print('served')"
    ) as server:
        assert until(lambda: in_use() == InUse(frozenset({FIRST})))
        pair.tcp("cn").connect((str(FIRST), 7001))
        assert server.communicate(timeout=10)[0] == "served\n"


def test_what_a_non_persistent_server_accepts_needs_no_address(pair: Pair) -> None:
    serve = "import socket, sys; s = socket.create_server(('::', 7001), family=socket.AF_INET6)"
    program = f"{serve}; print('ready', flush=True); s.accept(); print('on', flush=True); input()"
    with running("--non-persistent", sys.executable, "-c", program) as server:
        assert server.stdout is not None
        assert server.stdout.readline() == "ready\n"
        pair.tcp("cn").connect((str(PRESENT), 7001))
        assert server.stdout.readline() == "on\n"
        assert in_use() == InUse()


# As if nothing stood between


@pytest.mark.parametrize("option", [option for option, *_ in EXPECTED])
def test_exit_codes_are_the_programs_own(pair: Pair, option: str) -> None:
    del pair
    assert run(option, "sh", "-c", "exit 7").returncode == 7
    assert run(option, "--", "true").returncode == 0
    assert run(option, "sh", "-c", "kill -TERM $$").returncode == -signal.SIGTERM


@pytest.mark.parametrize("option", ["--fixed", "--session-lasting"])
def test_signals_go_to_the_program_itself(pair: Pair, option: str) -> None:
    del pair
    program = "trap 'echo caught; exit 3' USR1; echo ready; while :; do read line; done"
    with running(option, "bash", "-c", program) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.send_signal(signal.SIGUSR1)
        process.stdin.close() if process.stdin else None
        assert process.stdout.read() == "caught\n"
        assert process.wait(10) == 3


def test_a_program_that_writes_to_nobody_ends_by_its_signal(pair: Pair) -> None:
    del pair
    piped = f"{DMM_RUN} --fixed yes | head -1; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run([*ON_THE_NODE, "bash", "-c", piped], capture_output=True, check=False)
    assert done.returncode == 128 + signal.SIGPIPE


def test_the_program_has_no_child_that_it_did_not_start(pair: Pair) -> None:
    del pair
    program = "import os\ntry: os.wait()\nexcept ChildProcessError: print('none')"
    assert run("--fixed", sys.executable, "-c", program).stdout == "none\n"


def test_the_supervisor_ends_with_the_last_process_it_is_there_for(pair: Pair) -> None:
    server = pair.listening("cn")
    stay = f"import socket, os; os.read(0, 1); socket.create_connection(('{CN}', {PORT})).recv(1)"
    leave = f'{sys.executable} -c "{stay}" <&3 &'
    with running("--fixed", "bash", "-c", f"exec 3<&0; {leave}") as process:
        assert process.wait(10) == 0
        assert supervisors()  # for what the program has left behind
        assert process.stdin is not None
        process.stdin.write("go")
        process.stdin.close()
        accepted, peer = accept(server)
        assert peer == FIRST
        accepted.close()
    assert until(lambda: not supervisors())


def test_a_pipe_closes_when_the_program_closes_it(pair: Pair) -> None:
    """Nothing else holds it, so who reads it is not kept waiting."""
    del pair
    ours, programs = os.pipe()
    leave = f"exec 1>&- 2>&- {programs}>&-; read line"
    with subprocess.Popen(
        [*ON_THE_NODE, DMM_RUN, "--fixed", "bash", "-c", leave],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        pass_fds=[programs],
    ) as process:
        os.close(programs)
        assert process.stdout is not None
        assert process.stdout.read() == b""
        assert select.select([ours], [], [], 5.0)[0] == [ours]
        assert os.read(ours, 1) == b""
        assert process.poll() is None
        process.kill()
    os.close(ours)


# What can go wrong


def test_a_type_that_cannot_be_had_is_said_before_the_program_starts(pair: Pair) -> None:
    del pair
    ip("mn", f"addr del {PRESENT}/64 dev cn\naddr del {FIRST}/64 dev cn")
    for option, *_ in EXPECTED:
        done = run(option, "echo", "started")
        assert (done.returncode, done.stdout) == (125, "")
        assert done.stderr.startswith("dmm-run: this node has no ")
        assert "attach it" in done.stderr


def test_a_fixed_address_that_is_lost_meanwhile_is_an_error_of_the_socket(pair: Pair) -> None:
    del pair
    connect = f"""
import socket
input(print("ready", flush=True) or "")
try: socket.create_connection(('{CN}', {PORT}))
except OSError as error: print(error.strerror)
"""
    with running("--fixed", sys.executable, "-c", connect) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        ip("mn", f"addr del {PRESENT}/64 dev cn\naddr del {FIRST}/64 dev cn")
        assert process.communicate("\n", timeout=10)[0] == "Cannot assign requested address\n"


def test_a_program_that_is_not_there_or_cannot_be_run_is_told_as_by_a_shell(
    pair: Pair, tmp_path: Path
) -> None:
    del pair
    done = run("--fixed", "no-such-program")
    assert (done.returncode, done.stderr) == (
        127,
        "dmm-run: no-such-program: No such file or directory\n",
    )
    text = tmp_path / "text"
    text.write_text("no program")
    assert run("--fixed", str(text)).returncode == 126
    assert until(lambda: not supervisors())


def test_one_type_inside_another_is_refused(pair: Pair) -> None:
    del pair
    done = run("--fixed", str(DMM_RUN), "--non-persistent", "true")
    assert done.returncode == 125
    assert "start it from outside" in done.stderr


def test_help_says_what_the_types_are_and_mistakes_what_was_expected(pair: Pair) -> None:
    del pair
    shown = run("--help").stdout
    assert all(option in shown for option, *_ in EXPECTED)
    assert "expected a command" in run("--fixed").stderr
    assert run("--no-such-type", "true").returncode == 2
