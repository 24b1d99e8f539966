"""The draft's designs (section 7), each played with correspondents everywhere: what each one does.

A scenario is played under traffic with every profile; its measurements are looked at from all
sides. They are kept in build/report/designs, where `index.html` shows them beside each other.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import pytest
from labs import lab_of_its_own
from signalling import messages_in, messages_of_move, messages_since_move
from tests.playing import ROOT

from dmm_testbed.report.designs import write_designs
from dmm_testbed.scenario.play import TROUBLE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from labs import Lab

    from dmm_testbed.results import DirectionPath, Results, Step

ANYCAST = ("anycast-query", "anycast-push")
REWRITING = "gateway-query-rewrite"
PLAIN = (
    "gateway-query",
    REWRITING,
    "gateway-push",
    "access-query",
    "access-query-referral",
    "access-push",
    "distributed-no-ro",
)
"""Those in which plain routing leads to a node that is at home."""
PROFILES = (*ANYCAST, *PLAIN)
OPTIMISING = PROFILES[:-1]
TOLD = ("anycast-push", "gateway-push", "access-push")
ASKING = tuple(profile for profile in PROFILES if profile not in TOLD)
PLACES = ("old", "new", "third", "moving")
"""Where the correspondent is: in the network that the mobile node leaves, in the one it comes to,
in a third; or it is another mobile node, which moves next."""
OUTSIDE = ("third", "moving")
"""Those for whom the way by the home network is a detour."""
REPORT = ROOT / "build" / "report" / "designs"


@pytest.fixture(scope="session")
def designs_lab(request: pytest.FixtureRequest) -> Iterator[Lab]:
    """A lab with somebody to talk to in every network."""
    with lab_of_its_own(request.config, "many", "designs") as made:
        yield made


@pytest.fixture(scope="session")
def play(designs_lab: Lab) -> Iterator[Callable[[str], Results]]:
    """Plays the scenario with a profile, once: what failed would fail again, minutes later."""
    done: dict[str, Results] = {}
    failed: dict[str, Exception] = {}

    def play_with(profile: str) -> Results:
        if profile in failed:
            raise failed[profile]
        if profile not in done:
            try:
                done[profile] = designs_lab.play_scenario(REPORT / profile, profile)
            except (*TROUBLE, AssertionError) as error:
                failed[profile] = error
                raise
        return done[profile]

    yield play_with
    if done:
        write_designs(REPORT)


@pytest.fixture
def played(play: Callable[[str], Results], profile: str) -> Results:
    """What was measured with one profile."""
    return play(profile)


def step_of(results: Results, name: str, place: str) -> Step:
    return next(step for step in results.steps if step.name == f"{name}-{place}")


def messages_of(results: Results, name: str) -> Counter[str]:
    return messages_of_move(results, step_of(results, name, PLACES[0]))


def ends_of_tunnels(path: DirectionPath) -> set[tuple[str, str]]:
    return {(t.start, t.end) for seen in path.observed for t in seen.tunnels}


def went_by(path: DirectionPath, host: str) -> bool:
    """Whether packets passed a host steered since the node moved, be it the first ones only."""
    since = [seen for seen in path.observed if seen.hosts != path.before]
    ends = (segment for seen in since for segment in (*seen.tunnels, *seen.rewritten))
    return any(host in (segment.start, segment.end) for segment in ends)


def visitor_goes_by(results: Results, place: str, home: str) -> bool:
    """Whether a visitor's first packets go by its home, while the MR there asks for a better way.

    The first may be TCP's. On slow machines, which send little, the next probe may come when the
    answer is there: it takes the direct route, but was sent after the question.
    """
    away = step_of(results, "away", place)
    reverse = away.path.reverse
    by_home = went_by(reverse, home)
    if by_home or results.machines == "namespace":
        return by_home
    _, access_router, gateway, *_ = reverse.after
    direct_ms = next(seen.first_ms for seen in reverse.observed if seen.hosts == reverse.after)
    before = [m for m in messages_since_move(results, away) if m.at_ms < direct_ms]
    return any(m.label == "Query" and m.sender in (access_router, gateway) for m in before)


for_every_profile = pytest.mark.parametrize("profile", PROFILES)
for_every_place = pytest.mark.parametrize("place", PLACES)


@for_every_profile
def test_everything_goes_as_the_scenario_expects(played: Results) -> None:
    assert played.failures == ()


@for_every_place
@for_every_profile
def test_sessions_stay_intact_throughout(played: Results, place: str) -> None:
    for name in ("attach", "away", "both", "home"):
        step = step_of(played, name, place)
        assert step.tcp is not None, name
        assert (step.tcp.intact, step.tcp.survived) == (True, True), name


@for_every_place
@pytest.mark.parametrize("profile", PLAIN)
def test_packets_of_nodes_at_home_are_in_no_tunnel(played: Results, place: str) -> None:
    before = step_of(played, "attach", place)
    for path in (before.path.forward, before.path.reverse):
        assert [seen.tunnels for seen in path.observed if seen.tunnels] == []


@pytest.mark.parametrize("profile", ANYCAST)
def test_with_anycast_they_go_from_the_nearest_mr_to_that_of_the_home(played: Results) -> None:
    before = step_of(played, "attach", "third")
    assert ends_of_tunnels(before.path.forward) == {("gw2", "gw1")}
    assert ends_of_tunnels(before.path.reverse) == set()


@pytest.mark.parametrize("profile", ANYCAST)
def test_with_anycast_the_mr_nearest_to_the_central_site_serves_it(played: Results) -> None:
    central = played.steps[-1]
    assert ends_of_tunnels(central.path.forward) >= {("gw2", "gw1"), ("gw2", "gw3")}
    assert "gw2" in central.path.forward.after
    assert "gw1" not in central.path.forward.after


@pytest.mark.parametrize("profile", PLAIN)
def test_otherwise_no_mr_does_and_its_packets_go_by_the_home(played: Results) -> None:
    after = played.steps[-1].path.forward.after
    assert "gw1" in after
    assert "gw2" not in after


@for_every_place
@pytest.mark.parametrize("profile", OPTIMISING)
def test_in_the_end_packets_take_the_direct_route(played: Results, place: str) -> None:
    for name in ("away", "both", "home"):
        stretch = step_of(played, name, place).stretch
        assert (stretch.forward.after, stretch.reverse.after) == (1.0, 1.0), name


@pytest.mark.parametrize("place", OUTSIDE)
@pytest.mark.parametrize("profile", ["distributed-no-ro"])
def test_without_route_optimization_they_go_by_the_home_network(
    played: Results, place: str
) -> None:
    away = step_of(played, "away", place)
    for path in (away.path.forward, away.path.reverse):
        assert "gw1" in path.after
    assert away.stretch.forward.after == away.stretch.reverse.after == pytest.approx(9 / 7)


@pytest.mark.parametrize("profile", ASKING)
def test_the_first_packets_to_a_node_that_moved_go_by_its_home(played: Results) -> None:
    """Of one correspondent at least: what its MR learns, the other behind it profits from."""
    paths = [step_of(played, "away", place).path.forward for place in OUTSIDE]
    assert any(went_by(path, "gw1") for path in paths)


@pytest.mark.parametrize("profile", TOLD)
def test_where_mrs_are_told_the_first_packet_meets_the_home_which_tells(played: Results) -> None:
    """One is enough, of any session, TCP's included; paths are those of UDP packets alone."""
    away = messages_in(played, step_of(played, "away", PLACES[0]))
    assert "gw1" in {m.sender for m in away if m.label == "UPN"}


