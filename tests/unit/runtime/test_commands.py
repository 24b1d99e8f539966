"""What `dmm-agent` says about its configuration and its rights."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from tests.unit.runtime.test_kernel_messages import GATEWAY

from dmm_agent.runtime.main import main

if TYPE_CHECKING:
    from pathlib import Path


def written(folder: Path, **changes: Any) -> Path:
    config = GATEWAY.model_dump(mode="json", by_alias=True)
    path = folder / "agent.yml"
    path.write_text(yaml.safe_dump(config | changes))
    return path


def test_a_good_configuration_is_called_good(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = written(tmp_path)

    assert main(["--config", str(path), "--check"]) == 0
    assert capsys.readouterr().out.startswith(f"{path}: good")


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"addres": "::1"}, "addres: Extra inputs are not permitted"),
        ({"address": "gw1"}, "address: Input is not a valid IPv6 address"),
        ({"network": "net9"}, "network: expected one of directory.networks (net1, net2)"),
        ({"functions": {"teleport": {}}}, "functions.teleport: no such function"),
    ],
)
def test_a_wrong_configuration_is_named_by_field(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], changes: dict[str, Any], sentence: str
) -> None:
    path = written(tmp_path, **changes)

    assert main(["--config", str(path), "--check"]) == 2
    assert sentence in capsys.readouterr().err


def test_a_missing_configuration_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--config", str(tmp_path / "none.yml")]) == 2
    assert "none.yml" in capsys.readouterr().err


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give its rights up")
@pytest.mark.parametrize("arguments", [["--flush"], ["--config", "CONFIG"]])
def test_without_rights_it_says_so_and_touches_nothing(
    tmp_path: Path, arguments: list[str]
) -> None:
    path = written(tmp_path)
    command = ["setpriv", "--bounding-set=-net_admin", "--inh-caps=-net_admin"]
    command += [sys.executable, "-m", "dmm_agent.runtime.main"]
    command += [str(path) if argument == "CONFIG" else argument for argument in arguments]

    done = subprocess.run(command, capture_output=True, text=True, check=False)

    assert done.returncode == 77
    assert "run it as root" in done.stderr
    assert "NET_ADMIN" in done.stderr
