"""Workflows with branches that a test steers: found by their path, so that workers can carry them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flowstate import ChoiceStep, Context, FirstOf, Step, Workflow
from tests.kiosk.diary import Diary

diary = Diary()
"""What the steps here really did."""

answers: dict[str, Callable[[Context[Any]], Any]] = {}
"""How a choice of this name is answered."""

errors: dict[str, list[BaseException]] = {}
"""What a step or, as "undo a", a compensation of this name raises next, one per call."""

within: dict[str, Callable[[], None]] = {}
"""What happens within a step of this name, once, as if elsewhere at the same time."""


def forget() -> None:
    """Begin anew, for each test."""
    diary.__init__()  # type: ignore[misc]
    answers.clear()
    errors.clear()
    within.clear()


def called(what: str) -> None:
    diary.lines.append(what)
    if what in within:
        within.pop(what)()
    if errors.get(what):
        raise errors[what].pop(0)


def undoable(name: str, **options: Any) -> Step[Any]:
    """Return a step that writes down that it was done, and undone."""

    def do(ctx: Context[Any]) -> str:
        called(name)
        return f"{name} done"

    def undo(ctx: Context[Any], _result: Any) -> None:
        called(f"undo {name}")

    return Step(name, do, undo, **options)


def choice(name: str, *options: str, **given: Any) -> ChoiceStep:
    """Return a choice that a test answers; without an answer of the test by its first option."""

    def answer(ctx: Context[Any]) -> Any:
        diary.lines.append(name)
        return answers[name](ctx) if name in answers else options[0]

    return ChoiceStep(answer, options=list(options), name=name, **given)


class Fork(Workflow):
    """A choice between two ways, one of which forks again, and a way that all take in the end."""

    class Meta:
        exclusive = None

    start = undoable("start")
    decide = choice("decide", "left", "right", "nothing")
    left = undoable("left", depends_on=decide["left"])
    left_more = undoable("left_more")
    right = undoable("right", depends_on=decide["right"])
    again = choice("again", "near", "far")
    near = undoable("near", depends_on=again["near"])
    far = undoable("far", depends_on=again["far"])
    either = undoable("either", depends_on=[near, far])
    moved = undoable("moved", depends_on=[left_more, either])
    always = undoable("always", depends_on=[decide["left"], decide["right"], decide["nothing"]])


class ForkInOne(Workflow):
    """The same in one transaction, as far as it may be."""

    class Meta:
        exclusive = None
        atomic = True

    decide = choice("decide", "left", "right")
    left = undoable("left", depends_on=decide["left"], transactional=True)
    right = undoable("right", depends_on=decide["right"], transactional=True)
    right_more = undoable("right_more", transactional=True)
    join = undoable("join", depends_on=[left, right_more], transactional=True)


class Race(Workflow):
    """Two ways to the same, by workers; what comes after takes the first that succeeded."""

    class Meta:
        exclusive = None

    start = undoable("start")
    one = undoable("one", depends_on=start, background=True)
    slow = undoable("slow", depends_on=start, background=True)
    other = undoable("other", background=True)
    fastest = FirstOf(one, other)
    after = undoable("after")
