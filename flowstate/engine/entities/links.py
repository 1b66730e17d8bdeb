"""Carrying out the many-to-many part of an UpdateStep, and the record of the links that it really changed.

Links are made and dropped by the managers' own `add()` and `remove()`, so `m2m_changed` is sent as usual. A
link is a row of the table between the two models: one that was made is undone as a created row is, one that
was dropped as a deleted one. Under the lock on its own row nobody else can link that row meanwhile.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.core.exceptions import ValidationError
from django.db import models
from django.db.models import Exists, OuterRef, Q

from flowstate.conf import settings
from flowstate.engine.entities.deletion import record, what_really_happened
from flowstate.engine.entities.images import AnyField, complete, key_text, leaf, text
from flowstate.engine.entities.records import row_record
from flowstate.engine.entities.rows import Model, locked
from flowstate.exceptions import DeclarationInvalid, RowLimitExceeded, RowMissing
from flowstate.workflows.entities import UpdateStep
from flowstate.workflows.entity_options import is_listed

Manager = Any  # what `row.tags` is: a class that Django makes for each relation
Parts = dict[str, list[dict[str, Any]]]
"""Parts of an undo record."""


def link_tables(model: Model) -> dict[str, Model]:
    """Return the tables of the model's many-to-many links, by the name that has the manager, reverse ones too."""
    found: dict[str, Model] = {}
    relations: Iterable[Any] = model._meta.get_fields()
    for relation in relations:
        if relation.many_to_many and relation.auto_created:
            found[relation.get_accessor_name()] = relation.through
        elif relation.many_to_many:
            found[relation.name] = relation.remote_field.through
    return found


@dataclass(frozen=True, slots=True)
class Links:
    """The rows or keys that a step links and unlinks by one name."""

    name: str
    added: list[Any] = field(default_factory=list)
    removed: list[Any] = field(default_factory=list)


def links_of(step: UpdateStep, model: Model, ctx: Any) -> list[Links]:
    """Return what the step links and unlinks; calls its functions. Raises `DeclarationInvalid`."""
    added = _members(step, model, "add", step.added_for(ctx))
    removed = _members(step, model, "remove", step.removed_for(ctx))
    names = dict.fromkeys([*removed, *added])
    return [Links(name, added.get(name, []), removed.get(name, [])) for name in names]


def _members(step: UpdateStep, model: Model, option: str, given: Any) -> dict[str, list[Any]]:
    if not isinstance(given, Mapping):
        message = (
            f"`{option}` of step {step.name} gave a {type(given).__name__}; it must be a dictionary of lists."
        )
        raise DeclarationInvalid(message)
    known = link_tables(model) if given else {}
    for name, members in given.items():
        if name not in known:
            message = (
                f"`{option}` of step {step.name} has {name!r}, which is no many-to-many of {model._meta.label}. It "
                f"has {', '.join(sorted(known)) or 'none'}."
            )
            raise DeclarationInvalid(message)
        if not is_listed(members):
            message = (
                f"`{option}` of step {step.name} gave a {type(members).__name__} for {name!r}; it must be a list of "
                "rows or keys."
            )
            raise DeclarationInvalid(message)
    return {name: list(members) for name, members in given.items()}


def change_links(
    step: UpdateStep, rows: Sequence[models.Model], links: Sequence[Links], *, record_undo: bool, using: str
) -> Parts:
    """Unlink and link; return what goes into the undo record.

    Raises `RowMissing` for a row to link that is not there, and `RowLimitExceeded`.
    """
    parts: Parts = {"created": [], "deleted": [], "changed": [], "linked": []}
    for named in links if rows else ():
        relation = _Relation(step, named.name, [getattr(row, named.name) for row in rows], using)
        added, removed = relation.values(named.added), relation.values(named.removed)
        relation.refuse_excess(added, removed)
        if not record_undo:
            relation.remove(removed)
            relation.add(added)
            continue
        touched = _unlink(relation, removed, parts) | _link(relation, added, parts)
        for row, manager in zip(rows, relation.managers, strict=True):
            if manager.related_val[0] in touched:
                parts["linked"].append(row_record(type(row), key_text(row, type(row))))
    return parts


def _unlink(relation: _Relation, values: list[Any], parts: Parts) -> set[Any]:
    """Unlink, put what went into the parts, and return the rows whose links went."""
    if not values:
        return set()
    found = relation.through._default_manager.using(relation.using).filter(relation.between(values))
    dropped = list(complete(locked(found)).order_by("pk"))
    recorded = record(dropped, relation.using) if dropped else None
    relation.remove(values)
    if recorded is None:
        return set()
    for part, happened in what_really_happened(recorded, relation.using).items():
        if part in parts:
            parts[part] += happened
    return relation.ends(
        (getattr(row, relation.source.attname), getattr(row, relation.target.attname)) for row in dropped
    )


