"""A lab of one machine reached by SSH: a server of the tests' own."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import paramiko
import pytest
from tests.unit.machines.ssh_server import SshServer

from dmm_testbed.machines.reach import reach
from dmm_testbed.machines.ssh_record import SshRecord
from dmm_testbed.machines.ssh_runner import SshRunner

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from dmm_testbed.machines.reach import Reach

LAB = "away"


@dataclass
class SshLab:
    """The lab's record, and the machine gw1; there is a machine gone, which never answers."""

    folder: Path
    key_file: Path
    server: SshServer

    def write(self, **content: Any) -> None:
        """Write the record as Ansible does."""
        found = {"kind": "vagrant", "topology": "one", "machines": ["gone", "gw1"], **content}
        (self.folder / "lab.json").write_text(json.dumps(found))
        self.configure()

    def configure(self, *options: str, user: str = "someone") -> None:
        """Write how gw1 is reached; without options any host key is taken."""
        lines = [
            "Host gone", "HostName 127.0.0.1", "Port 1",
            "Host gw1", "HostName 127.0.0.1", f"Port {self.server.port}", f"User {user}",
            f"IdentityFile {self.key_file}", "IdentityFile /nowhere/id_rsa", "IdentitiesOnly yes",
            *(options or ("StrictHostKeyChecking no", "UserKnownHostsFile /dev/null")),
        ]  # fmt: skip
        (self.folder / "ssh_config").write_text("\n".join(lines) + "\n")

    @property
    def reach(self) -> Reach:
        return reach("vagrant", LAB)


@pytest.fixture
def ssh_lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SshLab]:
    monkeypatch.setenv("DMM_LABS", str(tmp_path / "labs"))
    folder = tmp_path / "labs" / LAB
    folder.mkdir(parents=True)
    key = paramiko.ECDSAKey.generate()
    key.write_private_key_file(str(tmp_path / "key"))
    lab = SshLab(folder, tmp_path / "key", SshServer(tmp_path, key))
    lab.write()
    yield lab
    lab.server.die()


@pytest.fixture
def runner(ssh_lab: SshLab) -> Iterator[SshRunner]:
    del ssh_lab
    made = SshRunner(SshRecord("vagrant", LAB))
    yield made
    made.close()
