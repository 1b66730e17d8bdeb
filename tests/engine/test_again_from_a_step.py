"""Going on from a step that somebody chooses, and going on now."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from django.contrib.auth.models import User

from flowstate import SYSTEM, ActionDenied, RunConflict
from flowstate.engine.carry.messages import carry_run
from flowstate.engine.operate.again import restart_points
from flowstate.models import Run, StepRun
from flowstate.testing import carry_due
from tests.kiosk import returns
from tests.kiosk.functions import buy
from tests.kiosk.models import Entry
from tests.kiosk.returns import Chain, Keep, WithinLater, diary

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def forget() -> Iterator[None]:
    returns.forget()
    WithinLater.within.clear()
    yield
    returns.forget()
    WithinLater.within.clear()


@pytest.fixture
def kept() -> Run:
    """A run of which pay, book and tell are done and stand, and last has failed."""
    returns.errors["last"] = [OSError("no")]
    run = Keep.run(user=SYSTEM)
    assert run.status == "failed"
    return run


# --- from a step ---------------------------------------------------------------------------------


def test_the_step_and_what_follows_are_done_again_and_the_others_are_taken_over(kept: Run) -> None:
    new = kept.retry(SYSTEM, from_step="tell")

    assert new.success
    assert diary.lines == ["pay", "tell", "last", "tell", "last"]
    assert new.results["pay"] == f"paid under {kept.pk}:pay"
    assert Entry.objects.count() == 1
    tell = new.step_runs.get(name="tell")
    assert tell.key == f"{new.pk}:tell"


def test_the_history_says_who_chose_which_step(kept: Run, user: User) -> None:
    user.is_superuser = True
    user.save()

    new = kept.retry(user, from_step="tell")

    event = new.events.get(kind="retry_requested")
    assert (event.step, event.actor, event.data) == ("tell", user, {"detail": "from step tell on"})


@pytest.mark.parametrize("step", ["pay", "book"])
def test_what_stands_and_could_be_undone_is_not_done_twice(kept: Run, step: str) -> None:
    """I15: nothing would undo its first effect any more."""
    with pytest.raises(RunConflict, match=r"what .*book.* did stands"):
        kept.retry(SYSTEM, from_step=step)

    assert Run.objects.count() == 1
    assert Entry.objects.count() == 1


def test_only_steps_are_offered_from_which_it_makes_a_difference_and_may_be(kept: Run) -> None:
    returns.errors["last"] = [OSError("no")]
    undone = Chain.run(user=SYSTEM)

    assert restart_points(kept) == ["tell"]
    assert restart_points(undone) == ["pay", "book", "tell"]


def test_after_everything_was_undone_an_effect_without_undo_is_repeated_only_if_asked(kept: Run) -> None:
    returns.errors["last"] = [OSError("no"), OSError("no")]
    plain, asked = Chain.run(user=SYSTEM), Chain.run(user=SYSTEM)
    diary.lines.clear()

    plain.retry(SYSTEM)
    without = list(diary.lines)
    diary.lines.clear()
    asked.retry(SYSTEM, from_step="book")

    assert without == ["pay", "last"]
    assert diary.lines == ["pay", "tell", "last"]


def test_a_step_that_is_not_there_is_refused(kept: Run) -> None:
    with pytest.raises(RunConflict, match="has no step 'nothing': it has pay, book, tell, last"):
        kept.retry(SYSTEM, from_step="nothing")


def test_of_a_function_nobody_knows_what_follows_from_a_step() -> None:
    returns.errors["ship"] = [OSError("no")]
    run = buy.run(user=SYSTEM)

    with pytest.raises(RunConflict, match="only the function knows"):
        run.retry(SYSTEM, from_step="pack")

    assert restart_points(run) == []


def test_a_run_in_attention_is_first_settled(caplog: pytest.LogCaptureFixture) -> None:
    returns.errors |= {"last": [OSError("no")], "refund": [OSError("stuck")] * 3}
    run = Chain.run(user=SYSTEM)
    assert run.status == "attention"

    with pytest.raises(RunConflict, match="cannot be retried"):
        run.retry(SYSTEM, from_step="tell")


# --- now -----------------------------------------------------------------------------------------


def fail_once() -> Run:
    """Return a run whose second step waits half a minute for its next attempt."""

    def fail(_ctx: object) -> None:
        raise OSError("busy")

    WithinLater.within.append(fail)
    return WithinLater.run(user=SYSTEM)


def test_an_attempt_that_waits_for_its_moment_begins_now(user: User) -> None:
    run = fail_once().refresh()
    assert run.waiting_for == "time"
    carry_due()
    assert run.refresh().status == "running"

    run.resume(user)

    assert carry_run(str(run.pk), queue="flowstate") == "succeeded"
    event = Run.objects.get(pk=run.pk).events.get(kind="retry_requested")
    assert (event.actor, event.data["detail"]) == (user, "now, not at its time")


def test_what_ended_cannot_be_resumed(kept: Run) -> None:
    with pytest.raises(RunConflict, match="cannot be resumed: it is failed"):
        kept.resume(SYSTEM)


def test_nobody_resumes_nothing() -> None:
    run = fail_once()

    with pytest.raises(ActionDenied, match="pass user="):
        run.resume(None)

    assert StepRun.objects.get(run=run, name="two").status == "ready"
