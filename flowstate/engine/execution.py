"""Execution: what one process knows while it works on one run."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from django.db import IntegrityError

from flowstate.actions.bound import BoundAction
from flowstate.conf import settings
from flowstate.engine.branches import StepState
from flowstate.engine.decide import RunState, sole_successor
from flowstate.engine.handover import publish_step, wake
from flowstate.exceptions import StepUnknown
from flowstate.models import Join, Run, RunStatus, StepRun, StepStatus
from flowstate.models.memory import about_to_change
from flowstate.models.run_verbs import RunQuerySet
from flowstate.models.step_verbs import StepRunQuerySet
from flowstate.workflows.function_step import UndeclaredStep, is_function
from flowstate.workflows.graph import dependents
from flowstate.workflows.steps import Kind, Step
from flowstate.workflows.workflow import Declaration, Workflow

UNREAD: Any = object()


class KeyTaken(Exception):  # control flow of the engine, not an error for people
    """The journal refused a new run: its idempotency or exclusive key belongs to another one."""


@dataclass(slots=True)
class Execution:
    """One process's hold on a run: the rows as it last knew them, and what becomes true on commit."""

    run: Run
    rows: dict[str, StepRun]
    workflow: type[Workflow]
    action: BoundAction | None
    using: str
    carried: bool = False
    """Whether a worker works on the run; then background steps are done here too."""
    queue: str = ""
    leave_at: float = math.inf
    """When a worker stops going on with the run by itself, on the monotonic clock."""
    passive: bool = False
    """Whether this process only looks and claims nothing, as the sweeper does."""
    user: Any = UNREAD
    journaled: bool = True
    announce_start: Callable[[], None] = lambda: None
    """Stages what is told when the run is first committed."""
    learned: dict[str, Step[Any]] = field(default_factory=dict)
    """Of a function: the steps that it has asked for in this process."""
    known: bool = True
    """Whether this process has the code of the workflow; without it there are no hooks to call."""
    ancestors_locked: bool = False
    """Whether the open transaction holds the rows of the runs above."""
    enqueued: bool = False
    """Whether the whole run is left to workers from the start."""
    after_commit: list[Callable[[], None]] = field(default_factory=list)
    inherited: frozenset[str] = frozenset()
    """In a retry: the steps that stand as the earlier run left them."""
    facts: dict[str, Any] = field(default_factory=dict)
    """What user code is told of the run; filled when the first is called."""
    attempts_failed: list[tuple[str, int, dict[str, Any]]] = field(default_factory=list)
    """In an atomic workflow: failed attempts that the history is told of with the run's end."""
    touched: list[tuple[str, Any]] = field(default_factory=list)
    """In an atomic workflow: the rows that its steps have touched, which are written down with the run's end."""

    runs: RunQuerySet = field(init=False, repr=False)
    """The runs of the journal's database: for the verbs."""
    step_runs: StepRunQuerySet = field(init=False, repr=False)
    """The steps of the journal's database: for the verbs."""

    _dependencies: dict[str, tuple[str, ...]] = field(default_factory=dict)
    _dependents: dict[str, tuple[str, ...]] = field(default_factory=dict)
    _has_races: bool | None = None
    _may_wait: bool | None = None
    _staged: list[Callable[[], None]] = field(default_factory=list)
    _staged_after: list[Callable[[], None]] = field(default_factory=list)

    def __post_init__(self) -> None:
        # Made once: a manager makes a new queryset for each call, which some ten statements would pay.
        self.runs = Run.objects.using(self.using)
        self.step_runs = StepRun.objects.using(self.using)

    @property
    def declaration(self) -> Declaration:
        """The declaration of the workflow, as this process's code has it."""
        return self.workflow.declaration

    def step(self, name: str) -> Step[Any]:
        """Return a step's declaration. Raises `StepUnknown` for one that the code no longer has.

        What a function asked for in another process is an `UndeclaredStep`, until this one has called it too.
        """
        found = self.declaration.by_name.get(name) or self.learned.get(name)
        if found is not None:
            return found
        if is_function(self.workflow) and name in self.rows:
            row = self.rows[name]
            has_inverse = row.undo is not None
            return UndeclaredStep(name, row.kind, optional=row.optional, has_inverse=has_inverse)
        message = (
            f"Run {self.run.pk} needs step {name!r} of {self.run.workflow}, which this code does not "
            "declare. Deploy code that has it; the run waits."
        )
        raise StepUnknown(message)

    @property
    def steps(self) -> list[Step[Any]]:
        """The declared steps, and those that a function has asked for in this process."""
        return [*self.declaration.steps, *self.learned.values()]

    def grow(self, rows: list[StepRun]) -> None:
        """Take in steps that a function has asked for; the function itself stays the last."""
        grown = sorted({**self.rows, **{row.name: row for row in rows}}.values(), key=lambda row: row.seq)
        self.rows = {row.name: row for row in grown}
        self.forget_shape()

    def forget_shape(self) -> None:
        """Have looked up anew how the steps hang together."""
        self._dependencies, self._dependents, self.facts = {}, {}, {}

    def followers_of(self, name: str) -> tuple[str, ...]:
        """Return the steps that wait for this one."""
        if not self._dependencies:  # only a function changes the shape of a run, and says so
            self._dependencies = {row.name: tuple(row.depends_on) for row in self.rows.values()}
            self._dependents = dependents(self._dependencies)
        return self._dependents[name]

    def successor_of(self, name: str) -> StepRun | None:
        """Return the one step that only waits for this one, if nothing else follows from it."""
        followers = self.followers_of(name)
        if self.rows[name].kind == Kind.FIRST:  # the losers have a say in it
            return None
        successor = sole_successor(name, followers, self._dependencies)
        if successor is None or self.rows[successor].branches:  # the branch may not have been taken
            return None
        return self.rows[successor]

    def rows_of(self, kind: Kind) -> list[StepRun]:
        """Return the steps of one kind."""
        return [row for row in self.rows.values() if row.kind == kind]

    @property
    def has_races(self) -> bool:
        """Whether steps may be undone while the run goes on: those that lost a race."""
        if self._has_races is None:
            self._has_races = any(row.kind == Kind.FIRST for row in self.rows.values())
        return self._has_races

    def join_of(self, name: str) -> StepRun | None:
        """Return the join that is all that follows from this step, if nothing but its counter has a say in it."""
        followers = self.followers_of(name)
        if len(followers) != 1 or self.run.deadline_at is not None or self.has_races:
            return None
        join = self.rows[followers[0]]
        counts = len(self._dependencies[join.name]) > 1 and join.join == Join.ALL and not join.branches
        return join if counts and not self.after_approval(join) else None

    @property
    def may_wait(self) -> bool:
        """Whether the run may come to wait for a time, an event or a person, which its row then says."""
        if self._may_wait is None:
            steps = [self.step(name) for name in self.rows]
            self._may_wait = any(step.waits or step.retry is not None for step in steps)
        return self._may_wait

    def next_ready(self) -> StepRun | None:
        """Return the first step that, as far as is known, this process may claim without comparing anything."""
        for row in self.rows.values():
            if row.status == StepStatus.READY and self.belongs_here(row) and not self.after_approval(row):
                return row
        return None

    def after_approval(self, row: StepRun) -> bool:
        """Return whether what was approved may be compared before the step begins, under the run's lock."""
        return any(self.rows[name].kind == Kind.APPROVAL for name in row.depends_on)

    def all_settled_but(self, row: StepRun) -> bool:
        """Return whether the run goes on and, as far as is known, only this step is left to settle."""
        running = self.run.status == RunStatus.RUNNING and not self.has_races
        return running and all(other.settled for other in self.rows.values() if other is not row)

    def state(self) -> RunState:
        """Return the plain values that `decide` judges."""
        return RunState(
            status=self.run.status,
            cancelled=self.run.cancelled_at is not None,
            unstopped=self.run.error is None and self.run.cancelled_at is None,
            cascade=self.declaration.meta.rollback == "cascade",
            steps=tuple(
                StepState(
                    name=row.name,
                    status=_status_of(row),
                    compensation=row.compensation,
                    depends_on=tuple(row.depends_on),
                    branches=row.branches or {},
                    taken=row.result_json if row.kind in (Kind.CHOICE, Kind.FIRST) else None,
                    any_of=row.join == Join.ANY,
                    race=row.kind == Kind.FIRST,
                    ended_at=row.ended_at,
                )
                for row in self.rows.values()
            ),
        )

    def belongs_here(self, row: StepRun) -> bool:
        """Return whether this process may carry out the step: a caller's does nothing in the background."""
        if self.passive:
            return False
        if not self.carried:
            return not row.background
        if time.monotonic() > self.leave_at:
            return False
        return (row.queue or settings().default_queue) == self.queue

    # --- memory follows the commit -------------------------------------------------------------

    def stage(self, change: Callable[[], None]) -> None:
        """Change what is known in memory when, and only when, the open transaction commits."""
        self._staged.append(change)

    def call_after(self, call: Callable[[], None]) -> None:
        """Call a hook or send a signal after the commit that makes it true."""
        self._staged_after.append(call)

    def drop_staged(self) -> None:
        """Forget what a transaction that rolled back had staged."""
        self._staged.clear()
        self._staged_after.clear()
        self.ancestors_locked = False

    def keep_staged(self) -> None:
        """Take over what the committed transaction had staged."""
        for change in self._staged:
            change()
        self.after_commit.extend(self._staged_after)
        self.drop_staged()

    def know(self, row: StepRun | Run, **columns: Any) -> None:
        """Stage new values of a row's columns."""
        self.stage(lambda: row.reflect(**columns))

    def lease(self, step: Step[Any]) -> float:
        """Return the seconds for which a claim on the step holds."""
        return timeout_of(step) + settings().lease_grace

    # --- the first write -----------------------------------------------------------------------

    def ensure_journaled(self) -> None:
        """Insert the run and its steps, if this is the first transaction of a new run."""
        if self.journaled:
            return
        for row in (self.run, *self.rows.values()):
            about_to_change(row)  # they are given their keys
        try:
            insert(self.run, list(self.rows.values()), self.using)
        except IntegrityError as err:
            raise KeyTaken from err
        self.announce_start()
        if self.enqueued:
            for queue in {row.queue for row in self.rows.values() if row.status == StepStatus.READY}:
                wake(self, queue)
        else:
            self._publish_foreign_steps()
        self.stage(self.now_journaled)

    def _publish_foreign_steps(self) -> None:
        for row in self.rows.values():
            if row.status == StepStatus.READY and not self.belongs_here(row):
                publish_step(self, row)

    def now_journaled(self) -> None:
        """Know that the journal holds the run from now on."""
        self.journaled = True
        forget_expressions(self.run, list(self.rows.values()))


def _status_of(row: StepRun) -> str:
    """Return the status that decides: a child run at work is in flight, whatever becomes of its parent."""
    at_work = row.kind == Kind.WORKFLOW and row.status == StepStatus.WAITING
    return StepStatus.RUNNING if at_work else row.status


def timeout_of(step: Step[Any]) -> float:
    """Return the seconds that an attempt may take."""
    return settings().step_timeout if step.timeout is None else step.timeout


def insert(run: Run, rows: list[StepRun], using: str) -> None:
    """Insert a run with its steps in two statements, in the caller's transaction."""
    unsettled = {row.name for row in rows if not row.settled}
    for row in rows:
        blocked = row.status == StepStatus.BLOCKED
        row.missing = len(unsettled.intersection(row.depends_on)) if blocked else 0
    Run.objects.using(using).insert(run)
    StepRun.objects.using(using).insert(rows)


def forget_expressions(run: Run, rows: list[StepRun]) -> None:
    """Drop the database expressions that an insert leaves on the objects: the next access reads."""
    for instance in (run, *rows):
        for name in ("wake_at", "lease_until"):
            if hasattr(instance.__dict__.get(name), "resolve_expression"):
                del instance.__dict__[name]
