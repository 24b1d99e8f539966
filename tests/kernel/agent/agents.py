"""Real agents, one process a router, in the test network."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import yaml
from tests.kernel.agent.lab import PREFIX, inside, until
from tests.kernel.agent.routers import settings

REPOSITORY = Path(__file__).parents[3]
START_DEADLINE_S = 60.0


def installed(where: Path) -> Path:
    """A folder that makes the agent look installed, so that its entry points are found."""
    project = tomllib.loads((REPOSITORY / "agent/pyproject.toml").read_text())["project"]
    info = where / f"dmm_agent-{project['version']}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Name: dmm-agent\nVersion: {project['version']}\n")
    group = project["entry-points"]["dmm_agent.functions"]
    lines = [f"{name} = {target}" for name, target in group.items()]
    (info / "entry_points.txt").write_text("[dmm_agent.functions]\n" + "\n".join(lines) + "\n")
    return where


class AgentProcess:
    """One running `dmm-agent`."""

    def __init__(self, host: str, folder: Path, **options: dict[str, Any]) -> None:
        self.host = host
        self.folder = folder
        self.config = folder / f"{host}.yml"
        self.socket = folder / f"{host}.sock"
        self.log = folder / f"{host}.log"
        self.state = folder / f"{host}.db"
        self.keys = folder / f"{host}.keys.yml"
        self.options = options
        self.process: subprocess.Popen[bytes] | None = None

    @staticmethod
    def command(module: str) -> list[str]:
        """How to start `dmm-agent` ("main") or `dmmctl`."""
        return [sys.executable, "-m", f"dmm_agent.runtime.{module}"]

    def environment(self) -> dict[str, str]:
        paths = (str(REPOSITORY / "agent"), str(self.folder))
        return {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}

    def write_config(self) -> None:
        """Write the host's configuration file."""
        config = settings(self.host)
        for function, values in self.options.items():
            if function in config["functions"]:
                config["functions"][function].update(values)
        self.config.write_text(yaml.safe_dump(config))

    def run(self, *arguments: str, module: str = "main") -> subprocess.CompletedProcess[str]:
        """Run `dmm-agent` or `dmmctl` on the host to its end."""
        command = [*self.command(module), *arguments]
        return subprocess.run(
            ["ip", "netns", "exec", PREFIX + self.host, *command],
            capture_output=True,
            text=True,
            check=False,
            env=self.environment(),
            timeout=60,
        )

    def start(self, *arguments: str, wait: bool = True) -> None:
        """Start the agent and wait until it answers."""
        self.write_config()
        command = self.command("main")
        command += ["--config", str(self.config), "--socket", str(self.socket)]
        command += ["--state", str(self.state), "--keys", str(self.keys), *arguments]
        with self.log.open("ab") as log, inside(self.host):
            self.process = subprocess.Popen(command, stderr=log, env=self.environment())
        if wait:
            self.wait()

    def wait(self) -> None:
        """Wait until the agent answers."""
        ready = until(lambda: self._answers(), START_DEADLINE_S)
        assert ready, f"{self.host}: the agent does not answer:\n{self.log.read_text()}"

    def _answers(self) -> bool:
        try:
            self.ask("status")
        except OSError:
            return False
        return True

    def ask(self, command: str) -> Any:
        """What the control socket says."""
        import socket

        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(5.0)
            connection.connect(str(self.socket))
            connection.sendall(json.dumps({"command": command}).encode() + b"\n")
            with connection.makefile() as lines:
                answer = json.loads(lines.readline())
        assert answer["ok"], answer
        return answer["result"]

    def count(self, group: str, key: str) -> int:
        """One of the agent's counters."""
        rows = self.ask("counters")
        return sum(row["count"] for row in rows if (row["group"], row["key"]) == (group, key))

    def resident_mib(self) -> float:
        """Memory the process uses."""
        assert self.process is not None, "the agent has been started"
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        line = next(line for line in status.splitlines() if line.startswith("VmRSS:"))
        return int(line.split()[1]) / 1024

    def stop(self) -> int:
        """Ask the agent to stop; its exit status."""
        if self.process is None:
            return 0
        self.process.terminate()
        status = self.process.wait(10)
        self.process = None
        return status

    def kill(self) -> None:
        """Let the agent die without a word."""
        if self.process is not None:
            self.process.kill()
            self.process.wait(10)
            self.process = None
