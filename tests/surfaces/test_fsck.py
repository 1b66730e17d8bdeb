"""`flowstate_fsck`: each condition finds the row that is planted for it, and nothing in a journal in order."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from django.db import connection
from django.db.models import CheckConstraint

from flowstate.engine.audit.fsck import find_broken
from flowstate.models import Run, StepRun
from flowstate.models.invariants import INVARIANTS
from tests.faults.planting import (
    COMPENSATED,
    DONE,
    NOW,
    RUNNING,
    UNDONE,
    alone,
    late,
    orphan,
    pair,
    retried_while_live,
    run_row,
    step_row,
    still_awaited,
    taken_over_and_kept,
    unawaited,
    waived,
)
from tests.faults.planting_approvals import PLANTED_APPROVALS


@pytest.fixture
def unchecked(db: None) -> Iterator[None]:
    """Let rows in that the CHECK constraints refuse, as a database without them would."""
    with connection.cursor() as cursor:
        if connection.vendor == "sqlite":
            cursor.execute("PRAGMA ignore_check_constraints = ON")
            yield
            cursor.execute("PRAGMA ignore_check_constraints = OFF")
        elif connection.vendor == "mysql":
            cursor.execute("SET SESSION check_constraint_checks = OFF")
            yield
            cursor.execute("SET SESSION check_constraint_checks = ON")
        else:  # comes back with the rollback of the test's transaction
            for model in (Run, StepRun):
                for constraint in model._meta.constraints:
                    if isinstance(constraint, CheckConstraint):
                        table, name = model._meta.db_table, constraint.name
                        cursor.execute(f'ALTER TABLE "{table}" DROP CONSTRAINT "{name}"')
            yield


LEFT: dict[str, Any] = {**DONE, "kind": "choice", "result_json": "left"}
RIGHT: dict[str, Any] = {**LEFT, "result_json": "right"}
ON_LEFT: dict[str, Any] = {"branches": {"pay": ["left"]}}

ANY: dict[str, Any] = {"join": "any"}


def raced(loser: dict[str, Any]) -> None:
    run = run_row("succeeded")
    step_row(run, **{"name": "pay", **DONE})
    step_row(run, **{"name": "loser", **loser})
    won = {"kind": "first", "join": "any", "depends_on": ["pay", "loser"], "result_json": "pay"}
    step_row(run, "done", "race", **won)


PLANTED: list[tuple[str, str, Callable[[], Any]]] = [
    (
        "I8",
        "has ended but does not say when",
        lambda: alone({"status": "succeeded", "ended_at": None}, **DONE),
    ),
    ("I8", "says when it ended but is live", lambda: alone({**RUNNING, "ended_at": NOW}, status="ready")),
    (
        "I9",
        "has ended but still has a wake-up",
        lambda: alone({"status": "succeeded", "wake_at": NOW}, **DONE),
    ),
    (
        "I11",
        "has ended but still holds its exclusive key",
        lambda: alone({"status": "succeeded", "exclusive_key": "k"}, **DONE),
    ),
    ("I12", "no wake-up", lambda: alone({**RUNNING, "wake_at": None}, status="ready")),
    ("I12", "has no steps", lambda: run_row("running")),
    ("I12", "none of its steps can", lambda: alone(RUNNING, status="blocked")),
    ("I12", "nothing is left to undo", lambda: alone({"status": "compensating"}, status="failed")),
    ("I12", "long after a claim", lambda: alone({**RUNNING, "wake_at": late(600)}, status="running")),
    ("I12", "a step that is due", lambda: alone({**RUNNING, "wake_at": late(600)}, status="ready")),
    (
        "I12",
        "whose wait is over",
        lambda: alone({**RUNNING, "wake_at": late(600)}, status="waiting", kind="delay", wake_at=late(-1)),
    ),
    ("I12", "nothing can bring", lambda: alone(RUNNING, status="waiting", kind="event")),
    ("I9", "would still be given an event", still_awaited),
    ("I12", "a child run that has ended", lambda: alone(RUNNING, status="waiting", kind="workflow")),
    (
        "I12",
        "by a run that has ended",
        lambda: alone(
            {"status": "compensating"},
            **{**DONE, "compensation": "running", "lease_until": None},
            kind="workflow",
        ),
    ),
    ("I24", "for a step that does not wait", unawaited),
    ("I11", "which only the root may", lambda: unawaited(exclusive_key="k")),
    ("I12", "for none that will come", lambda: alone(RUNNING, status="waiting", kind="delay")),
    (
        "I12",
        "whose undoing is due",
        lambda: alone({"status": "compensating", "wake_at": late(600)}, **DONE),
    ),
    ("I15", "ended as undone, but none", lambda: alone(COMPENSATED, status="done")),
    ("I15", "ended as not undone, but", lambda: alone({"status": "failed"}, **UNDONE)),
    ("I15", "none of its compensations failed", lambda: alone({"status": "attention"}, **UNDONE)),
    (
        "I15",
        "nobody waived it",
        lambda: pair("compensated", {**DONE, "compensation": "failed"}, UNDONE),
    ),
    (
        "I24",
        "was cancelled, but ended otherwise",
        lambda: alone({"status": "succeeded", "cancelled_at": NOW}, **DONE),
    ),
    (
        "I27",
        "but nobody cancelled it",
        lambda: alone({"status": "cancelled", "cancelled_at": None}, **UNDONE),
    ),
    ("I27", "does not say of what", lambda: alone({**COMPENSATED, "error": None}, **UNDONE)),
    (
        "I27",
        "neither failed nor was cancelled",
        lambda: alone({"status": "compensating", "error": None}, **DONE),
    ),
    ("I27", "needed, but its run ended well", lambda: alone({"status": "succeeded"}, status="failed")),
    ("I27", "names a failed step", lambda: alone({**COMPENSATED, "failed_step": "pay"}, **UNDONE)),
    ("I27", "retries a run that goes on", retried_while_live),
    ("I1", "cannot be in doubt", lambda: alone(RUNNING, status="ready", kind="create", uncertain=True)),
    ("I3", "its token is 0", lambda: alone(RUNNING, status="running", attempt=0)),
    ("I4", "nobody holds it", lambda: alone(RUNNING, status="ready", lease_until=NOW)),
    ("I5", "has no idempotency key", lambda: alone(RUNNING, status="ready", key="")),
    ("I9", "holds a lease, but", lambda: alone(COMPENSATED, status="done", compensation="running")),
    ("I9", "is not settled, but", lambda: alone({"status": "failed"}, status="ready")),
    ("I9", "still has a wake-up, but", lambda: alone({"status": "succeeded"}, **DONE, wake_at=NOW)),
    (
        "I9",
        "its run waits for a person",
        lambda: pair("attention", {"status": "running"}, {**DONE, "compensation": "failed"}),
    ),
    ("I12", "claimed without a lease", lambda: alone(RUNNING, status="running", lease_until=None)),
    ("I12", "ready from no time on", lambda: alone(RUNNING, status="ready", wake_at=None)),
    (
        "I15",
        "while it is being done",
        lambda: alone({"status": "compensating"}, status="running", compensation="running"),
    ),
    ("I15", "its run goes on or ended well", lambda: alone({"status": "succeeded"}, **UNDONE)),
    ("I15", "but never done", lambda: alone(COMPENSATED, **{**UNDONE, "status": "failed"})),
    ("I15", "was waived, but never done", lambda: waived("failed")),
    ("I15", "was waived, but its run goes on or ended well", lambda: waived(run="succeeded")),
    ("I27", "does not say by whom and why", lambda: waived(told=False)),
    ("I15", "is through with undoing", lambda: pair("compensated", DONE, UNDONE)),
    ("I15", "is through with undoing", lambda: pair("cancelled", DONE, UNDONE)),
    ("I15", "is through with undoing", lambda: alone({"status": "failed"}, **DONE)),  # by the declaration
    ("I15", "not called unknown", lambda: alone({"status": "failed"}, status="cancelled", uncertain=True)),
    ("I17", "but both may undo it", taken_over_and_kept),
    ("I24", "may still start", lambda: pair("compensating", DONE, {"status": "ready"})),
    ("I25", "more failures and lost", lambda: alone(RUNNING, status="ready", attempt=2, failures=3)),
    ("I25", "more failures and lost", lambda: alone(RUNNING, status="ready", compensation_lost=1)),
    ("I25", "failed 2 times, but may only 1", lambda: alone(RUNNING, status="ready", attempt=2, failures=2)),
    (
        "I25",
        "failed 4 times in being undone",
        lambda: alone(
            {"status": "attention"},
            status="done",
            compensation="failed",
            compensation_attempt=4,
            compensation_failures=4,
        ),
    ),
    ("I27", "has settled, but", lambda: alone({"status": "succeeded"}, **DONE, ended_at=None)),
    (
        "I5",
        "only step of its run",
        lambda: pair("running", DONE, {"status": "ready", "name": "pay", "depends_on": []}),
    ),
    (
        "I5",
        "key of another step",
        lambda: pair("running", {**DONE, "key": "k"}, {"status": "ready", "key": "k"}),
    ),
    ("I6", "does not have", lambda: alone(RUNNING, status="ready", depends_on=["gone"])),
    ("I6", "which it depends, is running", lambda: pair("running", RUNNING, {"status": "running"})),
    (
        "I6",
        "started before pay",
        lambda: pair("running", DONE, {"status": "running", "started_at": late(-60)}),
    ),
    (
        "I6",
        "but a branch that was taken leads to it",
        lambda: pair("running", LEFT, {"status": "skipped", "reason": "branch: pay took 'x'", **ON_LEFT}),
    ),
    ("I6", "of the steps is done of which it waits", lambda: pair("running", RUNNING, {**RUNNING, **ANY})),
    (
        "I6",
        "started before any of the steps",
        lambda: pair("running", DONE, {**RUNNING, **ANY, "started_at": late(-60)}),
    ),
    ("I15", "without undoing it", lambda: raced(DONE)),
    ("I6", "is done, but no branch that was taken", lambda: pair("running", RIGHT, {**DONE, **ON_LEFT})),
    ("I27", "is of a run that is not there", orphan),
    ("I27", "says neither by which condition", lambda: alone(RUNNING, status="skipped", reason="why not")),
    ("I16", "book, which depended on it, was not", lambda: pair("compensating", UNDONE, DONE)),
    (
        "I16",
        "before book",
        lambda: pair("compensated", UNDONE, {**UNDONE, "compensation_ended_at": late(60)}),
    ),
    *PLANTED_APPROVALS,
]


@pytest.mark.parametrize(
    ("number", "words", "plant"),
    PLANTED,
    ids=[f"{place} {number} {words}" for place, (number, words, _plant) in enumerate(PLANTED)],
)
def test_a_planted_row_is_found(unchecked: None, number: str, words: str, plant: Callable[[], Any]) -> None:
    plant()

    found = [row for row in find_broken(using="default") if row.invariant == number and words in row.words]

    assert len(found) == 1
    assert found[0].remedy


def test_every_condition_has_a_planted_row() -> None:
    by_database = {"has the idempotency key of another run", "has the exclusive key of another run"}
    missing = [
        condition.words
        for condition in INVARIANTS
        if condition.words not in by_database
        and not any(
            number == condition.number and words in condition.words for number, words, _plant in PLANTED
        )
    ]

    assert missing == []


@pytest.mark.parametrize(("number", "column"), [("I10", "idempotency_key"), ("I11", "exclusive_key")])
def test_a_key_that_two_runs_have_is_found(db: None, number: str, column: str) -> None:
    """Where the unique index was lost; only PostgreSQL can lose one within a test's transaction."""
    condition = next(
        item for item in INVARIANTS if item.number == number and item.words.endswith("key of another run")
    )
    assert not condition.rows("default").exists()  # the statement itself is sound on every database
    if connection.vendor != "postgresql":
        return
    with connection.cursor() as cursor:
        names = connection.introspection.get_constraints(cursor, Run._meta.db_table)
        unique = [name for name, item in names.items() if item["unique"] and item["columns"] == [column]]
        cursor.execute(f'ALTER TABLE {Run._meta.db_table} DROP CONSTRAINT "{unique[0]}"')

    for _twice in range(2):
        alone({**RUNNING, column: "k"}, status="ready")

    assert [row.invariant for row in find_broken(using="default")] == [number] * 2
