"""What is missing on a computer is told in a sentence with advice."""

from __future__ import annotations

import os
import subprocess

import pytest

from dmm_testbed.machines import MachineError, probe, process

ALL_CAPABILITIES = "Name:\tpython\nCapEff:\t000001ffffffffff\n"
CONTAINER_CAPABILITIES = "Name:\tpython\nCapEff:\t00000000a80425fb\n"
"""What Docker gives root if it is not told otherwise."""


def told(missing: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """What is said if the probe in the machine prints this."""
    monkeypatch.setattr(process, "enter", lambda *_: ["printf", missing])
    with pytest.raises(MachineError) as error:
        probe.check_features(1)
    return str(error.value)


def test_without_root_it_says_how_to_become_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(MachineError, match="run this as root, for example with `sudo`"):
        probe.check_computer()


def test_root_with_all_capabilities_may() -> None:
    probe.check_capabilities(ALL_CAPABILITIES)


def test_root_in_a_container_is_told_what_is_missing() -> None:
    with pytest.raises(MachineError) as error:
        probe.check_capabilities(CONTAINER_CAPABILITIES)
    assert str(error.value) == (
        "root lacks CAP_NET_ADMIN, CAP_SYS_PTRACE, CAP_SYS_ADMIN here: in a container, start it "
        "privileged (for example `docker run --privileged`)"
    )


def test_a_missing_tool_is_told_with_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(probe, "check_capabilities", lambda _: None)
    monkeypatch.setattr(probe, "PATH", "/nowhere")
    with pytest.raises(MachineError, match="apt-get is missing: install the Debian package"):
        probe.check_computer()


@pytest.mark.parametrize("feature", sorted(probe.FEATURES))
def test_every_missing_feature_is_told_with_what_to_do(
    feature: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    sentence = told(f"{feature}\\n", monkeypatch)
    assert sentence.startswith("this kernel has no ")
    assert "CONFIG_" in sentence


def test_all_that_is_missing_is_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    assert told("veth\\nnft_fib\\n", monkeypatch).splitlines() == [
        "this kernel has no veth interfaces: try `modprobe veth`; otherwise boot a kernel with "
        "CONFIG_VETH (Debian's has it)",
        "this kernel has no nftables' fib expression: try `modprobe nft_fib_ipv6`; otherwise boot "
        "a kernel with CONFIG_NFT_FIB_IPV6 (Debian's has it)",
    ]


def test_a_kernel_without_tunnel_devices_is_told_only_to_who_asks_for_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(probe, "check_capabilities", lambda _: None)
    tried: list[str] = []

    def run(command: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        tried.append(command[-1])
        refused = "ip6tnl" in command[-1]
        return subprocess.CompletedProcess(command, refused, "", "Unknown device type.\n")

    monkeypatch.setattr(subprocess, "run", run)
    probe.check_computer({"seg6"})
    assert not any("ip6tnl" in script for script in tried)
    with pytest.raises(MachineError) as error:
        probe.check_computer({"seg6", "ip6tnl"})
    assert str(error.value) == (
        "this kernel has no IPv6 tunnel devices (ip6tnl), which `dataplane: ip6tnl` in the profile "
        "or the topology asks for: try `modprobe ip6_tunnel`; otherwise boot a kernel with "
        "CONFIG_IPV6_TUNNEL (Debian's has it) (Unknown device type.)"
    )


def test_the_probe_and_the_advice_speak_of_the_same_features() -> None:
    script = (process.SCRIPTS / "probe.sh").read_text(encoding="utf-8")
    tried = {line.split()[1] for line in script.splitlines() if line.startswith("try ")}
    assert tried == set(probe.FEATURES) - {"overlay"}
