"""What a journal is asked for: one scene for each hot way through it, the same beside however many runs."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from typing import Any
from unittest.mock import patch

from django.contrib.auth.models import Group, User

from flowstate import (
    SYSTEM,
    AlreadyRunning,
    ApprovalStep,
    CreateStep,
    DelayStep,
    EventStep,
    Step,
    StepError,
    Workflow,
    WorkflowStep,
    deliver_event,
    in_group,
)
from flowstate.engine.approvals.inbox import inbox_of
from flowstate.engine.carry import messages
from flowstate.engine.carry.messages import carry_run, carry_step, drain
from flowstate.engine.carry.recover import end_leases_of_the_gone
from flowstate.engine.carry.sweep import Patience, sweep
from flowstate.engine.events import sweep_inbox
from flowstate.models import Run, StepRun
from flowstate.models.clock import shift_clock
from tests.engine.test_counts import Exclusive, Single, Writes
from tests.growth.plans import Plan, watched
from tests.kiosk.models import Product, Sale
from tests.kiosk.workflows import Fork

QUEUE = "flowstate"


class Refused(StepError):
    default_detail = "The last step says no."


def refuse(ctx: Any) -> None:
    raise Refused


class Doomed(Single):
    """Writes three rows and has them deleted again."""

    last = Step("last", refuse)


class Alone(Single):
    """One at a time."""

    class Meta:
        exclusive = "action"


class Hours(Single):
    """Must end within an hour."""

    class Meta:
        exclusive = None
        timeout = timedelta(hours=1)


def drained() -> int:
    """Carry what is due, as a worker that was woken."""
    return drain(QUEUE, wake_next=lambda: None, stopping=lambda: False)


class Paused(Workflow):
    """Waits for an hour between two rows."""

    class Meta:
        exclusive = None

    one = CreateStep("kiosk.Entry", values={"what": "one"})
    pause = DelayStep(timedelta(hours=1))
    two = CreateStep("kiosk.Entry", values={"what": "two"})


class Answered(Workflow):
    """Waits for an event, for a year."""

    class Meta:
        exclusive = None

    answer = EventStep("answer", key="k", timeout=timedelta(days=365))
    last = CreateStep("kiosk.Entry", values={"what": "last"})


class Decided(Workflow):
    """Asks a group of people, for a year."""

    class Meta:
        exclusive = None

    review = ApprovalStep(approvers=in_group("deciders"), expires=timedelta(days=365))
    last = CreateStep("kiosk.Entry", values={"what": "last"})


class Parent(Workflow):
    """Leaves three rows to a child."""

    class Meta:
        exclusive = None

    child = WorkflowStep(Single)
    last = CreateStep("kiosk.Entry", values={"what": "last"})


class DoomedParent(Parent):
    """Has its child undone."""

    fail = Step("fail", refuse)


class Stage:
    """The rows that the scenes work on: a user who asked for one run in many, and a sale with a few runs."""

    def __init__(self, using: str = "default") -> None:
        self.using = using
        self.user = User.objects.create_user("ada")
        self.stranger = User.objects.create_user("eve")
        self.decider = User.objects.create_user("dan")
        self.decider.groups.add(Group.objects.create(name="deciders"))
        product = Product.objects.create(name="tea", stock=1_000_000)
        self.sale = Sale.objects.create(owner=self.user, product=product, quantity=1)

    # --- starting --------------------------------------------------------------------------------

    def enqueue(self) -> None:
        Single.enqueue(user=SYSTEM)

    def enqueue_under_a_key(self) -> None:
        Single.enqueue(user=SYSTEM, idempotency_key="k")

    def enqueue_a_known_key(self) -> None:
        Single.enqueue(user=SYSTEM, idempotency_key="k")

    def start_an_exclusive_run(self) -> None:
        Alone.enqueue(user=SYSTEM)

    def start_a_second_exclusive_run(self) -> None:
        with suppress(AlreadyRunning):
            Alone.enqueue(user=SYSTEM)

    def run_inline(self) -> None:
        Single.run(user=SYSTEM)

    def run_in_one_transaction(self) -> None:
        Writes.run(user=SYSTEM)
        Exclusive.run(user=SYSTEM, idempotency_key="w")

    def act_on_a_row(self) -> None:
        self.sale.actions.touch.run(user=self.user)
        self.sale.actions.settle.run(user=self.user)
        self.sale.actions.carry.enqueue(user=self.user)

    # --- carrying --------------------------------------------------------------------------------

    def drain(self) -> None:
        assert drained()

    def work_off_a_queue(self) -> None:
        for _run in range(30):
            Single.enqueue(user=SYSTEM)
        assert drained() == 30

    def drain_what_is_empty(self) -> None:
        assert not drained()

    def carry_one_run(self) -> None:
        run = Hours.enqueue(user=SYSTEM)
        assert carry_run(str(run.pk), queue=QUEUE) == "succeeded"

    def carry_branches_to_their_join(self) -> None:
        run = Fork.enqueue(user=SYSTEM)
        assert carry_run(str(run.pk), queue=QUEUE) == "succeeded"

    def carry_one_step(self) -> None:
        run = Single.enqueue(user=SYSTEM)
        step = run.step_runs.get(name="one")
        assert carry_step(step.pk, queue=QUEUE) == "done"
        assert carry_step(step.pk, queue=QUEUE) == ""
        assert carry_run(str(run.pk), queue=QUEUE) == ""

    def undo(self) -> None:
        run = Doomed.enqueue(user=SYSTEM)
        assert carry_run(str(run.pk), queue=QUEUE) == "compensated"

    def cancel_and_retry(self) -> None:
        run = Single.enqueue(user=SYSTEM)
        run.cancel(SYSTEM)
        drained()
        again = run.refresh().retry(SYSTEM)
        drained()
        assert again.refresh().success

    # --- looking after -----------------------------------------------------------------------------

    def sweep_what_is_idle(self) -> None:
        assert sweep() == 0
        assert sweep(order="newest") == 0
        assert sweep(order="random") == 0

    def sweep_a_run_that_nobody_took(self) -> None:
        run = Single.enqueue(user=SYSTEM)
        assert sweep() == 1
        assert carry_run(str(run.pk), queue=QUEUE) == "succeeded"

    def sweep_past_a_queue(self) -> None:
        for _run in range(3):
            Single.enqueue(user=SYSTEM)
        assert sweep(limit=2, patience=Patience()) == 2
        assert drained() == 3

    def sweep_a_lost_claim(self) -> None:
        run = Single.enqueue(user=SYSTEM)
        row = run.step_runs.get(name="one")
        assert StepRun.objects.claim_due(row.pk, attempt=row.attempt, lease=1)
        shift_clock(2)
        assert sweep() == 1
        assert carry_run(str(run.pk), queue=QUEUE) == "succeeded"
        shift_clock(-2)

    def wait_for_a_time(self) -> None:
        run = Paused.run(user=SYSTEM)
        assert sweep() == 0
        shift_clock(3601)
        assert sweep() == 1
        assert carry_run(str(run.pk), queue=QUEUE) == "succeeded"
        shift_clock(-3601)

    def wait_for_an_event(self) -> None:
        run = Answered.run(user=SYSTEM)
        assert sweep() == 0
        deliver_event("answer", "k", event_id="first")
        assert carry_run(str(run.pk), queue=QUEUE) == "succeeded"

    def take_an_event_of_before(self) -> None:
        deliver_event("answer", "k")
        assert Answered.run(user=SYSTEM).success

    def look_into_the_inbox(self) -> None:
        assert sweep_inbox() == 0

    def ask_and_decide(self) -> None:
        run = Decided.run(user=SYSTEM)
        assert sweep() == 0
        [asked] = inbox_of(self.decider).approvals
        asked.approve(self.decider)
        assert carry_run(str(run.pk), queue=QUEUE) == "succeeded"

    def find_nothing_to_decide(self) -> None:
        assert inbox_of(self.stranger).approvals == []

    def cancel_what_waits(self) -> None:
        Answered.run(user=SYSTEM).cancel(SYSTEM)
        Decided.run(user=SYSTEM).cancel(SYSTEM)

    def carry_a_child(self) -> None:
        run = Parent.run(user=SYSTEM)
        child = run.step_runs.get(name="child").child_id
        assert carry_run(str(child), queue=QUEUE) == "succeeded"
        assert carry_run(str(run.pk), queue=QUEUE) == "succeeded"

    def undo_a_child(self) -> None:
        run = DoomedParent.run(user=SYSTEM)
        row = run.step_runs.get(name="child")
        carry_run(str(row.child_id), queue=QUEUE)
        carry_run(str(run.pk), queue=QUEUE)
        row.refresh_from_db()
        assert carry_run(str(row.undone_by_id), queue=QUEUE) == "cancelled"
        assert carry_run(str(run.pk), queue=QUEUE) == "compensated"

    def cancel_a_family(self) -> None:
        run = Parent.run(user=SYSTEM)
        run.cancel(SYSTEM)
        child = run.step_runs.get(name="child").child_id
        assert carry_run(str(child), queue=QUEUE) == "cancelled"
        assert carry_run(str(run.pk), queue=QUEUE) == "cancelled"

    def end_leases_of_the_gone(self) -> None:
        end_leases_of_the_gone(self.using)

    # --- asking ------------------------------------------------------------------------------------

    def runs_of_one_row(self) -> None:
        list(Run.objects.for_entity(self.sale).with_steps()[:25])

    def runs_that_one_user_may_see(self) -> None:
        list(Run.objects.visible_to(self.user).order_by("-pk")[:25])

    def runs_that_a_stranger_may_see(self) -> None:
        list(Run.objects.visible_to(self.stranger).order_by("-pk")[:25])

    def the_newest_runs(self) -> None:
        list(Run.objects.with_steps().order_by("-pk")[:100])

    def one_run(self) -> None:
        newest = Run.objects.latest("pk")
        newest.refresh().timeline()


def scenes() -> list[str]:
    """Return the names of the scenes, in the order in which they are played."""
    return [name for name, what in vars(Stage).items() if callable(what) and not name.startswith("_")]


def look_for_work() -> list[Plan]:
    """Return the plans of what a drain asks before it takes a run up, and of a sweep."""
    with watched() as watch:
        assert StepRun.objects.of_next_run([QUEUE, ""])
        assert len(StepRun.objects.due_runs([QUEUE, ""], limit=2)) == 2
        assert list(Run.objects.due_in_order("oldest").values_list("pk", flat=True)[:100])
    return watch.plans


def play(stage: Stage) -> dict[str, list[Plan]]:
    """Play every scene; return the plans of its statements."""
    seen: dict[str, list[Plan]] = {}
    for name in scenes():
        scene: Callable[[], None] = getattr(stage, name)
        # Explaining each statement takes its time, which no slice of a drain foresees.
        with patch.object(messages, "SLICE", 3600.0), watched(stage.using) as watch:
            scene()
        seen[name] = watch.plans
    return seen
