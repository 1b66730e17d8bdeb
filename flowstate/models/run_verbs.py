"""The verbs of runs: every way a run's status may change, and the filters that read as sentences."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING, Any, Self
from uuid import UUID

from django.contrib.contenttypes.models import ContentType
from django.db import models
from django.db.models import OuterRef, Prefetch, Q, Subquery

from flowstate.actions.registry import all_actions
from flowstate.actions.system import SYSTEM
from flowstate.models.clock import FAR_FUTURE, DbNow, host_now
from flowstate.models.statements import Move, insert, move
from flowstate.models.statuses import ENDED, LIVE, RunStatus, StepStatus, WaitingFor

if TYPE_CHECKING:
    from datetime import datetime

    from flowstate.models.run import Run


class RunQuerySet(models.QuerySet["Run"]):
    """Filters, and the verbs: one compare-and-set UPDATE each, which returns whether it won."""

    def live(self) -> Self:
        """Return the runs that have not ended."""
        return self.filter(status__in=LIVE)

    def ended(self) -> Self:
        """Return the runs that no verb moves any more."""
        return self.filter(status__in=ENDED)

    def attention(self) -> Self:
        """Return the runs that a person must act on, and those above them, which wait for that.

        Among them those of functions that do not ask for their steps as the journal has them. Not those that
        merely ask people: these go on by themselves once that is decided.
        """
        steps = self.model._meta.get_field("step_runs").related_model
        asking = steps._base_manager.filter(run=OuterRef("child"), kind="approval", status=StepStatus.WAITING)
        needs = Q(child__status=RunStatus.ATTENTION) | Q(asking=None)
        person = Q(needs, child__waiting_for=WaitingFor.PERSON) | Q(undone_by__waiting_for=WaitingFor.PERSON)
        below = steps._base_manager.alias(asking=Subquery(asking.values("pk")[:1]))
        below = below.filter(person, run=OuterRef("pk"), kind="workflow")
        left = steps._base_manager.filter(run=OuterRef("pk"), status=StepStatus.READY).exclude(reason="")
        # Scalar subqueries: PostgreSQL would answer an EXISTS below an OR by hashing the whole table of steps.
        # And only a live run has a wake-up, by whose index these are found.
        rows = self.alias(
            below=Subquery(below.values("pk")[:1]), left=Subquery(left.values("pk")[:1])
        ).filter(wake_at__isnull=False)
        person = Q(below__isnull=False) | Q(left__isnull=False)
        return rows.filter(Q(status=RunStatus.ATTENTION) | Q(person, waiting_for=WaitingFor.PERSON))

    def due(self) -> Self:
        """Return the runs that somebody should look at now, the longest waiting first."""
        return self.filter(wake_at__lte=DbNow()).order_by("wake_at")

    def due_in_order(self, order: str) -> Self:
        """Return the runs that are due, "oldest", "newest" or in "random" order."""
        if order == "random":
            return self.due().order_by("?")
        return self.due().order_by("wake_at" if order == "oldest" else "-wake_at")

    def due_beside_the_queued(self) -> Self:
        """Return the runs that are due, the longest waiting first, without those that only wait for their turn.

        However many are queued, they hide none of these: a lost worker, a wait that is over, a deadline.
        """
        steps = self.model._meta.get_field("step_runs").related_model._base_manager.filter(run=OuterRef("pk"))
        ready = steps.filter(status=StepStatus.READY, wake_at__lte=DbNow())
        over = Q(lease_until__lte=DbNow()) | Q(status=StepStatus.WAITING, wake_at__lte=DbNow())
        late = Q(deadline_at__lte=DbNow()) | ~Q(status=RunStatus.RUNNING)
        # Scalar subqueries, as in `attention`.
        rows = self.due().alias(
            over=Subquery(steps.filter(over).values("pk")[:1]), ready=Subquery(ready.values("pk")[:1])
        )
        return rows.filter(late | Q(over__isnull=False) | Q(ready__isnull=True))

    def for_entity(self, entity: models.Model) -> Self:
        """Return the runs on one row, newest first; for a row of a child model its parents' too."""
        concrete = entity._meta.concrete_model or type(entity)
        rows = Q()
        for model in (concrete, *concrete._meta.all_parents):
            key = getattr(entity, model._meta.pk.attname)
            rows |= Q(content_type=ContentType.objects.get_for_model(model), object_id=str(key))
        return self.filter(rows).order_by("-pk")

    def visible_to(self, user: Any) -> Self:
        """Return the runs this user may see: their own, those on rows they may view, or all of them."""
        if user is SYSTEM:
            return self
        if not getattr(user, "is_active", False):
            return self.none()
        if user.has_perm("flowstate.view_run"):
            return self
        return self.filter(Q(requested_by=user) | Q(content_type__in=_viewable_types(user)))

    def with_steps(self) -> Self:
        """Read the steps along, in one query for all the runs, without their bulky undo records."""
        steps = self.model._meta.get_field("step_runs").related_model._base_manager.defer("undo")
        return self.prefetch_related(Prefetch("step_runs", steps)).select_related(
            "requested_by", "content_type"
        )

    def heads(self, wanted: Q, before: datetime, after: tuple[datetime, UUID] | None = None) -> Self:
        """Return ended runs that are neither children nor retries, as they have ended, by the index on that.

        Those `before` a moment, and `after` the last one of the page before: when it ended, and its key.
        """
        heads = self.filter(wanted, ended_at__lt=before, parent=None, retry_of=None)
        if after is not None:
            ended_at, pk = after
            heads = heads.filter(Q(ended_at__gt=ended_at) | Q(pk__gt=pk), ended_at__gte=ended_at)
        return heads.order_by("ended_at", "pk")

    # --- verbs ---------------------------------------------------------------------------------

    def insert(self, run: Run) -> None:
        """Insert a new run."""
        insert(self, [run])

    def lower_wake_up(self, pk: UUID, *, delay: float = 0.0) -> bool:
        """Have the run looked at in `delay` seconds, if that is earlier than planned."""
        moment = DbNow(delay)
        return self.filter(pk=pk, wake_at__gt=moment).update(wake_at=moment) == 1

    def set_wake_up(self, pk: UUID, moment: datetime | models.Func, waiting_for: WaitingFor) -> bool:
        """Plan when to look next, later than before too: only for who holds the lock of the run's row."""
        return self.filter(pk=pk, status__in=LIVE).update(wake_at=moment, waiting_for=waiting_for) == 1

    def wait_no_longer(self, pk: UUID) -> bool:
        """Note that the time a run waited for has come."""
        waiting = self.filter(pk=pk, waiting_for=WaitingFor.TIME)
        return waiting.update(waiting_for=WaitingFor.NOTHING) == 1

    def wait_for(self, pks: Collection[UUID], waiting_for: WaitingFor) -> int:
        """Say what live runs wait for, those whose rows the caller has locked; return how many."""
        waiting = self.filter(pk__in=pks, status__in=(RunStatus.RUNNING, RunStatus.COMPENSATING))
        return waiting.update(waiting_for=waiting_for)

    def put_off(self, pk: UUID, *, delay: float) -> bool:
        """Leave a run alone for a while that is due, but that nobody here could move on."""
        return self.due().filter(pk=pk).update(wake_at=DbNow(delay)) == 1

    def raise_wake_up(self, pk: UUID, *, lease: float) -> bool:
        """Have nobody look before a claim ends: only for who holds the lock of the run's row."""
        return self.filter(pk=pk, status__in=LIVE).update(wake_at=DbNow(lease)) == 1

    def begin_undoing(
        self,
        pk: UUID,
        *,
        wake_in: float,
        error: dict[str, Any] | None = None,
        traceback: str = "",
        step: str = "",
    ) -> bool:
        """Turn a running run round: from now on nothing new starts and what was done is undone."""
        becomes = {
            "status": RunStatus.COMPENSATING,
            "error": error,
            "traceback": traceback,
            "failed_step": step,
            "wake_at": DbNow(wake_in),
            "waiting_for": WaitingFor.NOTHING,
        }
        return move(self, Move(pk, {"status": RunStatus.RUNNING}, becomes))

    def request_cancel(self, pk: UUID, *, user_id: Any, label: str) -> bool:
        """Note who cancelled a run that nobody had cancelled yet; the first one stays."""
        return self._move(
            self.filter(pk=pk, status=RunStatus.RUNNING, cancelled_at=None),
            cancelled_at=host_now(),
            cancelled_by_id=user_id,
            cancelled_by_label=label,
        )

    def need_attention(self, pk: UUID, *, was: RunStatus) -> bool:
        """Leave the run to a person: its undoing failed somewhere, or that of a step that lost a race."""
        return self._move(
            self.filter(pk=pk, status=was),
            status=RunStatus.ATTENTION,
            wake_at=FAR_FUTURE,
            waiting_for=WaitingFor.PERSON,
        )

    def resume(self, pk: UUID, *, status: RunStatus, wake_in: float) -> bool:
        """Take the run up again after a person acted, where it had been: going on, or being undone."""
        return self._move(
            self.filter(pk=pk, status=RunStatus.ATTENTION),
            status=status,
            wake_at=DbNow(wake_in),
            waiting_for=WaitingFor.NOTHING,
        )

    def end(self, pk: UUID, *, was: RunStatus, status: RunStatus, at: datetime, value: Any = None) -> bool:
        """End a run and free its exclusive key in the same commit; `value` is encoded."""
        becomes = {
            "status": status,
            "ended_at": at,
            "wake_at": None,
            "waiting_for": WaitingFor.NOTHING,
            "exclusive_key": None,
            "value_json": value,
        }
        return move(self, Move(pk, {"status": was}, becomes))

    def lock_ended(self, pks: Collection[UUID]) -> list[UUID]:
        """Lock ended runs, the oldest first, and return their keys; those that are gone are not among them."""
        ended = self.filter(pk__in=pks, status__in=ENDED).order_by("pk")
        return list(ended.select_for_update().values_list("pk", flat=True))

    def remove(self, pks: Collection[UUID]) -> int:
        """Delete ended runs, whose rows the caller has locked, and all that is theirs; return how many.

        Raises ProtectedError and RestrictedError where rows of others say so.
        """
        for name in (
            "step_runs",
            "events",
        ):  # by their keys alone, whoever listens: an undo record may be large
            rows: Any = self.model._meta.get_field(name).related_model
            rows._base_manager.using(self.db).filter(run__in=pks).only("pk").delete()
        runs = self.filter(pk__in=pks, status__in=ENDED).only("pk")
        return runs.delete()[1].get(self.model._meta.label, 0)

    def _move(self, rows: models.QuerySet[Run], **columns: Any) -> bool:
        return rows.update(**columns) == 1


def _viewable_types(user: Any) -> list[ContentType]:
    models_with_actions = {action.model for action in all_actions()}
    return [
        content_type
        for model, content_type in ContentType.objects.get_for_models(*models_with_actions).items()
        if user.has_perm(f"{model._meta.app_label}.view_{model._meta.model_name}")
    ]
