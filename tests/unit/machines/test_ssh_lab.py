"""The record of a lab that is reached by SSH: what OpenSSH understands, and where clocks look."""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING, Any

import pytest

from dmm_testbed.machines import MachineError, ssh_config, ssh_lab
from dmm_testbed.machines.carriers import Host
from dmm_testbed.machines.spec import lab_spec
from dmm_testbed.machines.ssh_config import Access

if TYPE_CHECKING:
    from pathlib import Path

SPEC = lab_spec("pair", ["gw", "ar"], [{"ends": ["gw", "ar"], "mtu": 1400}])


def lab(kind: str, gateway: dict[str, Any], router: dict[str, Any]) -> ssh_lab.SshLab:
    hosts = {"gw": Host("gw", **gateway), "ar": Host("ar", **router)}
    inside: dict[str, str | None] = {"gw": "2001:db8:1::1", "ar": "2001:db8:1::2"}
    return ssh_lab.SshLab("mine", kind, SPEC, hosts, lab_addresses=inside)


METAL = lab("metal", {"address": "192.0.2.1"}, {"address": "192.0.2.2"})


def asked(config: Path, name: str) -> dict[str, str]:
    """What OpenSSH makes of a record."""
    done = subprocess.run(
        ["ssh", "-G", "-F", str(config), name], capture_output=True, text=True, check=True
    )
    return dict(line.split(" ", 1) for line in done.stdout.splitlines() if " " in line)


class TestSshConfig:
    def test_ssh_finds_in_the_record_what_the_inventory_says(self, tmp_path: Path) -> None:
        key = tmp_path / "a key"
        access = Access("192.0.2.1", 2222, "admin", str(key), "-o UserKnownHostsFile=/dev/null")
        config = tmp_path / "ssh_config"
        config.write_text(ssh_config.record("mine", {"gw": access}, ["gw"]))
        found = asked(config, "gw")
        assert (found["hostname"], found["port"], found["user"]) == ("192.0.2.1", "2222", "admin")
        assert (found["identityfile"], found["identitiesonly"]) == (str(key), "yes")
        assert found["userknownhostsfile"] == "/dev/null"
        assert found["compression"] == "no"

    def test_host_keys_are_checked_unless_the_inventory_says_otherwise(
        self, tmp_path: Path
    ) -> None:
        careless = Access("192.0.2.2", arguments="-o StrictHostKeyChecking=no")
        config = tmp_path / "ssh_config"
        both = {"gw": Access("192.0.2.1"), "ar": careless}
        config.write_text(ssh_config.record("mine", both, ["gw", "ar"]))
        assert asked(config, "gw")["stricthostkeychecking"] in {"ask", "true"}
        assert asked(config, "ar")["stricthostkeychecking"] == "false"
        assert "StrictHostKeyChecking no\n" in config.read_text(), "as paramiko knows it"

    @pytest.mark.parametrize(
        ("jump", "command"),
        [
            ("bastion", "ssh -W [%h]:%p bastion"),
            ("me@bastion:2200", "ssh -W [%h]:%p -p 2200 me@bastion"),
            ("first,second", "ssh -J first -W [%h]:%p second"),
        ],
    )
    def test_a_jump_host_becomes_a_command_that_every_reader_knows(
        self, jump: str, command: str
    ) -> None:
        lines = ssh_config.section("gw", f"hostname gw\nproxyjump {jump}\n")
        assert f"    ProxyCommand {command}\n" in lines

    def test_arguments_that_ssh_does_not_understand_are_told(self) -> None:
        with pytest.raises(MachineError, match="inventory: host gw: ssh does not understand"):
            ssh_config.asked("gw", Access("192.0.2.1", arguments="-o NoSuchThing=yes"))


class TestRecord:
    def test_it_says_what_the_lab_is_made_of(self) -> None:
        access = {name: Access("192.0.2.1") for name in SPEC.machines}
        files = ssh_lab.record(METAL, access)
        assert json.loads(files["lab.json"]) == {
            "schema": 1,
            "kind": "metal",
            "topology": "pair",
            "machines": ["gw", "ar"],
        }
        assert files["ssh_config"].count("\nHost ") == 2

    def test_it_is_written_once_for_its_owner_and_forgotten(self, tmp_path: Path) -> None:
        place, files = tmp_path / "labs" / "mine", {"ssh_config": "Host gw\n"}
        assert ssh_lab.differs(place, files)
        ssh_lab.write(place, files)
        assert not ssh_lab.differs(place, files)
        assert (place / "ssh_config").stat().st_mode & 0o777 == 0o600
        assert ssh_lab.differs(place, {"ssh_config": "Host ar\n"})
        ssh_lab.forget(place)
        ssh_lab.forget(place)
        assert not place.exists()

    def test_machines_without_an_address_are_told_with_what_to_do(self) -> None:
        none = {name: Host(name) for name in ("gw", "ar")}
        some = none | {"gw": Host("gw", "192.0.2.1")}
        assert ssh_lab.absent("mine", "vagrant", "pair", METAL.hosts) == ""
        assert "no machine of topology pair has an address" in ssh_lab.absent(
            "mine", "vagrant", "pair", none
        )
        assert "vagrant up" in ssh_lab.absent("mine", "vagrant", "pair", none)
        sentence = ssh_lab.absent("mine", "metal", "pair", some)
        assert sentence.startswith(
            "inventory: not each machine (not ar) of topology pair has an add"
        )

    def test_a_host_that_is_no_machine_of_the_topology_is_refused(self) -> None:
        with pytest.raises(MachineError, match="host gw11: topology pair has no such machine; exp"):
            ssh_lab.check_names(SPEC, ["gw", "ar", "gw11"])


class TestClocks:
    def test_the_first_machine_gives_its_time_to_the_others_and_to_nobody_else(self) -> None:
        assert METAL.clock("gw") == {"server": None, "allow": ["192.0.2.2"]}
        assert METAL.clock("ar") == {"server": "192.0.2.1", "allow": []}

    def test_vms_behind_address_translation_use_the_lab_itself(self) -> None:
        behind = lab("vagrant", {"address": "127.0.0.1"}, {"address": "127.0.0.1"})
        assert behind.clock("ar") == {"server": "2001:db8:1::1", "allow": []}
        assert behind.clock("gw") == {"server": None, "allow": ["2001:db8::/32"]}
