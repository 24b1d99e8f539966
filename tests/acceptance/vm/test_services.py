"""The agent as a service of systemd: ready when told, locked in, back after a fall."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from dmm_testbed.topology.model import Role

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from labs import Lab

ROOT = Path(__file__).parents[3]
UNIT = "dmm-agent.service"
CONFIG = "/etc/dmm/agent.yml"
PROBE_UNIT = "/run/systemd/system/dmm-probe.service"
NET_ADMIN, NET_RAW = 1 << 12, 1 << 13
PRIORITY = {"debug": "7", "info": "6", "warning": "4", "error": "3"}
BACK_WITHIN_S = 60.0

ALLOWED = {
    "write to its scratch directory",
    "read its configuration",
    "change an IPv6 setting of an interface",
    "open a raw socket",
    "open a packet socket",
    "read nftables",
    "change a link",
}
"""Of what `sandbox_probe.py` tries."""


@pytest.fixture(scope="module")
def router(lab: Lab) -> Any:
    """Testinfra's view of an access router, whose agent needs the most."""
    return lab.host(next(iter(lab.machines(Role.ACCESS_ROUTER))))


def shown(host: Any, name: str, unit: str = UNIT) -> str:
    """A property of a unit."""
    return str(host.check_output("systemctl show --property=%s --value %s", name, unit))


def status(host: Any) -> dict[str, str]:
    """What the kernel says of the agent's process."""
    lines = host.check_output("cat /proc/%s/status", shown(host, "MainPID")).splitlines()
    return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}


JOURNAL = f"journalctl --unit={UNIT} --output=json"
SAID = "_TRANSPORT=stdout"
"""What the agent says, not what systemd says of it."""


def entries(host: Any, since: str) -> list[dict[str, Any]]:
    """The agent's lines in the journal since a cursor."""
    lines = host.check_output(f"{JOURNAL} --after-cursor=%s {SAID}", since)
    return [json.loads(line) for line in lines.splitlines()]


def cursor(host: Any) -> str:
    """The agent's last line in the journal as it is now.

    Its own, because after a cursor of another entry journalctl leaves out the first that matches.
    """
    return str(json.loads(host.check_output(f"{JOURNAL} --lines=1 {SAID}"))["__CURSOR"])


def data_plane(host: Any) -> dict[str, str]:
    """What of the agent is in the kernel; ages and counters are left out."""
    routes = host.check_output("ip -6 route show table all proto 77")
    rules = host.check_output("ip -6 rule show proto 77")
    filters = host.check_output("nft --stateless list table ip6 dmm")
    return {"routes": routes, "rules": rules, "filters": filters}


class TestStarting:
    def test_who_starts_it_finds_the_agent_answering(self, router: Any) -> None:
        done = router.run(f"systemctl restart {UNIT} && dmmctl status --json")

        assert done.rc == 0, done.stderr
        assert json.loads(done.stdout)["pid"] == int(shown(router, "MainPID"))
        assert " runs " in shown(router, "StatusText")

    def test_it_starts_at_boot_after_network_and_routing(self, router: Any) -> None:
        assert router.service("dmm-agent").is_enabled
        assert {"network.target", "bird.service", "time-sync.target"} <= set(
            shown(router, "After").split()
        )

    def test_it_waits_for_the_right_time(self, router: Any) -> None:
        assert "dmm-clock.service" in shown(router, "Wants").split()
        assert shown(router, "Result", "dmm-clock.service") == "success"
        assert shown(router, "ActiveState", "dmm-clock.service") == "active"

    def test_systemd_has_read_what_is_written(self, router: Any) -> None:
        assert shown(router, "NeedDaemonReload") == "no"
        assert not router.file("/etc/init.d/dmm-agent").exists


