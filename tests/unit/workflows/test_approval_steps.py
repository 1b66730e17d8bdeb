"""Steps that people decide: what their declarations say, and what is refused."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from flowstate import ApprovalStep, Context, Workflow, has_perm, in_group, is_field
from flowstate.workflows.steps import Kind
from tests.unit.workflows.refusals import flow_of, free, refused

RULE = has_perm("shop.approve_order")

USERS: list[Any] = []


def users(ctx: Any) -> list[Any]:
    return []


def test_a_step_that_people_decide_has_nothing_to_call_and_nothing_to_undo() -> None:
    class Flow(Workflow):
        first = free()
        review = ApprovalStep(approvers=RULE, show=["total"], expires=timedelta(days=7))
        last = free()

    review: Any = Flow.declaration.by_name["review"]

    assert review.kind is Kind.APPROVAL
    assert (review.waits, review.external, review.compensable) == (True, False, False)
    assert (review.depends_on, review.expires, review.quorum) == (("first",), 604800.0, 1)
    assert (review.four_eyes, review.recheck, review.ask_again) == (True, True, True)
    assert (review.on_expiry, review.on_reject) == ("reject", "fail")


def test_a_list_of_rules_is_kept_as_it_is() -> None:
    rules: list[Any] = [RULE, lambda user, entity: True]

    assert ApprovalStep(approvers=rules).approvers == tuple(rules)


def test_what_is_shown_has_a_name_a_label_and_a_source() -> None:
    def twice(ctx: Context[Any]) -> int:
        return 2

    step = ApprovalStep(approvers=RULE, show=["total", ("Customer", "customer__name"), ("Twice", twice)])

    assert [(field.name, field.label, field.source) for field in step.shown] == [
        ("total", "", "total"),
        ("customer__name", "Customer", "customer__name"),
        ("Twice", "Twice", twice),
    ]


def test_reminders_are_sorted_the_earliest_first() -> None:
    step = ApprovalStep(approvers=RULE, expires=100, reminders=[10, timedelta(seconds=60), 10])

    assert step.reminders == (60.0, 10.0)


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({}, "ApprovalStep takes either approvers= (rules) or approver_users= (a function), it got neither."),
    (
        {"approvers": RULE, "approver_users": users},
        "ApprovalStep takes either approvers= (rules) or approver_users= (a function), it got both.",
    ),
    (
        {"approvers": []},
        "ApprovalStep: approvers is a rule or a list of rules, as has_perm('shop.approve_order'), not [].",
    ),
    (
        {"approvers": "boss"},
        "ApprovalStep: approvers is a rule or a list of rules, as has_perm('shop.approve_order'), not 'boss'.",
    ),
    (
        {"approver_users": ["ada"]},
        "ApprovalStep: approver_users is a function (ctx) that returns a queryset of users, not ['ada'].",
    ),
    (
        {"approvers": RULE, "quorum": "all"},
        "ApprovalStep: quorum='all' needs approver_users=: of those who pass a rule nobody knows how many there are.",
    ),
    (
        {"approvers": RULE, "quorum": 0},
        "ApprovalStep: quorum is a whole number from 1 to 1000, or 'all', not 0.",
    ),
    (
        {"approvers": RULE, "quorum": True},
        "ApprovalStep: quorum is a whole number from 1 to 1000, or 'all', not True.",
    ),
    (
        {"approvers": RULE, "quorum": 1.5},
        "ApprovalStep: quorum is a whole number from 1 to 1000, or 'all', not 1.5.",
    ),
    (
        {"approvers": RULE, "expires": 0},
        "ApprovalStep: expires is above 0 seconds, not 0: nothing can be done in no time.",
    ),
    (
        {"approvers": RULE, "expires": 9, "on_expiry": "escalate"},
        "ApprovalStep: on_expiry='escalate' needs escalate_to=, the rules of those who may decide then.",
    ),
    (
        {"approvers": RULE, "expires": 9, "escalate_to": RULE},
        "ApprovalStep: escalate_to= is for on_expiry='escalate', not for 'reject'.",
    ),
    (
        {"approvers": RULE, "on_expiry": "approve"},
        "ApprovalStep: on_expiry='approve' needs expires=: without it the step never expires.",
    ),
    (
        {"approvers": RULE, "expires": 9, "on_expiry": "ask"},
        "ApprovalStep: on_expiry is 'reject' or 'approve' or 'escalate', not 'ask'.",
    ),
    (
        {"approvers": RULE, "on_reject": "stop"},
        "ApprovalStep: on_reject is 'fail' or 'continue', not 'stop'.",
    ),
    (
        {"approvers": RULE, "reminders": [1]},
        "ApprovalStep: reminders come before the step expires, so they need expires=.",
    ),
    (
        {"approvers": RULE, "expires": 60, "reminders": [60]},
        "ApprovalStep: a reminder comes less than 60 seconds, which is expires, before the end.",
    ),
    (
        {"approvers": RULE, "expires": 60, "reminders": 5},
        "ApprovalStep: reminders is a list of durations before it expires, not 5.",
    ),
    ({"approvers": RULE, "four_eyes": None}, "ApprovalStep: four_eyes is True or False, not None."),
    ({"approvers": RULE, "form": "Note"}, "ApprovalStep: form is a serializer class, not 'Note'."),
    (
        {"approvers": RULE, "show": "total"},
        "ApprovalStep: show is a list of fields, each a path or (label, path or function), not 'total'.",
    ),
    (
        {"approvers": RULE, "show": ["a b"]},
        "ApprovalStep: show takes the path of a field, or (label, path or function (ctx)), not 'a b'.",
    ),
    (
        {"approvers": RULE, "show": [("$row", "total")]},
        "ApprovalStep: show takes the path of a field, or (label, path or function (ctx)), not ('$row', 'total').",
    ),
    ({"approvers": RULE, "show": ["total", "total"]}, "ApprovalStep: show has two entries 'total'."),
]


@pytest.mark.parametrize(("options", "words"), REFUSED, ids=[words for _options, words in REFUSED])
def test_what_could_never_be_decided_is_refused(options: dict[str, Any], words: str) -> None:
    assert refused(lambda: ApprovalStep(**options)) == words


@pytest.mark.parametrize("option", ["timeout", "retry", "unknown_on", "transactional"])
def test_what_has_no_meaning_for_a_decision_is_refused(option: str) -> None:
    options: dict[str, Any] = {option: None}

    assert refused(lambda: ApprovalStep(approvers=RULE, **options)).startswith(
        f"ApprovalStep has no option {option}; there are background"
    )


def test_an_atomic_workflow_does_not_wait_for_people() -> None:
    class Meta:
        atomic = True

    words = refused(lambda: flow_of({"Meta": Meta, "review": ApprovalStep(approvers=RULE)}))

    assert words == (
        "shop.Flow is atomic, one transaction, so step 'review' cannot be a ApprovalStep: the transaction would stay "
        "open while it waits."
    )


@pytest.mark.parametrize(
    ("step", "words"),
    [
        (ApprovalStep(approver_users=lambda: USERS), "approver_users takes (ctx), but <lambda> takes ()."),  # type: ignore[misc, arg-type]
        (
            ApprovalStep(approvers=[lambda user: True]),  # type: ignore[misc, list-item]
            "the rule <lambda> takes (user, entity), but <lambda> takes (user).",
        ),
        (
            ApprovalStep(approvers=RULE, show=[("Twice", lambda: 2)]),  # type: ignore[misc, list-item]
            "show 'Twice' takes (ctx), but <lambda> takes ().",
        ),
    ],
    ids=["approver_users", "approvers", "show"],
)
def test_a_function_that_could_not_be_called_is_refused(step: ApprovalStep, words: str) -> None:
    assert refused(lambda: flow_of({"review": step})) == f"shop.Flow: step 'review': {words}"


def test_is_field_names_who_decides() -> None:
    assert repr(is_field("manager") | in_group("bosses")) == "is_field('manager') | in_group('bosses')"
    assert refused(lambda: is_field("a b")).startswith('is_field takes the path of a field, as is_field("')
