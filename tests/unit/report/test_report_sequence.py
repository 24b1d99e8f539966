"""What a sequence chart draws: retransmissions folded, rows bounded, nothing left out."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from dmm_testbed.report.sequence import MAX_MACHINES, MAX_ROWS, chart_of, fold, messages_of_steps
from dmm_testbed.results import ChartMessage, Results


def message(
    at_ms: float, sender: str, receiver: str, label: str = "PBU", detail: str = ""
) -> ChartMessage:
    return ChartMessage(
        at_ms=at_ms, sender=sender, receiver=receiver, label=label, detail=detail, bytes=100
    )


@st.composite
def captures(draw: st.DrawFn) -> list[ChartMessage]:
    machine = st.integers(0, 25).map("m{}".format)
    found = draw(
        st.lists(st.tuples(machine, machine, st.sampled_from(["PBU", "PBA", "RA"])), max_size=150)
    )
    return [message(at_ms, *ends) for at_ms, ends in enumerate(found)]


def test_a_message_sent_again_unanswered_is_folded_into_the_first() -> None:
    rows = fold([message(0, "a", "b"), message(1000, "a", "b"), message(3000, "a", "b")])
    assert [(row.message.at_ms, row.count) for row in rows] == [(0, 3)]
    assert rows[0].repeated_at_ms == [1000, 3000]


def test_a_message_sent_again_after_an_answer_is_a_new_one() -> None:
    rows = fold([message(0, "a", "b"), message(1, "b", "a", "PBA"), message(2, "a", "b")])
    assert [row.count for row in rows] == [1, 1, 1]


def test_a_retransmission_may_have_a_new_sequence_number_but_nothing_else_new() -> None:
    details = ["seq 1, a::/64", "seq 2, a::/64", "seq 3, b::/64"]
    rows = fold([message(n, "a", "b", detail=detail) for n, detail in enumerate(details)])
    assert [(row.message.detail, row.count) for row in rows] == [(details[0], 2), (details[2], 1)]


def test_messages_of_others_in_between_do_not_make_it_a_new_one() -> None:
    rows = fold([message(0, "a", "b"), message(1, "c", "b"), message(2, "a", "b")])
    assert [(row.message.sender, row.count) for row in rows] == [("a", 2), ("c", 1)]


@given(captures())
def test_every_message_is_drawn_or_counted_and_the_chart_is_bounded(
    capture: list[ChartMessage],
) -> None:
    chart = chart_of(capture)
    assert sum(row.count for row in chart.rows) + chart.rest.total() == len(capture)
    assert len(chart.rows) <= MAX_ROWS
    assert len(chart.machines) <= MAX_MACHINES
    ends = {name for row in chart.rows for name in (row.message.sender, row.message.receiver)}
    assert ends == set(chart.machines)


def test_the_rest_is_counted_by_label_and_says_until_when() -> None:
    chart = chart_of([message(n, f"m{n % 2}", f"m{1 - n % 2}") for n in range(MAX_ROWS + 9)])
    assert chart.rest == {"PBU": 9}
    assert chart.rest_until_ms == MAX_ROWS + 8


def test_each_message_belongs_to_the_step_that_had_begun(results: Results) -> None:
    by_step = messages_of_steps(results)
    assert sum(map(len, by_step)) == len(results.messages)
    for step, messages in zip(results.steps, by_step, strict=True):
        assert all(step.at_ms <= m.at_ms < step.at_ms + step.duration_ms for m in messages)


def test_a_message_before_the_first_step_is_not_lost(results: Results) -> None:
    early = results.model_copy(update={"messages": (message(-50, "gw1", "gw2"),)})
    assert [len(messages) for messages in messages_of_steps(early)] == [1, 0, 0, 0, 0, 0, 0]
