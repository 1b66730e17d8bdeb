"""Steps that wait: what their declarations say, and what is refused."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from flowstate import DelayStep, EventStep, Retry, Workflow, WorkflowStep
from flowstate.workflows.steps import UNSET, Kind
from tests.unit.workflows.refusals import flow_of, free, refused


def test_a_step_that_waits_has_nothing_to_call_and_nothing_to_undo() -> None:
    class Flow(Workflow):
        first = free()
        pause = DelayStep(timedelta(minutes=1))
        last = free()

    pause = Flow.declaration.by_name["pause"]

    assert pause.kind is Kind.DELAY
    assert (pause.waits, pause.external, pause.compensable) == (True, False, False)
    assert pause.depends_on == ("first",)
    assert Flow.declaration.by_name["last"].depends_on == ("pause",)
    assert not Flow.declaration.by_name["first"].waits


def test_a_delay_is_seconds_a_timedelta_or_what_a_function_gives() -> None:
    ctx = {"minutes": 2}

    assert DelayStep(90).until(ctx) == 90.0
    assert DelayStep(timedelta(minutes=1)).until(ctx) == 60.0
    assert DelayStep(lambda ctx: timedelta(minutes=ctx["minutes"])).until(ctx) == 120.0


@pytest.mark.parametrize("given", [-1, True, "soon", None, float("nan")], ids=str)
def test_what_is_no_duration_is_refused(given: Any) -> None:
    assert "DelayStep: the duration is a" in refused(lambda: DelayStep(given))


@pytest.mark.parametrize("option", ["timeout", "unknown_on", "transactional"])
def test_what_has_no_meaning_for_a_wait_is_refused(option: str) -> None:
    options: dict[str, Any] = {option: None}

    words = refused(lambda: DelayStep(1, **options))

    assert words.startswith(
        f"DelayStep has no option {option}; there are background, collect_errors, compensate"
    )


def test_a_function_that_could_not_be_called_is_refused() -> None:
    words = refused(lambda: flow_of({"pause": DelayStep(lambda: 1)}))  # type: ignore[misc, arg-type]

    assert words == "shop.Flow: step 'pause': the duration takes (ctx), but <lambda> takes ()."


def test_an_atomic_workflow_does_not_wait() -> None:
    body = {"Meta": type("Meta", (), {"atomic": True}), "first": free(), "pause": DelayStep(1)}

    words = refused(lambda: flow_of(body))

    assert words == (
        "shop.Flow is atomic, one transaction, so step 'pause' cannot be a DelayStep: the transaction would stay "
        "open while it waits."
    )


def test_a_wait_takes_the_common_options() -> None:
    step = DelayStep(1, name="pause", optional=True, default=3, retry=Retry(2), queue="slow", when=False)

    assert (step.name, step.optional, step.default, step.queue) == ("pause", True, 3, "slow")
    assert step.condition(None, None) == "when is false"


def test_an_event_step_names_its_event_and_its_key() -> None:
    ctx = {"order": 7}
    step = EventStep("order.confirmed", key=lambda ctx: ctx["order"], timeout=timedelta(days=1))

    assert (step.kind, step.event, step.limit) == (Kind.EVENT, "order.confirmed", 86400.0)
    assert step.timeout is None  # of an attempt, which only asks for the key
    assert step.key_for(ctx) == 7
    assert EventStep("x", key="plain").key_for(ctx) == "plain"
    assert EventStep("x").key_for(ctx) is UNSET


@pytest.mark.parametrize("name", ["", "two words", "-x", "a/b", "x" * 101, None, "ä"], ids=repr)
def test_a_name_that_no_url_could_hold_is_refused(name: Any) -> None:
    words = refused(lambda: EventStep(name))

    assert words == (
        f"EventStep: the event is named by letters, digits, _, . and -, at most 100 of them, not {name!r}."
    )


def test_a_key_that_could_not_be_called_and_a_limit_of_nothing_are_refused() -> None:
    keyed = refused(lambda: flow_of({"wait": EventStep("x", key=lambda: 1)}))
    limited = refused(lambda: EventStep("x", timeout=0))

    assert keyed == "shop.Flow: step 'wait': key takes (ctx), but <lambda> takes ()."
    assert limited == "EventStep: timeout is above 0 seconds, not 0: nothing can be done in no time."


class Child(Workflow):
    only = free()


def test_a_workflow_step_takes_a_class_or_its_path() -> None:
    by_class = WorkflowStep(Child, input=lambda ctx: {"key": ctx["order"]})
    by_path = WorkflowStep("shop.workflows.Ship", input={"key": 1}, name="ship")

    assert (by_class.kind, by_class.waits) == (Kind.WORKFLOW, True)
    assert by_class.workflow_name == f"{__name__}.Child"
    assert by_class.input_for({"order": 7}) == {"key": 7}
    assert (by_path.name, by_path.workflow_name) == ("ship", "shop.workflows.Ship")
    assert by_path.input_for({}) == {"key": 1}


def test_undoing_a_workflow_step_is_a_run_unless_it_says_otherwise() -> None:
    by_run, by_hand, never = (
        flow_of({"child": WorkflowStep(Child, **options)}).declaration.by_name["child"]
        for options in ({}, {"compensate": lambda ctx, value: None}, {"compensate": False})
    )

    assert (by_run.undone_by_run, by_run.compensable, by_run.derives_inverse) == (True, True, False)
    assert (by_hand.undone_by_run, by_hand.compensable) == (False, True)
    assert (never.undone_by_run, never.compensable) == (False, False)


@pytest.mark.parametrize("given", [None, "Ship", int, Child()], ids=["None", "no path", "class", "object"])
def test_what_is_no_workflow_is_refused(given: Any) -> None:
    words = refused(lambda: WorkflowStep(given))

    assert words.startswith("WorkflowStep takes a Workflow class or its dotted path")


def test_a_child_without_steps_and_an_input_that_could_not_be_called_are_refused() -> None:
    options: dict[str, Any] = {"retry": Retry(2)}

    empty = refused(lambda: WorkflowStep(Workflow))
    called = refused(lambda: flow_of({"child": WorkflowStep(Child, input=lambda: 1)}))
    retried = refused(lambda: WorkflowStep(Child, **options))

    assert "has no steps" in empty
    assert called == "shop.Flow: step 'child': input takes (ctx), but <lambda> takes ()."
    assert retried.startswith("WorkflowStep has no option retry")
