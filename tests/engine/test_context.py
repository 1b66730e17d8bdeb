"""What a step is told: shared data, results before it, its row, who asked, which call this is."""

from __future__ import annotations

from typing import Any

import pytest

from django.contrib.auth.models import User
from django.test import override_settings

from flowstate import SYSTEM, EntityGone, ServiceUnknown, Step, UpdateStep, Workflow
from flowstate.models import StepRun
from tests.kiosk.models import Sale
from tests.kiosk.stall import OnSale

pytestmark = pytest.mark.django_db(transaction=True)


def count_up(ctx: Any) -> int:
    ctx.set("n", ctx.get("n") + 1)
    count: int = ctx.get("n")
    return count


def test_what_one_step_sets_the_next_one_reads() -> None:
    """P09."""
    seen: list[Any] = []
    workflow = Workflow.from_steps(
        "data",
        [
            Step("set", lambda ctx: ctx.set("order_id", 7)),
            Step("read", lambda ctx: seen.append((ctx.get("order_id"), ctx.get("nothing"), ctx.get("x", 3)))),
        ],
        initial_data={"source": "web"},
    )

    run = workflow.run(user=SYSTEM)

    assert seen == [(7, None, 3)]
    assert run.data == {"source": "web", "order_id": 7}
    assert StepRun.objects.get(name="set").data == {"order_id": 7}
    assert StepRun.objects.get(name="read").data == {}


def test_runs_never_share_state() -> None:
    """P10."""
    workflow = Workflow.from_steps("counter", [Step("count", count_up)], initial_data={"n": 0, "list": []})

    first, second = workflow.run(user=SYSTEM), workflow.run(user=SYSTEM)

    assert first.data["n"] == 1
    assert second.data["n"] == 1


def test_data_that_was_changed_in_place_changes_nothing() -> None:
    workflow = Workflow.from_steps(
        "in_place",
        [Step("grow", lambda ctx: ctx.data["list"].append(1) or ctx.get("list").append(2))],
        initial_data={"list": []},
    )

    run = workflow.run(user=SYSTEM)

    assert run.data == {"list": []}
    assert workflow.declaration.meta.initial_data == {"list": []}


def test_a_failed_attempt_sets_no_data() -> None:
    def set_and_fail(ctx: Any) -> None:
        ctx.set("half", True)
        raise OSError

    workflow = Workflow.from_steps(
        "half", [Step("a", set_and_fail, optional=True), Step("b", count_up)], initial_data={"n": 0}
    )

    run = workflow.run(user=SYSTEM)

    assert run.success
    assert run.data == {"n": 1}


def test_results_are_copies() -> None:
    workflow = Workflow.from_steps(
        "copies",
        [
            Step("a", lambda ctx: {"list": [1]}),
            Step("b", lambda ctx: ctx.results["a"]["list"].append(2)),
            Step("c", lambda ctx: ctx.results["a"]),
        ],
    )

    run = workflow.run(user=SYSTEM)

    assert run.value == {"list": [1]}
    run.results["a"]["list"].append(3)
    assert run.results["a"] == {"list": [1]}


def test_a_result_is_what_json_makes_of_it_at_once() -> None:
    workflow = Workflow.from_steps(
        "json", [Step("a", lambda ctx: (1, 2)), Step("b", lambda ctx: ctx.results["a"] == [1, 2])]
    )

    assert workflow.run(user=SYSTEM).value is True


def test_asking_for_a_result_that_is_not_there_names_the_step_and_its_status() -> None:
    said: list[str] = []

    def ask(ctx: Any) -> None:
        for name in ("c", "ghost", "a"):
            with pytest.raises(KeyError) as caught:
                ctx.results[name]
            said.append(caught.value.args[0])

    def fail(ctx: Any) -> None:
        raise OSError

    steps = [Step("a", fail, optional=True), Step("b", ask), Step("c", fail, optional=True)]
    run = Workflow.from_steps("asking", steps).run(user=SYSTEM)

    assert run.success
    assert said == [
        "Step 'c' has no result: it is blocked.",
        "There is no step 'ghost'; the steps are a, b, c.",
        "Step 'a' has no result: it is failed.",
    ]


def test_results_is_a_mapping_of_what_is_there() -> None:
    seen: list[Any] = []
    workflow = Workflow.from_steps(
        "mapping",
        [
            Step("a", lambda ctx: 1),
            Step("b", lambda ctx: seen.append((dict(ctx.results), len(ctx.results), "b" in ctx.results))),
        ],
    )

    workflow.run(user=SYSTEM)

    assert seen == [({"a": 1}, 1, False)]


