"""Entity steps: rows to create, update or delete, with an inverse that is derived."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, TypeAlias

from flowstate.exceptions import DeclarationInvalid
from flowstate.workflows.entity_options import (
    check_changes,
    check_direct,
    check_store_as,
    check_values,
    check_where,
    checked_links,
    checked_missing,
    checked_model,
    refuse_reading,
)
from flowstate.workflows.functions import call, refuse_wrong_arity, value_of
from flowstate.workflows.policies import flag, refuse_unknown
from flowstate.workflows.step_options import (
    UNSET,
    EntityOptions,
    OnConflict,
    Unset,
    checked_on_conflict,
    option_names,
)
from flowstate.workflows.steps import Kind, Step

if TYPE_CHECKING:
    from typing import Unpack

    from django.db.models import Model, Q

    Row: TypeAlias = dict[str, Any]

ModelGiven: TypeAlias = "str | type[Model]"
Columns: TypeAlias = Mapping[str, Any]
Values: TypeAlias = Callable[[Any], Columns] | Columns
ManyValues: TypeAlias = Callable[[Any], Columns | Iterable[Columns]] | Columns | Iterable[Columns]
Where: TypeAlias = "Callable[[Any], Columns | Q] | Columns | Q"
Members: TypeAlias = Callable[[Any], Iterable[Any]] | Iterable[Any]
Links: TypeAlias = Callable[[Any], Mapping[str, Members]] | Mapping[str, Members]


class EntityStep(Step["Row"]):
    """What the three kinds have in common; `model` is a class, "app.Model", or None for the action's entity."""

    model: ModelGiven | None
    many: bool
    on_conflict: OnConflict
    known_options: ClassVar[frozenset[str]] = option_names(EntityOptions)

    def _declare(self, model: Any, kind: Kind, given: Any, options: Any, **own: Any) -> None:
        what = f"{self.word} {options.get('name') or ''}".rstrip()
        refuse_unknown(what, options, self.known_options | set(given))
        name, undo = options.get("name"), options.get("compensate")
        own["on_conflict"] = checked_on_conflict(
            options.get("on_conflict", "attention"), f"{what}: on_conflict"
        )
        special = ("name", "compensate", "on_conflict")
        common = {key: value for key, value in options.items() if key not in special}
        self._fill(what, name, undo, common)
        vars(self).update(fn=None, kind=kind, model=model, **given, **own)

    @property
    def label(self) -> str:
        """The model as "app.Model"; empty for the action's entity."""
        if self.model is None or isinstance(self.model, str):
            return self.model or ""
        return self.model._meta.label

    def refuse_wrong_functions(self, label: str) -> None:
        """Raise DeclarationInvalid where `values`, `where` or an option could not be called."""
        super().refuse_wrong_functions(label)
        for option in ("values", "where", "add", "remove"):
            given = getattr(self, option, UNSET)
            inner = given.items() if option in ("add", "remove") and isinstance(given, Mapping) else ()
            for what, fn in ((option, given), *((f"{option} {name!r}", members) for name, members in inner)):
                if callable(fn):
                    refuse_wrong_arity(fn, ("ctx",), f"{label}: step {self.name!r}: {what}")
        if self.on_conflict != "attention" and not self.derives_inverse:
            message = (
                f"{label}: step {self.name!r}: on_conflict={self.on_conflict!r} is for an undo that is derived, and "
                "this step has a compensation of its own, or none."
            )
            raise DeclarationInvalid(message)


class CreateStep(EntityStep):
    """Insert one row, or with `many=True` one for each of the values; the inverse deletes exactly these.

    The result is `{"pk": ...}`, or `{"count": n}` of many. `store_as` puts the key, or the list of keys, into
    `ctx.data` under that name. `full_clean=True` validates each row before it is saved.
    """

    values: ManyValues
    store_as: str | None
    full_clean: bool
    word = "CreateStep"

    def __init__(
        self,
        model: ModelGiven,
        *,
        values: ManyValues | Unset = UNSET,
        store_as: str | None = None,
        many: bool = False,
        full_clean: bool = False,
        **options: Unpack[EntityOptions],
    ) -> None:
        if checked_model(model, "CreateStep") is None:
            message = "CreateStep takes a model: the action's entity exists already."
            raise DeclarationInvalid(message)
        flag(many, "CreateStep: many")
        check_store_as(store_as)
        rows = values if many and isinstance(values, list | tuple) else [values]
        for row in rows:
            check_values(row, "CreateStep", "one mapping for each row" if many else "a mapping")
        flag(full_clean, "CreateStep: full_clean")
        given = {"values": values, "store_as": store_as, "many": many, "full_clean": full_clean}
        self._declare(model, Kind.CREATE, given, options)

    def values_for(self, ctx: Any) -> Any:
        """Return the values now: a mapping, or with `many` an iterable of mappings."""
        return value_of(self.values, ctx)


