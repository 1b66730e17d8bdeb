"""Workflows that ask people: found by their path."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.contrib.auth.models import User
from rest_framework import serializers

from flowstate import (
    ApprovalStep,
    Context,
    DelayStep,
    FirstOf,
    Step,
    UpdateStep,
    Workflow,
    WorkflowStep,
    has_perm,
    in_group,
    is_field,
    rule,
)
from tests.kiosk.returns import called
from tests.kiosk.workflows import diary_step

HOUR, DAY = 3600.0, 86400.0


class Note(serializers.Serializer[Any]):
    limit = serializers.DecimalField(max_digits=8, decimal_places=2)


class Asked(Workflow):
    """Reserves, asks who has the permission, and goes on with what was approved."""

    class Meta:
        exclusive = None

    reserve = UpdateStep(values={"status": "reserved"})
    review = ApprovalStep(
        approvers=has_perm("kiosk.change_sale"),
        show=["quantity", ("Product", "product__name")],
        expires=timedelta(days=7),
    )
    ship = Step("ship", lambda ctx: called(ctx, f"ship {ctx.results['review']['shown']['quantity']}"))


class Filled(Workflow):
    """Asks for a limit beside the yes."""

    class Meta:
        exclusive = None

    review = ApprovalStep(approvers=in_group("buyers"), form=Note)
    last = Step("last", lambda ctx: ctx.results["review"]["form"]["limit"])


class Listened(Workflow):
    """Goes on whatever was said."""

    class Meta:
        exclusive = None

    review = ApprovalStep(
        approvers=in_group("buyers"), on_reject="continue", expires=HOUR, when=lambda ctx: True
    )
    last = Step("last", lambda ctx: ctx.results["review"]["approved"])


class TwoOfThree(Workflow):
    """Two of those who are buyers now."""

    class Meta:
        exclusive = None

    review = ApprovalStep(
        approver_users=lambda ctx: User.objects.filter(groups__name="buyers"),
        quorum=2,
        show=["quantity"],
        expires=timedelta(days=7),
    )
    last = diary_step("last")


class AllOfThem(Workflow):
    """Everybody who is a buyer now; earlier votes count though something changes."""

    class Meta:
        exclusive = None

    review = ApprovalStep(
        approver_users=lambda ctx: User.objects.filter(groups__name="buyers"),
        quorum="all",
        show=["quantity"],
        ask_again=False,
    )
    last = diary_step("last")


class Escalating(Workflow):
    """Asks the owner, reminds them, and then asks the bosses too."""

    class Meta:
        exclusive = None

    review = ApprovalStep(
        approvers=is_field("owner"),
        four_eyes=False,
        expires=DAY,
        reminders=[2 * HOUR, 6 * HOUR],
        on_expiry="escalate",
        escalate_to=in_group("bosses"),
    )
    last = Step("last", lambda ctx: ctx.results["review"]["who"])


class Lenient(Workflow):
    """Silence is consent."""

    class Meta:
        exclusive = None

    review = ApprovalStep(approvers=in_group("buyers"), expires=HOUR, on_expiry="approve", show=["quantity"])
    last = Step("last", lambda ctx: ctx.results["review"]["shown"]["quantity"])


class Opaque(Workflow):
    """A rule that no index knows."""

    class Meta:
        exclusive = None

    review = ApprovalStep(approvers=[rule(lambda user, sale: user.username.startswith(sale.note))])


class Parallel(Workflow):
    """Something fails beside a question."""

    class Meta:
        exclusive = None

    begin = diary_step("begin")
    review = ApprovalStep(approvers=in_group("buyers"), depends_on=begin)
    work = Step("work", lambda ctx: called(ctx, "work"), depends_on=begin, background=True)
    join = diary_step("join", depends_on=[review, work])


class Spread(Workflow):
    """Two steps follow what was approved."""

    class Meta:
        exclusive = None

    review = ApprovalStep(approvers=in_group("buyers"), show=["quantity"])
    one = diary_step("one", depends_on=review)
    two = diary_step("two", depends_on=review)
    both = diary_step("both", depends_on=[one, two])


class Joined(Workflow):
    """What was approved is needed together with what takes longer."""

    class Meta:
        exclusive = None

    begin = diary_step("begin")
    review = ApprovalStep(approvers=in_group("buyers"), show=["quantity"], depends_on=begin)
    work = Step("work", lambda ctx: called(ctx, "work"), depends_on=begin, background=True)
    join = diary_step("join", depends_on=[review, work])


class AnswerOrTime(Workflow):
    """Whatever comes first: a decision, or the end of an hour."""

    class Meta:
        exclusive = None

    review = ApprovalStep(approvers=in_group("buyers"), depends_on=())
    hour = DelayStep(HOUR, depends_on=())
    first = FirstOf(review, hour)
    last = Step("last", lambda ctx: ctx.results["first"] == "review")


class Unchecked(Workflow):
    """Nothing is compared once it was approved."""

    class Meta:
        exclusive = None

    review = ApprovalStep(approvers=in_group("buyers"), show=["quantity"], recheck=False)
    last = diary_step("last")


class Computed(Workflow):
    """Shows what a function says."""

    class Meta:
        exclusive = None

    review = ApprovalStep(
        approvers=in_group("buyers"), show=[("Twice as many", lambda ctx: ctx.entity.quantity * 2)]
    )
    last = Step("last", lambda ctx: dict(ctx.results["review"]["shown"]))


class Above(Workflow):
    """Leaves the question to a child."""

    class Meta:
        exclusive = None

    child = WorkflowStep(Asked)
    last = diary_step("last")


def who(ctx: Context[Any]) -> Any:
    """Name nobody."""
    return User.objects.none()


class Nobody(Workflow):
    """There is nobody to ask."""

    class Meta:
        exclusive = None

    review = ApprovalStep(approver_users=who)
