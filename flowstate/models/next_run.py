"""What a worker takes up next, read by constant SQL: the second hottest thing after writing steps.

The ORM would spend as long on putting this question together as the database on answering it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any
from uuid import UUID

from django.db import connections, models

from flowstate.models.clock import DbNow
from flowstate.models.statuses import RunStatus, StepStatus

if TYPE_CHECKING:
    from django.db.backends.base.base import BaseDatabaseWrapper

    from flowstate.models.step_run import StepRun

# A scalar subquery: PostgreSQL would answer an EXISTS below an OR by hashing the whole table of steps.
_DUE = """SELECT due.{id} FROM {runs} due WHERE due.{wake_at} <= {{now}} AND (due.{status} = '{compensating}' OR (
SELECT step.{step_id} FROM {steps} step WHERE step.{run_id} = due.{id} AND step.{step_status} = '{ready}'
AND step.{step_wake_at} <= {{now}} AND step.{queue} IN ({{queues}}) LIMIT 1) IS NOT NULL)
ORDER BY due.{wake_at} LIMIT {{limit}}"""


def due_run_ids(steps: models.QuerySet[StepRun], queues: Sequence[str], *, limit: int) -> list[UUID]:
    """Return up to `limit` runs with work for a worker of these queues now, the longest waiting first.

    A run whose step is in somebody's hands is not among them, early as its wake-up may be.
    """
    connection = connections[steps.db]
    sql, params = _due(steps, queues, connection, limit=limit)
    with connection.cursor() as cursor:
        cursor.execute(sql, params)
        return [value if isinstance(value, UUID) else UUID(value) for (value,) in cursor.fetchall()]


def steps_of_next_run(steps: models.QuerySet[StepRun], queues: Sequence[str]) -> list[StepRun]:
    """Return the steps of the first such run, with the run itself; none where nothing is due. One statement."""
    connection = connections[steps.db]
    due, params = _due(steps, queues, connection, limit=1)
    with connection.cursor() as cursor:
        cursor.execute(f"{_selecting(steps.model, steps.db)} = ({due}) ORDER BY step.seq", params)
        found = cursor.fetchall()
    if not found:
        return []
    width = len(steps.model._meta.concrete_fields)
    run = _instance(_run_model(steps.model), found[0][width:], connection)
    rows = [_instance(steps.model, columns[:width], connection) for columns in found]
    for row in rows:
        row.run = run
    return rows


def _due(
    steps: models.QuerySet[StepRun], queues: Sequence[str], connection: BaseDatabaseWrapper, *, limit: int
) -> tuple[str, list[Any]]:
    now, params = DbNow().sql_on(connection)
    places = ", ".join(["%s"] * len(queues))
    sql = _due_text(steps.model, steps.db).format(now=now, queues=places, limit=limit)
    return sql, [*params, *params, *queues]


@cache
def _due_text(model: type[StepRun], using: str) -> str:
    quote, run_model = connections[using].ops.quote_name, _run_model(model)
    names = {field.attname: quote(str(field.column)) for field in run_model._meta.concrete_fields}
    of_step = {field.attname: quote(str(field.column)) for field in model._meta.concrete_fields}
    return _DUE.format(
        runs=quote(run_model._meta.db_table),
        steps=quote(model._meta.db_table),
        id=names["id"],
        wake_at=names["wake_at"],
        status=names["status"],
        step_id=of_step["id"],
        run_id=of_step["run_id"],
        step_status=of_step["status"],
        step_wake_at=of_step["wake_at"],
        queue=of_step["queue"],
        compensating=RunStatus.COMPENSATING.value,
        ready=StepStatus.READY.value,
    )


@cache
def _selecting(model: type[StepRun], using: str) -> str:
    """Return the question for the columns of steps and of their run, up to the run's key."""
    quote, run_model = connections[using].ops.quote_name, _run_model(model)
    columns = [
        f"{alias}.{quote(str(field.column))}"
        for alias, asked in (("step", model), ("run", run_model))
        for field in asked._meta.concrete_fields
    ]
    key, link = (quote(str(field.column)) for field in (run_model._meta.pk, model._meta.get_field("run")))
    # Names of our own models, no values.
    return (
        f"SELECT {', '.join(columns)} FROM {quote(model._meta.db_table)} step "  # noqa: S608
        f"INNER JOIN {quote(run_model._meta.db_table)} run ON run.{key} = step.{link} WHERE step.{link}"
    )


def _instance(model: type[models.Model], columns: Iterable[Any], connection: BaseDatabaseWrapper) -> Any:
    """Return the row that these columns are, converted as the ORM would."""
    values = list(columns)
    for place, column, convert in _conversions(model, connection.alias):
        for converter in convert:
            values[place] = converter(values[place], column, connection)
    return model.from_db(connection.alias, _names(model), values)


@cache
def _names(model: type[models.Model]) -> list[str]:
    return [field.attname for field in model._meta.concrete_fields]


@cache
def _conversions(model: type[models.Model], using: str) -> list[tuple[int, Any, list[Any]]]:
    return list(_needed_conversions(model, connections[using]))


def _needed_conversions(
    model: type[models.Model], connection: BaseDatabaseWrapper
) -> Iterator[tuple[int, Any, list[Any]]]:
    for place, field in enumerate(model._meta.concrete_fields):
        column = field.get_col(model._meta.db_table)
        convert = [*connection.ops.get_db_converters(column), *column.get_db_converters(connection)]
        if convert:
            yield place, column, convert


def _run_model(model: type[StepRun]) -> type[models.Model]:
    return model._meta.get_field("run").related_model