class UpdateStep(EntityStep):
    """Change one row, or with `many=True` all that `where` finds; the inverse restores what it wrote over.

    Without a model it is the action's entity. `add` and `remove` link and unlink by many-to-many names, after
    `values` are saved; the inverse takes back the links that were really made or dropped. `missing` is the
    error for no row. `full_clean=True` validates the row before it is saved. `direct=True` is one conditional
    UPDATE, without signals and `save()`. The result is `{"pk": ...}`, or `{"count": n}` of many.
    """

    where: Where | Unset
    values: Values | Unset
    add: Links | Unset
    remove: Links | Unset
    missing: type[Exception] | None
    full_clean: bool
    direct: bool
    word = "UpdateStep"

    def __init__(  # noqa: PLR0913 - all that an update may be told, each by name
        self,
        model: ModelGiven | None = None,
        *,
        where: Where | Unset = UNSET,
        values: Values | Unset = UNSET,
        add: Links | Unset = UNSET,
        remove: Links | Unset = UNSET,
        many: bool = False,
        missing: type[Exception] | None = None,
        full_clean: bool = False,
        direct: bool = False,
        **options: Unpack[EntityOptions],
    ) -> None:
        model = checked_model(model, "UpdateStep")
        check_where("UpdateStep", model, where, many=flag(many, "UpdateStep: many"))
        links = {
            "add": checked_links(add, "UpdateStep: add"),
            "remove": checked_links(remove, "UpdateStep: remove"),
        }
        linking = any(given is not UNSET for given in links.values())
        if values is not UNSET or not linking:
            check_changes(values)
        if flag(full_clean, "UpdateStep: full_clean") and direct:
            refuse_reading("full_clean=True")
        if flag(direct, "UpdateStep: direct") and linking:
            refuse_reading("add= and remove=")
        if direct and options.get("compensate") is not False:
            check_direct(model, where, values)
        given = {"where": where, "values": values, "many": many, "full_clean": full_clean, "direct": direct}
        missing = checked_missing(missing, "UpdateStep")
        self._declare(model, Kind.UPDATE, given | links, options, missing=missing)

    def where_for(self, ctx: Any) -> Any:
        """Return the lookup now, a mapping or a Q; UNSET for the action's entity."""
        return self.where if self.where is UNSET else value_of(self.where, ctx)

    def values_for(self, ctx: Any) -> Any:
        """Return the values now, a mapping; an empty one where the step only links."""
        return {} if self.values is UNSET else value_of(self.values, ctx)

    @property
    def linking(self) -> bool:
        """Whether the step makes or drops many-to-many links."""
        return self.add is not UNSET or self.remove is not UNSET

    def added_for(self, ctx: Any) -> Any:
        """Return the rows or keys to link, by many-to-many name."""
        return _members_by_name(self.add, ctx)

    def removed_for(self, ctx: Any) -> Any:
        """Return the rows or keys to unlink, by many-to-many name."""
        return _members_by_name(self.remove, ctx)


class DeleteStep(EntityStep):
    """Delete one row, or with `many=True` all that `where` finds; the inverse brings back all that went with it.

    Without a model it is the action's entity. `missing` is the error for no row. The result is `{"pk": ...}`,
    or `{"count": n}` of many.
    """

    where: Where | Unset
    missing: type[Exception] | None
    word = "DeleteStep"

    def __init__(
        self,
        model: ModelGiven | None = None,
        *,
        where: Where | Unset = UNSET,
        many: bool = False,
        missing: type[Exception] | None = None,
        **options: Unpack[EntityOptions],
    ) -> None:
        model = checked_model(model, "DeleteStep")
        check_where("DeleteStep", model, where, many=flag(many, "DeleteStep: many"))
        given = {"where": where, "many": many}
        self._declare(model, Kind.DELETE, given, options, missing=checked_missing(missing, "DeleteStep"))

    def where_for(self, ctx: Any) -> Any:
        """Return the lookup now, a mapping or a Q; UNSET for the action's entity."""
        return self.where if self.where is UNSET else value_of(self.where, ctx)


def _members_by_name(given: Any, ctx: Any) -> Any:
    if given is UNSET:
        return {}
    found = call(given, ctx) if callable(given) else given
    if not isinstance(found, Mapping):
        return found
    return {name: value_of(members, ctx) for name, members in found.items()}
