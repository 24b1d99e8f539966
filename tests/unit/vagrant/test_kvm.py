"""KVM is believed when it boots a kernel, and not before; here a script plays QEMU."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from dmm_testbed.vagrant import kvm

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

BOOTS = f'printf "[ 1.0] Kernel panic - not syncing: {kvm.BOOTED} on (0,0)" > "$console"'
REFUSES = 'echo "qemu: kvm_buf_set_msrs: Assertion failed" >&2; exit 134'
HANGS = 'printf "[ 0.0] Linux version" > "$console"; exec sleep 60'


@pytest.fixture
def kernel(tmp_path: Path) -> Path:
    file = tmp_path / "vmlinuz"
    file.write_bytes(b"kernel")
    return file


@pytest.fixture
def qemu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Let QEMU do this instead, and have a device."""

    def do(what: str) -> None:
        program = tmp_path / "bin" / "qemu-system-x86_64"
        program.parent.mkdir(exist_ok=True)
        find = 'for word; do case "$word" in file:*) console=${word#file:};; esac; done'
        program.write_text(f"#!/bin/sh\n{find}\n{what}\n")
        program.chmod(0o755)
        monkeypatch.setenv("PATH", f"{program.parent}:/usr/bin:/bin")

    device = tmp_path / "kvm"
    device.touch()
    monkeypatch.setattr(kvm, "DEVICE", device)
    return do


def test_a_kernel_that_looks_for_its_root_has_booted(
    qemu: Callable[[str], None], kernel: Path
) -> None:
    qemu(BOOTS)
    assert kvm.try_kvm(kernel).usable


def test_a_device_that_boots_nothing_is_not_used_and_qemus_words_are_told(
    qemu: Callable[[str], None], kernel: Path
) -> None:
    qemu(REFUSES)
    attempt = kvm.try_kvm(kernel)
    assert not attempt.usable
    assert "kvm_buf_set_msrs" in attempt.reason


def test_an_attempt_ends_in_time(
    qemu: Callable[[str], None], kernel: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kvm, "WITHIN_S", 0.3)
    qemu(HANGS)
    began = time.monotonic()
    attempt = kvm.try_kvm(kernel)
    assert not attempt.usable
    assert "did not boot a kernel in" in attempt.reason
    assert time.monotonic() - began < 10


def test_what_is_missing_is_told(
    qemu: Callable[[str], None], kernel: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    qemu(BOOTS)
    assert "run `make box`" in kvm.try_kvm(tmp_path / "absent").reason
    monkeypatch.setattr(kvm, "DEVICE", tmp_path / "nowhere")
    assert kvm.try_kvm(kernel).reason.endswith("nowhere is not there")


def test_the_outcome_is_remembered_until_the_kernel_is_another(
    qemu: Callable[[str], None], kernel: Path, tmp_path: Path
) -> None:
    remembered = tmp_path / "tried.json"
    qemu(BOOTS)
    assert kvm.try_kvm(kernel, remembered).usable
    qemu(REFUSES)
    assert kvm.try_kvm(kernel, remembered).usable, "not tried again"
    kernel.unlink()
    kernel.write_bytes(b"another")
    assert not kvm.try_kvm(kernel, remembered).usable
