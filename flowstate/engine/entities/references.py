"""What refers to what: rows that a restored row needs, and rows that hold a row in place."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any

from django.db import connections, models
from django.db.models.deletion import get_candidate_relations_to_delete

from flowstate.engine.entities.images import AnyField, value
from flowstate.engine.entities.rows import Model, table_of
from flowstate.exceptions import UndoConflict


def target(field: AnyField) -> tuple[Model, str]:
    """Return the table and the column that a foreign key refers to."""
    goal = field.target_field
    return table_of(goal.model), goal.name


def refuse_missing_targets(texts: Mapping[AnyField, str | None], what: str, using: str) -> None:
    """Raise `UndoConflict` where a foreign key would refer to a row that is gone; lock those that are there.

    Databases that check foreign keys at commit would refuse only then, when it is too late to say why.
    """
    for field, text in texts.items():
        if text is None or field.remote_field is None or not field.db_constraint:
            continue
        missing = missing_targets(field, [text], using)
        if missing:
            model = target(field)[0]
            message = f"{what}: {field.name} refers to a {model._meta.label} that is gone."
            raise UndoConflict(
                message,
                {field.name: {"expected": None, "found": None, "restore": text}},
            )


def missing_targets(field: AnyField, texts: Collection[str], using: str) -> set[str]:
    """Return those of the texts that no row is there for; the others' rows are locked until the commit."""
    model, name = target(field)
    wanted = {value(field, text): text for text in texts}
    rows = model._base_manager.using(using).filter(**{f"{name}__in": list(wanted)})
    # As a foreign key check locks: others may go on referring to these rows, but not delete them.
    rows = rows.select_for_update(no_key=connections[using].features.has_select_for_no_key_update)
    found = set(rows.order_by("pk").values_list(name, flat=True))
    return {text for held, text in wanted.items() if held not in found}


def referring(
    rows: list[models.Model], table: Model, using: str
) -> Iterator[tuple[str, models.QuerySet[Any]]]:
    """Yield by name of the link the rows that refer to these, whatever Django would do with them."""
    for relation in _incoming(table):
        manager = relation.related_model._base_manager.using(using)
        yield relation.field.name, manager.filter(**{f"{relation.field.name}__in": rows})
    for field in table._meta.private_fields:
        if hasattr(field, "bulk_related_objects"):
            yield field.name, field.bulk_related_objects(rows, using)


def may_be_referred_to(table: Model) -> bool:
    """Return whether any model links to this one."""
    generic = any(hasattr(field, "bulk_related_objects") for field in table._meta.private_fields)
    return generic or any(True for _relation in _incoming(table))


def _incoming(table: Model) -> Iterable[Any]:
    """The links to the table itself; those to a parent's belong to the parent's."""
    return (
        relation
        for relation in get_candidate_relations_to_delete(table._meta)
        if table_of(relation.model) is table
    )


def refers_to_itself(table: Model) -> bool:
    """Return whether rows of the table may refer to one another."""
    return table in _targets(table)


def targets_first(tables: Sequence[Model]) -> list[Model]:
    """Return the tables, each after those that its rows may refer to, circles aside."""
    place = {table: index for index, table in enumerate(tables)}
    order = depth_first([[place[goal] for goal in _targets(table) if goal in place] for table in tables])
    return [tables[index] for index in order]


def _targets(table: Model) -> list[Model]:
    fields = table._meta.local_concrete_fields
    return [table_of(field.remote_field.model) for field in fields if field.remote_field is not None]


def depth_first(referred: Sequence[Sequence[int]]) -> list[int]:
    """Return the indices so that each comes after those it refers to; without recursion, trees are deep."""
    order: list[int] = []
    opened, closed = set[int](), set[int]()
    stack = list(reversed(range(len(referred))))
    while stack:
        index = stack[-1]
        if index not in opened:
            opened.add(index)
            stack.extend(other for other in referred[index] if other not in opened)
            continue
        stack.pop()
        if index not in closed:
            closed.add(index)
            order.append(index)
    return order
