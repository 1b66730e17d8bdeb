"""Fills the journal by SQL, on PostgreSQL: finished runs of three steps, and live ones that wait.

Table and column names come from the models. The keys sort before those of runs that are started, as those
of older runs do. The tables are emptied by TRUNCATE: only for databases of a test's or a soak's own.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from django.contrib.contenttypes.models import ContentType
from django.db import connections, models

from flowstate.models import (
    Approval,
    ApprovalApprover,
    ApprovalAudience,
    Event,
    EventWait,
    InboxEntry,
    Run,
    RunEvent,
    StepRun,
    Vote,
)
from flowstate.models.clock import FAR_FUTURE, DbNow
from tests.kiosk.models import Sale

JOURNAL = (Run, StepRun, RunEvent, Event, EventWait, Approval, InboxEntry)
BESIDE = (Vote, ApprovalApprover, ApprovalAudience)
"""Of these there are few rows, or those that a scene makes."""

MINE, OTHERS = "group buyers", "group sellers"
"""For whom what waits for people is: for one half each."""

LONG_AGO = datetime(2022, 1, 1, tzinfo=UTC)

_ROWS = "(1000000 + n % 1000)::text"
"""The keys of the rows that filled runs were on; none of them is a test's."""

_FINISHED, _WAITING, _QUEUED = "0180", "0181", "0182"
"""How the keys of filled runs begin: UUIDs of version 7 that were made in 2022."""

_STEPS = {
    _FINISHED: (["done", "done", "done"], "NULL"),
    _WAITING: (["done", "waiting", "blocked"], "CASE s WHEN 1 THEN now() + interval '1 year' END"),
    _QUEUED: (["ready", "blocked", "blocked"], "CASE s WHEN 0 THEN timestamptz '2022-01-01 UTC' END"),
}
"""The status of the steps of such a run, and from when on they may be claimed."""


def fill_finished(count: int, *, using: str = "default", requested_by: int | None = None) -> None:
    """Add finished runs with their steps and a line of history each; all were asked for by one user."""
    _fill(count, _FINISHED, {"status": "'succeeded'", "ended_at": _moment("n")}, using, requested_by)


def fill_waiting(count: int, *, using: str = "default", requested_by: int | None = None) -> None:
    """Add live runs whose middle step waits: every other one for a person, the rest for next year."""
    person = "CASE WHEN n % 2 = 0 THEN 'person' ELSE 'time' END"
    later = f"CASE WHEN n % 2 = 0 THEN '{FAR_FUTURE}' ELSE now() + interval '1 year' END"
    asking = "'tests.growth.scenes.Decided'"
    columns = {"status": "'running'", "waiting_for": person, "wake_at": later, "workflow": asking}
    _fill(count, _WAITING, columns, using, requested_by)


def fill_queued(count: int, *, using: str = "default") -> None:
    """Add runs that wait for a worker, and have for years; they replace those that were added so before."""
    Run.objects.using(using).filter(wake_at__lt=DbNow()).delete()
    _fill(count, _QUEUED, {"status": "'running'", "wake_at": _moment("n")}, using, None)


def _fill(count: int, prefix: str, columns: Mapping[str, str], using: str, requested_by: int | None) -> None:
    entity = ContentType.objects.db_manager(using).get_for_model(Sale)
    run = Run(
        workflow="tests.engine.test_counts.Single",
        content_type_id=entity.pk,
        requested_by_id=requested_by,
        requested_by_label="ada",
        started_at=LONG_AGO,
        input_hash="0" * 64,
    )
    unique = f"encode(sha256(('{prefix}' || n)::bytea), 'hex')"
    numbered = {"id": _key(prefix), "object_id": _ROWS, "idempotency_key": unique}
    numbers = f"generate_series(1, {count:d}) AS n"
    _insert(run, {**numbered, **columns}, numbers, using)
    _fill_steps(count, prefix, using)
    event = RunEvent(kind="attempt_failed", step="one", attempt=1, at=LONG_AGO)
    _insert(event, {"run_id": _key(prefix)}, numbers, using)


