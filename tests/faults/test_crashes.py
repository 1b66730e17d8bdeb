"""Crash enumeration: a child dies before and after its k-th statement and COMMIT, k = 1..N; then all recovers.

Oracle: `flowstate_fsck` finds nothing, each run has the end it would have had, its rows are those of that
end, and the ledger outside has one effect per key, standing or undone as the rows say. I1, I2, I3, I5, I8,
I9, I11, I12, I14, I15, I17, I20, I28; matrix rows 5, 6, 7 and 45.
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import pytest

from django.contrib.auth.models import User
from django.db import connection

from flowstate import SYSTEM, Workflow, deliver_event
from flowstate.engine.carry.messages import carry_run
from flowstate.engine.carry.sweep import sweep
from flowstate.models import Approval, ApprovalAudience, Event, Run
from flowstate.models.clock import FAR_FUTURE, shift_clock
from tests.faults import asking, journeys, post
from tests.faults.afterwards import QUANTITY, STOCK, broken, complaints, recover_all
from tests.faults.journeys import (
    Answered,
    Approved,
    Diamond,
    Doomed,
    DoomedDiamond,
    DoomedFamily,
    DoomedInOne,
    Family,
    HeldFamily,
    InOne,
    Journey,
    Patient,
    action_on,
)
from tests.faults.plug import Plug, in_child, killed
from tests.kiosk.models import Product, Sale

pytestmark = pytest.mark.django_db(transaction=True)

SAMPLE = 15
"""Points beside the COMMITs on a server; FLOWSTATE_FAULTS=all takes every point."""


class Abandoned(BaseException):
    """The process is gone as far as the engine can see: nothing it would still write is written."""


def abandon() -> None:
    raise Abandoned


def enqueue(sale: Sale, workflow: type[Workflow]) -> Run:
    """Start a run as a client does that tries again under its key until it has an answer."""
    return action_on(sale, workflow).enqueue(user=SYSTEM, idempotency_key=f"sale {sale.pk}")


def start_and_carry(sale: Sale, workflow: type[Workflow], plug: Plug) -> None:
    """Die while the run is started and worked on."""
    plug.arm()
    carry_run(str(enqueue(sale, workflow).pk), queue="flowstate")


def run_inline(sale: Sale, workflow: type[Workflow], plug: Plug) -> None:
    """Die while the run is started and worked on in the caller's process."""
    plug.arm()
    action_on(sale, workflow).run(user=SYSTEM, idempotency_key=f"sale {sale.pk}")


def undo(sale: Sale, workflow: type[Workflow], plug: Plug) -> None:
    """Die after the last step has failed: while that is recorded and all is undone."""
    journeys.FAILING.append(plug.arm)
    carry_run(str(enqueue(sale, workflow).pk), queue="flowstate")


def carry_side_by_side(sale: Sale, workflow: type[Workflow], plug: Plug) -> None:
    """Die while two workers are each at a branch, and while the second to end goes on with the join."""
    journeys.INTERRUPTS.append(deliver)
    plug.arm()
    carry_run(str(enqueue(sale, workflow).pk), queue="flowstate")
    post.deliver()


def undo_side_by_side(sale: Sale, workflow: type[Workflow], plug: Plug) -> None:
    """Die after the last step has failed: while two workers each undo a branch."""
    journeys.FAILING.append(plug.arm)
    journeys.UNDOING.append(deliver)
    carry_run(str(enqueue(sale, workflow).pk), queue="flowstate")
    post.deliver()


def deliver() -> None:
    post.deliver()


def take_over(sale: Sale, workflow: type[Workflow], plug: Plug) -> None:
    """Die while another process sweeps and takes over what one had abandoned in the middle of a call."""
    journeys.INTERRUPTS.append(abandon)
    run = enqueue(sale, workflow)
    with pytest.raises(Abandoned):
        carry_run(str(run.pk), queue="flowstate")
    connection.close()
    shift_clock(1000)
    plug.arm()
    sweep()
    post.deliver()


def wait(sale: Sale, workflow: type[Workflow], plug: Plug) -> None:
    """Die while a wait begins, while it is swept when its time has come, and while its run goes on."""
    plug.arm()
    carry_run(str(enqueue(sale, workflow).pk), queue="flowstate")
    shift_clock(60)
    sweep()
    post.deliver()


def answer(sale: Sale, workflow: type[Workflow], plug: Plug) -> None:
    """Die while a wait for an event begins, while the event is delivered, and while the run goes on with it."""
    plug.arm()
    carry_run(str(enqueue(sale, workflow).pk), queue="flowstate")
    deliver_event("answer", sale.pk, event_id=str(sale.pk))
    post.deliver()


