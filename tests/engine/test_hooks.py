"""Hooks and the signal: what they are told, when, and that they have no say in the outcome."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from django.db import transaction

from flowstate import SYSTEM, Retry, StartRefused, Step, StepError, Workflow, WorkflowBuilder
from flowstate.models import Run
from flowstate.signals import run_event
from tests.kiosk.diary import Diary
from tests.kiosk.models import Entry

pytestmark = pytest.mark.django_db(transaction=True)

Told = list[tuple[Any, ...]]


class Recording(Workflow):
    """Notes every hook."""

    told: Told

    def on_start(self, ctx: Any) -> None:
        self.told.append(("start", ctx.metadata["run_id"]))

    def on_step_complete(self, ctx: Any, step: str, result: Any) -> None:
        self.told.append(("complete", step, result))

    def on_step_failed(self, ctx: Any, step: str, error: BaseException) -> None:
        self.told.append(("failed", step, type(error).__name__))

    def on_compensate(self, ctx: Any, step: str) -> None:
        self.told.append(("undone", step))

    def on_complete(self, run: Run) -> None:
        self.told.append(("completed", run.status))

    def on_failed(self, run: Run) -> None:
        self.told.append(("run failed", run.status))


def recorded(*steps: Step[Any], **meta: Any) -> tuple[type[Workflow], Told]:
    workflow = Recording.from_steps("recorded", list(steps), **meta)
    workflow.told = []
    return workflow, workflow.told


@pytest.mark.parametrize("atomic", [False, True])
def test_hooks_are_called_once_per_completed_step_with_name_and_result(diary: Diary, atomic: bool) -> None:
    """P29."""
    steps = [diary.step("a", 1, transactional=True), diary.step("b", (2,), transactional=True)]
    workflow, told = recorded(*steps, atomic=atomic)

    run = workflow.run(user=SYSTEM)

    assert told == [
        ("start", str(run.pk)),
        ("complete", "a", 1),
        ("complete", "b", [2]),
        ("completed", "succeeded"),
    ]


def test_a_failed_step_is_not_told_as_completed(diary: Diary) -> None:
    """P29."""
    workflow, told = recorded(diary.undoable("a"), diary.step("b", errors=[OSError()]))

    workflow.run(user=SYSTEM)

    assert told[1:] == [
        ("complete", "a", None),
        ("failed", "b", "OSError"),
        ("undone", "a"),
        ("run failed", "compensated"),
    ]


def test_a_failed_atomic_run_tells_of_the_failure_alone(diary: Diary) -> None:
    steps = [diary.step("a", transactional=True), diary.step("b", errors=[OSError()], transactional=True)]
    workflow, told = recorded(*steps, atomic=True)

    workflow.run(user=SYSTEM)

    assert told[1:] == [("failed", "b", "OSError"), ("run failed", "failed")]


def test_a_skipped_step_is_not_told_as_completed(diary: Diary) -> None:
    workflow, told = recorded(diary.step("a", when=False), diary.step("b"))

    workflow.run(user=SYSTEM)

    assert ("complete", "a", None) not in told


def test_a_step_that_is_tried_again_is_told_once(diary: Diary) -> None:
    workflow, told = recorded(diary.step("a", 1, errors=[OSError()], retry=Retry(2, delay=0)))

    workflow.run(user=SYSTEM)

    assert told[1:] == [("complete", "a", 1), ("completed", "succeeded")]


@pytest.mark.parametrize(
    "hook", ["on_start", "on_step_complete", "on_step_failed", "on_compensate", "on_complete", "on_failed"]
)
def test_a_hook_that_raises_is_logged_and_changes_nothing(
    diary: Diary, caplog: pytest.LogCaptureFixture, hook: str
) -> None:
    def broken(*_told: Any) -> None:
        raise ZeroDivisionError

    fine = Workflow.from_steps("fine", [diary.step("x")])
    builder = WorkflowBuilder("hooked").hooks(**{hook: broken})
    fails = builder.step(diary.undoable("a")).step(diary.step("b", errors=[OSError()])).build()
    succeeds = builder.step(diary.step("c")).build()

    with caplog.at_level(logging.ERROR, "flowstate.hooks"):
        failed, succeeded = fails.run(user=SYSTEM), succeeds.run(user=SYSTEM)

    assert fine.run(user=SYSTEM).success
    assert failed.status == "compensated"
    assert succeeded.status == "succeeded"
    assert caplog.records
    assert all(hook in record.getMessage() for record in caplog.records)


def test_a_hook_sees_what_is_committed(diary: Diary) -> None:
    seen: list[Any] = []

    def look(ctx: Any, step: str, result: Any) -> None:
        assert not transaction.get_connection().in_atomic_block
        seen.append(Run.objects.get().step_runs.get(name=step).status)

    builder = WorkflowBuilder("looking").hooks(on_step_complete=look)
    builder.step(diary.step("a", transactional=True)).step(diary.step("b")).build().run(user=SYSTEM)

    assert seen == ["done", "done"]


def test_a_database_error_in_a_hook_spoils_nothing(diary: Diary) -> None:
    def broken(ctx: Any, step: str, result: Any) -> None:
        Entry.objects.create(pk=1, what="first")
        Entry.objects.create(pk=1, what="again")

    builder = WorkflowBuilder("spoiling").hooks(on_step_complete=broken)

    run = builder.step(diary.step("a", transactional=True)).step(diary.step("b")).build().run(user=SYSTEM)

    assert run.success
    assert Run.objects.get().status == "succeeded"


# --- refusing a start ----------------------------------------------------------------------------


@pytest.mark.parametrize("answer", [False, None, 0])
def test_should_run_refuses_a_start(diary: Diary, answer: Any) -> None:
    workflow = WorkflowBuilder("unwanted").hooks(should_run=lambda ctx: answer).step(diary.step("a")).build()

    with pytest.raises(StartRefused, match="its should_run said no") as caught:
        workflow.run(user=SYSTEM)

    assert caught.value.status_code == 409
    assert diary.lines == []
    assert not Run.objects.exists()


@pytest.mark.parametrize("hook", ["should_run", "before_start"])
def test_a_hook_before_the_start_that_raises_refuses_it(diary: Diary, hook: str) -> None:
    def broken(ctx: Any) -> None:
        raise ValueError("closed on Sundays")

    workflow = WorkflowBuilder("closed").hooks(**{hook: broken}).step(diary.step("a")).build()

    with pytest.raises(StartRefused, match="did not start: closed on Sundays"):
        workflow.run(user=SYSTEM)

    assert not Run.objects.exists()


def test_before_start_may_refuse_with_an_error_of_its_own(diary: Diary) -> None:
    class ShopClosed(StepError):
        status_code = 423

    def refuse(ctx: Any) -> None:
        raise ShopClosed

    workflow = WorkflowBuilder("shut").hooks(before_start=refuse).step(diary.step("a")).build()

    with pytest.raises(ShopClosed):
        workflow.run(user=SYSTEM)

    assert not Run.objects.exists()


# --- the value -----------------------------------------------------------------------------------


@pytest.mark.parametrize("atomic", [False, True])
def test_output_gives_the_value(diary: Diary, atomic: bool) -> None:
    def output(ctx: Any) -> Any:
        return {"sum": ctx.results["a"] + ctx.results["b"], "data": ctx.data}

    builder = WorkflowBuilder("summed").hooks(output=output).data(x=1)
    builder = builder.atomic() if atomic else builder
    steps = [diary.step("a", 1, transactional=True), diary.step("b", 2, transactional=True)]

    run = builder.step(steps[0]).step(steps[1]).build().run(user=SYSTEM)

    assert run.value == {"sum": 3, "data": {"x": 1}}


@pytest.mark.parametrize("atomic", [False, True])
def test_an_output_that_raises_leaves_the_steps_done_and_says_so_in_the_history(
    diary: Diary, caplog: pytest.LogCaptureFixture, atomic: bool
) -> None:
    def output(ctx: Any) -> Any:
        raise LookupError("no output")

    builder = WorkflowBuilder("mute").hooks(output=output)
    builder = builder.atomic() if atomic else builder

    run = builder.step(diary.step("a", transactional=True)).build().run(user=SYSTEM)

    assert run.success
    assert run.value is None
    assert [(event.kind, event.data) for event in run.events.all()] == [
        ("output_failed", {"detail": "LookupError: no output"})
    ]
    assert "output() of mute failed" in caplog.text


def test_an_output_with_a_database_error_leaves_the_run_succeeded(diary: Diary) -> None:
    def output(ctx: Any) -> Any:
        Entry.objects.create(pk=1, what="first")
        Entry.objects.create(pk=1, what="again")

    run = WorkflowBuilder("spoilt").hooks(output=output).step(diary.step("a")).build().run(user=SYSTEM)

    assert Run.objects.get().status == "succeeded"
    assert run.value is None
    assert not Entry.objects.exists()


def test_an_output_that_cannot_be_journaled_is_no_value(diary: Diary) -> None:
    run = (
        WorkflowBuilder("odd").hooks(output=lambda ctx: {1, 2}).step(diary.step("a")).build().run(user=SYSTEM)
    )

    assert run.success
    assert run.value is None


# --- the signal ----------------------------------------------------------------------------------


@pytest.mark.parametrize("transactional", [False, True])
def test_the_signal_tells_the_story_of_a_run(
    diary: Diary, signals: list[dict[str, Any]], transactional: bool
) -> None:
    steps = [
        diary.undoable("a", transactional=transactional),
        diary.step("b", errors=[OSError()], transactional=transactional),
    ]

    run = Workflow.from_steps("told", steps).run(user=SYSTEM)

    assert {told["run_id"] for told in signals} == {str(run.pk)}
    assert [(told["kind"], told["step"]) for told in signals] == [
        ("started", ""),
        ("step_done", "a"),
        ("step_failed", "b"),
        ("step_undone", "a"),
        ("ended", ""),
    ]
    assert signals[-1]["status"] == "compensated"


@pytest.mark.parametrize("atomic", [False, True])
@pytest.mark.parametrize("transactional", [False, True])
def test_whoever_hears_the_signal_finds_the_run_committed(
    diary: Diary, atomic: bool, transactional: bool
) -> None:
    """I14."""
    found: dict[str, Any] = {}

    def receive(run_id: str, kind: str, **_told: Any) -> None:
        outside = not transaction.get_connection().in_atomic_block
        found[kind] = outside and Run.objects.filter(pk=run_id).exists()

    steps = [diary.step("a", transactional=transactional), diary.step("b", transactional=transactional)]
    run_event.connect(receive)
    try:
        Workflow.from_steps("heard", steps, atomic=atomic).run(user=SYSTEM)
    finally:
        run_event.disconnect(receive)

    assert found == {"started": True, "step_done": True, "ended": True}


def test_a_run_that_joined_a_transaction_is_told_of_after_its_commit(
    diary: Diary, signals: list[dict[str, Any]]
) -> None:
    workflow = Workflow.from_steps("joined", [diary.step("a", transactional=True)])

    with transaction.atomic():
        workflow.run(user=SYSTEM)
        assert signals == []

    assert [told["kind"] for told in signals] == ["started", "step_done", "ended"]


def test_a_run_that_was_rolled_back_with_its_transaction_is_not_told_of(
    diary: Diary, signals: list[dict[str, Any]]
) -> None:
    workflow = Workflow.from_steps("vanished", [diary.step("a", transactional=True)])

    with transaction.atomic():
        workflow.run(user=SYSTEM)
        transaction.set_rollback(True)

    assert signals == []
    assert not Run.objects.exists()


def test_a_receiver_that_raises_is_logged_and_changes_nothing(
    diary: Diary, caplog: pytest.LogCaptureFixture
) -> None:
    def receive(**_told: Any) -> None:
        raise ZeroDivisionError

    run_event.connect(receive)
    try:
        run = Workflow.from_steps("deaf", [diary.step("a")]).run(user=SYSTEM)
    finally:
        run_event.disconnect(receive)

    assert run.success
    assert "of run_event failed" in caplog.text


def test_what_needs_a_person_is_logged_once_as_an_error(
    diary: Diary, caplog: pytest.LogCaptureFixture
) -> None:
    steps = [
        diary.undoable("a", undo_errors=[OSError()] * 3),
        diary.undoable("b", undo_errors=[OSError()] * 3),
        diary.step("c", errors=[OSError()]),
    ]

    run = Workflow.from_steps("alarm", steps).run(user=SYSTEM)

    alarms = [record for record in caplog.records if record.name == "flowstate.attention"]
    assert [record.levelname for record in alarms] == ["ERROR"]
    assert str(run.pk) in alarms[0].getMessage()


def test_a_refused_start_takes_back_what_its_hook_wrote() -> None:
    class Refusing(Workflow):
        a = Step("a", lambda ctx: None)

        def before_start(self, ctx: Any) -> None:
            Entry.objects.create(what="written")
            raise ValueError("not today")

    with pytest.raises(StartRefused, match="not today"):
        Refusing.run(user=SYSTEM)

    assert not Entry.objects.exists()
    assert not Run.objects.exists()


def test_an_output_that_asks_its_parent_gets_the_usual_value() -> None:
    class Shaped(Workflow):
        a = Step("a", lambda ctx: 7)
        b = Step("b", lambda ctx: 1, when=False, default=2)

        def output(self, ctx: Any) -> Any:
            return {"value": super().output(ctx)}

    assert Shaped.run(user=SYSTEM).value == {"value": 7}
