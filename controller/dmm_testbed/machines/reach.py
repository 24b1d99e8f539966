"""Reaching the machines of a lab, whatever they are: above this nothing knows the difference."""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, Literal, Protocol, get_args

from dmm_testbed.machines import process, state
from dmm_testbed.machines.errors import MachineError
from dmm_testbed.machines.runner import NamespaceRunner
from dmm_testbed.machines.ssh_record import SshKind, SshRecord

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dmm_testbed.measure.runner import Runner

Kind = Literal["namespace", "vagrant", "metal"]
KINDS: tuple[Kind, ...] = get_args(Kind)
_AT_ONCE = 8


@dataclass(frozen=True, slots=True)
class Made:
    """What a lab was made of."""

    topology: str
    """Its name."""
    machines: frozenset[str]


class Reach(Protocol):
    """The machines of one lab."""

    @property
    def kind(self) -> Kind:
        """What they are."""
        ...

    @property
    def lab(self) -> str:
        """The lab's name."""
        ...

    def made(self) -> Made:
        """What the lab was made of.

        Raises:
            MachineError: there is no such lab, or half of one; says what to do.
        """
        ...

    def running(self) -> list[str]:
        """Names of the machines that answer, in alphabetical order; none if there is no lab.

        Raises:
            MachineError: that is no name for a lab.
        """
        ...

    def where(self, name: str) -> str:
        """How a machine is reached, in a few words.

        Raises:
            MachineError: there is no such machine.
        """
        ...

    def runner(self) -> Runner:
        """Runs programs on the machines; always the same one."""
        ...

    def host(self, name: str) -> Any:
        """Testinfra's host object for a machine; always the same one."""
        ...

    def command(self, name: str, argv: Sequence[str], *, interactive: bool = False) -> list[str]:
        """The command line, for this computer, that runs a program on a machine.

        Args:
            name: the machine's.
            argv: program and arguments.
            interactive: whether a user sits at the terminal.

        Raises:
            MachineError: the machine does not run, or is unknown; says what to do.
        """
        ...


def reach(kind: str, lab: str) -> Reach:
    """Reach the machines of a lab; nothing is connected before it is needed.

    Raises:
        MachineError: there is no such kind, or that is no name for a lab.
    """
    state.check_name(lab)
    if kind == "namespace":
        return _Namespaces(lab)
    if kind == "vagrant":
        return _BySsh("vagrant", lab)
    if kind == "metal":
        return _BySsh("metal", lab)
    raise MachineError(f"machines: expected one of {', '.join(KINDS)}, got {kind!r}")


class _Namespaces:
    """Machines made of namespaces on this computer."""

    kind: Kind = "namespace"

    def __init__(self, lab: str) -> None:
        self.lab = lab
        self._runner = NamespaceRunner(lab)
        self.host = cache(self._host)

    def made(self) -> Made:
        if not state.running(self.lab):
            raise MachineError(
                f"lab {self.lab} does not run: start it with `make up LAB={self.lab}` first"
            )
        record = state.recorded(self.lab)
        if record is None:
            raise MachineError(
                f"lab {self.lab} is only half built: run `make up LAB={self.lab}` again"
            )
        return Made(record.spec.topology, frozenset(record.spec.machines))

    def running(self) -> list[str]:
        return sorted(state.running(self.lab))

    def where(self, name: str) -> str:
        return str(state.pid_of(self.lab, name))

    def runner(self) -> Runner:
        return self._runner

    def _host(self, name: str) -> Any:
        from dmm_testbed.machines.testinfra_backend import machine

        return machine(self.lab, name)

    def command(self, name: str, argv: Sequence[str], *, interactive: bool = False) -> list[str]:
        return process.enter(state.pid_of(self.lab, name), list(argv), interactive=interactive)


class _BySsh:
    """Machines that exist, or that Vagrant made, reached by SSH as `ssh_config` says."""

    def __init__(self, kind: SshKind, lab: str) -> None:
        # Loading paramiko takes a quarter of a second, which namespace machines need not wait for.
        from dmm_testbed.machines.ssh_runner import SshRunner

        self.kind: Kind = kind
        self.lab = lab
        self._record = SshRecord(kind, lab)
        self._runner = SshRunner(self._record)
        self.host = cache(self._host)

    def made(self) -> Made:
        found = self._record.read()
        if not self.running():
            raise MachineError(
                f"no machine of lab {self.lab} answers: start them with {self._record.make}"
            )
        return Made(found.topology, frozenset(found.machines))

    def running(self) -> list[str]:
        if not self._record.exists:
            return []
        names = sorted(self._record.read().machines)
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            answers = pool.map(self._runner.answers, names)
            return [name for name, there in zip(names, answers, strict=True) if there]

    def where(self, name: str) -> str:
        return self._runner.address(name)

    def runner(self) -> Runner:
        return self._runner

    def _host(self, name: str) -> Any:
        from dmm_testbed.machines.testinfra_backend import over

        return over(self._runner, name)

    def command(self, name: str, argv: Sequence[str], *, interactive: bool = False) -> list[str]:
        from dmm_testbed.machines.ssh_runner import as_root

        user = self._runner.user(name)
        # A terminal over there ends what runs there when we go away, and takes Ctrl-C there.
        terminal = ["-t"] if interactive and sys.stdin.isatty() else []
        ssh = ["ssh", "-F", str(self._record.ssh_config), "-o", "LogLevel=ERROR", *terminal]
        return [*ssh, name, as_root(argv, user=user, interactive=interactive)]