def answer_before(sale: Sale, workflow: type[Workflow], plug: Plug) -> None:
    """Die while an event is delivered that nobody waits for yet, and while a run finds it."""
    plug.arm()
    deliver_event("answer", sale.pk, event_id=str(sale.pk))
    carry_run(str(enqueue(sale, workflow).pk), queue="flowstate")


def ask_again(sale: Sale, workflow: type[Workflow]) -> None:
    """Do as the client and the sender of the event do who have had no answer; what was stored is not sent again."""
    enqueue(sale, workflow)
    if not Event.objects.filter(key=str(sale.pk)).exists():
        deliver_event("answer", sale.pk, event_id=str(sale.pk))


def boss() -> User:
    ApprovalAudience.objects.named(
        ["staff"], personal=[]
    )  # made once, so that each child meets the same points
    return User.objects.get_or_create(username="boss", defaults={"is_staff": True})[0]


def approve(sale: Sale, workflow: type[Workflow], plug: Plug) -> None:
    """Die while people are asked, while one decides, and while the run goes on with that."""
    decider = boss()
    plug.arm()
    carry_run(str(enqueue(sale, workflow).pk), queue="flowstate")
    Approval.objects.get(run__object_id=str(sale.pk)).approve(decider)
    post.deliver()


def reject(sale: Sale, workflow: type[Workflow], plug: Plug) -> None:
    """Die while one rejects, and while the run is undone."""
    decider = boss()
    carry_run(str(enqueue(sale, workflow).pk), queue="flowstate")
    plug.arm()
    Approval.objects.get(run__object_id=str(sale.pk)).reject(decider, "No.")
    post.deliver()


def approve_again(sale: Sale, workflow: type[Workflow]) -> None:
    """Do as who has had no answer: what was decided stands, and is not decided again."""
    run = enqueue(sale, workflow)
    shift_clock(100)
    for _hop in range(2):
        sweep()
        post.deliver()
    for approval in run.approvals.pending():
        approval.approve(boss())


def reject_again(sale: Sale, workflow: type[Workflow]) -> None:
    """Do as who has had no answer."""
    for approval in enqueue(sale, workflow).approvals.pending():
        approval.reject(boss(), "No.")


def raise_a_child(sale: Sale, workflow: type[Workflow], plug: Plug) -> None:
    """Die while a child run is begun, worked on and ended, and while its parent goes on."""
    plug.arm()
    carry_run(str(enqueue(sale, workflow).pk), queue="flowstate")
    post.deliver()


def undo_a_child(sale: Sale, workflow: type[Workflow], plug: Plug) -> None:
    """Die while a child that is done is undone by a run of its own, and its parent after that."""
    journeys.FAILING.append(plug.arm)
    carry_run(str(enqueue(sale, workflow).pk), queue="flowstate")
    post.deliver()


def cancel_a_family(sale: Sale, workflow: type[Workflow], plug: Plug) -> None:
    """Die while a run is cancelled together with the child that it waits for, and while both are undone."""
    run = enqueue(sale, workflow)
    carry_run(str(run.pk), queue="flowstate")
    post.deliver()
    plug.arm()
    run.cancel(SYSTEM)
    post.deliver()


def see_it_cancelled(sale: Sale, workflow: type[Workflow]) -> None:
    """Do as who wanted the run to be cancelled and has had no answer."""
    run = Run.objects.get(object_id=str(sale.pk), parent=None)
    if run.status == "running":
        run.cancel(SYSTEM)


def cancel(sale: Sale, workflow: type[Workflow], plug: Plug) -> None:
    """Die while somebody cancels a run that has been worked on and waits for nothing but a worker."""
    run = enqueue(sale, workflow)
    journeys.INTERRUPTS.append(abandon)
    with pytest.raises(Abandoned):
        carry_run(str(run.pk), queue="flowstate")
    connection.close()
    plug.arm()
    run.cancel(SYSTEM)


@dataclass(frozen=True, kw_only=True)
class Scenario:
    workflow: type[Workflow]
    work: Callable[[Sale, type[Workflow], Plug], None]
    ends: tuple[str, ...]
    outside: tuple[str, ...] = ("charge", "pack")
    again: Callable[[Sale, type[Workflow]], object] = enqueue
    """What those do who have had no answer."""
    deaths: int = 1
    """How many processes die before all recovers; each may have called the outside."""