@pytest.mark.parametrize("place", OUTSIDE)
@pytest.mark.parametrize(
    ("profile", "by_home"),
    [
        ("anycast-query", True),
        ("gateway-query", True),
        (REWRITING, True),
        ("access-query", True),
        ("access-query-referral", True),
        ("anycast-push", False),
        ("gateway-push", False),
        ("access-push", False),
    ],
)
def test_only_who_has_to_ask_sends_the_first_packets_of_a_visitor_by_its_home(
    played: Results, place: str, *, by_home: bool
) -> None:
    assert visitor_goes_by(played, place, "gw1") == by_home


@for_every_place
@pytest.mark.parametrize("profile", [REWRITING])
def test_rewritten_packets_are_in_no_tunnel_between_networks(played: Results, place: str) -> None:
    for name in ("away", "both"):
        path = step_of(played, name, place).path
        for seen in (*path.forward.observed, *path.reverse.observed):
            assert all({t.start[:2], t.end[:2]} == {"gw", "ar"} for t in seen.tunnels), name


@pytest.mark.parametrize("place", OUTSIDE)
@pytest.mark.parametrize("profile", [REWRITING])
def test_where_they_would_be_tunnelled_they_are_rewritten(played: Results, place: str) -> None:
    away = step_of(played, "away", place).path
    for path, ends in ((away.forward, ("gw2", "gw3")), (away.reverse, ("gw3", "gw2"))):
        last = path.observed[-1]
        assert [(s.start, s.end) for s in last.rewritten] == [ends]


