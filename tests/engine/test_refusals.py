"""Bad input: each gets its exact answer and leaves nothing half-done."""

from __future__ import annotations

from typing import Any

import pytest

from django.contrib.auth.models import AnonymousUser, User
from rest_framework import serializers

from flowstate import (
    SYSTEM,
    ActionDenied,
    DeclarationInvalid,
    InputInvalid,
    Retry,
    Step,
    ValueNotSerializable,
    Workflow,
    WorkflowNotFindable,
    WorkflowUnknown,
)
from flowstate.actions.registry import find_action
from flowstate.actions.resolve import find_workflow
from flowstate.exceptions import EntityMismatch, StartRefused
from flowstate.models import Run
from tests.kiosk.diary import Diary
from tests.kiosk.models import Entry, Product, Sale
from tests.kiosk.stall import OnSale
from tests.kiosk.workflows import Bank

pytestmark = pytest.mark.django_db(transaction=True)


def nothing_happened(bank: Bank) -> bool:
    return not bank.calls and not Run.objects.exists() and Product.objects.get().stock == 10


@pytest.mark.parametrize(
    ("given", "errors"),
    [
        ({"colour": "red"}, {"colour": ["There is no such field."]}),
        ({"tip": "much"}, {"tip": ["A valid integer is required."]}),
        ({"tip": 0}, {"tip": ["Ensure this value is greater than or equal to 1."]}),
        ({"card": ["a"]}, {"card": ["Not a valid string."]}),
        (
            {"tip": 0, "colour": "red"},
            {
                "tip": ["Ensure this value is greater than or equal to 1."],
                "colour": ["There is no such field."],
            },
        ),
        ("tok_1", {"non_field_errors": ["Expected an object with the fields of the input."]}),
    ],
    ids=["unknown", "text", "too small", "list", "both", "no mapping"],
)
def test_input_that_does_not_fit_names_each_field(
    sale: Sale, user: User, bank: Bank, given: Any, errors: dict[str, Any]
) -> None:
    with pytest.raises(InputInvalid) as caught:
        sale.actions.checkout.run(user=user, input=given)

    assert caught.value.errors == errors
    assert caught.value.status_code == 400
    assert nothing_happened(bank)


def test_a_workflow_without_input_takes_none(diary: Diary) -> None:
    workflow = Workflow.from_steps("mute", [diary.step("a")])

    with pytest.raises(InputInvalid) as caught:
        workflow.run(user=SYSTEM, input={"x": 1})

    assert caught.value.errors == {"x": ["This action takes no input."]}
    assert diary.lines == []


def test_validated_input_with_its_defaults_reaches_the_steps() -> None:
    class TripInput(serializers.Serializer[Any]):
        on = serializers.DateField()
        seats = serializers.IntegerField(default=1)

    workflow: Any = type(
        "Trip",
        (Workflow,),
        {"__module__": __name__, "input": TripInput, "go": Step("go", lambda ctx: ctx.input)},
    )

    run = workflow.run(user=SYSTEM, input={"on": "2026-03-01"})

    assert run.value == run.input
    assert str(run.value["on"]) == "2026-03-01"
    assert run.value["seats"] == 1


def test_a_forbidden_user_starts_nothing(sale: Sale, user: User, bank: Bank) -> None:
    other = User.objects.create_user("bob")

    for somebody in (other, AnonymousUser(), None):
        assert not sale.actions.settle.allows(somebody)
        with pytest.raises(ActionDenied):
            sale.actions.settle.run(user=somebody)
        with pytest.raises(ActionDenied):
            sale.actions.settle.enqueue(user=somebody)

    assert nothing_happened(bank)


def test_who_may_not_is_told_nothing_about_the_input(sale: Sale, bank: Bank) -> None:
    with pytest.raises(ActionDenied):
        sale.actions.settle.run(user=User.objects.create_user("bob"), input={"nonsense": 1})


def test_only_the_system_starts_a_workflow_without_an_action(user: User, diary: Diary) -> None:
    workflow = Workflow.from_steps("alone", [diary.step("a")])

    with pytest.raises(ActionDenied, match="pass user=SYSTEM, or bind it to a model"):
        workflow.run(user=user)

    assert diary.lines == []
    assert not Run.objects.exists()


def test_a_row_that_was_never_saved_is_refused(user: User, bank: Bank) -> None:
    product = Product.objects.create(name="tea")

    with pytest.raises(EntityMismatch, match="save this Sale first"):
        Sale(owner=user, product=product).actions.checkout.run(user=user)

    assert nothing_happened(bank)


def test_an_action_on_a_row_is_refused_without_one(user: User) -> None:
    with pytest.raises(EntityMismatch, match=r"sale\.actions\.checkout"):
        Sale.actions.checkout.run(user=user)


def test_a_row_that_is_gone_fails_the_run_and_says_so(sale: Sale, user: User, bank: Bank) -> None:
    sale_object = Sale.objects.get()
    Sale.objects.all().delete()

    run = sale_object.actions.checkout.run(user=user)

    assert run.failed_step == "reserve"
    assert run.error is not None
    assert run.error["code"] == "entity_gone"
    assert Product.objects.get().stock == 10


