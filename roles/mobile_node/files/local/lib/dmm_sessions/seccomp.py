"""System calls that wait for another process's answer (seccomp(2), user notification).

A process installs a filter, which sends chosen calls of it, and of all that it starts, to whoever
holds the filter's listener. That takes no privilege, and Linux 5.6.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import platform
import struct
from dataclasses import dataclass

SYSTEM_CALLS = {
    # machine: (AUDIT_ARCH, numbers)
    "x86_64": (
        0xC000003E,
        {"connect": 42, "sendto": 44, "sendmsg": 46, "bind": 49, "sendmmsg": 307},
    ),
    "aarch64": (
        0xC00000B7,
        {"connect": 203, "sendto": 206, "sendmsg": 211, "bind": 200, "sendmmsg": 269},
    ),
}
SECCOMP = {"x86_64": 317, "aarch64": 277}
PIDFD_OPEN, PIDFD_GETFD = 434, 438  # the same everywhere
X32_BIT = 0x40000000

PR_SET_NO_NEW_PRIVS = 38
SECCOMP_SET_MODE_FILTER = 1
SECCOMP_FILTER_FLAG_NEW_LISTENER = 8
RET_ALLOW, RET_USER_NOTIF = 0x7FFF0000, 0x7FC00000
FLAG_CONTINUE = 1
IOCTL_RECEIVE, IOCTL_SEND, IOCTL_ID_VALID = 0xC0502100, 0xC0182101, 0x40082102

LOAD, JUMP_EQUAL, JUMP_AT_LEAST, RETURN = 0x20, 0x15, 0x35, 0x06
NUMBER_AT, ARCHITECTURE_AT, ARGUMENTS_AT = 0, 4, 16

_NOTIFICATION = struct.Struct("=QIIiIQ6Q")
_RESPONSE = struct.Struct("=QqiI")
_INSTRUCTION = struct.Struct("=HBBI")

_libc = ctypes.CDLL(None, use_errno=True)


class SeccompError(Exception):
    """This machine cannot do it; the sentence says why."""


@dataclass(frozen=True)
class Call:
    """A system call that waits for its answer."""

    id: int
    thread: int
    name: str
    arguments: tuple[int, ...]


def calls_of_this_machine() -> tuple[int, dict[str, int]]:
    """The number of its architecture, and of its system calls by name.

    Raises:
        SeccompError: unknown.
    """
    machine = platform.machine()
    if machine not in SYSTEM_CALLS:
        known = " and ".join(SYSTEM_CALLS)
        raise SeccompError(f"system calls are known of {known}, but this machine is {machine}")
    return SYSTEM_CALLS[machine]


def install(names: frozenset[str]) -> int:
    """Have these calls of this process and all it starts wait for the listener that is returned.

    Of `sendto`, those wait that name a destination.

    Raises:
        SeccompError: the kernel refuses.
    """
    program = _program(names)
    if os.geteuid() != 0:  # a filter must not change what a set-user-ID program does
        _checked("no_new_privs", _libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
    octets = ctypes.create_string_buffer(program)
    descriptor = struct.pack("@HP", len(program) // _INSTRUCTION.size, ctypes.addressof(octets))
    listener: int = _libc.syscall(
        SECCOMP[platform.machine()],
        SECCOMP_SET_MODE_FILTER,
        SECCOMP_FILTER_FLAG_NEW_LISTENER,
        descriptor,
    )
    if listener < 0 and ctypes.get_errno() == errno.EBUSY:
        raise SeccompError(
            "a program that was itself started by dmm-run, or is watched in the same way, cannot "
            "have another type of address: start it from outside"
        )
    return _checked("seccomp", listener)


def _program(names: frozenset[str]) -> bytes:
    """What tells the calls apart, in classic BPF."""
    architecture, numbers = calls_of_this_machine()
    wanted = [numbers[name] for name in sorted(names - {"sendto"})]
    notify, allow = (
        _instruction(RETURN, 0, 0, RET_USER_NOTIF),
        _instruction(RETURN, 0, 0, RET_ALLOW),
    )
    lines = [
        _instruction(LOAD, 0, 0, ARCHITECTURE_AT),
        _instruction(JUMP_EQUAL, 1, 0, architecture),
        allow,
        _instruction(LOAD, 0, 0, NUMBER_AT),
        _instruction(JUMP_AT_LEAST, 0, 1, X32_BIT),
        allow,
    ]
    for number in wanted:
        lines += [_instruction(JUMP_EQUAL, 0, 1, number), notify]
    if "sendto" in names:
        destination = ARGUMENTS_AT + 4 * 8
        lines += [
            _instruction(JUMP_EQUAL, 1, 0, numbers["sendto"]),
            allow,
            _instruction(LOAD, 0, 0, destination),
            _instruction(JUMP_EQUAL, 1, 0, 0),
            notify,
            _instruction(LOAD, 0, 0, destination + 4),
            _instruction(JUMP_EQUAL, 1, 0, 0),
            notify,
        ]
    return b"".join([*lines, allow])


def _instruction(code: int, if_true: int, if_false: int, value: int) -> bytes:
    return _INSTRUCTION.pack(code, if_true, if_false, value)


def receive(listener: int) -> Call | None:
    """The next call that waits; None if it was withdrawn meanwhile.

    Raises:
        OSError: the listener is broken.
    """
    buffer = bytearray(80)
    try:
        fcntl.ioctl(listener, IOCTL_RECEIVE, buffer)
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.EINTR):
            return None
        raise
    identity, thread, _flags, number, _architecture, _at, *arguments = _NOTIFICATION.unpack(buffer)
    names = {known: name for name, known in calls_of_this_machine()[1].items()}
    return Call(identity, thread, names.get(number, "?"), tuple(arguments))


def still_waits(listener: int, call: Call) -> bool:
    """Whether what was read of its thread was read of that thread, not of a later one's."""
    try:
        fcntl.ioctl(listener, IOCTL_ID_VALID, struct.pack("=Q", call.id))
    except OSError:
        return False
    return True


def go_on(listener: int, call: Call) -> None:
    """Have the kernel do the call as it is."""
    _respond(listener, _RESPONSE.pack(call.id, 0, 0, FLAG_CONTINUE))


def done(listener: int, call: Call, error: int = 0) -> None:
    """Return from the call, with 0 or an error number."""
    _respond(listener, _RESPONSE.pack(call.id, 0, -error, 0))


def _respond(listener: int, response: bytes) -> None:
    try:
        fcntl.ioctl(listener, IOCTL_SEND, bytearray(response))
    except OSError as error:
        if error.errno != errno.ENOENT:  # the thread is gone, or a signal came first
            raise


def descriptor_of(process: int, number: int) -> int:
    """A descriptor of another process, as one of ours.

    Raises:
        OSError: no such process or descriptor, or we may not.
    """
    pidfd = _checked_os(_libc.syscall(PIDFD_OPEN, process, 0))
    try:
        return _checked_os(_libc.syscall(PIDFD_GETFD, pidfd, number, 0))
    finally:
        os.close(pidfd)


def _checked(what: str, result: int) -> int:
    if result < 0:
        raise SeccompError(f"{what}: {os.strerror(ctypes.get_errno())}")
    return result


def _checked_os(result: int) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result
