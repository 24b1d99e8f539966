"""The real agent process, with the real functions, on a router of the test network."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import struct
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

from tests.kernel.agent.agents import AgentProcess
from tests.kernel.agent.lab import (
    ADDRESS,
    CN,
    HNP1,
    HNP3,
    PREFIX,
    ROUTER_LL,
    Stream,
    inside,
    ip,
    run,
    until,
)
from tests.kernel.agent.test_life_of_the_data_plane import state

IPV6_MTU_DISCOVER, IPV6_MTU, IPV6_PMTUDISC_DO = 23, 24, 2

if TYPE_CHECKING:
    from collections.abc import Callable
    from ipaddress import IPv6Address, IPv6Network

    from tests.kernel.agent.lab import Lab


def has_address(lab: Lab, prefix: IPv6Network, *, preferred: bool) -> bool:
    """Whether the mobile node has an address of the prefix, preferred or deprecated."""
    return any(a in prefix and p is preferred for a, p in lab.addresses().items())


def address_in(lab: Lab, prefix: IPv6Network) -> IPv6Address:
    """The mobile node's address of a prefix, once it has one."""
    assert until(lambda: any(a in prefix for a in lab.addresses()))
    return next(a for a in lab.addresses() if a in prefix)


def away_from_home(lab: Lab) -> IPv6Address:
    """Let the mobile node get an address of net1 and go to net3; gives the address."""
    lab.attach("ar1")
    lab.solicit()
    home = address_in(lab, HNP1)
    lab.attach("ar3")
    lab.solicit()
    return home


def test_a_plain_linux_host_configures_itself_and_keeps_its_address_through_a_move(
    lab: Lab, agents: dict[str, AgentProcess]
) -> None:
    lab.attach("ar1")
    lab.solicit()
    home = address_in(lab, HNP1)
    assert f"default via {ROUTER_LL}" in run("ip", "-n", PREFIX + "mn", "-6", "route")
    mn, cn = lab.udp("mn", home), lab.udp("cn", CN)
    lab.attach("ar3")
    lab.solicit()
    address_in(lab, HNP3)
    mn.settimeout(0.05)

    def echoed() -> bool:
        mn.sendto(b"still me", (CN, 5000))
        cn.sendto(b"hello again", mn.getsockname()[:2])
        try:
            return bool(mn.recv(64))
        except TimeoutError:
            return False

    assert until(echoed)
    assert until(lambda: has_address(lab, HNP1, preferred=False)), "the old prefix is deprecated"
    assert has_address(lab, HNP3, preferred=True)
    assert agents["gw1"].count("events", "binding_set") == 1


def test_a_node_that_does_not_solicit_is_asked_when_the_link_comes_up(
    lab: Lab, agents: dict[str, AgentProcess]
) -> None:
    del agents
    lab.attach("ar1")
    address_in(lab, HNP1)
    lab.attach("ar3")
    address_in(lab, HNP3)


def test_where_uplinks_are_narrow_nodes_are_told_to_leave_room_for_the_tunnel(
    lab: Lab, start: Callable[..., AgentProcess]
) -> None:
    ip("ar1", "link set gw1 mtu 1500")
    for host in ("ar1", "gw1"):
        start(host)
    lab.attach("ar1")
    lab.solicit()
    address_in(lab, HNP1)

    with inside("mn"):
        assert Path("/proc/sys/net/ipv6/conf/radio0/mtu").read_text().strip() == "1460"


def test_the_correspondent_is_told_what_fits_the_tunnel_and_the_agent_counts_it(
    lab: Lab, agents: dict[str, AgentProcess]
) -> None:
    home = away_from_home(lab)
    mn, cn = lab.udp("mn", home), lab.udp("cn", CN)
    assert until(lambda: mn.sendto(b"", (CN, 9)) == 0 and bool(agents["gw1"].ask("bindings")))
    ip("gw2", "link set core mtu 1500")
    ip("core", "link set gw2 mtu 1500")
    cn.setsockopt(socket.IPPROTO_IPV6, IPV6_MTU_DISCOVER, IPV6_PMTUDISC_DO)
    cn.connect((str(home), 9))

    def told() -> bool:
        with contextlib.suppress(OSError):
            cn.send(bytes(1500 - 48))
        return bool(cn.getsockopt(socket.IPPROTO_IPV6, IPV6_MTU) == 1460)

    assert until(told)
    assert agents["gw2"].count("tunnel_errors", "passed on") >= 1


