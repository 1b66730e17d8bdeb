"""Parents and children at the same moment: a cancel, an end, a beginning; they agree afterwards, always."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest

from flowstate import SYSTEM, RunConflict, deliver_event
from flowstate.engine.carry.messages import carry_run, carry_step
from flowstate.engine.carry.sweep import sweep
from flowstate.models import Run
from tests.faults import post
from tests.faults.afterwards import broken
from tests.faults.crowd import at_once
from tests.kiosk import returns
from tests.kiosk.families import Grand, Order, Parcel, Twins
from tests.kiosk.models import Entry

pytestmark = pytest.mark.django_db(transaction=True)

ROUNDS = 40


@pytest.fixture(autouse=True)
def forget() -> Iterator[None]:
    returns.forget()
    yield
    returns.forget()


def carry(run: Run) -> str:
    return carry_run(str(run.pk), queue="flowstate")


def child_of(run: Run, step: str) -> Run:
    child = run.step_runs.get(name=step).child
    assert child is not None
    return child


def settle() -> None:
    """Let everybody who was told of something come."""
    post.deliver()
    sweep(limit=1000)
    post.deliver()


def unexpected(results: list[Any]) -> list[BaseException]:
    return [
        result
        for result in results
        if isinstance(result, BaseException) and not isinstance(result, RunConflict)
    ]


@pytest.mark.parametrize("what", ["its child begins", "its child is at work", "its child has ended"])
def test_a_cancel_of_the_parent_leaves_nothing_of_the_child(what: str) -> None:
    """I24, I8, I15: whichever comes first, all that was done is undone, once."""
    for _round in range(ROUNDS):
        run = Order.enqueue(user=SYSTEM)
        other: Callable[[], Any] = partial(carry, run)
        if what != "its child begins":
            carry(run)
            other = partial(carry, child_of(run, "ship"))
        if what == "its child has ended":
            carry(child_of(run, "ship"))
            other = partial(carry, run)

        results = at_once(partial(run.cancel, SYSTEM), other)
        settle()

        run.refresh()
        below = Run.objects.filter(parent=run)
        assert unexpected(results) == []
        if run.success:  # the parent was through before anybody cancelled it
            assert isinstance(results[0], RunConflict)
            assert [child.status for child in below] == ["succeeded"]
            Entry.objects.all().delete()
            continue
        assert run.status == "cancelled"
        assert all(child.finished for child in below)
        assert not Entry.objects.exists()
        done = [child for child in below if child.success]
        assert below.exclude(undo_of=None).count() == len(done)
    assert broken() == []


def test_two_children_that_end_at_once_let_the_parent_go_on_once() -> None:
    """I7."""
    for _round in range(ROUNDS):
        run = Twins.enqueue(user=SYSTEM)
        carry(run)
        left, right = child_of(run, "left"), child_of(run, "right")

        results = at_once(partial(carry, left), partial(carry, right))
        settle()

        assert unexpected(results) == []
        assert run.refresh().success
        assert run.value == [1, 2]
        assert run.step_runs.get(name="join").attempt == 1
    assert broken() == []


def test_a_child_that_fails_and_one_that_ends_at_once_are_both_undone() -> None:
    """I15."""
    for _round in range(ROUNDS):
        returns.forget()
        run = Twins.enqueue(user=SYSTEM)
        carry(run)
        left, right = child_of(run, "left"), child_of(run, "right")
        returns.errors["send"] = [OSError("no")]

        results = at_once(partial(carry, left), partial(carry, right))
        settle()

        assert unexpected(results) == []
        assert run.refresh().status == "compensated"
        assert not Entry.objects.exists()
    assert broken() == []


def test_a_child_that_ends_while_it_loses_a_race_is_kept_or_undone_whole() -> None:
    """I24, I15: cancelled where it was at work, undone by a run where it was done, kept where it won."""
    for _round in range(ROUNDS):
        run = Parcel.run(user=SYSTEM)
        child = child_of(run, "child")
        quick = partial(carry_step, run.step_runs.get(name="quick").pk, queue="flowstate")

        results = at_once(quick, partial(carry, child))
        settle()

        assert unexpected(results) == []
        assert run.refresh().success
        undoing = Run.objects.filter(undo_of=child)
        kept = child.refresh().success and not undoing.exists()
        assert kept == (run.results["first"] == "child")
        assert Entry.objects.count() == (1 if kept else 0)
        Entry.objects.all().delete()
    assert broken() == []


def test_cancels_on_every_level_at_once_end_all_of_them() -> None:
    """One lock order, from the root down: nobody waits for ever, nothing is undone twice."""
    for number in range(20):
        returns.forget()
        run = Grand.enqueue(user=SYSTEM)
        carry(run)
        above = child_of(run, "above")
        carry(above)
        held = child_of(above, "held")
        carry(held)

        results = at_once(
            partial(run.cancel, SYSTEM),
            partial(above.cancel, SYSTEM),
            partial(held.cancel, SYSTEM),
            partial(deliver_event, "go", "k", number),
            partial(carry, run),
        )
        settle()

        assert unexpected(results) == []
        assert all(found.refresh().finished for found in (run, above, held))
        undone = [line for line in returns.diary.lines if line.startswith("undo")]
        assert len(undone) == len(set(undone))
        assert not run.success
    assert broken() == []
