"""What undoing a run would do now, in plain values: for programs, and for pages that ask before they act."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

UndoneBy: TypeAlias = Literal["inverse", "compensation", "rollback", "run", "nothing"]
RowUndo: TypeAlias = Literal["changed", "deleted", "restored", "unchanged"]

BELOW = " / "
"""Stands between the name of a step and that of a step of its child."""

HIDDEN = "***"
"""Stands for a value that is kept back."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldPreview:
    """One column of a row. Values are texts, as the undo record has them; None is NULL."""

    name: str
    now: str | None
    after: str | None
    expected: str | None = None
    """What the step had left there; for a counter, whose undo does not ask, None."""
    conflict: bool = False
    """Whether somebody else has changed it since: then it would stay, or be written over if the step says so."""

    def without_values(self) -> FieldPreview:
        """Return it with its name, and whether it is in conflict."""
        return replace(self, now=HIDDEN, after=HIDDEN, expected=None if self.expected is None else HIDDEN)


@dataclass(frozen=True, slots=True, kw_only=True)
class RowPreview:
    """One row of one table: a row of a model with parents has one for each of its tables."""

    model: str
    """Such as "shop.Product"."""
    key: str
    label: str
    """What the row calls itself; empty where it is not there."""
    what: RowUndo
    fields: tuple[FieldPreview, ...] = ()
    conflict: str = ""
    """Why it would be left as it is, in words; empty where it would not."""

    def without_values(self, sensitive: bool | Sequence[str] = True) -> RowPreview:  # noqa: FBT001, FBT002 - the step's option
        """Return it without the values of these columns, True for all, and without the label made of them."""
        if not sensitive:
            return self
        fields = tuple(
            field.without_values() if sensitive is True or field.name in sensitive else field
            for field in self.fields
        )
        return replace(self, fields=fields, label="")


@dataclass(frozen=True, slots=True, kw_only=True)
class StepPreview:
    """One step that was done, or may have been."""

    step: str
    """Its name; of a step of a child run after that of the step which runs it, as "ship / send"."""
    by: UndoneBy
    """"inverse" is derived, "compensation" is the user's code, "rollback" that of an atomic run, "run" undoes a
    child into which nobody can look here; "nothing" leaves the step as it is."""
    result_known: bool = True
    """Whether a compensation would be given the step's result; False where its outcome is unknown."""
    running: bool = False
    """Whether the step is still being done: which rows it touches is not known yet."""
    rows: tuple[RowPreview, ...] = ()
    """The rows it would change, those in conflict first; not all of them where there are many."""
    more: int = 0
    """How many rows more there are."""
    conflict: str = ""
    """Why the step could not be undone, in words; empty where it could."""
    on_conflict: Literal["attention", "overwrite", "skip"] = "attention"
    """What the step says: to wait for a person, to write over foreign values, to stay as it is."""

    @property
    def own_step(self) -> str:
        """The step of the run that was asked, also where this one is of a child of it."""
        return self.step.partition(BELOW)[0]