def test_the_row_is_read_afresh_for_each_step(sale: Sale, user: User, on_sale: OnSale) -> None:
    seen: list[str] = []

    def look(ctx: Any) -> None:
        seen.append(ctx.entity.note)
        assert ctx.entity is ctx.entity

    workflow = Workflow.from_steps(
        "afresh",
        [
            Step("before", look),
            UpdateStep(name="write", values={"note": "written"}),
            Step("after", look),
        ],
    )

    run = on_sale(workflow).run(user=user)

    assert run.success
    assert seen == ["", "written"]


def test_the_row_is_not_read_by_a_step_that_does_not_touch_it(
    sale: Sale, user: User, on_sale: OnSale
) -> None:
    def forget(ctx: Any) -> None:
        Sale.objects.all().delete()

    workflow = Workflow.from_steps(
        "untouched", [Step("delete", forget, transactional=True), Step("key", lambda ctx: ctx.entity_id)]
    )

    run = on_sale(workflow).run(user=user)

    assert run.value == sale.pk
    assert run.entity is None


def test_a_row_that_is_gone_fails_the_step_that_asks_for_it(sale: Sale, user: User, on_sale: OnSale) -> None:
    def forget(ctx: Any) -> None:
        Sale.objects.all().delete()

    workflow = Workflow.from_steps(
        "gone", [Step("delete", forget, transactional=True), Step("look", lambda ctx: ctx.entity.note)]
    )

    run = on_sale(workflow).run(user=user)

    assert run.failed_step == "look"
    with pytest.raises(EntityGone, match=rf"kiosk.Sale {sale.pk} of run {run.pk} no longer exists"):
        run.raise_for_status()


def test_a_compensation_needs_no_row(sale: Sale, user: User, on_sale: OnSale) -> None:
    seen: list[Any] = []

    def undo(ctx: Any, result: Any) -> None:
        with pytest.raises(EntityGone):
            ctx.entity  # noqa: B018 - asking is the point
        seen.append((ctx.entity_id, ctx.input, ctx.results["a"], result, ctx.forward_key))

    def forget_and_fail(ctx: Any) -> None:
        Sale.objects.all().delete()
        raise OSError

    workflow = Workflow.from_steps("rowless", [Step("a", lambda ctx: 5, undo), Step("b", forget_and_fail)])

    run = on_sale(workflow).run(user=user)

    assert run.status == "compensated"
    assert seen == [(sale.pk, {}, 5, 5, f"{run.pk}:a")]


def test_a_step_knows_which_call_it_is(sale: Sale, user: User, on_sale: OnSale) -> None:
    seen: dict[str, Any] = {}

    def look(ctx: Any) -> None:
        seen.update(
            index=ctx.step_index,
            total=ctx.total_steps,
            attempt=ctx.attempt,
            key=ctx.idempotency_key,
            forward=ctx.forward_key,
            user=ctx.user,
            cancelled=ctx.cancelled,
            deadline=ctx.deadline,
            model=ctx.entity_model,
            metadata=ctx.metadata,
        )

    workflow = Workflow.from_steps("facts", [Step("a", lambda ctx: None), Step("look", look)], version=4)

    run = on_sale(workflow).run(user=user)

    assert seen.pop("metadata") == {
        "run_id": str(run.pk),
        "workflow": "facts",
        "action": "kiosk.sale.trial",
        "version": 4,
        "started_at": run.started_at,
    }
    assert seen == {
        "index": 1,
        "total": 2,
        "attempt": 1,
        "key": f"{run.pk}:look",
        "forward": "",
        "user": user,
        "cancelled": False,
        "deadline": None,
        "model": Sale,
    }


def test_a_workflow_without_an_action_has_no_row_and_the_system_as_its_user() -> None:
    seen: list[Any] = []
    look = Step("look", lambda ctx: seen.append((ctx.user, ctx.entity, ctx.entity_id, ctx.entity_model)))

    run = Workflow.from_steps("rowless", [look]).run(user=SYSTEM)

    assert seen == [(SYSTEM, None, None, None)]
    assert run.requested_by_label == "system"
    assert run.requested_by is None


@override_settings(FLOWSTATE={"SERVICES": {"scales": "tests.kiosk.diary.Diary", "number": 5}})
def test_services_are_made_from_their_paths() -> None:
    seen: list[Any] = []

    def use(ctx: Any) -> None:
        seen.extend([type(ctx.service("scales")).__name__, ctx.service("number")])
        ctx.service("ghost")

    run = Workflow.from_steps("services", [Step("use", use)]).run(user=SYSTEM)

    assert seen == ["Diary", 5]
    assert isinstance(run.cause, ServiceUnknown)
    assert "has no 'ghost'; registered: number, scales" in str(run.cause)


def test_the_version_of_the_declaration_is_stored() -> None:
    run = Workflow.from_steps("versioned", [Step("a", lambda ctx: None)], version=3).run(user=SYSTEM)

    run.refresh_from_db()
    assert run.version == 3
    assert run.workflow == "versioned"
