"""Starting twice: idempotency keys, and one live run at a time."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest

from django.contrib.auth.models import AnonymousUser, Permission, User
from django.http import QueryDict

from flowstate import (
    SYSTEM,
    ActionDenied,
    AlreadyRunning,
    IdempotencyKeyRefused,
    IdempotencyKeyReused,
    InputInvalid,
    StartRefused,
    Step,
    Workflow,
    WorkflowBuilder,
    rule,
)
from flowstate.actions.bound import BoundAction
from flowstate.engine.keys import input_hash
from flowstate.engine.start.run import start
from flowstate.models import Run
from tests.kiosk.diary import Diary
from tests.kiosk.models import Product, Sale
from tests.kiosk.stall import OnSale
from tests.kiosk.workflows import Bank, CardDeclined

pytestmark = pytest.mark.django_db(transaction=True)


def declined() -> None:
    raise CardDeclined


def start_as(caller: Any, action: BoundAction, *, key: str, scope: str = "") -> Run:
    """Start as a surface does, which knows the caller's session."""
    return start(
        workflow=action.workflow,
        action=action,
        entity=action.entity,
        user=caller,
        idempotency_key=key,
        inline=True,
        scope=scope,
    )


@pytest.mark.parametrize("action", ["checkout", "settle", "touch"])
def test_the_same_key_gives_the_same_run_back(sale: Sale, user: User, bank: Bank, action: str) -> None:
    """I10."""
    first = getattr(sale.actions, action).run(user=user, idempotency_key="k1")
    calls = list(bank.calls)

    second = getattr(sale.actions, action).run(user=user, idempotency_key="k1")

    assert second.pk == first.pk
    assert (first.replayed, second.replayed) == (False, True)
    assert second.status == "succeeded"
    assert second.results == first.results
    assert bank.calls == calls
    assert Run.objects.count() == 1


def test_a_run_that_ended_badly_is_given_back_too(sale: Sale, user: User, bank: Bank) -> None:
    bank.script = [declined]
    first = sale.actions.checkout.run(user=user, idempotency_key="k1")

    second = sale.actions.checkout.run(user=user, idempotency_key="k1")

    assert second.pk == first.pk
    assert second.status == "compensated"
    with pytest.raises(CardDeclined):
        second.raise_for_status()


def test_an_enqueued_run_is_given_back_while_it_goes_on(sale: Sale, user: User) -> None:
    first = sale.actions.touch.enqueue(user=user, idempotency_key="k1")

    second = sale.actions.touch.run(user=user, idempotency_key="k1")

    assert second.pk == first.pk
    assert second.status == "running"


def test_the_same_key_with_other_input_is_refused(sale: Sale, user: User, bank: Bank) -> None:
    """Matrix row 30; I10."""
    first = sale.actions.checkout.run(user=user, idempotency_key="k1", input={"card": "a"})

    with pytest.raises(IdempotencyKeyReused, match=f"belongs to run {first.pk}") as caught:
        sale.actions.checkout.run(user=user, idempotency_key="k1", input={"card": "b"})

    assert caught.value.status_code == 422
    assert Run.objects.count() == 1


def test_the_order_of_fields_makes_no_other_input(sale: Sale, user: User, bank: Bank) -> None:
    sale.actions.checkout.run(user=user, idempotency_key="k1", input={"card": "a", "tip": 1})

    assert sale.actions.checkout.run(user=user, idempotency_key="k1", input={"tip": 1, "card": "a"}).replayed


def test_keys_belong_to_a_user_an_action_and_a_row(sale: Sale, user: User) -> None:
    """Matrix row 30; I10."""
    other = User.objects.create_user("bob")
    other_sale = Sale.objects.create(owner=user, product=sale.product)

    runs = [
        sale.actions.touch.run(user=user, idempotency_key="k1"),
        sale.actions.touch.run(user=other, idempotency_key="k1"),
        sale.actions.touch.run(user=SYSTEM, idempotency_key="k1"),
        other_sale.actions.touch.run(user=user, idempotency_key="k1"),
        sale.actions.settle.run(user=user, idempotency_key="k1"),
        sale.actions.touch.run(user=user, idempotency_key="k2"),
    ]

    assert not any(run.replayed for run in runs)
    assert Run.objects.count() == 6