class TestLockedIn:
    def test_the_process_is_a_plain_user_with_two_capabilities(self, router: Any) -> None:
        seen = status(router)

        for kind in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
            assert int(seen[kind], 16) == NET_ADMIN | NET_RAW, kind
        assert "0" not in seen["Uid"].split() + seen["Gid"].split() + seen["Groups"].split()
        assert (seen["NoNewPrivs"], seen["Seccomp"]) == ("1", "2")

    @pytest.fixture
    def probe(self, router: Any) -> Iterator[str]:
        """The command that tries things, on the machine."""
        source = (Path(__file__).parent / "sandbox_probe.py").read_text(encoding="utf-8")
        router.check_output("mkdir -p /usr/local/lib/dmm-probe")
        router.check_output("printf %%s %s > /usr/local/lib/dmm-probe/probe.py", source)
        yield "/usr/bin/python3 /usr/local/lib/dmm-probe/probe.py"
        router.run(f"rm -rf /usr/local/lib/dmm-probe /run/dmm-probe.json {PROBE_UNIT}")
        router.run("systemctl daemon-reload")

    def test_in_its_place_nothing_works_but_what_the_agent_needs(
        self, router: Any, probe: str
    ) -> None:
        unit = router.file(f"/etc/systemd/system/{UNIT}").content_string
        for pattern, line in (
            (r"^ExecStart=.*$", f"ExecStart={probe} /run/dmm-probe"),
            (r"^Type=.*$", "Type=oneshot\nStandardOutput=file:/run/dmm-probe.json"),
            (r"^Restart=.*$", ""),
            (r"^RuntimeDirectory=.*$", "RuntimeDirectory=dmm-probe"),
            (r"^StateDirectory=.*$", ""),
        ):
            unit, count = re.subn(pattern, line, unit, flags=re.MULTILINE)
            assert count == 1, pattern
        router.check_output("printf %%s %s > %s", unit, PROBE_UNIT)
        router.check_output("systemctl daemon-reload")
        router.check_output("systemctl start dmm-probe")

        found = json.loads(router.file("/run/dmm-probe.json").content_string)
        assert {name for name, done in found.items() if done} == ALLOWED

    def test_to_root_all_of_that_is_open(self, router: Any, probe: str) -> None:
        """Else the test above would find doors closed that nobody closed."""
        found = json.loads(
            router.check_output(f"d=$(mktemp -d); {probe} $d; s=$?; rm -rf $d; exit $s")
        )

        assert [name for name, done in found.items() if not done] == []

    @pytest.mark.parametrize("place", ["/etc", "/usr", "/var", "/run", "/opt/dmm-agent"])
    def test_even_root_could_not_write_where_the_agent_is(self, router: Any, place: str) -> None:
        refused = router.run(
            f"nsenter --target {shown(router, 'MainPID')} --mount touch %s/dmm-probe", place
        )
        assert "Read-only file system" in refused.stderr

    def test_its_temporary_files_are_its_own(self, router: Any) -> None:
        inside = f"nsenter --target {shown(router, 'MainPID')} --mount"
        mine = router.check_output("mktemp")
        try:
            assert router.run(f"{inside} cat %s", mine).rc != 0
        finally:
            router.check_output("rm %s", mine)

    def test_its_exposure_is_at_most_what_the_docs_say(self, router: Any) -> None:
        page = (ROOT / "docs" / "agent.md").read_text(encoding="utf-8")
        documented = re.search(r"Overall exposure level for dmm-agent\.service: ([\d.]+)", page)
        told = router.check_output("systemd-analyze --no-pager security %s", UNIT)
        measured = re.search(r"Overall exposure level for dmm-agent\.service: ([\d.]+)", told)

        assert documented
        assert measured
        assert float(measured[1]) <= float(documented[1])


class TestFalls:
    def test_killed_it_comes_back_and_the_data_plane_never_went(
        self, router: Any, until: Callable[..., Any]
    ) -> None:
        before, pid = data_plane(router), shown(router, "MainPID")
        restarts = int(shown(router, "NRestarts"))

        # In one command: what is looked at here is there while no agent runs.
        meanwhile = router.check_output(
            "kill -KILL %s; ip -6 route show table all proto 77; dmmctl status 2>&1; true", pid
        )

        routes, _, answer = meanwhile.partition("dmmctl:")
        assert "the agent does not run" in answer
        assert routes.strip() == before["routes"]
        until(
            lambda: router.run("dmmctl status").rc == 0 and shown(router, "MainPID") != pid,
            "another agent answers",
            BACK_WITHIN_S,
        )
        assert int(shown(router, "NRestarts")) == restarts + 1
        assert data_plane(router) == before

    def test_stopped_it_leaves_the_data_plane_and_no_failure(self, router: Any) -> None:
        before = data_plane(router)
        router.check_output("systemctl stop %s", UNIT)
        try:
            assert data_plane(router) == before
            assert shown(router, "Result") == "success"
            assert not router.file("/run/dmm").exists
        finally:
            router.check_output("systemctl start %s", UNIT)
        assert data_plane(router) == before

    def test_a_wrong_configuration_is_told_once_and_not_tried_again(self, router: Any) -> None:
        start = cursor(router)
        router.check_output("cp --preserve %s %s.good && echo 'gate: 1' >> %s", *3 * (CONFIG,))
        try:
            assert router.run("systemctl restart %s", UNIT).rc != 0
            assert (shown(router, "ExecMainStatus"), shown(router, "NRestarts")) == ("2", "0")
            assert shown(router, "SubState") == "failed"
        finally:
            router.check_output("mv %s.good %s", *2 * (CONFIG,))
            router.check_output("systemctl start %s", UNIT)
        told = [entry for entry in entries(router, start) if entry["PRIORITY"] == "3"]
        assert [entry["MESSAGE"] for entry in told] == [
            f"{CONFIG}: gate: Extra inputs are not permitted, got 1"
        ]


class TestLogs:
    def test_each_line_is_json_with_its_priority(self, router: Any) -> None:
        start = cursor(router)
        router.check_output("systemctl restart %s", UNIT)

        told = [(e["PRIORITY"], json.loads(e["MESSAGE"])) for e in entries(router, start)]
        assert {(priority, line["event"]) for priority, line in told} >= {
            ("6", "stopped"),
            ("6", "started"),
        }
        assert all(priority == PRIORITY[line["level"]] for priority, line in told)

    def test_they_are_nowhere_else(self, router: Any) -> None:
        assert not router.file("/var/log/dmm-agent.log").exists
