"""A join counts on its own row what it waits for: rightly whatever settles, and at the same cost in any run."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

import pytest

from flowstate import SYSTEM, Context, FirstOf, Step, Workflow, step
from flowstate.engine.audit.fsck import find_broken
from flowstate.engine.carry.messages import carry_run
from flowstate.models import Run, StepRun
from tests.kiosk import forks
from tests.kiosk.statements import Statements

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def sound() -> Iterator[None]:
    forks.forget()
    yield
    assert list(find_broken(using="default")) == []


class Late(Workflow):
    """Two steps and their join; the run is cancelled while the first is at work."""

    @step
    def late(self, ctx: Context[None]) -> None:
        Run.objects.get(pk=ctx.metadata["run_id"]).cancel(SYSTEM)

    @late.compensate
    def undo(self, ctx: Context[None], result: None) -> None: ...

    other = Step("other", lambda ctx: None, depends_on=())
    join = Step("join", lambda ctx: None, depends_on=["late", "other"])


def fan(size: int, **options: Any) -> list[Step[Any]]:
    legs = [Step(f"leg{number}", lambda ctx: None, depends_on=(), **options) for number in range(size)]
    return [*legs, Step("join", lambda ctx: "joined", depends_on=[leg.name for leg in legs])]


def statements_of(size: int, **options: Any) -> list[str]:
    workflow = Workflow.from_steps(f"fan_of_{size}", fan(size, **options))
    with Statements() as said:
        assert workflow.run(user=SYSTEM).value == "joined"
    return [sql for sql in said.journal if not sql.startswith("INSERT")]


@pytest.mark.parametrize("options", [{}, {"transactional": True}], ids=["outside", "inside"])
def test_a_finished_step_costs_the_same_however_many_have_finished(options: dict[str, Any]) -> None:
    """I7, C9: its finish, one statement on the join's row, and the claim of the next; no row is read."""
    small, middle, large = (statements_of(size, **options) for size in (5, 50, 500))

    assert len(middle) - len(small) == 45 * 3, small
    assert len(large) - len(middle) == 450 * 3
    assert not [sql for sql in large if sql.startswith("SELECT")]
    assert sum('"missing" - 1' in sql or "`missing` - 1" in sql for sql in large) == 499


def test_a_chain_of_steps_costs_the_same_however_many_have_finished() -> None:
    """C3."""
    costs = []
    for size in (5, 50):
        steps = [Step(f"s{number}", lambda ctx: None) for number in range(size)]
        with Statements() as said:
            assert Workflow.from_steps(f"chain_of_{size}", steps).run(user=SYSTEM).success
        costs.append(len(said.journal))

    assert costs[1] - costs[0] == 45


def test_a_worker_pays_for_a_finished_step_what_a_caller_does() -> None:
    """C9: the last one goes on with the join in place; nobody is sent a message."""
    costs = []
    for size in (5, 50):
        run = FANS[size].enqueue(user=SYSTEM)
        with Statements() as said:
            assert carry_run(str(run.pk), queue="flowstate") == "succeeded"
        costs.append(len(said.journal))

    assert costs[1] - costs[0] == 45 * 3


FANS: dict[int, type[Workflow]] = {
    size: type(
        f"FanOf{size}", (Workflow,), {"__module__": __name__, **{step.name: step for step in fan(size)}}
    )
    for size in (5, 50)
}
globals().update({made.__name__: made for made in FANS.values()})


# --- what is counted -------------------------------------------------------------------------------


def look_at_counters(ctx: Any) -> None:
    """Compare each counter with the rows, from outside, while a step is at work."""
    rows = {row.name: row for row in StepRun.objects.filter(run_id=ctx.metadata["run_id"])}
    counted = {row.name: row.missing for row in rows.values() if row.status == "blocked"}
    left = {name: sum(not rows[needed].settled for needed in rows[name].depends_on) for name in counted}
    assert counted == left


def any_workflow(seed: int) -> type[Workflow]:
    """Return some graph with all that may settle a step: done, failed, skipped, on no branch, in a lost race."""
    dice = random.Random(seed)  # noqa: S311 - no secret
    names: list[str] = []
    steps: list[Step[Any]] = []

    def add(name: str, needs: list[Any], **options: Any) -> str:
        def work(ctx: Any) -> None:
            look_at_counters(ctx)
            if options.get("optional"):
                raise OSError(name)

        steps.append(Step(name, work, depends_on=needs, **options))
        return name

    for number in range(dice.randint(5, 14)):
        needs = dice.sample(names, min(len(names), dice.randint(0, 4)))
        how = dice.choice(["done", "done", "optional", "skipped", "any", "choice", "race"])
        name = f"s{number}"
        if how == "choice":
            decide = forks.choice(f"c{number}", "left", "right", depends_on=needs)
            steps.append(decide)
            names += [add(f"{option}{number}", [decide[option]]) for option in ("left", "right")]
        elif how == "race":
            runners = [add(f"{runner}{number}", needs) for runner in ("one", "two")]
            steps.append(FirstOf(*runners, name=name))
            names.append(name)
        else:
            options: dict[str, dict[str, Any]] = {
                "optional": {"optional": True},
                "skipped": {"when": False},
                "any": {"join": "any"},
            }
            single = how == "any" and len(needs) < 2
            names.append(add(name, needs, **({} if single else options.get(how, {}))))
    add("last", names[-4:])
    return Workflow.from_steps(f"any_graph_{seed}", steps)


@pytest.mark.parametrize("seed", range(40))
def test_every_counter_is_right_at_every_step(seed: int) -> None:
    """I7: a step that is skipped, fails and may, stands on no branch or loses a race settles like any other."""
    run = any_workflow(seed).run(user=SYSTEM)

    assert run.success, run.error


def test_a_late_sibling_of_a_failure_counts_nobody_in() -> None:
    """I6, I24: the join was cancelled with all that had not begun."""

    run = Late.run(user=SYSTEM)

    states = {row.name: row.status for row in run.steps}
    assert states == {"late": "done", "other": "cancelled", "join": "cancelled"}
    assert (run.status, run.compensated_steps) == ("cancelled", ["late"])


def test_a_counter_that_does_not_fit_its_rows_is_found() -> None:
    """I7: `flowstate_fsck` compares it with the rows."""
    run = FANS[5].enqueue(user=SYSTEM)
    row = run.step_runs.get(name="join")
    StepRun.objects.filter(pk=row.pk).update(missing=4)

    found = [(broken.invariant, broken.step, broken.words) for broken in find_broken(using="default")]

    assert found == [("I7", "join", "counts 4 steps that it waits for, but of those 5 have not settled")]
    StepRun.objects.filter(pk=row.pk).update(missing=5)