def test_an_absence_shorter_than_the_kernel_announces_is_noticed(
    lab: Lab, agents: dict[str, AgentProcess]
) -> None:
    lab.attach("ar3")
    lab.solicit()
    address_in(lab, HNP3)
    for _ in range(3):
        before = agents["ar3"].count("inputs", "Detached")
        lab.attach()
        lab.attach("ar3")
        lab.solicit()
        assert until(lambda: agents["ar3"].count("inputs", "Detached") > before)  # noqa: B023


def test_restarted_and_killed_agents_do_not_interrupt_traffic(
    lab: Lab, agents: dict[str, AgentProcess]
) -> None:
    home = away_from_home(lab)
    mn = lab.udp("mn", home, port=5001)

    def tunnelled() -> bool:
        mn.sendto(b"still me", (CN, 9))
        return bool(agents["gw3"].ask("bindings"))

    assert until(tunnelled)
    stream = Stream(lab.udp("cn", CN), lab.udp("mn", home))
    for host in ("gw1", "gw2", "gw3", "ar3"):
        assert agents[host].stop() == 0
        agents[host].start()
        agents[host].kill()
        agents[host].start()
    received = stream.finish()

    assert stream.sent > 500
    assert received == list(range(stream.sent))


def test_a_store_that_is_damaged_is_named(start: Callable[..., AgentProcess], lab: Lab) -> None:
    del lab
    agent = start("gw1")
    agent.stop()
    agent.state.write_bytes(b"nonsense" * 1000)
    files = ("--config", str(agent.config), "--socket", str(agent.socket))
    done = agent.run(*files, "--state", str(agent.state))
    assert done.returncode == 1
    assert done.stderr.startswith(f"dmm-agent: {agent.state}: the store is damaged")


def test_an_access_router_that_remembers_nothing_has_no_store(
    start: Callable[..., AgentProcess], lab: Lab
) -> None:
    del lab
    assert not start("ar1").state.exists()


def test_stop_leaves_forwarding_and_flush_takes_it_away(
    lab: Lab, start: Callable[..., AgentProcess]
) -> None:
    lab.attach("ar1")
    untouched = state("ar1")
    agent = start("ar1")
    start("gw1")
    lab.solicit()
    address_in(lab, HNP1)

    refused = agent.run("--flush", "--socket", str(agent.socket))
    assert (refused.returncode, "stop it first" in refused.stderr) == (1, True)

    assert agent.stop() == 0
    assert str(HNP1) in state("ar1")
    assert not agent.socket.exists()

    assert agent.run("--flush", "--socket", str(agent.socket)).returncode == 0
    assert state("ar1") == untouched


