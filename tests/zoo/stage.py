"""What the tests of entity steps need: a context, a step carried out and undone, and a look at all tables."""

from __future__ import annotations

import json
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

from django.apps import apps
from django.db import connection, models, transaction

from flowstate.engine.entities import Written, perform
from flowstate.engine.entities.inverse import Restored, models_of, undo
from flowstate.engine.entities.seal import sealed
from flowstate.workflows.entities import EntityStep

KEY = "the run:the step"
"""The key under which steps are carried out here, and their records sealed."""


class Ctx:
    """As much of a context as entity steps touch. Reading the entity unlocked is counted."""

    idempotency_key = KEY

    def __init__(self, entity: models.Model | None = None) -> None:
        self.entity_id = entity.pk if entity else None
        self.entity_model = type(entity) if entity else None
        self.reads = 0
        self._row: Any = None

    @property
    def entity(self) -> Any:
        if self._row is None:
            self.reads += 1
            assert self.entity_model is not None
            self._row = self.entity_model._base_manager.get(pk=self.entity_id)
        return self._row

    def use_entity(self, row: models.Model) -> None:
        self._row = row


def carry_out(
    step: EntityStep, entity: models.Model | None = None, *, record_undo: bool = True, ctx: Any = None
) -> Written:
    """Carry a step out in its own transaction."""
    with transaction.atomic():
        written = perform(step, None, ctx or Ctx(entity), record_undo=record_undo, using="default")  # type: ignore[arg-type]
        check_what_is_deferred()
    return written


def take_back(
    written: Written,
    step: EntityStep,
    entity: models.Model | None = None,
    *,
    others: Sequence[tuple[EntityStep, Written]] = (),
) -> list[Restored]:
    """Undo what a step has written, while `others` of its run are not undone; return the rows touched."""
    steps = [step, *(other for other, _its in others)]
    allowed = models_of(SimpleNamespace(steps=steps), type(entity) if entity else None)
    records = [(as_journaled(its), KEY) for _other, its in others]
    with transaction.atomic():
        undone = undo(as_journaled(written), key=KEY, allowed_models=allowed, using="default", others=records)
        check_what_is_deferred()
    return undone.rows


def as_journaled(written: Written) -> Any:
    """Return the undo record as it comes out of the journal, which may have changed the order of keys."""
    return json.loads(json.dumps(written.undo, allow_nan=False, sort_keys=True))


def sealed_anew(record: dict[str, Any] | None) -> Written:
    """Return what a step would have written whose record, under a valid seal, is this one."""
    content = {part: rows for part, rows in (record or {}).items() if part != "seal"}
    return Written(result={}, undo=sealed(content, KEY))


def check_what_is_deferred() -> None:
    """Check foreign keys now, where the database would do so at commit; the others have done so."""
    if connection.features.can_defer_constraint_checks:
        connection.check_constraints()


def everything_there_is() -> dict[str, list[tuple[Any, ...]]]:
    """Return all columns of all rows of all tables of the zoo, as the driver gives them."""
    tables = {
        model._meta.db_table for model in apps.get_app_config("zoo").get_models(include_auto_created=True)
    }
    return {table: _rows(table) for table in sorted(tables)}


def _rows(table: str) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT * FROM {connection.ops.quote_name(table)}")  # noqa: S608 - our own table
        return sorted((tuple(map(_plain, row)) for row in cursor.fetchall()), key=repr)


def _plain(value: Any) -> Any:
    return bytes(value) if isinstance(value, memoryview) else value
