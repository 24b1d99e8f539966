"""How a machine's services are, and how they become otherwise: units of systemd, or scripts."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    Run = Callable[[list[str]], tuple[int, str, str]]

BOOTED_BY_SYSTEMD = Path("/run/systemd/system")
"""Its presence is the test that systemd itself recommends (sd_booted(3))."""
LAST_LINES = "15"


class ServiceError(Exception):
    """A service does not obey; its last words are in the text."""


def service_manager(run: Run) -> Systemd | Scripts:
    """What manages this machine's services; `run` runs a command."""
    return Systemd(run) if BOOTED_BY_SYSTEMD.is_dir() else Scripts(run)


class Systemd:
    """Units of systemd."""

    name = "systemd"

    def __init__(self, run: Run) -> None:
        self._run = run

    def states(self, names: list[str]) -> dict[str, dict[str, bool]]:
        """Whether services are `known` here, `running`, and `enabled` to start at boot."""
        properties = "--property=ActiveState,UnitFileState"
        blocks = self._run(["systemctl", "show", properties, *names])[1].split("\n\n")
        found = {}
        for name, block in zip(names, blocks, strict=False):
            unit = dict(line.split("=", 1) for line in block.splitlines() if "=" in line)
            found[name] = {
                "known": bool(unit.get("UnitFileState")),
                "running": unit.get("ActiveState") == "active",
                "enabled": unit.get("UnitFileState") == "enabled",
            }
        return found

    def enable(self, names: list[str], enabled: bool, reload_units: bool) -> None:
        """Have services start at boot, or not; let systemd read its units anew.

        Raises:
            ServiceError: a service does not obey.
        """
        # Reading them takes seconds on an emulated machine: once is enough.
        if names:
            options = ["--no-reload"] if reload_units else []
            verb = "enable" if enabled else "disable"
            self._must(["systemctl", verb, *options, *names])
        if reload_units:
            self._must(["systemctl", "daemon-reload"])

    def act(self, verb: str, name: str) -> None:
        """Start, stop, restart or reload a service.

        Raises:
            ServiceError: it does not obey.
        """
        try:
            self._must(["systemctl", verb, name])
        except ServiceError as error:
            journal = ["journalctl", "--unit", name, "--lines", LAST_LINES, "--no-pager"]
            said = self._run([*journal, "--output", "cat"])[1]
            raise ServiceError(f"{error}\n{said.strip()}") from None

    def _must(self, command: list[str]) -> None:
        status, _, errors = self._run(command)
        if status:
            raise ServiceError(f"{' '.join(command)}: {errors.strip()}")


class Scripts:
    """Scripts in /etc/init.d."""

    name = "service"

    def __init__(self, run: Run) -> None:
        self._run = run

    def states(self, names: list[str]) -> dict[str, dict[str, bool]]:
        """Whether services are `known` here, `running`, and `enabled` to start at boot."""
        found = {}
        for name in names:
            known = Path("/etc/init.d", name).exists()
            found[name] = {
                "known": known,
                "running": known and self._run(["service", name, "status"])[0] == 0,
                "enabled": any(Path("/etc").glob(f"rc[2-5].d/S??{name}")),
            }
        return found

    def enable(self, names: list[str], enabled: bool, reload_units: bool) -> None:
        """Have services start at boot, or not.

        Raises:
            ServiceError: a service does not obey.
        """
        del reload_units  # a script is read when it is run
        for name in names:
            if enabled:
                self._must(["update-rc.d", name, "defaults"])
            self._must(["update-rc.d", name, "enable" if enabled else "disable"])

    def act(self, verb: str, name: str) -> None:
        """Start, stop, restart or reload a service.

        Raises:
            ServiceError: it does not obey.
        """
        self._must(["service", name, verb])

    def _must(self, command: list[str]) -> None:
        status, output, errors = self._run(command)
        if status:
            raise ServiceError(f"{' '.join(command)}: {(output + errors).strip()}")