def _link(relation: _Relation, values: list[Any], parts: Parts) -> set[Any]:
    """Link, put what was made into the parts, and return the rows whose links were made."""
    if not values:
        return set()
    before = set(relation.links(values).values_list("pk", flat=True))
    made = [(pk, pair) for pk, *pair in relation.add(values) if pk not in before]
    key = relation.through._meta.pk
    parts["created"] += [row_record(relation.through, str(text(key, pk))) for pk, _pair in made]
    return relation.ends(pair for _pk, pair in made)


@dataclass(frozen=True, slots=True)
class _Relation:
    """The managers that a step's rows have under one name."""

    step: UpdateStep
    name: str
    managers: list[Manager]
    using: str

    @property
    def through(self) -> Model:
        """The model of the links."""
        return self.managers[0].through  # type: ignore[no-any-return]

    @property
    def _model(self) -> Model:
        return self.managers[0].model  # type: ignore[no-any-return]

    @property
    def source(self) -> AnyField:
        """The column of a link that refers to the step's row."""
        return self.managers[0].source_field

    @property
    def target(self) -> AnyField:
        """The column of a link that refers to the other row."""
        return self.managers[0].target_field

    def values(self, members: Iterable[Any]) -> list[Any]:
        """Return what links to these rows or keys hold. Raises `DeclarationInvalid` for those of another model."""
        manager = self.managers[0]
        try:
            found = manager._get_target_ids(manager.target_field_name, members)  # noqa: SLF001 - as add() does
            return [leaf(self.target).to_python(value) for value in found]
        except (TypeError, ValueError, ValidationError) as err:
            message = f"Step {self.step.name} cannot link by {self.name}: {err}"
            raise DeclarationInvalid(message) from err

    def refuse_excess(self, added: list[Any], removed: list[Any]) -> None:
        """Raise `DeclarationInvalid` for what is both added and removed, `RowLimitExceeded` for too much."""
        both = [value for value in added if value in removed]
        if both:
            message = f"Step {self.step.name} both adds and removes {both[0]!r} by {self.name}."
            raise DeclarationInvalid(message)
        cap, count = settings().max_rows, len(self.managers) * (len(added) + len(removed))
        if count > cap:
            message = (
                f"Step {self.step.name} would change {count} links by {self.name}, more than "
                f"FLOWSTATE['MAX_ROWS'] = {cap}. Work in batches."
            )
            raise RowLimitExceeded(message)

    def between(self, values: list[Any]) -> Q:
        """Return the condition that a link is one between the step's rows and these."""
        source, target = self.source.name, self.target.name
        own = [manager.related_val[0] for manager in self.managers]
        condition = Q(**{f"{source}__in": own, f"{target}__in": values})
        if self.managers[0].symmetrical:
            condition |= Q(**{f"{target}__in": own, f"{source}__in": values})
        return condition

    def links(self, values: list[Any]) -> models.QuerySet[Any]:
        """Return the links that there are between the step's rows and these."""
        return self.through._base_manager.using(self.using).filter(self.between(values)).order_by("pk")

    def ends(self, pairs: Iterable[Sequence[Any]]) -> set[Any]:
        """Return the rows whose links these pairs of source and target are."""
        symmetrical = self.managers[0].symmetrical
        return {end for source, target in pairs for end in ((source, target) if symmetrical else (source,))}

    def remove(self, values: list[Any]) -> None:
        """Unlink as `row.tags.remove(*values)` does."""
        for manager in self.managers if values else ():
            manager.remove(*values)

    def add(self, values: list[Any]) -> list[tuple[Any, ...]]:
        """Link as `row.tags.add(*values)` does; return key, source and target of all links there are then.

        Raises `RowMissing` where a row to link to is not there: a database that checks foreign keys at COMMIT
        would fail only then, and one that is asked to ignore conflicts drops such a link without a word.
        """
        if not values:
            return []
        for manager in self.managers:
            manager.add(*values)
        rows, goal = self._model._base_manager.using(self.using), self.target.target_field
        target = Exists(rows.filter(**{goal.attname: OuterRef(self.target.attname)}))
        ends = (self.source.attname, self.target.attname)
        linked = list(self.links(values).filter(target).values_list("pk", *ends))
        known = self.ends(pair for _pk, *pair in linked) | {pair[-1] for pair in linked}
        unsure = [value for value in values if value not in known]
        there = (
            set(rows.filter(**{f"{goal.name}__in": unsure}).values_list(goal.attname, flat=True))
            if unsure
            else set()
        )
        for value in unsure:
            if value not in there:
                message = (
                    f"No {self._model._meta.label} with {goal.name}={value!r} to link by {self.name} in step "
                    f"{self.step.name}."
                )
                raise RowMissing(message)
        return linked