SCENARIOS = {
    "durable": Scenario(workflow=Journey, work=start_and_carry, ends=("succeeded",)),
    "durable inline": Scenario(workflow=Journey, work=run_inline, ends=("succeeded",)),
    "undone": Scenario(workflow=Doomed, work=undo, ends=("compensated",)),
    "side by side": Scenario(workflow=Diamond, work=carry_side_by_side, ends=("succeeded",)),
    "side by side undone": Scenario(workflow=DoomedDiamond, work=undo_side_by_side, ends=("compensated",)),
    "taken over": Scenario(workflow=Journey, work=take_over, ends=("succeeded",), deaths=2),
    "atomic": Scenario(workflow=InOne, work=start_and_carry, ends=("succeeded",), outside=("charge",)),
    "atomic undone": Scenario(workflow=DoomedInOne, work=undo, ends=("compensated",), outside=("charge",)),
    "waited": Scenario(workflow=Patient, work=wait, ends=("succeeded",), outside=("charge",)),
    "answered": Scenario(
        workflow=Answered, work=answer, ends=("succeeded",), outside=("charge",), again=ask_again
    ),
    "answered before": Scenario(
        workflow=Answered, work=answer_before, ends=("succeeded",), outside=("charge",), again=ask_again
    ),
    "approved": Scenario(
        workflow=Approved, work=approve, ends=("succeeded",), outside=("charge",), again=approve_again
    ),
    "rejected": Scenario(
        workflow=Approved, work=reject, ends=("compensated",), outside=("charge",), again=reject_again
    ),
    "child": Scenario(workflow=Family, work=raise_a_child, ends=("succeeded",), outside=("charge",)),
    "child undone": Scenario(
        workflow=DoomedFamily, work=undo_a_child, ends=("compensated",), outside=("charge",)
    ),
    "family cancelled": Scenario(
        workflow=HeldFamily,
        work=cancel_a_family,
        ends=("cancelled",),
        outside=("charge",),
        again=see_it_cancelled,
    ),
    "cancelled": Scenario(workflow=Journey, work=cancel, ends=("cancelled", "succeeded")),
    "function": Scenario(workflow=asking.asked, work=start_and_carry, ends=("succeeded",)),
    "function inline": Scenario(workflow=asking.asked, work=run_inline, ends=("succeeded",)),
    "function undone": Scenario(workflow=asking.doomed, work=undo, ends=("compensated",)),
    "function taken over": Scenario(workflow=asking.asked, work=take_over, ends=("succeeded",), deaths=2),
    "function waited": Scenario(workflow=asking.patient, work=wait, ends=("succeeded",), outside=("charge",)),
    "function cancelled": Scenario(workflow=asking.asked, work=cancel, ends=("cancelled", "succeeded")),
}


def a_sale() -> Sale:
    product = Product.objects.create(name="tea", stock=STOCK)
    return Sale.objects.create(product=product, quantity=QUANTITY)


def chosen(points: list[str]) -> list[int]:
    """Return the numbers of the points to die at: all on SQLite; on a server the COMMITs and a sample."""
    numbers = range(1, len(points) + 1)
    if connection.vendor == "sqlite" or os.environ.get("FLOWSTATE_FAULTS") == "all":
        return list(numbers)
    commits = [number for number in numbers if points[number - 1].endswith("COMMIT")]
    others = [number for number in numbers if number not in commits]
    seeded = random.Random(3)  # noqa: S311 - the same sample in every run
    return sorted(commits + seeded.sample(others, min(SAMPLE, len(others))))


def crash(scenario: Scenario, sale: Sale, kill_at: int | None) -> tuple[int, list[str]]:
    plug = Plug(kill_at)

    def work() -> list[str]:
        scenario.work(sale, scenario.workflow, plug)
        return plug.points

    return in_child(work)


def put_aside(sale: Sale) -> dict[UUID, datetime]:
    """Hide a run from the children to come, so that each meets the points of its own; return its wake-up."""
    live = Run.objects.live().filter(object_id=str(sale.pk))
    wake_ups = {run.pk: run.wake_at for run in live if run.wake_at is not None}
    live.update(wake_at=FAR_FUTURE)
    return wake_ups


@pytest.mark.parametrize("name", SCENARIOS)
def test_whenever_a_process_dies_the_run_ends_as_if_nothing_had_happened(name: str) -> None:
    scenario = SCENARIOS[name]
    status, points = crash(scenario, a_sale(), None)
    assert status == 0
    assert len(points) > 15

    died: dict[int, str] = {}
    wake_ups: dict[UUID, datetime] = {}
    for number in chosen(points):
        sale = a_sale()
        died[sale.pk] = f"{number}: {points[number - 1]}"
        assert killed(crash(scenario, sale, number)[0])
        wake_ups |= put_aside(sale)
    for run_id, wake_at in wake_ups.items():
        Run.objects.filter(pk=run_id).update(wake_at=wake_at)
    for sale in Sale.objects.filter(pk__in=died):
        scenario.again(sale, scenario.workflow)
    recover_all()

    found = {}
    for sale in Sale.objects.filter(pk__in=died):
        run = Run.objects.get(object_id=str(sale.pk), parent=None)
        ends = run.status if run.status in scenario.ends else scenario.ends[0]
        if wrong := complaints(run, ends=ends, outside=scenario.outside, most_calls=scenario.deaths + 1):
            found[died[sale.pk]] = wrong
    assert found == {}
    assert broken() == []