def _fill_steps(count: int, prefix: str, using: str) -> None:
    status, wake_at = _STEPS[prefix]
    columns = {
        "run_id": _key(prefix),
        "seq": "s",
        "name": "(ARRAY['one', 'two', 'three'])[s + 1]",
        "key": f"{_key(prefix)} || ':' || s",
        "status": f"(ARRAY{status})[s + 1]",
        "depends_on": "('[' || (ARRAY['', '\"one\"', '\"two\"'])[s + 1] || ']')::jsonb",
        "wake_at": wake_at,
        "undo": """'{"model": "kiosk.Entry", "action": "create", "rows": [{"pk": 1}]}'::jsonb""",
    }
    step = StepRun(kind="create", compensation="pending", result_json=1, claimed_by="gone:1:1")
    _insert(step, columns, f"generate_series(1, {count:d}) AS n, generate_series(0, 2) AS s", using)
    if prefix == _WAITING:
        _fill_events(using)
        _fill_approvals(using)


def _fill_events(using: str) -> None:
    """Have every step that waits also wait for an event, and as many events wait for a step."""
    waiting = f"(SELECT id AS n FROM {StepRun._meta.db_table} WHERE status = 'waiting') AS waiting"  # noqa: S608
    topic = "encode(sha256(n::text::bytea), 'hex')"
    _insert(EventWait(), {"step_run_id": "n", "topic": topic, "token_hash": topic}, waiting, using)
    moments = {"expires_at": "now() + interval '1 year'", "wake_at": "now() + interval '1 year'"}
    event = Event(name="filled", key="k", received_at=LONG_AGO)
    _insert(event, {"topic": f"reverse({topic})", "delivery_key": topic, **moments}, waiting, using)


def _fill_approvals(using: str) -> None:
    """Have every step that waits also wait for people, of two groups."""
    steps = f"(SELECT id AS n, run_id FROM {StepRun._meta.db_table} WHERE status = 'waiting') AS waiting"  # noqa: S608
    asked = Approval(step="review", attempt=0, digest="0" * 64, opened_at=LONG_AGO)
    _insert(asked, {"run_id": "waiting.run_id", "step_run_id": "n"}, steps, using)
    audiences = ApprovalAudience.objects.using(using)
    mine, others = (audiences.get_or_create(key=key)[0].pk for key in (MINE, OTHERS))
    one_of_them = f"CASE n % 2 WHEN 0 THEN {mine:d} ELSE {others:d} END"
    approvals = f"(SELECT id AS n FROM {Approval._meta.db_table}) AS asked"  # noqa: S608
    columns = {"approval_id": "n", "position": "n", "audience_id": one_of_them}
    _insert(InboxEntry(exact=True), columns, approvals, using)


def _key(prefix: str) -> str:
    return f"('{prefix}' || lpad(to_hex(n), 28, '0'))::uuid"


def _moment(number: str) -> str:
    return f"timestamptz '2022-01-01 UTC' + {number} * interval '1 second'"


def _insert(example: models.Model, expressions: Mapping[str, str], rows: str, using: str) -> None:
    """Insert one row for each of `rows`: an expression for the columns named, the example's for the others."""
    connection = connections[using]
    quote = connection.ops.quote_name
    columns: list[str] = []
    values: list[str] = []
    params: list[Any] = []
    for field in example._meta.concrete_fields:
        if isinstance(field, models.AutoField):
            continue
        columns.append(quote(str(field.column)))
        if field.attname in expressions:
            values.append(expressions[field.attname].replace("%", "%%"))
        else:
            values.append("%s")
            params.append(field.get_db_prep_save(getattr(example, field.attname), connection))
    table = quote(example._meta.db_table)
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO {table} ({', '.join(columns)}) SELECT {', '.join(values)} FROM {rows}",  # noqa: S608
            params,
        )


def analyze(using: str = "default") -> None:
    """Let the planner know how large the tables are, and leave them as they are until `empty`."""
    with connections[using].cursor() as cursor:
        for model in (*JOURNAL, *BESIDE):
            table = model._meta.db_table
            # Whoever else vacuums or analyzes meanwhile would change what is compared.
            cursor.execute(f"ALTER TABLE {table} SET (autovacuum_enabled = false)")
            cursor.execute(f"VACUUM (ANALYZE) {table}")


def empty(using: str = "default") -> None:
    """Empty the tables of the journal."""
    name = str(connections[using].settings_dict["NAME"])
    assert name.startswith("test_"), f"{name} is no database of a test"
    with connections[using].cursor() as cursor:
        tables = [model._meta.db_table for model in (*JOURNAL, *BESIDE)]
        cursor.execute(f"TRUNCATE {', '.join(tables)}")
        for table in tables:
            cursor.execute(f"ALTER TABLE {table} RESET (autovacuum_enabled)")
