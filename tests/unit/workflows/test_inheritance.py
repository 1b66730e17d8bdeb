"""Subclasses of workflows: what they add, override and may not hide."""

from __future__ import annotations

from typing import Any

import pytest

from flowstate import Retry, Step, UpdateStep, Workflow, step
from flowstate.workflows.declaration import outline_of
from tests.unit.workflows.refusals import flow_of, free, nothing, refused


class Parent(Workflow):
    prepare = free()

    @step(retry=Retry(max_attempts=2, delay=0))
    def charge(self, ctx: Any) -> str:
        return "parent"

    @charge.compensate(retry=Retry(max_attempts=7))
    def refund(self, ctx: Any, result: Any) -> None:
        ctx.append(f"parent refunds {result}")

    finish = free(depends_on=["prepare", "charge"])


def waits(workflow: type[Workflow]) -> dict[str, tuple[str, ...]]:
    return {step.name: step.depends_on for step in workflow.declaration.steps}


def undo(workflow: type[Workflow], result: Any) -> list[str]:
    said: list[str] = []
    workflow.declaration.by_name["charge"].call_compensation(workflow(), said, result)
    return said


def test_new_steps_follow_the_parents_last() -> None:
    class Child(Parent):
        @step
        def charge(self, ctx: Any) -> str:
            return "child"

        more = free()
        last = free()

    assert waits(Child) == {
        "prepare": (),
        "charge": ("prepare",),
        "finish": ("prepare", "charge"),
        "more": ("finish",),
        "last": ("more",),
    }


def test_the_parent_stays_as_it_is() -> None:
    before = Parent.declaration

    class Child(Parent):
        @step(depends_on=())
        def charge(self, ctx: Any) -> str:
            return "child"

        more = free()

    assert Parent.declaration is before
    assert list(before.by_name) == ["prepare", "charge", "finish"]
    assert Child.prepare is Parent.prepare
    assert Child.charge is not Parent.charge


def test_an_overriding_step_keeps_place_dependencies_and_compensation() -> None:
    class Child(Parent):
        @step
        def charge(self, ctx: Any) -> str:
            return f"child of {super().charge(ctx)}"

    charge = Child.declaration.by_name["charge"]

    assert charge.depends_on == ("prepare",)
    assert charge.call(Child(), None) == "child of parent"
    assert undo(Child, 5) == ["parent refunds 5"]
    assert charge.retry is None


def test_an_overriding_step_waits_for_what_the_inherited_one_waited_for() -> None:
    class Child(Parent):
        finish = free()

    assert waits(Child)["finish"] == ("prepare", "charge")


def test_an_overriding_step_may_say_otherwise() -> None:
    class Child(Parent):
        @step(depends_on=(), compensate=False)
        def charge(self, ctx: Any) -> str:
            return "child"

    assert waits(Child)["charge"] == ()
    assert not Child.charge.compensable


def test_a_compensation_is_overridden_by_its_name() -> None:
    class Child(Parent):
        def refund(self, ctx: Any, result: Any) -> None:
            super().refund(ctx, result)
            ctx.append(f"child refunds {result}")

    assert undo(Child, 5) == ["parent refunds 5", "child refunds 5"]
    assert Child.charge.compensation
    assert Child.charge.compensation.retry == Retry(max_attempts=7)


def test_a_subclass_may_compensate_a_step_that_it_inherits() -> None:
    class Child(Parent):
        @Parent.charge.compensate
        def give_back(self, ctx: Any, result: Any) -> None:
            ctx.append(f"child gives back {result}")

        @Parent.finish.compensate
        def reopen(self, ctx: Any, result: Any) -> None: ...

    assert undo(Child, 5) == ["child gives back 5"]
    assert undo(Parent, 5) == ["parent refunds 5"]
    assert Child.finish.compensable
    assert waits(Child) == waits(Parent)
    assert not Parent.finish.compensable


def test_rows_in_place_of_a_function_have_their_own_inverse() -> None:
    class Child(Parent):
        charge = UpdateStep(values={"status": "paid"})  # type: ignore[assignment]

    assert Child.charge.compensation is None
    assert Child.charge.derives_inverse
    assert waits(Child)["charge"] == ("prepare",)


def test_a_grandchild_builds_on_the_child() -> None:
    class Child(Parent):
        more = free()

    class Grandchild(Child):
        @step
        def charge(self, ctx: Any) -> str:
            return "grandchild"

        last = free()

    assert list(Grandchild.declaration.by_name) == ["prepare", "charge", "finish", "more", "last"]
    assert undo(Grandchild, 1) == ["parent refunds 1"]


