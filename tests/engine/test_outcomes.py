"""How a run tells what became of it: status, error, duration, timeline, from async code too."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from asgiref.sync import async_to_sync

from django.contrib.auth.models import User

from flowstate import (
    SYSTEM,
    Context,
    Retry,
    Step,
    StepError,
    StepFailed,
    Workflow,
    step,
)
from flowstate.models import Run, StepRun
from tests.kiosk import returns
from tests.kiosk.diary import Diary
from tests.kiosk.models import Entry, Sale
from tests.kiosk.stall import OnSale
from tests.kiosk.workflows import Bank, CardDeclined

pytestmark = pytest.mark.django_db(transaction=True)


# --- raise_for_status ----------------------------------------------------------------------------


def test_nothing_is_raised_while_a_run_goes_on_or_ended_well(sale: Sale, user: User, bank: Bank) -> None:
    sale.actions.touch.run(user=user).raise_for_status()
    sale.actions.carry.run(user=user).raise_for_status()


def test_the_steps_own_error_is_rebuilt_from_the_journal(diary: Diary) -> None:
    error = CardDeclined("Ask your bank.", code="ask_bank")
    Workflow.from_steps("declined", [diary.step("a", errors=[error])]).run(user=SYSTEM)

    with pytest.raises(CardDeclined) as caught:
        Run.objects.get().raise_for_status()

    assert caught.value is not error
    assert (caught.value.detail, caught.value.code) == ("Ask your bank.", "ask_bank")
    assert Run.objects.get().error == {
        "code": "ask_bank",
        "detail": "Ask your bank.",
        "step": "a",
        "class": "tests.kiosk.workflows.CardDeclined",
        "status": 402,
    }


class NeedsTwo(StepError):
    def __init__(self, one: int, two: int, three: int) -> None:
        super().__init__(f"{one}{two}{three}")


def test_an_error_that_cannot_be_rebuilt_is_named(diary: Diary) -> None:
    run = Workflow.from_steps("two", [diary.step("a", errors=[NeedsTwo(1, 2, 3)])]).run(user=SYSTEM)

    with pytest.raises(StepFailed, match="NeedsTwo: 123"):
        run.raise_for_status()


def test_an_error_whose_class_is_gone_is_named(diary: Diary) -> None:
    run = Workflow.from_steps("gone", [diary.step("a", errors=[CardDeclined()])]).run(user=SYSTEM)
    Run.objects.update(error={**(run.error or {}), "class": "os.system"})

    with pytest.raises(StepFailed, match="system: The card was declined"):
        run.refresh().raise_for_status()


def test_the_action_may_map_errors_of_others(user: User, on_sale: OnSale, diary: Diary) -> None:
    """P42."""
    errors: list[BaseException] = [FileNotFoundError("no file")]
    action = on_sale(
        Workflow.from_steps("mapped", [diary.step("a", errors=errors)]), errors={FileNotFoundError: 502}
    )

    run = action.run(user=user)

    assert run.error is not None
    assert (run.error["code"], run.error["status"]) == ("file_not_found_error", 502)


# --- the story -----------------------------------------------------------------------------------


def test_the_timeline_tells_everything_in_order(user: User) -> None:
    """I27."""
    returns.forget()
    returns.errors |= {"last": [OSError("no power")], "refund": [OSError("stuck")] * 3}
    run = returns.Chain.run(user=SYSTEM)
    run.retry(user)
    returns.forget()

    story = [(entry.what, entry.step, entry.attempt, entry.who) for entry in run.refresh().timeline()]

    assert story == [
        ("started", "", None, "system"),
        ("done", "pay", 1, ""),
        ("done", "book", 1, ""),
        ("done", "tell", 1, ""),
        ("failed", "last", 1, ""),
        ("compensation done", "book", None, ""),
        ("compensation_attempt_failed", "pay", 1, ""),
        ("compensation_attempt_failed", "pay", 2, ""),
        ("compensation_attempt_failed", "pay", 3, ""),
        ("retry_requested", "", None, "ada"),
        ("compensation done", "pay", None, ""),
        ("compensated", "", None, ""),
    ]
    assert [entry.at for entry in run.timeline()] == sorted(entry.at for entry in run.timeline())


def test_the_timeline_shows_every_attempt_and_its_reason(diary: Diary) -> None:
    steps = [
        diary.step("a", errors=[OSError("first")], retry=Retry(2, delay=0)),
        diary.step("b", when=False, reason="not today"),
    ]

    run = Workflow.from_steps("attempts", steps).run(user=SYSTEM)

    assert [(entry.what, entry.step, entry.attempt, entry.detail) for entry in run.timeline()][1:-1] == [
        ("attempt_failed", "a", 1, "first"),
        ("done", "a", 2, ""),
        ("skipped", "b", None, "when is false: not today"),
    ]


def test_a_run_knows_how_long_it_took(sale: Sale, user: User, bank: Bank) -> None:
    ended = sale.actions.touch.run(user=user)
    waiting = sale.actions.carry.run(user=user)

    assert ended.duration is not None
    assert 0 <= ended.duration < 60
    assert waiting.duration is None
    assert all(row.duration is not None and row.duration >= 0 for row in ended.steps)


def test_wait_gives_up_after_its_time(sale: Sale, user: User) -> None:
    run = sale.actions.carry.run(user=user)

    with pytest.raises(TimeoutError, match=f"Run {run.pk} is still running after 0.01 seconds"):
        run.wait(0.01, interval=0.001)
    assert run.cancel(user).wait(0.01).status == "cancelled"


def test_a_run_is_found_by_its_row(sale: Sale, user: User, bank: Bank) -> None:
    first, second = sale.actions.touch.run(user=user), sale.actions.settle.run(user=user)
    Sale.objects.create(owner=user, product=sale.product).actions.touch.run(user=user)

    assert list(Run.objects.for_entity(sale)) == [second, first]
    assert first.entity == sale
    assert first.label == "touch"
    assert str(first) == f"touch {first.pk}"
    assert first.metadata["action"] == "kiosk.sale.touch"


# --- asynchronous --------------------------------------------------------------------------------


class Asynchronous(Workflow):
    undone: list[Any] = []

    @step
    async def fetch(self, ctx: Context[Any]) -> str:
        await asyncio.sleep(0)
        return ctx.idempotency_key

    @fetch.compensate
    async def unfetch(self, ctx: Context[Any], result: str | None) -> None:
        await asyncio.sleep(0)
        self.undone.append(result)

    @step
    async def fail(self, ctx: Context[Any]) -> None:
        await asyncio.sleep(0)
        raise OSError("no")


def test_async_steps_and_compensations_run_to_their_end() -> None:
    Asynchronous.undone.clear()

    run = Asynchronous.run(user=SYSTEM)

    assert run.status == "compensated"
    assert run.results["fetch"] == f"{run.pk}:fetch"
    assert Asynchronous.undone == [f"{run.pk}:fetch"]


def test_async_code_starts_and_cancels_runs(sale: Sale, user: User, bank: Bank) -> None:
    async def work() -> tuple[Run, Run, Run]:
        done = await sale.actions.touch.arun(user=user)
        waiting = await sale.actions.carry.aenqueue(user=user)
        await waiting.acancel(user, "no")
        return done, await waiting.arefresh(), await Asynchronous.arun(user=SYSTEM)

    done, cancelled, failed = async_to_sync(work)()

    assert done.success
    assert cancelled.status == "cancelled"
    assert failed.status == "compensated"


def test_async_code_retries_and_enqueues_workflows() -> None:
    async def work() -> tuple[Run, Run]:
        failed = await Asynchronous.arun(user=SYSTEM)
        return await failed.aretry(SYSTEM), await Asynchronous.aenqueue(user=SYSTEM)

    retried, waiting = async_to_sync(work)()

    assert retried.retry_of is not None
    assert waiting.status == "running"


def test_an_async_condition_and_values_are_awaited_too(sale: Sale, user: User, on_sale: OnSale) -> None:
    async def never(ctx: Any) -> bool:
        await asyncio.sleep(0)
        return False

    workflow = Workflow.from_steps(
        "awaited", [Step("a", lambda ctx: 1), Step("b", lambda ctx: 2, when=never)]
    )

    assert on_sale(workflow).run(user=user).value == 1


# --- claims --------------------------------------------------------------------------------------


@pytest.mark.parametrize("transactional", [False, True])
@pytest.mark.parametrize("last", [False, True])
def test_a_worker_that_lost_its_claim_changes_nothing(diary: Diary, transactional: bool, last: bool) -> None:
    """I2: its own rows included."""

    def lose(ctx: Any) -> str:
        Entry.objects.create(what="late")
        if not transactional:
            Entry.objects.all().delete()
        StepRun.objects.filter(name="lose").update(attempt=7)
        return "late"

    steps = [diary.step("first"), Step("lose", lose, transactional=transactional)]
    steps += [] if last else [diary.step("after")]

    run = Workflow.from_steps("lost", steps).run(user=SYSTEM)

    stored = Run.objects.get()
    row = StepRun.objects.get(name="lose")
    assert (run.status, stored.status) == ("running", "running")
    assert row.status == "running"
    assert row.result is None
    assert diary.lines == ["first"]
    assert not Entry.objects.exists()
