"""Steps: what they take, what they refuse, and how they call what they were given."""

from __future__ import annotations

import copy
from types import SimpleNamespace
from typing import Any, get_args

import pytest

from flowstate import CreateStep, DeleteStep, Retry, Step, UpdateStep, Workflow, step
from flowstate.workflows.step_options import DecoratorOptions, EntityOptions, StepOptions, option_names
from flowstate.workflows.steps import UNSET, Kind
from tests.unit.workflows.refusals import flow_of, free, nothing, refused


class Flow(Workflow):
    @step(timeout=5, raises=[OSError], unknown_on=[TimeoutError], sensitive=["card"], queue="slow")
    def charge(self, ctx: Any) -> str:
        return f"charged {ctx.total} by {type(self).__name__}"

    @step(transactional=True)
    async def tell(self, ctx: Any) -> str:
        return f"told {ctx.total}"

    report = Step(fn=lambda ctx: f"reported {ctx.total}")

    def both(self, ctx: Any) -> list[str]:
        return [self.charge(ctx), self.report(ctx)]


CTX = SimpleNamespace(total=3)


def test_a_step_calls_a_method_or_a_free_function() -> None:
    assert Flow.charge.call(Flow(), CTX) == "charged 3 by Flow"
    assert Flow.report.call(Flow(), CTX) == "reported 3"


def test_an_async_step_is_run_to_its_end() -> None:
    assert Flow.tell.call(Flow(), CTX) == "told 3"


def test_on_an_instance_a_step_is_its_function() -> None:
    assert Flow().both(CTX) == ["charged 3 by Flow", "reported 3"]


def test_options_are_kept_as_the_engine_wants_them() -> None:
    charge = Flow.charge

    assert (charge.timeout, charge.raises, charge.unknown_on) == (5.0, (OSError,), (TimeoutError,))
    assert (charge.sensitive, charge.queue, charge.background) == (("card",), "slow", False)
    assert (charge.retry, charge.optional, charge.reason, charge.default) == (None, False, "", UNSET)


def test_a_step_is_external_unless_it_says_transactional() -> None:
    assert [step.kind for step in Flow.declaration.steps] == [
        Kind.EXTERNAL,
        Kind.TRANSACTIONAL,
        Kind.EXTERNAL,
    ]
    assert (Flow.charge.external, Flow.tell.transactional) == (True, True)
    assert not Flow.declaration.all_transactional


def test_a_step_cannot_be_changed() -> None:
    with pytest.raises(AttributeError, match="<MethodStep charge> is immutable"):
        Flow.charge.timeout = 9
    with pytest.raises(AttributeError, match="<MethodStep charge> is immutable"):
        del Flow.charge.timeout


def test_the_step_as_written_is_not_touched_by_binding_it() -> None:
    written = free()
    bound = flow_of({"first": written}).declaration.steps[0]

    assert written.name == ""
    assert bound.name == "first"
    assert bound.is_copy_of(written)


def test_steps_may_be_copied_but_need_not_be() -> None:
    assert copy.copy(Flow.charge).name == copy.deepcopy(Flow.charge).name == "charge"


# --- when, unless, default -----------------------------------------------------------------------


async def later(ctx: Any) -> bool:
    return False


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({}, None),
        ({"when": True, "unless": False}, None),
        ({"when": lambda ctx: ctx.total}, None),
        ({"when": lambda ctx: ctx.total > 5}, "when is false"),
        ({"when": lambda ctx: None, "reason": "too small"}, "when is false: too small"),
        ({"when": later}, "when is false"),
        ({"unless": lambda ctx: ctx.total, "reason": "too big"}, "unless is true: too big"),
        ({"when": False, "unless": True}, "when is false"),
    ],
)
def test_a_step_says_why_it_is_skipped(options: dict[str, Any], why: str | None) -> None:
    assert Step("a", nothing, **options).condition(None, CTX) == why


def test_a_condition_that_raises_is_heard() -> None:
    with pytest.raises(AttributeError):
        Step("a", nothing, when=lambda ctx: ctx.missing).condition(None, CTX)


def test_a_default_is_a_value_a_function_or_nothing() -> None:
    shared: dict[str, list[int]] = {"a": []}
    plain = Step("a", nothing, default=shared)

    plain.default_value(CTX)["a"].append(1)

    assert shared == {"a": []}
    assert Step("a", nothing, default=None).default_value(CTX) is None
    assert Step("a", nothing, default=lambda ctx: ctx.total).default_value(CTX) == 3
    assert Step("a", nothing).default_value(CTX) is UNSET


# --- what is refused -----------------------------------------------------------------------------


