"""Services of a machine: what is done to them, and how often systemd is bothered."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from tests.loading import load

if TYPE_CHECKING:
    from types import ModuleType

PROGRAMS = Path(__file__).parents[3] / "plugins" / "programs"


class FakeMachine:
    """Answers commands from a table, and remembers them."""

    def __init__(self, answers: dict[str, tuple[int, str, str]] | None = None) -> None:
        self.answers = answers or {}
        self.commands: list[str] = []

    def __call__(self, command: list[str]) -> tuple[int, str, str]:
        line = " ".join(command)
        self.commands.append(line)
        return next((a for start, a in self.answers.items() if line.startswith(start)), (0, "", ""))


@pytest.fixture
def services() -> ModuleType:
    return load(PROGRAMS / "dmm_services.py")


@pytest.fixture
def program(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(PROGRAMS)
    return load(PROGRAMS / "machine_services.py")


@pytest.mark.parametrize(
    ("wanted", "runs", "verb"),
    [
        (["running"], False, "start"),
        (["running"], True, None),
        (["running", "restarted"], False, "start"),
        (["running", "restarted"], True, "restart"),
        (["running", "reloaded"], True, "reload"),
        (["restarted"], False, None),
        (["restarted"], True, "restart"),
        (["stopped"], True, "stop"),
        (["stopped"], False, None),
    ],
)
def test_a_service_that_has_just_started_needs_no_restart(
    program: ModuleType, wanted: list[str], runs: bool, verb: str | None
) -> None:
    lists = {kind: ["bird"] if kind in wanted else [] for kind in program.LISTS}

    assert program.action("bird", lists, {"running": runs, "enabled": True}) == verb


def test_units_are_asked_for_together(services: ModuleType) -> None:
    shown = "ActiveState=active\nUnitFileState=enabled\n\nActiveState=inactive\nUnitFileState=\n"
    asked = FakeMachine({"systemctl show": (0, shown, "")})

    states = services.Systemd(asked).states(["bird", "none"])

    assert states == {
        "bird": {"known": True, "running": True, "enabled": True},
        "none": {"known": False, "running": False, "enabled": False},
    }
    assert len(asked.commands) == 1


def test_units_that_were_written_and_enabled_are_read_once(services: ModuleType) -> None:
    asked = FakeMachine()

    services.Systemd(asked).enable(["one", "two"], enabled=True, reload_units=True)

    assert asked.commands == ["systemctl enable --no-reload one two", "systemctl daemon-reload"]


def test_nothing_to_enable_and_nothing_written_asks_nothing(services: ModuleType) -> None:
    asked = FakeMachine()

    services.Systemd(asked).enable([], enabled=True, reload_units=False)

    assert asked.commands == []


def test_of_a_service_that_does_not_start_its_last_words_are_told(services: ModuleType) -> None:
    answers: dict[str, Any] = {
        "systemctl start": (1, "", "Job for bird.service failed."),
        "journalctl --unit bird": (0, "bird.conf:7: syntax error\n", ""),
    }

    with pytest.raises(services.ServiceError) as refused:
        services.Systemd(FakeMachine(answers)).act("start", "bird")

    assert str(refused.value) == (
        "systemctl start bird: Job for bird.service failed.\nbird.conf:7: syntax error"
    )


def test_a_script_that_is_not_there_does_not_run(services: ModuleType) -> None:
    asked = FakeMachine()

    assert services.Scripts(asked).states(["no-such"]) == {
        "no-such": {"known": False, "running": False, "enabled": False}
    }
    assert asked.commands == []


def test_a_script_is_linked_before_it_is_enabled(services: ModuleType) -> None:
    asked = FakeMachine()

    services.Scripts(asked).enable(["bird"], enabled=True, reload_units=False)

    assert asked.commands == ["update-rc.d bird defaults", "update-rc.d bird enable"]
