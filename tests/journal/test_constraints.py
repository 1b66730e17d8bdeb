"""The database refuses rows that no verb would write."""

from __future__ import annotations

from typing import Any

import pytest

from django.db import IntegrityError, transaction

from flowstate.models import Compensation, EventKind, Run, RunEvent, RunStatus, StepRun, StepStatus
from flowstate.models.clock import DbNow
from tests.journal.rows import ENDED_AT, a_run, a_step

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize(
    "columns",
    [
        {"status": "paused"},
        {"waiting_for": "godot"},
        {"status": "running", "wake_at": None},
        {"status": "attention", "wake_at": None},
        {"status": "running", "ended_at": ENDED_AT},
        {"status": "succeeded", "ended_at": None, "wake_at": None},
        {"status": "failed", "ended_at": ENDED_AT},
        {"status": "cancelled", "ended_at": ENDED_AT, "wake_at": None, "exclusive_key": "e"},
    ],
    ids=lambda columns: " ".join(map(str, columns)) + " " + str(next(iter(columns.values()))),
)
def test_a_run_that_no_verb_would_write_is_refused(columns: dict[str, Any]) -> None:
    """I9, I12."""
    run = a_run()

    with pytest.raises(IntegrityError), transaction.atomic():
        Run.objects.filter(pk=run.pk).update(**columns)

    assert Run.objects.get(pk=run.pk).status == "running"


@pytest.mark.parametrize(
    "columns",
    [
        {"status": "paused"},
        {"compensation": "maybe"},
        {"status": "done", "lease_until": DbNow(9)},
        {"status": "ready", "lease_until": DbNow(9)},
        {"status": "done", "compensation": "pending", "lease_until": DbNow(9)},
        {"status": "done", "compensation": "done", "lease_until": DbNow(9)},
    ],
    ids=["status", "compensation", "done", "ready", "pending", "undone"],
)
def test_a_step_that_no_verb_would_write_is_refused(columns: dict[str, Any]) -> None:
    """I9."""
    row = a_step()

    with pytest.raises(IntegrityError), transaction.atomic():
        StepRun.objects.filter(pk=row.pk).update(**columns)

    assert StepRun.objects.get(pk=row.pk).status == "ready"


@pytest.mark.parametrize("status", StepStatus)
@pytest.mark.parametrize("compensation", Compensation)
def test_every_word_for_a_step_is_accepted(status: StepStatus, compensation: Compensation) -> None:
    assert a_step(status=status, compensation=compensation).status == status


@pytest.mark.parametrize("status", RunStatus)
def test_every_word_for_a_run_is_accepted(status: RunStatus) -> None:
    assert a_run(status).status == status


def test_two_steps_of_a_run_never_have_one_place() -> None:
    run = a_run()
    a_step(run, seq=1)

    with pytest.raises(IntegrityError), transaction.atomic():
        a_step(run, seq=1)


@pytest.mark.parametrize("column", ["idempotency_key", "exclusive_key"])
def test_a_key_belongs_to_one_run(column: str) -> None:
    """I10, I11."""
    key: dict[str, Any] = {column: "k"}
    a_run(**key)
    a_run()
    a_run()

    with pytest.raises(IntegrityError), transaction.atomic():
        a_run(**key)


def test_a_run_is_gone_on_with_once() -> None:
    old = a_run(RunStatus.FAILED)
    a_run(retry_of=old)

    with pytest.raises(IntegrityError), transaction.atomic():
        a_run(retry_of=old)


def test_history_knows_no_other_words() -> None:
    run = a_run()
    for kind in EventKind:
        RunEvent.objects.record(run, kind)

    with pytest.raises(IntegrityError), transaction.atomic():
        RunEvent.objects.filter(run=run).update(kind="sneezed")

    assert run.events.count() == len(EventKind)


def test_no_index_names_a_status() -> None:
    """C10: else every move of a row would write to every index of its table."""
    indexed = {name for model in (Run, StepRun) for index in model._meta.indexes for name in index.fields}

    assert "status" not in indexed
    assert [model for model in (Run, StepRun) if any(index.condition for index in model._meta.indexes)] == []
    assert StepRun._meta.indexes == []
