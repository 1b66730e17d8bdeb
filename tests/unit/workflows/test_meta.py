"""`class Meta`: merged key by key, and what it refuses."""

from __future__ import annotations

import math
from datetime import timedelta
from typing import Any

import pytest

from flowstate import Retry, Step, UpdateStep, Workflow
from flowstate.workflows.options import MetaOptions, Options
from tests.unit.workflows.refusals import flow_of, free, nothing, refused


class Parent(Workflow):
    class Meta:
        name = "parent-of-test-meta"
        atomic = True
        timeout = timedelta(minutes=1)
        initial_data = {"n": 0, "list": []}

    only = UpdateStep(values={"status": "paid"})


def with_meta(**meta: Any) -> Options:
    return Workflow.from_steps("flow", [Step("only", nothing)], **meta).declaration.meta


def test_defaults() -> None:
    class Flow(Workflow):
        only = free()

    meta = Flow.declaration.meta

    assert (meta.atomic, meta.timeout, meta.rollback, meta.version) == (False, None, "cascade", 1)
    assert (meta.exclusive, meta.initial_data, meta.given) == ("action", {}, frozenset())


def test_the_default_name_is_the_path_of_the_class() -> None:
    class Flow(Workflow):
        only = free()

    assert Flow.declaration.name == f"{__name__}.test_the_default_name_is_the_path_of_the_class.<locals>.Flow"


def test_meta_is_merged_key_by_key() -> None:
    class Child(Parent):
        class Meta:
            timeout = 5
            exclusive = None

    class Grandchild(Child):
        class Meta:
            timeout = None

    meta = Grandchild.declaration.meta

    assert (meta.atomic, meta.timeout, meta.exclusive) == (True, None, None)
    assert Child.declaration.meta.timeout == 5
    assert Parent.declaration.meta.timeout == 60
    assert meta.given == {"name", "atomic", "timeout", "initial_data", "exclusive"} - {"name"}


def test_meta_may_derive_from_the_parents_meta_too() -> None:
    class Child(Parent):
        class Meta(Parent.Meta):
            rollback = "none"

    assert (Child.declaration.meta.atomic, Child.declaration.meta.rollback) == (True, "none")


def test_a_name_belongs_to_one_class() -> None:
    class Child(Parent):
        pass

    class Derived(Parent):
        class Meta(Parent.Meta):
            pass

    assert Parent.declaration.name == "parent-of-test-meta"
    assert Child.declaration.name.endswith("<locals>.Child")
    assert Derived.declaration.name.endswith("<locals>.Derived")


def test_initial_data_is_a_copy() -> None:
    """P10: what a run starts with is not what somebody changes elsewhere."""
    written: dict[str, Any] = {"list": []}

    meta = with_meta(initial_data=written)
    written["list"].append(1)

    assert meta.initial_data == {"list": []}


def test_unknown_keys_are_refused_with_the_known_ones() -> None:
    def unknown() -> None:
        class Flow(Workflow):
            only = free()

            class Meta:
                atmoic = True

    assert refused(unknown) == (
        "Flow: Meta has no option atmoic; there are atomic, exclusive, initial_data, name, rollback, timeout, "
        "version."
    )
    assert "flow: Meta has no option atmoic" in refused(lambda: with_meta(atmoic=True))


def test_unknown_keys_are_refused_in_a_parent_without_steps_too() -> None:
    def unknown() -> None:
        class Base(Workflow):
            class Meta:
                colour = "red"

    assert "Base: Meta has no option colour" in refused(unknown)


def test_meta_is_a_class() -> None:
    def wrong() -> None:
        class Flow(Workflow):
            Meta = {"atomic": True}
            only = free()

    assert refused(wrong) == "Flow: Meta is a class, not {'atomic': True}."


@pytest.mark.parametrize(
    ("meta", "why"),
    [
        ({"atomic": 1}, "Meta.atomic is True or False, not 1."),
        ({"timeout": 0}, "Meta.timeout is above 0 seconds, not 0: nothing can be done in no time."),
        ({"timeout": -1}, "Meta.timeout is a duration from 0 seconds to 100 years, not -1."),
        ({"timeout": math.nan}, "Meta.timeout is a duration from 0 seconds to 100 years, not nan."),
        ({"timeout": True}, "Meta.timeout is a number of seconds or a timedelta, not True."),
        ({"rollback": "all"}, "Meta.rollback is 'cascade' or 'none', not 'all'."),
        ({"rollback": None}, "Meta.rollback is 'cascade' or 'none', not None."),
        ({"initial_data": [1]}, "Meta.initial_data is a mapping with texts as keys, not [1]."),
        ({"initial_data": {1: 2}}, "Meta.initial_data is a mapping with texts as keys, not {1: 2}."),
        ({"version": 0}, "Meta.version is a whole number from 1, not 0."),
        ({"version": "2"}, "Meta.version is a whole number from 1, not '2'."),
        ({"version": True}, "Meta.version is a whole number from 1, not True."),
        ({"exclusive": "row"}, "Meta.exclusive is 'action' or 'entity' or None, not 'row'."),
        ({"exclusive": []}, "Meta.exclusive is 'action' or 'entity' or None, not []."),
    ],
    ids=str,
)
def test_wrong_values_are_refused(meta: dict[str, Any], why: str) -> None:
    assert refused(lambda: with_meta(**meta)) == f"flow: {why}"


@pytest.mark.parametrize("name", ["", "a b", "a\n", "n" * 256, 5, None])
def test_a_name_that_the_journal_could_not_hold_is_refused(name: Any) -> None:
    def wrong() -> None:
        flow_of({"Meta": type("Meta", (), {"name": name})})

    assert refused(wrong).startswith("shop.Flow: Meta.name is a text without spaces, at most 255 characters")


def test_the_keys_for_calls_are_those_of_meta() -> None:
    assert set(MetaOptions.__annotations__) | {"name", "given"} == set(Options.__annotations__)


# --- atomic --------------------------------------------------------------------------------------


def test_an_atomic_workflow_refuses_background_steps() -> None:
    assert refused(
        lambda: Workflow.from_steps("flow", [Step("a", nothing, background=True)], atomic=True)
    ) == ("flow is atomic, one transaction, so step 'a' cannot be background=True.")


def test_an_atomic_workflow_refuses_waits_between_attempts() -> None:
    def waiting(retry: Retry) -> type[Workflow]:
        return Workflow.from_steps("flow", [Step("a", nothing, retry=retry)], atomic=True)

    assert refused(lambda: waiting(Retry(max_attempts=2))) == (
        "flow is atomic, one transaction, so step 'a' cannot wait between its attempts: give Retry(delay=0)."
    )
    assert waiting(Retry(max_attempts=2, delay=0)).declaration.meta.atomic
    assert waiting(Retry(max_attempts=1)).declaration.meta.atomic


def test_a_subclass_cannot_make_waiting_steps_atomic() -> None:
    class Waiting(Workflow):
        a = free(background=True)

    def atomic() -> None:
        class Flow(Waiting):
            class Meta:
                atomic = True

    assert refused(atomic) == "Flow is atomic, one transaction, so step 'a' cannot be background=True."
