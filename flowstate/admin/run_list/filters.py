"""What the list of runs is filtered by. Choices come from the code: a DISTINCT would read the whole table."""

from __future__ import annotations

from abc import ABC, abstractmethod
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from django.contrib import admin
from django.contrib.auth import get_user_model
from django.contrib.contenttypes.models import ContentType
from django.utils.timezone import localtime
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from flowstate.actions.registry import all_actions
from flowstate.admin.display import short_id
from flowstate.admin.run_list.kinds import Standing
from flowstate.admin.run_list.window import UP_TO, first_of
from flowstate.models import Run
from flowstate.models.clock import host_now
from flowstate.models.identifiers import first_run_id

if TYPE_CHECKING:
    from django.db.models import QuerySet
    from django.http import HttpRequest
    from django.utils.functional import _StrOrPromise

    Choices = list[tuple[str, _StrOrPromise]]

NOTHING = "-"
ME, PROGRAM = "me", "program"


class _ByChoice(ABC, admin.SimpleListFilter):
    """One of some choices, and whatever else the address names: a link may lead to more than is listed."""

    @abstractmethod
    def listed(self, request: HttpRequest) -> Choices:
        """Return the choices that everybody is offered."""

    def named(self, value: str) -> _StrOrPromise:
        """Return the name of a value that is not listed."""
        return value

    def lookups(self, request: HttpRequest, model_admin: admin.ModelAdmin[Any]) -> Choices:
        """Return the choices, with that of the address."""
        listed = self.listed(request)
        value = self.value()
        if value and value not in dict(listed):
            listed.append((value, self.named(value)))
        return listed

    def value(self) -> str | None:
        """Return what the address says; a NUL, which no column can hold, is nothing."""
        value = super().value()
        return None if value is None else value.replace("\x00", "")


class StandingFilter(_ByChoice):
    """By where runs stand: their status, and what an operator looks for."""

    title = _("status")
    parameter_name = "status__exact"

    def listed(self, request: HttpRequest) -> Choices:
        """Return all statuses, and what else there is to look for."""
        return list(Standing.choices)

    def queryset(self, request: HttpRequest, queryset: QuerySet[Run]) -> QuerySet[Run]:
        """Return the runs that stand so; none for what does not exist."""
        value = self.value()
        if value is None:
            return queryset
        return Standing(value).of(queryset) if value in Standing.values else queryset.none()


class ActionFilter(_ByChoice):
    """By action."""

    title = _("action")
    parameter_name = "action"

    def listed(self, request: HttpRequest) -> Choices:
        """Return all declared actions, and the choice of runs that belong to none."""
        keys: Choices = [(action.key, action.key) for action in all_actions()]
        return [*sorted(keys), (NOTHING, _("without an action"))]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Run]) -> QuerySet[Run]:
        """Return the runs of the chosen action."""
        value = self.value()
        if value is None:
            return queryset
        return queryset.filter(action="" if value == NOTHING else value)


class WorkflowFilter(_ByChoice):
    """By workflow."""

    title = _("workflow")
    parameter_name = "workflow"

    def listed(self, request: HttpRequest) -> Choices:
        """Return the workflows of all actions."""
        return [(name, name.rpartition(".")[2]) for name in sorted(_workflows())]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Run]) -> QuerySet[Run]:
        """Return the runs of the chosen workflow."""
        value = self.value()
        return queryset if value is None else queryset.filter(workflow=value)


def _workflows() -> set[str]:
    # An action may lead nowhere, which a check tells of; the list is there all the same.
    found = set()
    for action in all_actions():
        try:
            found.add(action.workflow.declaration.name)
        except Exception:  # noqa: S112 - whatever importing somebody's module raises
            continue
    return found


class ModelFilter(_ByChoice):
    """By the model of the row."""

    title = _("kind of row")
    parameter_name = "model"

    def listed(self, request: HttpRequest) -> Choices:
        """Return the models that have actions."""
        models = {action.model for action in all_actions()}
        names = [(model._meta.label_lower, str(model._meta.verbose_name)) for model in models]
        return [*sorted(names), (NOTHING, _("without a row"))]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Run]) -> QuerySet[Run]:
        """Return the runs on rows of the chosen model."""
        value = self.value()
        if value is None:
            return queryset
        if value == NOTHING:
            return queryset.filter(content_type=None)
        app, _dot, name = value.partition(".")
        try:
            return queryset.filter(content_type=ContentType.objects.get_by_natural_key(app, name))
        except ContentType.DoesNotExist:
            return queryset.none()


class UserFilter(_ByChoice):
    """By who asked for it: oneself, the program, or the user that the address names."""

    title = _("who asked")
    parameter_name = "user"

    def listed(self, request: HttpRequest) -> Choices:
        """Return the choices that need no list of users."""
        return [(ME, _("me")), (PROGRAM, _("the program itself"))]

    def named(self, value: str) -> _StrOrPromise:
        """Return the user's key: their name would be a query for an address that anybody can make up."""
        return gettext("user %(key)s") % {"key": value}

    def queryset(self, request: HttpRequest, queryset: QuerySet[Run]) -> QuerySet[Run]:
        """Return the runs that they asked for."""
        value = self.value()
        if value is None:
            return queryset
        if value == PROGRAM:
            return queryset.filter(by_system=True)
        key = request.user.pk if value == ME else _user_key(value)
        return queryset.none() if key is None else queryset.filter(requested_by=key)


def _user_key(text: str) -> Any:
    try:
        return get_user_model()._meta.pk.to_python(text)
    except Exception:  # whatever the project's own key says about a text that is none
        return None


class StartedFilter(_ByChoice):
    """By when they started."""

    title = _("started")
    parameter_name = "started"

    def listed(self, request: HttpRequest) -> Choices:
        """Return some times."""
        return [
            ("hour", _("in the past hour")),
            ("today", _("today")),
            ("week", _("in the past 7 days")),
            ("month", _("in the past 30 days")),
        ]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Run]) -> QuerySet[Run]:
        """Return the runs that have started since; keys are in the order of time, so these are a range of them."""
        since = _since(self.value())
        if since is None:
            return queryset
        # The key was made on some host, the moment perhaps on another: a day covers what their clocks differ.
        lowest = first_run_id(since - timedelta(days=1))
        return queryset.filter(pk__gte=lowest, started_at__gte=since)


def _since(value: str | None) -> datetime | None:
    match value:
        case "hour":
            return host_now() - timedelta(hours=1)
        case "today":
            return localtime(host_now()).replace(hour=0, minute=0, second=0, microsecond=0)
        case "week":
            return host_now() - timedelta(days=7)
        case "month":
            return host_now() - timedelta(days=30)
    return None


class UpToFilter(admin.SimpleListFilter):
    """The run from which on older ones are looked through; listed only where the address names one."""

    title = _("how far back")
    parameter_name = UP_TO

    def lookups(self, request: HttpRequest, model_admin: admin.ModelAdmin[Any]) -> Choices:
        """Return the run that the address names."""
        first = first_of(request)
        text = None if first is None else gettext("from run %(id)s on") % {"id": short_id(first)}
        return [] if first is None or text is None else [(str(first), text)]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Run]) -> QuerySet[Run]:
        """Return the runs unchanged: the window begins there."""
        return queryset


FILTERS = (
    StandingFilter,
    ActionFilter,
    WorkflowFilter,
    ModelFilter,
    UserFilter,
    StartedFilter,
    UpToFilter,
)
"""In the order in which they are shown."""
