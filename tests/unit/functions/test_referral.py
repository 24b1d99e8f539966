"""Mobility routing that asks its own network's LM, which refers it (draft, 6)."""

from __future__ import annotations

import pytest
from mobility_router import AWAY_NODE, LOCAL, Mr, installed
from steps import (
    HNP1,
    address,
    message,
    recorded,
    sent,
)

from dmm_agent.functions.effects import (
    CacheRoute,
    Effect,
)
from dmm_agent.wire import (
    AnswerStatus,
    LmaAddress,
    LocationAnswer,
    LocationQuery,
)


class TestReferral:
    """Asked first is the LM of its own network, which knows who serves a prefix."""

    @pytest.fixture
    def mr(self) -> Mr:
        return Mr("ar21", ask_first="own-lm")

    def test_it_asks_who_it_is_referred_to(self, mr: Mr) -> None:
        asked = mr.packet(LOCAL, AWAY_NODE)
        assert sent(asked) == [("LocationQuery", "gw2")]
        effects = self.refer(mr, message(asked, LocationQuery), "gw1")
        assert sent(effects) == [("LocationQuery", "gw1")]
        effects = mr.answer(message(effects, LocationQuery), AnswerStatus.AWAY, "gw3")
        assert installed(effects) == [CacheRoute(HNP1, address("gw3"))]

    @pytest.mark.parametrize("elsewhere", ["gw3", "ar11"])
    def test_but_nobody_whom_the_directory_does_not_name(self, mr: Mr, elsewhere: str) -> None:
        query = message(mr.packet(LOCAL, AWAY_NODE), LocationQuery)
        effects = self.refer(mr, query, elsewhere)
        assert recorded(effects) == ["referral_refused"]
        assert sent(effects) == []

    def test_who_does_not_serve_a_prefix_is_not_believed_where_it_is(self, mr: Mr) -> None:
        query = message(mr.packet(LOCAL, AWAY_NODE), LocationQuery)
        assert installed(mr.answer(query, AnswerStatus.AWAY, "gw3", sender="gw2")) == []

    def test_an_lm_beside_it_is_not_asked(self) -> None:
        beside = Mr("gw2", ask_first="own-lm")
        assert sent(beside.packet(LOCAL, AWAY_NODE)) == [("LocationQuery", "gw1")]

    def refer(self, mr: Mr, query: LocationQuery, to: str) -> list[Effect]:
        options = (*query.options, LmaAddress(address(to)))
        answer = LocationAnswer(AnswerStatus.NOT_SERVED, query.sequence, 5, options)
        return mr.receive("gw2", answer)
