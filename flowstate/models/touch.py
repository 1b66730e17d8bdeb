"""Touch: one row that a step created, changed or deleted, so that a row's runs are found by the row."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from django.contrib.contenttypes.models import ContentType
from django.db import models
from django.utils.translation import gettext_lazy as _

from flowstate import verbs

if TYPE_CHECKING:
    from datetime import datetime

    from flowstate.models.run import Run
    from flowstate.models.step_run import StepRun


class Deed(models.TextChoices):
    """What a step did with a row."""

    CREATED = "created", _("created")
    CHANGED = "changed", _("changed")
    DELETED = "deleted", _("deleted")


class TouchQuerySet(models.QuerySet["Touch"]):
    """Touches are written once, with what they tell of."""

    def insert(self, rows: Iterable[Touch]) -> None:
        """Insert them in the caller's transaction, the one that makes them true."""
        self.bulk_create(rows)


class Touch(models.Model):
    """One row, in one table, that a step touched; rows that a run is on need none."""

    # No constraints in the database: each would lock a row of the journal out of its order for every touch.
    step_run: models.ForeignKey[StepRun, StepRun] = models.ForeignKey(
        "flowstate.StepRun", on_delete=models.CASCADE, related_name="touches", db_constraint=False
    )
    content_type = models.ForeignKey(
        ContentType, on_delete=models.CASCADE, related_name="+", db_index=False, db_constraint=False
    )
    object_id = models.CharField(_("row"), max_length=255)
    deed = models.CharField(_("what"), max_length=7, choices=Deed)

    objects = TouchQuerySet.as_manager()

    class Meta:
        verbose_name = _("touch")
        verbose_name_plural = _("touches")
        indexes = [models.Index(fields=["content_type", "object_id", "id"], name="flowstate_touch_row")]

    def __str__(self) -> str:
        return f"{self.deed} {self.object_id}"


@dataclass(frozen=True, slots=True, kw_only=True)
class LineageEntry:
    """One thing that a step did with a row."""

    run: Run
    step: str
    deed: str
    """"created", "changed" or "deleted"."""
    at: datetime | None
    undone: bool
    """Whether it was undone since."""


def runs_of(row: models.Model, *, limit: int = 100, visible_to: Any = None) -> list[LineageEntry]:
    """Return which runs and steps created, changed or deleted a row, the latest first.

    The row need not exist any more: its model and key are all that is asked for. With `visible_to`, only what
    that user may see. Raises `LineageUnknown` for models whose rows are not traced.
    """
    return verbs.runs_of(row, limit=limit, visible_to=visible_to)