def test_an_action_that_nobody_declares_is_unknown(sale: Sale) -> None:
    with pytest.raises(WorkflowUnknown):
        find_action("kiosk.sale.fly")
    with pytest.raises(AttributeError):
        sale.actions.fly  # noqa: B018 - asking is the point


def test_a_path_that_leads_nowhere_starts_nothing(sale: Sale, user: User, on_sale: OnSale) -> None:
    with pytest.raises((ImportError, DeclarationInvalid)):
        on_sale("tests.kiosk.workflows.Ghost").run(user=user)

    assert not Run.objects.exists()


# --- results that cannot be journaled ------------------------------------------------------------

UNJOURNALABLE = [object(), {1, 2}, float("nan"), "a\x00b", {1: "a"}, b"bytes", "x" * 300_000, 10**5000]
IDS = ["object", "set", "nan", "nul", "key", "bytes", "large", "huge number"]


@pytest.mark.parametrize("result", UNJOURNALABLE, ids=IDS)
def test_a_result_of_an_external_step_that_cannot_be_journaled_is_unknown_and_undone(
    diary: Diary, result: Any
) -> None:
    run = Workflow.from_steps("outside", [diary.undoable("a", result)]).run(user=SYSTEM)

    assert run.step_runs.get().status == "unknown"
    assert diary.lines == ["a", "undo a"]
    assert diary.undone_with == {"a": None}
    assert run.status == "compensated"
    with pytest.raises(ValueNotSerializable, match="The result of step a"):
        run.raise_for_status()


@pytest.mark.parametrize("result", UNJOURNALABLE, ids=IDS)
@pytest.mark.parametrize("atomic", [False, True])
def test_a_result_of_a_transactional_step_that_cannot_be_journaled_is_rolled_back(
    diary: Diary, result: Any, atomic: bool
) -> None:
    def write(ctx: Any) -> Any:
        Entry.objects.create(what="half")
        return result

    workflow = Workflow.from_steps("inside", [Step("a", write, transactional=True)], atomic=atomic)

    run = workflow.run(user=SYSTEM)

    assert run.status == "failed"
    assert run.step_runs.get().status == "failed"
    assert not Entry.objects.exists()
    with pytest.raises(ValueNotSerializable):
        run.raise_for_status()


def test_a_result_that_cannot_be_journaled_is_not_worth_another_try(diary: Diary) -> None:
    run = Workflow.from_steps("once", [diary.step("a", object(), retry=Retry(3, delay=0))]).run(user=SYSTEM)

    assert diary.lines == ["a"]
    assert run.status == "failed"


def test_data_that_cannot_be_journaled_fails_the_step_that_set_it() -> None:
    workflow = Workflow.from_steps(
        "odd_data", [Step("a", lambda ctx: ctx.set("x", object()), transactional=True)]
    )

    run = workflow.run(user=SYSTEM)

    with pytest.raises(ValueNotSerializable, match="The data 'x' that step a set"):
        run.raise_for_status()


def test_initial_data_that_cannot_be_journaled_starts_nothing(diary: Diary) -> None:
    workflow = Workflow.from_steps("odd_start", [diary.step("a")], initial_data={"x": object()})

    with pytest.raises(ValueNotSerializable, match="The initial data 'x' of odd_start"):
        workflow.run(user=SYSTEM)

    assert not Run.objects.exists()


# --- workflows that no worker could find ---------------------------------------------------------


class Here(Workflow):
    a = Step("a", lambda ctx: 1)


def test_a_workflow_at_the_top_of_a_module_is_found_by_its_path() -> None:
    assert find_workflow(f"{__name__}.Here") is Here

    assert Here.enqueue(user=SYSTEM).status == "running"


def test_a_workflow_that_no_worker_could_find_runs_inline_only(diary: Diary) -> None:
    workflow = Workflow.from_steps("hidden", [diary.step("a")])

    with pytest.raises(
        WorkflowNotFindable, match="could not find the workflow hidden, so it may only run inline"
    ):
        workflow.enqueue(user=SYSTEM)

    assert workflow.run(user=SYSTEM).success


@pytest.mark.parametrize("option", ["background", "queue", "retry"])
def test_a_workflow_that_no_worker_could_find_hands_nothing_over(diary: Diary, option: str) -> None:
    options: dict[str, Any] = {"background": True, "queue": "slow", "retry": Retry(2, delay=1)}
    workflow = Workflow.from_steps("hidden_too", [diary.step("a", **{option: options[option]})])

    with pytest.raises(WorkflowNotFindable):
        workflow.run(user=SYSTEM)

    assert diary.lines == []
    assert not Run.objects.exists()


def test_a_row_of_another_database_than_the_journals_is_refused(sale: Sale, user: User) -> None:
    """I34: both must commit together."""
    sale._state.db = "archive"

    with pytest.raises(StartRefused, match="'archive', but the journal is in 'default'"):
        sale.actions.touch.run(user=user)

    assert not Run.objects.exists()


@pytest.mark.parametrize(
    "name",
    [
        "os.system",
        "tests.kiosk.models.Sale",
        "flowstate.Workflow",
        "nothing.at.all",
        "",
        "..",
        "a b",
        "kiosk.sale.fly",
    ],
)
def test_a_name_that_is_no_workflows_is_unknown(name: str) -> None:
    with pytest.raises(WorkflowUnknown):
        find_workflow(name)