REGISTRATION = Counter(PBU=3, PBA=3)
"""The node registers; its prefix of home does, at the visited network's LM and by it at home."""


@pytest.mark.parametrize(
    ("profile", "besides"),
    [
        # gw2 hears and asks; gw3 asks for two correspondents of its visitor.
        ("anycast-query", Counter(UPN=1, UPA=1, Query=3, Answer=3)),
        ("gateway-query", Counter(UPN=1, UPA=1, Query=3, Answer=3)),
        (REWRITING, Counter(UPN=1, UPA=1, Query=3, Answer=3)),
        # So do ar21 and ar32, which both had asked where mn11 is.
        ("access-query", Counter(UPN=2, UPA=2, Query=4, Answer=4)),
        # Each asks its own LM first.
        ("access-query-referral", Counter(UPN=2, UPA=2, Query=6, Answer=6)),
        ("anycast-push", Counter(UPN=1, UPA=1)),
        ("gateway-push", Counter(UPN=1, UPA=1)),
        ("distributed-no-ro", Counter()),
    ],
)
def test_a_move_costs_so_many_messages(played: Results, besides: Counter[str]) -> None:
    assert messages_of(played, "away") == REGISTRATION + besides


@pytest.mark.parametrize("profile", ["access-push"])
def test_each_mr_that_is_told_costs_one_notice(played: Results) -> None:
    """Whose packets come to the home first is a matter of luck, and so who is told.

    The access router of cn3 is if a packet is on its way when the node's new network, where cn3 is
    too, learns of it.
    """
    told = steering(played, "away")
    assert "ar21" in told or "gw2" in told
    assert told <= {"ar21", "gw2", "ar32"}
    assert messages_of(played, "away") == REGISTRATION + Counter(UPN=len(told), UPA=len(told))


def steering(results: Results, name: str) -> set[str]:
    """The routers that hold a location, but for the gateway of the network that mn11 visits.

    That one holds shortcuts for its visitors.
    """
    state = step_of(results, name, PLACES[0]).state
    return {host for host, held in state.items() if held.cache} - {"gw3"}


@pytest.mark.parametrize(
    ("profile", "holding"),
    [
        ("anycast-query", {"gw2"}),
        ("anycast-push", {"gw2"}),
        ("gateway-query", {"gw2"}),
        ("gateway-push", {"gw2"}),
        ("access-query", {"ar21", "ar32"}),
        ("access-query-referral", {"ar21", "ar32"}),
        ("distributed-no-ro", set()),
    ],
)
def test_the_location_is_where_packets_meet_mobility_routing(
    played: Results, holding: set[str]
) -> None:
    assert steering(played, "away") == holding


@for_every_profile
def test_each_lm_has_what_its_network_leased_and_who_visits_it(played: Results) -> None:
    """No data of one LM is copied to another (draft, 6): one entry at home, one where it is."""
    away = step_of(played, "away", PLACES[0]).state
    assert {host: held.bindings for host, held in away.items() if held.bindings} == {
        "gw1": 1,
        "gw3": 1,
    }
    both = step_of(played, "both", PLACES[0]).state
    assert {host: held.bindings for host, held in both.items() if held.bindings} == {
        "gw1": 2,
        "gw2": 1,
        "gw3": 1,
    }
    assert {host: held.leases for host, held in both.items() if held.leases} == {
        "gw1": 2,
        "gw2": 1,
        "gw3": 1,
    }


@for_every_profile
def test_at_home_again_nothing_is_left(played: Results) -> None:
    state = step_of(played, "home", PLACES[0]).state
    left = {host: held for host, held in state.items() if held.bindings or held.cache}
    assert left == {}
