"""What a function gets that asks for steps: values, a beginning, a wait, or a refusal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from flowstate.engine.functions.replay import (
    END,
    Answer,
    Asked,
    Begin,
    Changed,
    Recorded,
    Recording,
    Twice,
    Values,
    Wait,
    missing_at_end,
)
from flowstate.engine.functions.replay import answer as answered

NAMES = st.lists(st.sampled_from("abcdefgh"), unique=True)


def done(name: str, **options: Any) -> Recorded:
    return Recorded(**{"name": name, "kind": "external", "status": "done", **options})


def wish(*names: str) -> list[tuple[str, str]]:
    return [(name, "external") for name in names]


def after(recording: Recording, names: Sequence[str]) -> Asked:
    asked = Asked()
    asked.take(names, recording)
    return asked


def answer(recorded: Sequence[Recorded], asked: Sequence[str], wished: Sequence[tuple[str, str]]) -> Answer:
    recording = Recording(recorded)
    return answered(recording, after(recording, asked), wished)


def missing(recorded: Sequence[Recorded], asked: Sequence[str]) -> Changed | None:
    recording = Recording(recorded)
    return missing_at_end(recording, after(recording, asked))


def test_what_has_ended_gives_its_value() -> None:
    recorded = [done("a"), done("b")]

    assert answer(recorded, [], wish("a")) == Values(("a",))
    assert answer(recorded, ["a"], wish("b")) == Values(("b",))


def test_what_is_new_begins_once_all_that_is_recorded_was_asked_for() -> None:
    assert answer([], [], wish("a")) == Begin(("a",))
    assert answer([done("a")], ["a"], wish("b", "c")) == Begin(("b", "c"))


def test_what_is_at_work_is_waited_for() -> None:
    recorded = [done("a"), done("b", status="running")]

    assert answer(recorded, [], wish("a", "b")) == Wait()


def test_what_failed_gives_a_value_only_where_it_is_optional() -> None:
    for status in ("failed", "unknown"):
        assert answer([done("a", status=status)], [], wish("a")) == Wait()
        assert answer([done("a", status=status, optional=True)], [], wish("a")) == Values(("a",))


def test_a_new_name_before_a_recorded_one_is_refused_naming_both() -> None:
    """The shape has changed: what is recorded would be lost, or come in another order."""
    assert answer([done("a"), done("b")], ["a"], wish("x")) == Changed("b (external)", "x (external)")


def test_a_recorded_name_out_of_its_order_is_refused() -> None:
    assert answer([done("a"), done("b")], [], wish("b")) == Changed("a (external)", "b (external)")
    assert answer([done("a"), done("b")], [], wish("b", "a")) == Changed("a (external)", "b (external)")


def test_a_recorded_name_of_another_kind_is_refused() -> None:
    assert answer([done("a")], [], [("a", "delay")]) == Changed("a (external)", "a (delay)")


def test_a_branch_beside_recorded_ones_is_refused() -> None:
    """Those asked for at once were recorded at once, so the function then asked for fewer."""
    assert answer([done("a")], [], wish("a", "b")) == Changed("a (external) without", "b (external)")


def test_a_function_that_ends_without_a_recorded_name_is_refused() -> None:
    assert missing([done("a"), done("b")], ["a"]) == Changed("b (external)", END)
    assert missing([done("a")], ["a"]) is None


def test_a_name_twice_in_one_call_is_refused() -> None:
    assert answer([done("a")], ["a"], wish("a")) == Twice("a")
    assert answer([], [], wish("b", "b")) == Twice("b")


def test_what_was_taken_over_may_be_asked_for_at_any_time() -> None:
    """In a retry the steps that were undone are asked for anew, before or between those that stand."""
    kept = done("b", taken_over=True)

    assert answer([kept], [], wish("a")) == Begin(("a",))
    assert answer([kept], ["a"], wish("b")) == Values(("b",))
    assert answer([kept], [], wish("a", "b")) == Begin(("a", "b"))


def test_what_was_taken_over_in_doubt_begins_when_it_is_asked_for() -> None:
    in_doubt = done("a", taken_over=True, status="blocked")

    assert answer([in_doubt], [], wish("a")) == Begin(("a",))


@given(NAMES, st.data())
def test_a_function_that_asks_as_before_is_answered_from_the_journal(names: list[str], data: Any) -> None:
    """However far it came, however it groups nothing: each name once, in order, then something new."""
    recorded = [done(name) for name in names]
    asked: list[str] = []
    while len(asked) < len(names):
        size = data.draw(st.integers(1, len(names) - len(asked)))
        group = names[len(asked) : len(asked) + size]
        assert answer(recorded, asked, wish(*group)) == Values(tuple(group))
        asked += group

    assert answer(recorded, asked, wish("new")) == Begin(("new",))
    assert missing(recorded, asked) is None


@given(NAMES, NAMES)
def test_any_other_order_is_refused_at_its_first_difference(names: list[str], others: list[str]) -> None:
    recorded, asked = [done(name) for name in names], list[str]()
    for expected, found in zip(names, others, strict=False):
        got = answer(recorded, asked, wish(found))
        if expected != found:
            assert got == Changed(f"{expected} (external)", f"{found} (external)")
            return
        assert got == Values((found,))
        asked.append(found)
