"""What undoing a run would do now: in the order of undoing, read and not done."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from django.db import router

from flowstate.engine import entities
from flowstate.engine.branches import StepState, abandoned
from flowstate.engine.decide import due_compensations
from flowstate.engine.entities.foresight import Foresight
from flowstate.engine.execution import Execution
from flowstate.engine.functions.learn import learn_inverses
from flowstate.engine.loading import load
from flowstate.engine.undo.family import Family, family_of, run_that_undoes
from flowstate.models import Compensation, Run, RunStatus, StepRun, StepStatus
from flowstate.models.undo_preview import BELOW, StepPreview


def preview_undo(run: Run) -> list[StepPreview]:
    """Return what undoing the run would do to which rows: of a running one if it failed or were cancelled now.

    In the order of undoing, then what would stay as it is; in place of a step that runs a child the steps of
    that, as "ship / send". In attention: what a retry would do. Nothing for a run that has ended. Reads only,
    and locks nothing, so that the undoing itself may find more.
    """
    execution = load(run.pk, using=router.db_for_write(Run))
    learn_inverses(execution)
    if execution.run.finished:
        return []
    family = family_of(execution)
    undone, staying = _of_run(execution, Foresight(frozenset(), execution.using), family)
    return undone + staying


def _of_run(
    execution: Execution, foresight: Foresight, family: Family, above: str = ""
) -> tuple[list[StepPreview], list[StepPreview]]:
    """Return what would be undone of a run and of those below it, and what would stay; names begin with `above`."""
    known = execution.state()
    states = [_as_if_stopped(execution.rows[state.name], state) for state in known.steps]
    if (
        execution.run.status == RunStatus.ATTENTION and known.unstopped
    ):  # only what lost a race is tried again
        lost = abandoned(known.steps)
        states = [state for state in states if state.name in lost]
    order = _order_of_undoing(states) if known.cascade else []
    allowed = entities.models_of(execution, execution.run.entity_model)
    undone: list[StepPreview] = []
    staying: list[StepPreview] = []
    for number, name in enumerate(order):
        row = execution.rows[name]
        child = run_that_undoes(execution, row)
        if child is None:
            foresight.allow(allowed)
            found = _preview(execution, row, foresight, order[number + 1 :])
            undone.append(replace(found, step=above + name))
        elif isinstance(below := family[child], str):
            undone.append(StepPreview(step=above + name, by="run", conflict=below))
        else:
            done, kept = _of_run(below, foresight, family, f"{above}{name}{BELOW}")
            undone += done
            staying += kept
    own = [StepPreview(step=above + name, by="nothing") for name in _staying(execution, states, order)]
    return undone, own + staying


def _as_if_stopped(row: StepRun, state: StepState) -> StepState:
    """Return the step as it would be once nothing is in flight any more and a person has the rest tried again."""
    if state.status == StepStatus.RUNNING:  # a child run at work among them
        state = replace(state, status=StepStatus.DONE)
    elif row.uncertain and not row.settled:
        state = replace(state, status=StepStatus.UNKNOWN)
    again = row.run.status == RunStatus.ATTENTION and row.compensation == Compensation.FAILED
    if again or row.compensation == Compensation.RUNNING:
        state = replace(state, compensation=Compensation.PENDING)
    return state


def _order_of_undoing(states: Iterable[StepState]) -> list[str]:
    left = list(states)
    order: list[str] = []
    while due := due_compensations(left):
        order.append(due[0])
        left = [
            replace(state, compensation=Compensation.DONE) if state.name == due[0] else state
            for state in left
        ]
    return order


def _staying(execution: Execution, states: list[StepState], order: list[str]) -> list[str]:
    cascade = execution.state().cascade
    return [
        state.name
        for state in reversed(states)
        if state.status in (StepStatus.DONE, StepStatus.UNKNOWN)
        and (state.compensation == Compensation.NONE or not cascade)
        and state.name not in order
    ]


def _preview(execution: Execution, row: StepRun, foresight: Foresight, later: Sequence[str]) -> StepPreview:
    step = execution.step(row.name)
    running = row.status == StepStatus.RUNNING
    if running and execution.run.atomic and not step.external:
        return StepPreview(step=row.name, by="rollback", running=True)
    if not step.derives_inverse:
        known = row.status == StepStatus.DONE
        return StepPreview(step=row.name, by="compensation", result_known=known, running=running)
    if running:
        return StepPreview(step=row.name, by="inverse", running=True)
    others = [(execution.rows[name].undo, execution.rows[name].key) for name in later]
    return foresight.of_step(
        row.name,
        row.undo,
        key=row.key,
        others=[other for other in others if other[0] is not None],
        sensitive=step.sensitive,
    )
