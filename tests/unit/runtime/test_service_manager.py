"""What the agent says to the service manager that runs it, and to its journal."""

from __future__ import annotations

import json
import logging
import os
import socket
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from dmm_agent.runtime import logs
from dmm_agent.runtime.readiness import tell_ready

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LOGGING = """
import logging
from dmm_agent.runtime import logs
logs.configure("debug")
logging.getLogger("x").debug("fine")
logging.getLogger("x").info("started", extra={"fields": {"host": "gw1"}})
logging.getLogger("x").warning("odd")
try:
    raise ValueError("two\\nlines")
except ValueError:
    logging.getLogger("x").exception("broken")
"""


@pytest.fixture
def manager() -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.settimeout(5.0)
        yield listener


class TestReadiness:
    def test_the_manager_is_told_by_a_socket_in_the_file_system(
        self, manager: socket.socket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        manager.bind(str(tmp_path / "notify"))
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))

        tell_ready("gw1 runs lm, mr")

        assert manager.recv(4096) == b"READY=1\nSTATUS=gw1 runs lm, mr"

    def test_the_manager_is_told_by_an_abstract_socket(
        self, manager: socket.socket, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        name = f"dmm-test-{os.getpid()}"
        manager.bind(f"\0{name}")
        monkeypatch.setenv("NOTIFY_SOCKET", f"@{name}")

        tell_ready("gw1 runs lm")

        assert manager.recv(4096).startswith(b"READY=1\n")

    def test_without_a_manager_nobody_is_told(
        self, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        monkeypatch.delenv("NOTIFY_SOCKET", raising=False)

        tell_ready("gw1 runs lm")

        assert caplog.records == []

    def test_a_manager_that_is_gone_is_logged_and_survived(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "gone"))

        tell_ready("gw1 runs lm")

        (record,) = caplog.records
        assert record.getMessage() == "the service manager cannot be told"


def logged(*, stream: str) -> list[str]:
    """Lines of an agent whose standard error is a pipe; `stream` says what journald reads."""
    reading, writing = os.pipe()
    status = os.fstat(writing)
    named = stream.format(here=f"{status.st_dev}:{status.st_ino}")
    subprocess.run(
        [sys.executable, "-c", LOGGING],
        stderr=writing,
        env={**os.environ, "JOURNAL_STREAM": named},
        check=True,
    )
    os.close(writing)
    with os.fdopen(reading) as lines:
        return lines.read().splitlines()


class TestLogs:
    def test_the_journal_gets_each_line_with_its_priority(self) -> None:
        lines = logged(stream="{here}")

        assert [line[:4] for line in lines] == ["<7>{", "<6>{", "<4>{", "<3>{"]
        assert json.loads(lines[1][3:])["host"] == "gw1"
        assert "two\nlines" in json.loads(lines[3][3:])["traceback"]

    @pytest.mark.parametrize("stream", ["", "8:12345"])
    def test_others_get_json_alone(self, stream: str) -> None:
        lines = logged(stream=stream)

        assert [json.loads(line)["level"] for line in lines] == [
            "debug",
            "info",
            "warning",
            "error",
        ]

    def test_every_level_has_a_priority(self) -> None:
        levels = (logging.DEBUG, logging.INFO, logging.WARNING, logging.ERROR, logging.CRITICAL)

        assert [logs.priority(level) for level in levels] == [7, 6, 4, 3, 3]