def test_an_anonymous_caller_needs_a_session_for_a_key(sale: Sale, user: User) -> None:
    nobody = AnonymousUser()

    with pytest.raises(IdempotencyKeyRefused, match="without a session cannot use an idempotency key"):
        sale.actions.touch.run(user=nobody, idempotency_key="k1")
    first = start_as(nobody, sale.actions.touch, key="k1", scope="s1")
    second = start_as(nobody, sale.actions.touch, key="k1", scope="s2")
    again = start_as(nobody, sale.actions.touch, key="k1", scope="s1")

    assert first.pk != second.pk
    assert again.pk == first.pk


@pytest.mark.parametrize("key", ["", "x" * 256, "a\nb", "a\x00"], ids=["empty", "long", "line", "nul"])
def test_a_malformed_key_is_refused(sale: Sale, user: User, key: str) -> None:
    with pytest.raises(IdempotencyKeyRefused, match="printable text of 1 to 255 characters"):
        sale.actions.touch.run(user=user, idempotency_key=key)

    assert not Run.objects.exists()


def test_the_longest_key_is_accepted(sale: Sale, user: User) -> None:
    assert sale.actions.touch.run(user=user, idempotency_key="x" * 255).success


def test_a_refusal_uses_up_no_key(sale: Sale, user: User, bank: Bank, diary: Diary) -> None:
    answers = [False, True]
    workflow = (
        WorkflowBuilder("moody").hooks(should_run=lambda ctx: answers.pop(0)).step(diary.step("a")).build()
    )

    with pytest.raises(InputInvalid):
        sale.actions.checkout.run(user=user, idempotency_key="k1", input={"tip": 0})
    with pytest.raises(StartRefused):
        workflow.run(user=SYSTEM, idempotency_key="k1")

    assert sale.actions.checkout.run(user=user, idempotency_key="k1", input={"tip": 1}).success
    assert workflow.run(user=SYSTEM, idempotency_key="k1").success


def test_a_known_key_is_replayed_although_the_rules_now_say_no(
    sale: Sale, user: User, on_sale: OnSale, diary: Diary
) -> None:
    allowed = [True]
    action = on_sale(
        Workflow.from_steps("once", [diary.step("a")]), rules=[rule(lambda user, entity: allowed[0])]
    )
    first = action.run(user=user, idempotency_key="k1")
    allowed[0] = False

    second = action.run(user=user, idempotency_key="k1")

    assert second.pk == first.pk
    with pytest.raises(ActionDenied):
        action.run(user=user, idempotency_key="k2")


def test_a_known_key_is_replayed_although_the_workflow_now_refuses(diary: Diary) -> None:
    answers = [True, False]
    workflow = (
        WorkflowBuilder("moody").hooks(should_run=lambda ctx: answers.pop(0)).step(diary.step("a")).build()
    )
    first = workflow.run(user=SYSTEM, idempotency_key="k1")

    assert workflow.run(user=SYSTEM, idempotency_key="k1").pk == first.pk


def test_a_replay_is_told_to_no_observer(sale: Sale, user: User, signals: list[dict[str, Any]]) -> None:
    sale.actions.touch.run(user=user, idempotency_key="k1")
    told = len(signals)

    sale.actions.touch.run(user=user, idempotency_key="k1")

    assert len(signals) == told


# --- one live run --------------------------------------------------------------------------------


def test_a_second_live_run_on_a_row_is_refused_with_the_firsts_id(sale: Sale, user: User) -> None:
    """I11."""
    first = sale.actions.carry.run(user=user)

    with pytest.raises(AlreadyRunning, match=f"Run {first.pk} is running") as caught:
        sale.actions.carry.run(user=user)

    assert caught.value.run_id == str(first.pk)
    assert caught.value.status_code == 409
    assert Run.objects.count() == 1


@pytest.mark.parametrize("way", ["run", "enqueue"])
def test_who_may_not_see_the_other_run_is_not_told_its_id(sale: Sale, user: User, way: str) -> None:
    first = sale.actions.carry.run(user=user)
    stranger = User.objects.create_user("bob")

    with pytest.raises(AlreadyRunning) as caught:
        getattr(sale.actions.carry, way)(user=stranger)

    assert caught.value.run_id is None
    assert str(first.pk) not in str(caught.value)


