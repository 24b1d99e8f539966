"""The path of a probe is what its links say, whatever the clocks."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dmm_testbed.measure.errors import MeasuringError
from dmm_testbed.measure.packets import FORWARD, REVERSE
from dmm_testbed.measure.path import Flow, Trace, stretch, trace

if TYPE_CHECKING:
    from tests.unit.measure.conftest import Internet

STREAM = 7
TO_MN11 = Flow(STREAM, FORWARD, "cn2", "mn11")
FROM_MN11 = Flow(STREAM, REVERSE, "mn11", "cn2")
DIRECT = "cn2 ar21 gw2 core gw1 ar11 mn11"
ROUND_THE_TRIANGLE = "cn2 ar21 gw2 core gw1 core gw3 ar31 mn11"
TRIANGLE = ("cn2 ar21 gw2 core gw1", "(gw1 core gw3)", "gw3 ar31 mn11")
MACHINES = ("cn2", "ar21", "gw2", "core", "gw1", "gw3", "ar31", "mn11")


def only(internet: Internet, flow: Flow = TO_MN11) -> Trace:
    (found,) = trace(internet.sightings, internet.wiring, flow)
    return found


def test_a_plain_path_is_the_machines_in_order(internet: Internet) -> None:
    internet.send(DIRECT)
    walk = only(internet).walk
    assert walk.hosts == tuple(DIRECT.split())
    assert walk.delivered
    assert walk.complete
    assert not walk.loop
    assert walk.tunnels == ()
    assert walk.stretch == 1.0


def test_a_triangle_crosses_the_core_twice_and_is_longer(internet: Internet) -> None:
    internet.send(*TRIANGLE)
    walk = only(internet).walk
    assert walk.hosts == ("cn2", "ar21", "gw2", "core", "gw1", "core", "gw3", "ar31", "mn11")
    assert walk.tunnels == (("gw1", "gw3"),)
    assert not walk.loop
    assert walk.stretch == pytest.approx(8 / 6)


def test_a_packet_moved_from_one_tunnel_to_the_next_is_followed(internet: Internet) -> None:
    internet.send("cn2 ar21 gw2", "(gw2 core gw1)", "(gw1 core gw3)", "(gw3 ar31)", "ar31 mn11")
    walk = only(internet).walk
    assert walk.hosts == ("cn2", "ar21", "gw2", "core", "gw1", "core", "gw3", "ar31", "mn11")
    assert walk.tunnels == (("gw2", "gw1"), ("gw1", "gw3"), ("gw3", "ar31"))


def test_where_addresses_are_rewritten_is_told_apart_from_tunnels(internet: Internet) -> None:
    internet.send("cn2 ar21 gw2", "[gw2 core gw3]", "(gw3 ar31)", "ar31 mn11")
    walk = only(internet).walk
    assert walk.hosts == ("cn2", "ar21", "gw2", "core", "gw3", "ar31", "mn11")
    assert walk.rewritten == (("gw2", "gw3"),)
    assert walk.tunnels == (("gw3", "ar31"),)
    assert walk.stretch == 1.0


def test_a_packet_rewritten_twice_is_followed(internet: Internet) -> None:
    internet.send("cn2 ar21 gw2 core gw1", "[gw1 core gw3]", "gw3 ar31 mn11")
    walk = only(internet).walk
    assert walk.hosts == ("cn2", "ar21", "gw2", "core", "gw1", "core", "gw3", "ar31", "mn11")
    assert walk.rewritten == (("gw1", "gw3"),)


def test_a_sender_may_encapsulate_by_itself(internet: Internet) -> None:
    internet.direction = REVERSE
    by_the_anchor = "mn11 ar31 gw3 core anchor core gw2 ar21 cn2"
    internet.send("(mn11 ar31 gw3 core anchor)", "anchor core gw2 ar21 cn2")
    walk = only(internet, FROM_MN11).walk
    assert walk.hosts == tuple(by_the_anchor.split())
    assert walk.tunnels == (("mn11", "anchor"),)


def test_a_lost_probe_ends_where_it_was_last_seen(internet: Internet) -> None:
    internet.send("cn2 ar21 gw2 core gw1 ar11 mn11!")
    walk = only(internet).walk
    assert walk.hosts == ("cn2", "ar21", "gw2", "core", "gw1", "ar11")
    assert not walk.delivered
    assert walk.stretch is None
    assert only(internet).arrived_at_s is None


def test_a_loop_is_seen(internet: Internet) -> None:
    internet.send("cn2 ar21 gw2 core gw1 core gw1 core gw1 ar11 mn11")
    walk = only(internet).walk
    assert walk.loop
    assert walk.delivered
    assert walk.hosts.count("gw1") == 3


def test_a_loop_of_tunnels_that_looks_the_same_each_time_round_is_seen(internet: Internet) -> None:
    """Linux copies the inner hop limit out again, so the packets of each round are equal."""
    around = ("(gw1 core gw3)", "(gw3 core gw1)")
    internet.send("cn2 ar21 gw2 core gw1", *around, *around, "gw1 ar11 mn11")
    walk = only(internet).walk
    assert walk.loop
    assert walk.hosts.count("gw3") == 2


def test_a_probe_that_loops_until_its_hop_limit_ends_is_followed_to_its_end(
    internet: Internet,
) -> None:
    internet.send("cn2 ar21 gw2 " + "core gw1 " * 28 + "core!")
    walk = only(internet).walk
    assert walk.loop
    assert not walk.delivered
    assert len(walk.hosts) == 3 + 2 * 28


def test_a_duplicated_packet_is_no_loop(internet: Internet) -> None:
    probes = internet.send(DIRECT)
    after_core = [probe for probe in probes if probe.time_s > probes[5].time_s]
    internet.sightings.probes += [p._replace(time_s=p.time_s + 0.001) for p in after_core]
    walk = only(internet).walk
    assert walk.hosts == tuple(DIRECT.split())
    assert not walk.loop
    assert walk.stretch == 1.0


def test_a_duplicate_on_a_triangle_is_no_loop(internet: Internet) -> None:
    probes = internet.send(*TRIANGLE)
    after_gw2 = [probe for probe in probes if probe.time_s > probes[3].time_s]
    internet.sightings.probes += [p._replace(time_s=p.time_s + 0.001) for p in after_gw2]
    walk = only(internet).walk
    assert walk.hosts == tuple(ROUND_THE_TRIANGLE.split())
    assert not walk.loop


@pytest.mark.parametrize("detours", [("anchor", "gw1"), ("gw1", "anchor")])
@pytest.mark.parametrize("reverse", [False, True])
def test_hop_limits_say_which_of_two_detours_came_first(
    internet: Internet, detours: tuple[str, str], reverse: bool
) -> None:
    path = f"cn2 ar21 gw2 core {detours[0]} core {detours[1]} core gw3 ar31 mn11"
    internet.send(path)
    if reverse:
        internet.sightings.probes.reverse()
    assert only(internet).walk.hosts == tuple(path.split())


def test_a_packet_that_went_two_ways_at_once_is_not_guessed_at(internet: Internet) -> None:
    probes = internet.send(DIRECT)
    internet.next_sequence = probes[0].sequence
    copy = internet.send("cn2 ar21 gw2 core gw3 ar31 mn11!")
    shared = {(p.machine, p.interface, p.outgoing) for p in probes}
    internet.sightings.probes = probes + [
        p for p in copy if (p.machine, p.interface, p.outgoing) not in shared
    ]
    with pytest.raises(MeasuringError, match="cannot be followed all the way"):
        trace(internet.sightings, internet.wiring, TO_MN11)


def test_one_side_of_a_link_is_enough(internet: Internet) -> None:
    internet.send(*TRIANGLE)
    internet.forget("core", "gw1", 0, outgoing=False)
    internet.forget("gw3", "core", 0, outgoing=False)
    internet.forget("ar21", "gw2", 0, outgoing=True)
    assert only(internet).walk.stretch == pytest.approx(8 / 6)


def test_the_mobile_nodes_bridge_counts_once(internet: Internet) -> None:
    probes = internet.send(DIRECT)
    internet.sightings.probes.append(probes[-1]._replace(interface="radio0"))
    assert only(internet).walk.hosts == tuple(DIRECT.split())


def test_a_hole_in_many_paths_is_a_measuring_error(internet: Internet) -> None:
    internet.send_many(10, DIRECT)
    for sequence in range(5):
        internet.forget("core", "gw1", sequence, outgoing=True)
        internet.forget("gw1", "core", sequence, outgoing=False)
    with pytest.raises(MeasuringError, match="5 of 10 probes from cn2 to mn11 cannot be followed"):
        trace(internet.sightings, internet.wiring, TO_MN11)


def test_a_rare_hole_is_left_out(internet: Internet) -> None:
    internet.send_many(200, DIRECT)
    internet.forget("core", "gw1", 9, outgoing=True)
    internet.forget("gw1", "core", 9, outgoing=False)
    traces = trace(internet.sightings, internet.wiring, TO_MN11)
    assert [found.sequence for found in traces if not found.walk.complete] == [9]
    assert traces[9].walk.stretch is None


def test_an_end_that_was_not_captured_is_an_error(internet: Internet) -> None:
    internet.send(DIRECT)
    internet.sightings.machines.remove("mn11")
    with pytest.raises(MeasuringError, match="mn11 was not captured"):
        trace(internet.sightings, internet.wiring, TO_MN11)


def test_a_path_shorter_than_the_shortest_is_an_error(internet: Internet) -> None:
    with pytest.raises(MeasuringError, match=r"crosses 1 links, but .* has 5"):
        stretch(("cn2", "ar11"), internet.wiring)


def test_stretch_is_held_against_where_the_node_is_attached(internet: Internet) -> None:
    """The short way through ar21, which mn11 hears but does not use, is no way."""
    assert stretch(tuple(DIRECT.split()), internet.wiring) == 1.0
    assert stretch(("cn2", "ar21", "mn11"), internet.wiring) == 1.0


def test_two_nodes_at_one_router_are_two_links_apart(internet: Internet) -> None:
    assert stretch(("mn11", "ar31", "mn21"), internet.wiring) == 1.0
    assert stretch(("mn11", "ar31", "gw3", "ar31", "mn21"), internet.wiring) == 2.0


def test_other_streams_and_directions_are_left_alone(internet: Internet) -> None:
    internet.send(DIRECT)
    assert trace(internet.sightings, internet.wiring, FROM_MN11) == []
    other = Flow(STREAM + 1, FORWARD, "cn2", "mn11")
    assert trace(internet.sightings, internet.wiring, other) == []


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50)
@given(skew_s=st.dictionaries(st.sampled_from(MACHINES), st.floats(-100, 100)))
def test_clocks_do_not_matter(internet: Internet, skew_s: dict[str, float]) -> None:
    internet.sightings.probes.clear()
    internet.next_sequence = 0
    internet.send(*TRIANGLE, skew_s=skew_s)
    assert only(internet).walk.hosts == tuple(ROUND_THE_TRIANGLE.split())


def test_a_probe_is_sent_when_its_sender_says_whoever_saw_it_first(internet: Internet) -> None:
    internet.send(DIRECT, skew_s={"core": -50.0, "mn11": 7.0})
    sent = internet.sightings.probes
    leaving = next(p.time_s for p in sent if p.machine == "cn2" and p.outgoing)
    arriving = next(p.time_s for p in sent if p.machine == "mn11")
    assert (only(internet).sent_at_s, only(internet).arrived_at_s) == (leaving, arriving)