def test_unknown_options_are_refused_with_the_known_ones() -> None:
    known = (
        "background, collect_errors, default, depends_on, join, optional, queue, raises, reason, retry, sensitive, "
        "timeout, "
    )

    assert refused(lambda: Step("a", nothing, joins="any")) == (  # type: ignore[call-arg]
        f"Step a has no option joins; there are {known}transactional, unknown_on, unless, when."
    )
    assert "@step has no options colour, joins; there are " in refused(lambda: step(joins="any", colour=1))  # type: ignore[call-overload]
    assert "CreateStep has no option transactional; there are " in refused(
        lambda: CreateStep("shop.Payment", values={}, transactional=True)  # type: ignore[call-arg]
    )
    assert "compensate of <Step a> has no option timeout; there are retry." in refused(
        lambda: Step("a", nothing).compensate(timeout=5)  # type: ignore[call-overload]
    )


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"retry": 3}, "retry is a Retry, as Retry(max_attempts=3), not 3."),
        ({"retry": Retry}, "retry is a Retry"),
        ({"optional": 1}, "optional is True or False, not 1."),
        ({"background": None}, "background is True or False, not None."),
        ({"transactional": "yes"}, "transactional is True or False, not 'yes'."),
        ({"queue": " "}, "queue is the name of a Celery queue"),
        ({"queue": "q" * 101}, "queue is the name of a Celery queue"),
        ({"when": None}, "when is a function (ctx), True or False, not None."),
        ({"unless": "no"}, "unless is a function (ctx), True or False, not 'no'."),
        ({"reason": None}, "reason is a text of at most 400 characters, not None."),
        ({"reason": "r" * 401}, "reason is a text of at most 400 characters"),
        ({"raises": OSError}, "raises takes a list of exception classes"),
        ({"unknown_on": [OSError()]}, "unknown_on takes a list of exception classes"),
        ({"sensitive": "card"}, "sensitive is True or a list of the keys to hide, not 'card'."),
        ({"sensitive": [1]}, "sensitive is True or a list of the keys to hide, not [1]."),
        ({"compensate": True}, "compensate is a function (ctx, result) or False, not True."),
        ({"compensate": "refund"}, "compensate is a function (ctx, result) or False, not 'refund'."),
    ],
    ids=str,
)
def test_options_of_other_types_are_refused(options: dict[str, Any], why: str) -> None:
    assert refused(lambda: Step("a", nothing, **options)).startswith(f"Step a: {why}")


@pytest.mark.parametrize("wrong", ["", "a b", "1a", "-a", "a.b", "a" * 101, 5, "a\n", "__module__"])
def test_names_that_the_journal_could_not_hold_are_refused(wrong: Any) -> None:
    assert "a step's name is a letter or _" in refused(lambda: Step(wrong, nothing))


@pytest.mark.parametrize("name", ["a", "send-receipt", "_private", "größe", "a" * 100])
def test_names_in_lists_may_have_dashes(name: str) -> None:
    assert Step(name, nothing).name == name


def test_a_step_needs_a_function_after_its_name() -> None:
    assert refused(lambda: Step("a")) == (
        "Step takes a name, then a function, as Step('charge', charge), not ('a')."
    )
    assert "Step takes a name, then a function" in refused(lambda: Step(nothing))  # type: ignore[arg-type]
    assert "Step takes a name, then a function" in refused(lambda: Step("a", "b"))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "wrong",
    [staticmethod(nothing), classmethod(nothing), 5, "charge"],
    ids=["static", "class", "number", "text"],
)
def test_step_decorates_plain_methods_only(wrong: Any) -> None:
    assert refused(lambda: step(wrong)).startswith("@step decorates a plain method (self, ctx), not ")


def test_a_step_is_not_decorated_twice() -> None:
    assert "@step decorates a plain method" in refused(lambda: step(step(nothing)))  # type: ignore[arg-type, call-overload]


def test_what_has_no_function_cannot_be_called() -> None:
    with pytest.raises(TypeError, match="the engine writes its rows"):
        UpdateStep(values={"a": 1}).call(None, CTX)
    with pytest.raises(TypeError, match="has no compensation to call"):
        Step("a", nothing).call_compensation(None, CTX, None)


# --- one list of options -------------------------------------------------------------------------


def test_every_kind_of_step_takes_the_common_options() -> None:
    common = option_names(StepOptions)

    assert common == {
        *("depends_on", "retry", "timeout", "optional", "when", "unless", "default", "reason"),
        *("background", "queue", "raises", "unknown_on", "sensitive", "join", "collect_errors"),
    }
    for kind in (Step, CreateStep, UpdateStep, DeleteStep):
        assert common <= kind.known_options
    assert option_names(DecoratorOptions) == common | {"transactional", "name", "compensate"}
    assert option_names(EntityOptions) == common | {"name", "compensate", "on_conflict"}


def test_every_option_is_an_attribute_of_the_step() -> None:
    written = vars(Step("a", nothing))

    assert option_names(StepOptions) - {"depends_on"} <= set(written)
    assert get_args(Kind) == ()
