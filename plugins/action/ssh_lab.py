"""Records a lab of machines that are reached by SSH; options are in `plugins/modules`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase

from dmm_testbed.machines import MachineError, packages, ssh_lab
from dmm_testbed.machines.carriers import USUAL_MTU, Host
from dmm_testbed.machines.spec import LabSpec, LinkSpec, lab_spec
from dmm_testbed.machines.ssh_config import Access

if TYPE_CHECKING:
    from collections.abc import Mapping

_ARGUMENTS: dict[str, Any] = {
    "lab": {"type": "str", "required": True},
    "kind": {"choices": ["vagrant", "metal"], "required": True},
    "state": {"choices": ["present", "absent"], "default": "present"},
    "directory": {"type": "path", "required": True},
    "topology": {"type": "str"},
    "machines": {"type": "list", "elements": "str"},
    "links": {"type": "list", "elements": "dict", "default": []},
    "vxlan_port": {"type": "int", "default": 4789},
    "vxlan_first_vni": {"type": "int", "default": 1},
}


class ActionModule(ActionBase):
    """One task for a whole lab, in the controller's own Python."""

    _supports_check_mode = True
    _requires_connection = False

    def run(
        self, tmp: str | None = None, task_vars: dict[str, Any] | None = None
    ) -> dict[str, Any]:
        """Do it; returns Ansible's result."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        _, arguments = self.validate_argument_spec(
            _ARGUMENTS, required_if=[("state", "present", ("topology", "machines"))]
        )
        directory = Path(arguments["directory"])
        if arguments["state"] == "absent":
            return result | self._absent(arguments["lab"], directory)
        try:
            return result | self._present(arguments, directory, task_vars or {})
        except MachineError as error:
            raise AnsibleActionFail(str(error)) from None

    def _present(
        self, arguments: dict[str, Any], directory: Path, task_vars: dict[str, Any]
    ) -> dict[str, Any]:
        lab, kind = arguments["lab"], arguments["kind"]
        links = [
            {key: value for key, value in link.items() if key in LinkSpec.model_fields}
            for link in arguments["links"]
        ]
        hostvars = task_vars["hostvars"]
        names = [name for name in arguments["machines"] if "dmm" in hostvars[name]]
        spec = lab_spec(arguments["topology"], names, links)
        ssh_lab.check_names(spec, arguments["machines"])
        hosts = {name: _host(name, hostvars[name]) for name in spec.machines}
        if sentence := ssh_lab.absent(lab, kind, spec.topology, hosts):
            if self._task.check_mode and kind == "vagrant":
                return {"changed": True, "running": False, "msg": sentence}
            raise MachineError(sentence)
        made = _lab(arguments, spec, hosts, hostvars)
        files = ssh_lab.record(made, {name: _access(hostvars[name]) for name in spec.machines})
        told = {
            name: {
                "links": _links_file(made, name),
                "clock": made.clock(name) if _in_step(name, hostvars[name]) else None,
            }
            for name in spec.machines
        }
        changed = ssh_lab.differs(directory, files)
        if changed and not self._task.check_mode:
            ssh_lab.write(directory, files)
        return {
            "changed": changed,
            "running": True,
            "msg": f"lab {lab}: the inventory says where all {len(hosts)} machines are",
            "packages": list(packages.HOST),
            "hosts": told,
        }

    def _absent(self, lab: str, directory: Path) -> dict[str, Any]:
        there = directory.exists()
        if there and not self._task.check_mode:
            ssh_lab.forget(directory)
        what = "is recorded no more" if there else "is not recorded"
        return {"changed": there, "running": False, "msg": f"lab {lab} {what}"}


def _lab(
    arguments: dict[str, Any], spec: LabSpec, hosts: dict[str, Host], hostvars: Mapping[str, Any]
) -> ssh_lab.SshLab:
    return ssh_lab.SshLab(
        name=arguments["lab"],
        kind=arguments["kind"],
        spec=spec,
        hosts=hosts,
        vxlan_port=arguments["vxlan_port"],
        vxlan_first_vni=arguments["vxlan_first_vni"],
        lab_addresses={name: hostvars[name]["dmm"]["address"] for name in spec.machines},
    )


def _links_file(lab: ssh_lab.SshLab, machine: str) -> str:
    """As text: Ansible takes very long to hand structures on."""
    return json.dumps({"schema": 1, "links": lab.links(machine)}, indent=1) + "\n"


def _host(name: str, variables: Mapping[str, Any]) -> Host:
    return Host(
        name,
        address=variables.get("ansible_host"),
        underlay_address=variables.get("dmm_underlay_address"),
        underlay_mtu=int(variables.get("dmm_underlay_mtu", USUAL_MTU)),
        interfaces=dict(variables.get("dmm_interfaces") or {}),
    )


def _in_step(name: str, variables: Mapping[str, Any]) -> bool:
    """Whether the lab keeps the host's clock; else the host's owner does."""
    wanted = variables.get("dmm_clock", "lab")
    if wanted not in ("lab", "own"):
        raise MachineError(
            f"inventory: host {name}: dmm_clock: expected lab or own, got {wanted!r}"
        )
    return bool(wanted == "lab")


def _access(variables: Mapping[str, Any]) -> Access:
    port = variables.get("ansible_port", variables.get("ansible_ssh_port"))
    lines = (variables.get(f"ansible_ssh_{kind}_args") for kind in ("common", "extra"))
    return Access(
        address=str(variables["ansible_host"]),
        port=None if port is None else int(port),
        user=variables.get("ansible_user", variables.get("ansible_ssh_user")),
        key=variables.get(
            "ansible_ssh_private_key_file", variables.get("ansible_private_key_file")
        ),
        arguments=" ".join(str(line) for line in lines if line),
    )
