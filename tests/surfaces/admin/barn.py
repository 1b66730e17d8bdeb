"""A small admin site with actions of every sort on the zoo's feed; also the URLs of these tests."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django_celery_results.admin import TaskResultAdmin
from django_celery_results.models import TaskResult

from django.contrib import admin
from django.db.models import F, Model
from django.urls import path
from rest_framework import serializers

from flowstate import (
    Action,
    Context,
    StepError,
    UpdateStep,
    Workflow,
    allow_any,
    has_perm,
    is_authenticated,
    step,
)
from flowstate.admin import ActionsAdminMixin, RunAdmin
from flowstate.models import Run
from tests.zoo.models import Animal, Bird, Feed

if TYPE_CHECKING:
    FeedAdminBase = admin.ModelAdmin[Feed]
    BirdAdminBase = admin.ModelAdmin[Bird]
else:
    FeedAdminBase = BirdAdminBase = admin.ModelAdmin

XSS = "<img src=x onerror=alert(1)></script>"


class RefillInput(serializers.Serializer[Any]):
    amount = serializers.IntegerField(min_value=1, max_value=100, help_text="In kilograms.")
    note = serializers.CharField(required=False, allow_blank=True, max_length=100)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if attrs.get("note") == "nonsense":
            raise serializers.ValidationError("That makes no sense.")
        return attrs


class Refill(Workflow):
    """Put something into the bin.

    Further words that no button needs.
    """

    input = RefillInput

    add = UpdateStep(values=lambda ctx: {"stock": F("stock") + ctx.input["amount"]})


class Burst(StepError):
    default_code = "burst"
    default_detail = f"The bag burst {XSS}"


class Overfill(Workflow):
    add = UpdateStep(values={"stock": F("stock") + 500})

    @step(transactional=True)
    def close(self, ctx: Context[Feed]) -> None:
        raise Burst


class Jam(Workflow):
    """Fails, and cannot be undone while the bin is named after its jam."""

    @step(transactional=True)
    def open_lid(self, ctx: Context[Feed]) -> dict[str, str]:
        return {"lid": "open"}

    @open_lid.compensate
    def close_lid(self, ctx: Context[Feed], result: dict[str, str] | None) -> None:
        if ctx.entity.name == "jammed":
            raise RuntimeError("The lid is stuck.")

    @step(transactional=True)
    def stir(self, ctx: Context[Feed]) -> None:
        raise Burst


class Rename(Workflow):
    """Renames and restocks the bin; fails after somebody had the chance to do the same."""

    rename = UpdateStep(values={"name": "Mine"})
    restock = UpdateStep(values={"stock": 50})

    @step(transactional=True)
    def stir(self, ctx: Context[Feed]) -> None:
        raise Burst

    def on_step_failed(self, ctx: Context[Feed], step: str, error: BaseException) -> None:
        Feed.objects.filter(pk=ctx.entity_id).update(**MEANWHILE)


MEANWHILE: dict[str, Any] = {}
"""What somebody else writes into the bin while a `Rename` is at work."""


class Dry(Workflow):
    """Goes on in the background."""

    wet = UpdateStep(values={"stock": F("stock") + 1})

    @step(background=True)
    def wait(self, ctx: Context[Feed]) -> None: ...


class Broken(Workflow):
    @step
    def divide(self, ctx: Context[Feed]) -> int:
        return 1 // int("0")


class Choosy(Workflow):
    add = UpdateStep(values={"stock": F("stock") + 1})

    def should_run(self, ctx: Context[Feed]) -> bool:
        return False


def weigh(ctx: Context[Feed]) -> int:
    return ctx.entity.stock


class DeliveryInput(serializers.Serializer[Any]):
    name = serializers.CharField()


def deliver(ctx: Context[Feed]) -> str:
    return Feed.objects.create(name=ctx.input["name"]).name


def pet(ctx: Context[Animal]) -> str:
    return ctx.entity.name


may_change = has_perm("zoo.change_feed")

ACTIONS: dict[type[Model], dict[str, Action]] = {
    Feed: {
        "refill": Action(Refill, rules=[may_change]),
        "overfill": Action(Overfill, rules=[may_change], summary="More than fits"),
        "jam": Action(Jam, rules=[may_change]),
        "rename": Action(Rename, rules=[may_change]),
        "dry": Action(Dry, rules=[may_change]),
        "divide": Action(Broken, rules=[may_change]),
        "refuse": Action(Choosy, rules=[may_change]),
        "weigh": Action(handler=weigh, rules=[is_authenticated]),
        "burn": Action(handler=weigh, rules=[~allow_any]),
        "deliver": Action(
            handler=deliver, detail=False, input=DeliveryInput, rules=[has_perm("zoo.add_feed")]
        ),
    },
    Animal: {"pet": Action(handler=pet, rules=[is_authenticated])},
}

# Not "admin": links must stay on the site they are shown on.
site = admin.AdminSite(name="barn")


@admin.register(Feed, site=site)
class FeedAdmin(ActionsAdminMixin, FeedAdminBase):
    list_display = ("name", "stock")


@admin.register(Bird, site=site)
class BirdAdmin(ActionsAdminMixin, BirdAdminBase):
    fields = ("name",)


site.register(Run, RunAdmin)
site.register(TaskResult, TaskResultAdmin)

urlpatterns = [path("barn/", site.urls)]
