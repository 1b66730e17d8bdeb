"""Goes on after a run that ended badly: a new run takes over what is done and not undone."""

from __future__ import annotations

from functools import partial
from typing import Any

from flowstate.actions.authorize import authorize, authorize_standalone
from flowstate.actions.system import SYSTEM
from flowstate.engine.calls.hooks import announce_start
from flowstate.engine.database.blocks import callers_transaction, in_transaction
from flowstate.engine.drive import drive
from flowstate.engine.execution import Execution, KeyTaken
from flowstate.engine.functions.again import asked_before
from flowstate.engine.keys import exclusive_hash
from flowstate.engine.look.next import Next
from flowstate.engine.look.run import lock_run, look
from flowstate.engine.new_run import default_lease, label_of, new_rows, new_run, open_for_workers
from flowstate.engine.operate.again import again_from, asks_for_its_steps, standing
from flowstate.engine.operate.authority import may_operate_all
from flowstate.engine.start.atomic import open_as_running, run_atomic
from flowstate.exceptions import AlreadyRunning, RunConflict
from flowstate.models import Compensation, EventKind, Run, RunEvent, StepRun, StepStatus
from flowstate.models.clock import DbNow
from flowstate.workflows.function_step import is_function
from flowstate.workflows.steps import Kind

_TAKEN_OVER = (
    "status",
    "reason",
    "result_json",
    "data_json",
    "undo",
    "key",
    "attempt",
    "started_at",
    "ended_at",
    "child_id",
)


def continuation_of(old: Execution, user: Any, from_step: str | None = None) -> Run:
    """Return the run that goes on after `old`, which has ended badly; the one there is, or a new one.

    With `from_step`, that step and all that depend on it are done again, though they may be done.

    The new run is worked on in this process, as `.run()` does; inside a caller's transaction it is left to
    workers. The two runs change hands in one commit: from then on only the new one undoes what it took over.
    Raises `AlreadyRunning` while another live run holds the row, `ActionDenied` for who may neither operate all
    runs nor start this action now, and `RunConflict` where the step cannot be done again.
    """
    known = _known(old)
    if known is not None:
        return known
    _authorize(old, user)
    again = frozenset[str]() if from_step is None else _again(old, from_step)
    execution = _take_over(old, user, again)
    execution.announce_start = partial(announce_start, execution)
    if execution.enqueued:
        open_for_workers(execution)
    elif execution.run.atomic:
        open_as_running(execution)
    try:
        following = in_transaction(execution, lambda: _hand_over(old, execution, from_step))
    except KeyTaken as err:
        known = _known(old)
        if known is not None:
            return known
        message = f"Run {old.run.pk} ({old.run.label}) cannot be retried now: another run holds its row."
        raise AlreadyRunning(message) from err
    if execution.run.atomic and not execution.enqueued:
        run_atomic(execution)
    else:
        drive(execution, following)
    return execution.run


def _authorize(old: Execution, user: Any) -> None:
    """Ask as for any other start: what was allowed once may not be any more."""
    if user is SYSTEM or may_operate_all(user):
        return
    if old.action is None:
        authorize_standalone(old.workflow, user)
    else:
        authorize(old.action, user, old.run.entity)


def _again(old: Execution, step: str) -> frozenset[str]:
    """Return what is done again. What stands and can be undone must not be: nothing would undo it any more."""
    if step not in old.rows:
        message = f"Run {old.run.pk} ({old.run.label}) has no step {step!r}: it has {', '.join(old.rows)}."
        raise RunConflict(message)
    if asks_for_its_steps(old.rows):
        message = (
            f"Run {old.run.pk} ({old.run.label}) cannot be retried from step {step}: what follows from it, only the "
            "function knows. Retry the run as a whole."
        )
        raise RunConflict(message)
    again = again_from(old.rows, step)
    stands = standing(old.rows, [name for name in old.rows if name in again])
    if stands:
        message = (
            f"Run {old.run.pk} ({old.run.label}) cannot be retried from step {step}: what {', '.join(stands)} did stands, "
            "and would be done twice. Undo it first, or choose a later step."
        )
        raise RunConflict(message)
    return again


def _known(old: Execution) -> Run | None:
    return Run.objects.using(old.using).filter(retry_of=old.run).first()


def _take_over(old: Execution, user: Any, again: frozenset[str]) -> Execution:
    action = old.action.bind(old.run.entity) if old.action and old.run.entity else old.action
    name = old.run.action or old.run.workflow
    run = new_run(
        old.workflow,
        old.action,
        None,
        user,
        input_json=old.run.input_json,
        retry_of_id=old.run.pk,
        content_type_id=old.run.content_type_id,
        object_id=old.run.object_id,
        exclusive_key=exclusive_hash(old.declaration.meta, name=name, action=action),
        wake_at=DbNow(default_lease()),
    )
    rows = new_rows(run, old.workflow)
    if is_function(old.workflow):
        rows = {**asked_before(old, run), **rows}
    for row in rows.values():
        before = old.rows.get(row.name)
        if before is not None:
            _inherit(row, before, again=row.name in again)
    return Execution(
        run=run,
        rows=rows,
        workflow=old.workflow,
        action=old.action,
        using=old.using,
        user=user,
        journaled=False,
        inherited=frozenset(row.name for row in rows.values() if row.settled),
        enqueued=callers_transaction(old.using),
    )


def _inherit(row: StepRun, before: StepRun, *, again: bool) -> None:
    """Let a step of the new run stand where the old run's effect still stands."""
    if before.compensation == Compensation.DONE:
        return  # undone: it runs again, under the new run's key
    # A race is decided anew, by who is done.
    if before.status == StepStatus.DONE and row.kind != Kind.FIRST and not again:
        row.reflect(**{name: getattr(before, name) for name in _TAKEN_OVER})
        row.reflect(compensation=before.compensation)
    elif before.status == StepStatus.UNKNOWN:
        row.reflect(
            key=before.key, uncertain=True
        )  # nobody knows whether it happened: ask under the same key


def _hand_over(old: Execution, execution: Execution, from_step: str | None) -> Next:
    lock_run(old)
    taken = [
        old.rows[row.name].pk
        for row in execution.rows.values()
        if row.status == StepStatus.DONE or row.uncertain
    ]
    StepRun.objects.using(old.using).give_away(taken)
    lock_run(execution)
    if from_step is not None:
        _record_choice(execution, from_step)
    if execution.run.atomic or execution.enqueued:
        return None
    return look(execution)


def _record_choice(execution: Execution, step: str) -> None:
    """Put into the history what the rows cannot tell: that a person chose where to begin again."""
    user = execution.user
    RunEvent.objects.using(execution.using).record(
        execution.run,
        EventKind.RETRY_REQUESTED,
        step=step,
        actor_id=None if user is SYSTEM else getattr(user, "pk", None),
        actor_label=label_of(user),
        data={"detail": f"from step {step} on"},
    )