def test_a_parent_of_steps_and_one_of_hooks_go_together() -> None:
    class Loud(Workflow):
        def on_complete(self, run: Any) -> None: ...

    class Child(Loud, Parent):
        pass

    assert list(Child.declaration.by_name) == list(Parent.declaration.by_name)
    assert Child.declaration.hooks == {"on_complete"}


def test_a_parent_beside_its_own_parent_is_one_line() -> None:
    class Child(Parent):
        more = free()

    class Both(Child, Parent):
        pass

    assert list(Both.declaration.by_name) == ["prepare", "charge", "finish", "more"]


def test_two_parents_with_steps_are_refused() -> None:
    class Other(Workflow):
        elsewhere = free()

    def both() -> None:
        class Child(Parent, Other):
            pass

    assert refused(both).startswith("Child has two parents with steps, Parent and test_two_parents")


def test_a_step_of_another_workflow_may_be_taken_with_its_compensation() -> None:
    class Child(Parent):
        def refund(self, ctx: Any, result: Any) -> None:
            ctx.append(f"child refunds {result}")

    class Other(Workflow):
        begin = free()
        charge = Child.charge

    assert waits(Other) == {"begin": (), "charge": ("begin",)}
    assert Other.declaration.by_name["charge"].call(Other(), None) == "parent"
    assert undo(Other, 5) == ["child refunds 5"]


@pytest.mark.parametrize("value", [None, 5, lambda self, ctx: None])
def test_what_hides_an_inherited_step_is_refused(value: Any) -> None:
    def hide() -> None:
        flow_of({"charge": value}, Parent)

    said = refused(hide)

    assert said.startswith(f"shop.Flow: 'charge' is a step of its parent, but here it is {value!r}.")
    assert said.endswith("override the step; to leave it out, override it with when=False.")


def test_a_mixin_that_hides_an_inherited_step_is_refused() -> None:
    class Quiet:
        def charge(self, ctx: Any) -> None: ...

    def hide() -> None:
        class Child(Quiet, Parent):  # type: ignore[misc]
            pass

    assert refused(hide).startswith("Child: 'charge' is a step of its parent, but here it is <function ")


def test_a_method_of_a_parent_may_become_a_step() -> None:
    class Plain(Workflow):
        def charge(self, ctx: Any) -> str:
            return "plain"

    class Child(Plain):
        @step
        def charge(self, ctx: Any) -> str:
            return super().charge(ctx)

    class Grandchild(Child):
        pass

    assert Grandchild.declaration.by_name["charge"].call(Grandchild(), None) == "plain"


def test_a_compensation_that_is_no_function_any_more_is_refused() -> None:
    def lost() -> None:
        class Child(Parent):
            refund = None  # type: ignore[assignment]

    assert refused(lost) == (
        "Child: step 'charge': its compensation 'refund' is a function (self, ctx, result), not None."
    )


def test_an_overriding_compensation_of_other_arity_is_refused() -> None:
    def wrong() -> None:
        class Child(Parent):
            def refund(self, ctx: Any) -> None: ...  # type: ignore[override]

    assert refused(wrong) == (
        "Child: step 'charge': its compensation 'refund' takes (self, ctx, result), "
        "but Child.refund takes (self, ctx)."
    )


def test_an_inherited_compensation_cannot_become_a_step() -> None:
    def confuse() -> None:
        class Child(Parent):
            refund = free()  # type: ignore[assignment]

    assert refused(confuse) == "Child: 'refund' is the compensation of 'charge', so no step."


def test_steps_of_a_class_that_is_no_workflow_are_refused() -> None:
    class Mixin:
        lost = free()

    def lose() -> None:
        class Flow(Mixin, Workflow):
            kept = free()

    said = refused(lose)

    assert said.startswith("Flow inherits the step 'lost' from test_steps_of_a_class_that_is_no_workflow")
    assert said.endswith("Mixin from Workflow.")


def test_a_class_without_steps_is_a_parent_and_says_so_when_asked_for_more() -> None:
    """P11."""

    class Base(Workflow):
        class Meta:
            timeout = 5

        def on_complete(self, run: Any) -> None: ...

    class Flow(Base):
        only = free()

    assert outline_of(Base) is None
    assert Flow.declaration.meta.timeout == 5
    assert refused(lambda: Base.declaration).endswith(
        "Base has no steps, so it can be a parent of workflows but not run: "
        "declare a step in it, or use a subclass that does."
    )
    assert "Workflow has no steps" in refused(lambda: Workflow.declaration)


def test_a_step_object_may_stand_in_two_workflows() -> None:
    written = Step("shared", nothing)

    class One(Workflow):
        shared = written

    class Two(Workflow):
        first = free()
        shared = written

    assert (waits(One), waits(Two)) == ({"shared": ()}, {"first": (), "shared": ("first",)})
