"""Steps that wait: what their declarations say, and what is refused."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from flowstate import DelayStep, Retry, Workflow
from flowstate.workflows.steps import Kind
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


@pytest.mark.parametrize("option", ["timeout", "compensate", "unknown_on", "transactional"])
def test_what_has_no_meaning_for_a_wait_is_refused(option: str) -> None:
    options: dict[str, Any] = {option: None}

    words = refused(lambda: DelayStep(1, **options))

    assert words.startswith(
        f"DelayStep has no option {option}; there are background, collect_errors, default"
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