def test_the_system_and_who_may_view_runs_are_told_the_id(sale: Sale, user: User) -> None:
    first = sale.actions.carry.run(user=user)
    clerk = User.objects.create_user("clerk")
    clerk.user_permissions.add(Permission.objects.get(codename="view_run"))

    for caller in (clerk, SYSTEM):
        with pytest.raises(AlreadyRunning) as caught:
            sale.actions.carry.run(user=caller)
        assert caught.value.run_id == str(first.pk)


def test_another_action_or_another_row_is_not_held_up(sale: Sale, user: User) -> None:
    other_sale = Sale.objects.create(owner=user, product=sale.product)
    sale.actions.carry.run(user=user)

    assert sale.actions.touch.run(user=user).success
    assert other_sale.actions.carry.run(user=user).status == "running"


def test_exclusive_entity_holds_up_every_such_action_on_the_row(
    sale: Sale, user: User, on_sale: OnSale, diary: Diary
) -> None:
    first = Workflow.from_steps("first", [Step("start", lambda ctx: other())], exclusive="entity")
    second = Workflow.from_steps("second", [diary.step("a")], exclusive="entity")
    refused: list[Any] = []

    def other() -> None:
        with pytest.raises(AlreadyRunning) as caught:
            BoundAction("other", on_sale(second).action, Sale, sale).run(user=user)
        refused.append(caught.value)

    run = on_sale(first).run(user=user)

    assert run.success
    assert len(refused) == 1
    assert diary.lines == []


def test_exclusive_none_lets_any_number_run(sale: Sale, user: User) -> None:
    runs = [sale.actions.touch.enqueue(user=user) for _number in range(3)]

    assert all(run.exclusive_key is None for run in runs)


@pytest.mark.parametrize("action", ["checkout", "settle"])
def test_a_second_run_may_start_when_the_first_has_ended(
    sale: Sale, user: User, bank: Bank, action: str
) -> None:
    """I11: freed in the commit that ends the run."""
    first = getattr(sale.actions, action).run(user=user)
    second = getattr(sale.actions, action).run(user=user)

    assert first.success
    assert second.success
    assert Product.objects.get().stock == 10 - 3 - 3
    assert not Run.objects.exclude(exclusive_key=None).exists()


def test_a_run_that_was_undone_frees_the_row_too(sale: Sale, user: User, bank: Bank) -> None:
    bank.script = [declined]

    assert sale.actions.checkout.run(user=user).status == "compensated"
    assert sale.actions.checkout.run(user=user).success


def test_a_run_that_needs_a_person_holds_its_row(
    sale: Sale, user: User, on_sale: OnSale, diary: Diary
) -> None:
    steps = [diary.undoable("a", undo_errors=[OSError()] * 3), diary.step("b", errors=[OSError()])]
    action = on_sale(Workflow.from_steps("held", steps))
    assert action.run(user=user).status == "attention"

    with pytest.raises(AlreadyRunning, match="is attention"):
        action.run(user=user)


def test_without_a_row_any_number_may_run_unless_meta_says_otherwise(diary: Diary) -> None:
    def again(workflow: type[Workflow]) -> Step[Any]:
        return Step("again", lambda ctx: Run.objects.get(status="running").exclusive_key)

    plain = Workflow.from_steps("plain", [again(Workflow)])
    single = Workflow.from_steps("single", [again(Workflow)], exclusive="action")

    assert plain.run(user=SYSTEM).value is None
    assert single.run(user=SYSTEM).value is not None


def test_a_keyed_start_that_meets_its_own_live_run_is_a_replay_not_a_refusal(sale: Sale, user: User) -> None:
    first = sale.actions.carry.run(user=user, idempotency_key="k1")

    assert sale.actions.carry.run(user=user, idempotency_key="k1").pk == first.pk


@pytest.mark.parametrize("key", [UUID(int=7), 5, b"key", "", "x" * 256, "a\nb"], ids=repr)
def test_a_key_that_is_no_text_is_refused(sale: Sale, user: User, key: Any) -> None:
    with pytest.raises(IdempotencyKeyRefused, match="printable text"):
        sale.actions.touch.run(user=user, idempotency_key=key)


def test_the_input_of_a_form_is_compared_with_all_its_values() -> None:
    assert input_hash(QueryDict("l=1&l=2")) != input_hash(QueryDict("l=7&l=2"))
    assert input_hash(QueryDict("l=1&l=2")) == input_hash(QueryDict("l=1&l=2"))
