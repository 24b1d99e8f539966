"""`dmm-run`: runs a program whose sockets get one type of address (RFC 8653)."""

from __future__ import annotations

import argparse
import os
import signal
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from dmm_sessions import seccomp
from dmm_sessions.address_type import AddressType, AddressTypeError
from dmm_sessions.sockets import address_of
from dmm_sessions.supervisor import CALLS, supervise

if TYPE_CHECKING:
    from collections.abc import Sequence

CANNOT, NOT_EXECUTABLE, NOT_FOUND = 125, 126, 127
"""Exit codes of our own, as env(1) and timeout(1) have them; every other is the program's."""
IGNORED_BY_PYTHON = (signal.SIGPIPE, signal.SIGXFSZ)


def main(arguments: Sequence[str] | None = None) -> int:
    """Become the program; returns only if that fails."""
    parsed = _parser().parse_args(arguments)
    command: list[str] = parsed.command[1:] if parsed.command[:1] == ["--"] else parsed.command
    if not command:
        _parser().error("expected a command to run, after the type of address")
    try:
        address_of(parsed.address_type)
        if CALLS[parsed.address_type]:
            _have_supervised(parsed.address_type)
    except (AddressTypeError, seccomp.SeccompError) as error:
        return _say(str(error), CANNOT)
    for number in IGNORED_BY_PYTHON:
        signal.signal(number, signal.SIG_DFL)
    try:
        os.execvp(command[0], command)  # noqa: S606 - to run what the user says is what this is for
    except FileNotFoundError as error:
        return _say(f"{command[0]}: {error.strerror}", NOT_FOUND)
    except OSError as error:
        return _say(f"{command[0]}: {error.strerror}", NOT_EXECUTABLE)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="dmm-run",
        usage="dmm-run TYPE [--] COMMAND [ARGUMENT...]",
        description="Run COMMAND so that its IPv6 sockets, and those of what it starts, have one "
        "type of address (RFC 8653). Its exit code is passed on; 125: this type cannot be had.",
    )
    types = parser.add_argument_group("types").add_mutually_exclusive_group(required=True)
    for address_type, text in (
        (AddressType.FIXED, "the address that this node has for longest, wherever it is"),
        (AddressType.SESSION_LASTING, "of the present network, kept as long as the socket lives"),
        (AddressType.NON_PERSISTENT, "of the present network, lost when the node moves"),
        (AddressType.GRACEFUL_REPLACEMENT, "of the present network, kept for a while after a move"),
    ):
        types.add_argument(
            f"--{address_type.value}",
            dest="address_type",
            action="store_const",
            const=address_type,
            help=text,
        )
    parser.add_argument("command", nargs=argparse.REMAINDER, help=argparse.SUPPRESS)
    return parser


def _have_supervised(address_type: AddressType) -> None:
    """Start a supervisor, and have it take the calls of this process from now on.

    It is forked before the filter is there, since its own calls must not wait for itself. This
    process is the one that becomes the program, so that its number, its terminal, its signals and
    its end are the program's own.

    Raises:
        SeccompError: the kernel or another filter does not allow it.
    """
    from_program, to_supervisor = os.pipe()
    from_supervisor, to_program = os.pipe()
    program = os.getpid()
    child = os.fork()
    if child == 0:
        if os.fork() == 0:
            _be_supervisor(program, from_program, to_program, address_type)
        os._exit(0)
    os.waitpid(child, 0)  # the supervisor is its child: the program has none that it did not start
    os.close(from_program)
    os.close(to_program)
    listener = seccomp.install(CALLS[address_type])
    os.write(to_supervisor, str(listener).encode())
    os.close(to_supervisor)
    said = os.read(from_supervisor, 1000)
    os.close(from_supervisor)
    os.close(listener)
    if said != b"ready":
        raise seccomp.SeccompError(said.decode() or "the supervisor ended")


def _be_supervisor(
    program: int, from_program: int, to_program: int, address_type: AddressType
) -> NoReturn:
    status = 1
    try:
        os.setsid()
        os.chdir("/")
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT):
            signal.signal(number, signal.SIG_IGN)  # it ends with the program
        _keep_only(from_program, to_program)
        listener = seccomp.descriptor_of(program, int(os.read(from_program, 20)))
        os.write(to_program, b"ready")
        os.close(to_program)
        os.close(from_program)
        supervise(listener, address_type)
        status = 0
    except OSError as error:
        os.write(to_program, f"the sockets of programs cannot be taken: {error}".encode())
    finally:
        os._exit(status)


def _keep_only(*kept: int) -> None:
    """Close what the program has open, such as the pipe that its reader waits for the end of."""
    for number in [int(entry.name) for entry in Path("/proc/self/fd").iterdir()]:
        if number not in kept:
            with suppress(OSError):  # the list's own is closed already
                os.close(number)
    nothing = os.open(os.devnull, os.O_RDWR)
    for number in range(3):
        if number not in kept:
            os.dup2(nothing, number)


def _say(sentence: str, status: int) -> int:
    print(f"dmm-run: {sentence}", file=sys.stderr)
    return status
