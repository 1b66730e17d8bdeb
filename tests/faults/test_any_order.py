"""Runs under any sequence of faults, against a small reference model that knows only what must be true."""

from __future__ import annotations

import os
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from django.db import connection

from flowstate import SYSTEM, RunConflict
from flowstate.engine.carry import messages
from flowstate.engine.carry.sweep import sweep
from flowstate.models import Run
from flowstate.models.clock import _Shift, shift_clock
from tests.faults import journeys, ledger, post
from tests.faults.afterwards import QUANTITY, STOCK, broken, complaints, recover_all
from tests.faults.journeys import Doomed, DoomedInOne, InOne, Journey, action_on
from tests.kiosk.models import Product, Sale

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(connection.vendor != "sqlite", reason="one process: what differs is raced elsewhere"),
]

WORKFLOWS = {"journey": Journey, "doomed": Doomed, "in one": InOne, "doomed in one": DoomedInOne}
EXAMPLES = 1000 if os.environ.get("FLOWSTATE_FAULTS") == "all" else 25


class Abandoned(BaseException):
    """The process is gone as far as the engine can see."""


def abandon() -> None:
    raise Abandoned


class Known:
    """The reference: what was asked for, and what has been seen of a run."""

    def __init__(self, workflow: str, sale: Sale, run: Run) -> None:
        self.workflow, self.sale, self.run = workflow, sale, run
        self.cancelled = False
        self.calls_when_cancelled: dict[str, int] = {}
        self.ended = ""

    @property
    def must_end(self) -> str:
        if self.cancelled:
            return "cancelled"
        return "compensated" if self.workflow.startswith("doomed") else "succeeded"

    @property
    def calls(self) -> dict[str, int]:
        return {key: n for key, n in ledger.calls().items() if key.startswith(str(self.run.pk))}


class AnyOrder(RuleBasedStateMachine):
    """Starts, messages that come, come twice or never, crashes, sweeps, time, and cancels."""

    runs = Bundle("runs")
    places = st.integers(min_value=0, max_value=5)

    def __init__(self) -> None:
        super().__init__()
        for model in (Run, Sale, Product):
            model.objects.all().delete()
        ledger.forget()
        post.letters.clear()
        journeys.INTERRUPTS.clear()
        _Shift.seconds = 0.0
        self.known: list[Known] = []

    @rule(target=runs, workflow=st.sampled_from(sorted(WORKFLOWS)))
    def start(self, workflow: str) -> Known:
        product = Product.objects.create(name="tea", stock=STOCK)
        sale = Sale.objects.create(product=product, quantity=QUANTITY)
        run = action_on(sale, WORKFLOWS[workflow]).enqueue(user=SYSTEM, idempotency_key=str(sale.pk))
        known = Known(workflow, sale, run)
        self.known.append(known)
        return known

    @rule(known=runs)
    def start_again(self, known: Known) -> None:
        action = action_on(known.sale, WORKFLOWS[known.workflow])
        again = action.enqueue(user=SYSTEM, idempotency_key=str(known.sale.pk))
        assert again.replayed
        assert again.pk == known.run.pk

    @rule(place=places)
    def deliver(self, place: int) -> None:
        if post.letters:
            post.letters.pop(place % len(post.letters))()

    @rule(place=places)
    def deliver_twice(self, place: int) -> None:
        if post.letters:
            letter = post.letters.pop(place % len(post.letters))
            letter()
            letter()

    @rule(place=places)
    def drop(self, place: int) -> None:
        if post.letters:
            post.letters.pop(place % len(post.letters))

    @rule(place=places)
    def crash(self, place: int) -> None:
        """Deliver to a process that dies in its next call outside, if it makes one."""
        journeys.INTERRUPTS[:] = [abandon]
        try:
            self.deliver(place)
        except Abandoned:
            connection.close()
        journeys.INTERRUPTS.clear()

    @rule()
    def sweep(self) -> None:
        sweep()

    @rule(seconds=st.sampled_from([1, 11, 80, 400]))
    def tick(self, seconds: int) -> None:
        shift_clock(seconds)

    @rule(known=runs)
    def cancel(self, known: Known) -> None:
        was = known.run.refresh().status
        try:
            known.run.cancel(SYSTEM)
        except RunConflict:
            assert was != "running"
        else:
            assert was == "running"
            known.cancelled = True
            known.calls_when_cancelled = known.calls

    @invariant()
    def the_journal_is_in_order(self) -> None:
        assert broken() == []

    @invariant()
    def what_has_ended_stays_as_it_is(self) -> None:
        """I8, I24, and the agreement of rows and ledger."""
        for known in self.known:
            if known.cancelled:
                assert known.calls == known.calls_when_cancelled
            if known.run.refresh().finished:
                known.ended = known.ended or known.run.status
                assert known.run.status == known.ended
                self._agrees(known)

    def teardown(self) -> None:
        recover_all()
        for known in self.known:
            known.run.refresh()
            self._agrees(known)
        assert broken() == []

    def _agrees(self, known: Known) -> None:
        outside = ("charge",) if known.run.atomic else ("charge", "pack")
        ends = known.must_end
        if ends == "compensated" and known.run.status == "failed":
            ends = "failed"  # nothing had been done that would have to be undone
        assert complaints(known.run, ends=ends, outside=outside, most_calls=1000) == []


def test_any_sequence_of_faults_ends_as_if_nothing_had_happened(settings: Any, monkeypatch: Any) -> None:
    """I1, I2, I5, I8, I10, I12, I13, I15, I16, I24: start, deliver, duplicate, drop, crash, sweep, tick, cancel."""
    settings.FLOWSTATE = {"CARRIER": post.PATH, "MAX_LOST_LEASES": 1000}
    monkeypatch.setattr(
        messages, "SLICE", 3600.0
    )  # what a drain does must not depend on this machine's speed

    run_state_machine_as_test(AnyOrder, settings=HYPOTHESIS)


HYPOTHESIS = settings(
    max_examples=EXAMPLES,
    stateful_step_count=25,
    deadline=None,
    phases=[Phase.explicit, Phase.generate],  # shrinking may take minutes, and 25 steps can be read
    derandomize=os.environ.get("FLOWSTATE_FAULTS") != "all",
    suppress_health_check=list(HealthCheck),
)