def mobility_header(mh_type: int, body: bytes = bytes(10)) -> bytes:
    """A Mobility Header with the checksum left to the kernel."""
    return struct.pack("!BBBBH", 59, (len(body) + 6) // 8 - 1, mh_type, 0, 0) + body


def test_rubbish_on_the_wire_is_counted_and_the_agent_goes_on(
    lab: Lab, start: Callable[..., AgentProcess]
) -> None:
    del lab
    agent = start("gw1")
    with inside("core"):
        raw = socket.socket(socket.AF_INET6, socket.SOCK_RAW, 135)
    sender = "2001:db8:1:1::1"
    rubbish = [os.urandom(size * 8) for size in range(1, 40)]
    for octets in rubbish:
        raw.sendto(octets[:2] + b"\x05" + octets[3:], (ADDRESS["gw1"], 0))
    raw.sendto(mobility_header(5), (ADDRESS["gw1"], 0))

    assert until(lambda: agent.count("malformed", sender) >= len(rubbish) - 1)
    assert agent.ask("status")["host"] == "gw1"
    raw.close()


def test_unknown_message_types_are_answered_with_binding_error_at_a_limited_rate(
    lab: Lab, start: Callable[..., AgentProcess]
) -> None:
    del lab
    agent = start("gw1")
    with inside("core"):
        raw = socket.socket(socket.AF_INET6, socket.SOCK_RAW, 135)
    raw.settimeout(0.3)
    for _ in range(100):
        raw.sendto(mobility_header(99), (ADDRESS["gw1"], 0))
    errors = []
    while True:
        try:
            errors.append(raw.recv(128))
        except TimeoutError:
            break
    raw.close()

    assert 1 <= len(errors) <= 20
    assert {(error[2], error[6]) for error in errors} == {(7, 2)}
    assert agent.count("unknown_type", "2001:db8:1:1::1") == 100


def test_dmmctl_shows_what_the_agent_holds(lab: Lab, start: Callable[..., AgentProcess]) -> None:
    gateway, access = start("gw1"), start("ar1")
    lab.attach("ar1")
    lab.solicit()
    address_in(lab, HNP1)

    def ctl(agent: AgentProcess, *arguments: str) -> str:
        done = agent.run(*arguments, "--socket", str(agent.socket), module="dmmctl")
        assert done.returncode == 0, done.stderr
        return done.stdout

    assert json.loads(ctl(gateway, "leases", "--json"))[0]["mn_id"] == "mn11@dmm.example"
    assert "mn11@dmm.example" in ctl(gateway, "leases")
    assert json.loads(ctl(gateway, "status", "--json"))["functions"] == ["allocator", "lm", "mr"]
    assert json.loads(ctl(gateway, "bindings", "--json")) == []
    assert ctl(gateway, "cache").strip() == "none"
    assert "mn11@dmm.example" in ctl(access, "attachments")
    assert str(HNP1) in ctl(access, "routes")
    assert "BindingAcknowledgement" in ctl(access, "counters")
    assert "attached" in ctl(access, "events")


def test_dmmctl_follows_events_as_they_come(lab: Lab, start: Callable[..., AgentProcess]) -> None:
    access = start("ar1")
    command = [*AgentProcess.command("dmmctl"), "events", "--follow", "--json"]
    command += ["--socket", str(access.socket)]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, env=access.environment()
    ) as follower:
        assert follower.stdout is not None
        assert json.loads(follower.stdout.readline())["event"] == "started"
        lab.attach("ar1")
        lab.solicit()
        assert json.loads(follower.stdout.readline())["event"] == "attached"
        access.stop()
        assert follower.wait(10) == 3


def test_dmmctl_says_that_the_agent_does_not_run(tmp_path: Path) -> None:
    agent = AgentProcess("gw1", tmp_path)
    done = subprocess.run(
        [*AgentProcess.command("dmmctl"), "status", "--socket", str(tmp_path / "none.sock")],
        capture_output=True,
        text=True,
        check=False,
        env=agent.environment(),
    )
    assert done.returncode == 3
    assert "does not run" in done.stderr


def test_a_second_agent_is_refused(lab: Lab, start: Callable[..., AgentProcess]) -> None:
    del lab
    agent = start("gw1")

    second = agent.run(
        "--config", str(agent.config), "--socket", str(agent.socket), "--state", str(agent.state)
    )

    assert second.returncode == 1
    assert "another agent answers" in second.stderr


def test_an_address_that_is_not_there_is_named(
    lab: Lab, start: Callable[..., AgentProcess]
) -> None:
    del lab
    agent = start("gw1")
    agent.stop()
    with inside("gw1"):
        run(*f"ip -6 addr del {ADDRESS['gw1']}/128 dev lo".split())

    done = agent.run(
        "--config", str(agent.config), "--socket", str(agent.socket), "--state", str(agent.state)
    )

    assert done.returncode == 2
    assert f"expected {ADDRESS['gw1']} on the loopback interface" in done.stderr
